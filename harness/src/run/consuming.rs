//! What consumers made of the events: once the topic is closed and read, each is given time to read to its end,
//! told to end, and its own database, or whom it called, is asked what it did.

use super::context::Context;
use super::deployment::{DeployedConsumer, Deployment, StoppedConsumer};
use crate::broker::Offsets;
use crate::clock::RunClock;
use crate::fence::effects;
use crate::fence::patience::Patience;
use crate::history::{ConsumerEnd, EffectRow, LogRow, Rows};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two looks at how far a group has come.
const POLL: Duration = Duration::from_millis(50);
/// The end of a consumer, and reading what it did, is bounded by this beside what is read.
const WORK_WITHIN: Duration = Duration::from_secs(60);
/// That bound grows by this for each record on the topic.
const WORK_PER_RECORD: Duration = Duration::from_micros(100);

/// What became of all consumers.
#[derive(Default)]
pub(super) struct Consumed {
    pub effects: Rows<EffectRow>,
    pub ends: Vec<ConsumerEnd>,
}

/// Waits for the consumers of a strategy, ends them, and reads their effects. What cannot be read is said so, and
/// fails nothing.
pub(super) async fn consume(
    context: &Context<'_>,
    deployment: &Deployment<'_>,
    log: &Rows<LogRow>,
    clock: RunClock,
) -> Consumed {
    let mut consumed = Consumed::default();
    let ends = ends(log);
    let patience = Patience::new(context.interrupted.clone());
    let within = context.scenario.drain.within;
    let deadline = Instant::now() + within;
    for deployed in deployment.deployed_consumers() {
        let waited = wait(deployment, deployed, &ends, (deadline, &patience));
        let waited = patience.give(within + WORK_WITHIN, waited).await;
        let work = WORK_WITHIN + WORK_PER_RECORD * log.len() as u32;
        let read = read(deployment, deployed, clock, &mut consumed.effects);
        let read = patience.give(work, read).await;
        let mut end = ConsumerEnd {
            name: deployed.consumer.name.clone(),
            was_alive: false,
            was_killed: false,
            committed: BTreeMap::new(),
            unread: None,
        };
        let came = waited.unwrap_or_else(|cut| Err(cut.to_string()));
        match read.unwrap_or_else(|cut| Err(cut.to_string())) {
            Ok((stopped, committed)) => {
                end.was_alive = stopped.was_alive;
                end.was_killed = stopped.was_killed;
                end.committed = committed;
            }
            Err(reason) => {
                let reason = came.err().unwrap_or(reason);
                end.unread = Some(format!("what it did could not be read: {reason}"));
            }
        }
        consumed.ends.push(end);
    }
    consumed
}

/// By partition, the offset behind the last record.
fn ends(log: &Rows<LogRow>) -> Offsets {
    let mut ends = Offsets::new();
    for row in log {
        let end = ends.entry(row.partition).or_insert(0);
        *end = (*end).max(row.offset + 1);
    }
    ends
}

/// Waits until a group has read to the end; or its consumer is dead, or until the deadline.
async fn wait(
    deployment: &Deployment<'_>,
    deployed: DeployedConsumer<'_>,
    ends: &Offsets,
    (deadline, patience): (Instant, &Patience),
) -> Result<(), String> {
    let mut last = Ok(());
    while deployed.child.is_some_and(crate::process::Child::is_alive)
        && Instant::now() < deadline
        && !patience.is_interrupted()
    {
        // One look that fails says nothing of the next.
        last = match offsets(deployment, deployed).await {
            Ok(come) => {
                let has_come = |(partition, end)| come.get(partition).is_some_and(|at| at >= end);
                if ends.iter().all(has_come) {
                    return Ok(());
                }
                Ok(())
            }
            Err(reason) => Err(reason),
        };
        tokio::time::sleep(POLL).await;
    }
    last
}

async fn offsets(
    deployment: &Deployment<'_>,
    deployed: DeployedConsumer<'_>,
) -> Result<Offsets, String> {
    let group = deployment.consumer_group(deployed.consumer);
    let broker = deployment.broker();
    let partitions = deployment.partitions();
    let told = broker.committed(&group, &deployment.topic_name, partitions);
    told.await
}

/// Ends a consumer, and reads how far it had come and what it did; says how it ended.
async fn read(
    deployment: &Deployment<'_>,
    deployed: DeployedConsumer<'_>,
    clock: RunClock,
    into: &mut Rows<EffectRow>,
) -> Result<(StoppedConsumer, Offsets), String> {
    let Some(child) = deployed.child else {
        return Err("it was never started".to_owned());
    };
    let stopped = deployment.stop_consumer(child).await?;
    let layout = deployment.consumer_layout(deployed.index);
    let committed = offsets(deployment, deployed).await?;
    let effects = match deployment.take_sink(deployed.index) {
        Some(sink) => sink.calls(clock).await?,
        None => {
            let admin = deployment.admin_of_consumers();
            let of_run = (&*deployment.identity, &clock);
            effects::read(admin, &layout, of_run, deployed.index as u32).await?
        }
    };
    into.extend(&effects);
    Ok((stopped, committed))
}
