//! What consumers made of the events: once the topic is closed and read, each is given time to read to its end,
//! told to end, and its own database, or whom it called, is asked what it did.

use super::context::Context;
use super::deployment::{DeployedConsumer, Deployment, StoppedConsumer};
use crate::broker::{GroupProgress, Offsets};
use crate::clock::RunClock;
use crate::fence::patience::Patience;
use crate::history::{ConsumerEnd, EffectRow, LogRow, Rows};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Between two looks at how far a group has come.
const POLL: Duration = Duration::from_millis(50);
/// A consumer that has called nobody for so long has done what it had read: one that commits first, or holds what its
/// queue has no more, calls after its group is at the end.
const QUIET: Duration = Duration::from_secs(1);
/// The broker knows by then that a process has ended, whose connections the kernel has closed.
const GONE_WITHIN: Duration = Duration::from_secs(10);
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
            queued: None,
            unread: None,
        };
        let came = waited.unwrap_or_else(|cut| Err(cut.to_string()));
        match read.unwrap_or_else(|cut| Err(cut.to_string())) {
            Ok((stopped, progress)) => {
                end.was_alive = stopped.was_alive;
                end.was_killed = stopped.was_killed;
                match progress {
                    GroupProgress::Committed(offsets) => end.committed = offsets,
                    GroupProgress::Queued { waiting, .. } => {
                        end.queued = Some(waiting);
                        // What is in no queue was done, or passed over: everything.
                        if waiting == 0 {
                            end.committed.clone_from(&ends);
                        }
                    }
                }
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
    let (mut called, mut since) = (None, Instant::now());
    while deployed.child.is_some_and(crate::process::Child::is_alive)
        && Instant::now() < deadline
        && !patience.is_interrupted()
    {
        let calls = deployment.calls_so_far(deployed.index);
        if calls != called {
            (called, since) = (calls, Instant::now());
        }
        let is_quiet = calls.is_none() || since.elapsed() >= QUIET;
        // One look that fails says nothing of the next.
        last = match progress(deployment, deployed).await {
            Ok(come) if is_at_the_end(&come, ends) && is_quiet => return Ok(()),
            Ok(_) => Ok(()),
            Err(reason) => Err(reason),
        };
        tokio::time::sleep(POLL).await;
    }
    last
}

/// Whether a group has nothing more to ask for. What its members hold then they do before they end.
fn is_at_the_end(come: &GroupProgress, ends: &Offsets) -> bool {
    match come {
        GroupProgress::Committed(offsets) => {
            let has_come = |(partition, end)| offsets.get(partition).is_some_and(|at| at >= end);
            ends.iter().all(has_come)
        }
        GroupProgress::Queued { waiting, .. } => *waiting == 0,
    }
}

async fn progress(
    deployment: &Deployment<'_>,
    deployed: DeployedConsumer<'_>,
) -> Result<GroupProgress, String> {
    let group = deployment.consumer_group(deployed.consumer);
    deployment.broker().progress(group).await
}

/// The same of a group whose members have ended: the broker has put back what they had not acknowledged when it knows
/// that they are gone.
async fn last_progress(
    deployment: &Deployment<'_>,
    deployed: DeployedConsumer<'_>,
) -> Result<GroupProgress, String> {
    let deadline = Instant::now() + GONE_WITHIN;
    loop {
        let told = progress(deployment, deployed).await?;
        match &told {
            GroupProgress::Queued { members: 1.., .. } if Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
            }
            GroupProgress::Queued { members, .. } if *members > 0 => {
                return Err(
                    "the broker takes members of its group for alive that have ended".to_owned(),
                );
            }
            GroupProgress::Queued { .. } | GroupProgress::Committed(_) => return Ok(told),
        }
    }
}

/// Ends a consumer, and reads how far it had come and what it did; says how it ended.
async fn read(
    deployment: &Deployment<'_>,
    deployed: DeployedConsumer<'_>,
    clock: RunClock,
    into: &mut Rows<EffectRow>,
) -> Result<(StoppedConsumer, GroupProgress), String> {
    let Some(child) = deployed.child else {
        return Err("it was never started".to_owned());
    };
    let stopped = deployment.stop_consumer(child).await?;
    let schema = deployment.consumer_schema(deployed.index);
    let progress = last_progress(deployment, deployed).await?;
    let effects = match deployment.take_sink(deployed.index) {
        Some(sink) => sink.calls(clock).await?,
        None => {
            let of_run = (&*deployment.identity, &clock);
            schema.effects(of_run, deployed.index as u32).await?
        }
    };
    into.extend(&effects);
    Ok((stopped, progress))
}
