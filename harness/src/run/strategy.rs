//! One run of one strategy, a straight line: raise, load with faults, fence, final reads, history.

use super::caching;
use super::consuming;
use super::context::Context;
use super::counts::LiveCounts;
use super::deployment::{Deployment, Leave, failed};
use super::event::OfferedCounts;
use super::fencing::Fencing;
use super::look::Looker;
use super::projecting;
use super::sampler::Sampler;
use super::trace::{self, Collected};
use super::{Event, Reporter, RunError, folder};
use crate::clock::RunClock;
use crate::fence::patience::{Cut, Patience};
use crate::history::{History, RunMeta};
use crate::nemesis::{self, Announcement, Campaign};
use crate::observer::{self, Ends, EndsPlan, Observer, Sights, Watch};
use crate::scenario::Strategy;
use crate::stack::Stack;
use crate::workload::{self, Answers, Offered, Progress};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Between "everything is ready" and the first intended start. An idempotent producer that has just
/// connected asks for its producer id on a timer of half a second; the first events would pay for it.
const SETTLE: Duration = Duration::from_millis(600);
/// Beyond what a publish may take, until nobody goes on trying.
const GIVEN_UP: Duration = Duration::from_secs(1);
/// Raising the system under test is bounded by this: its parts have bounds of their own.
const RAISE_WITHIN: Duration = Duration::from_secs(300);
/// A question to the broker around the load is bounded by this.
const ASK_WITHIN: Duration = Duration::from_secs(60);
/// Looking through the other topics of the broker is bounded by this.
const STRAYS_WITHIN: Duration = Duration::from_secs(60);
/// How much longer than its plan the load may take, beside what its requests may: faults are healed.
const LOAD_OVERTIME: Duration = Duration::from_secs(300);
/// How far the load has come is told so often.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// Bound on tearing down what a strategy made, and the same once the user has interrupted.
const TEAR_DOWN_WITHIN: Duration = Duration::from_secs(120);
const TEAR_DOWN_INTERRUPTED_WITHIN: Duration = Duration::from_secs(20);

/// Runs one strategy and gives its history; everything it made is gone afterwards.
pub async fn run(context: &Context<'_>, strategy: &Strategy) -> Result<History, RunError> {
    context.reporter.event(Event::StrategyStarted {
        strategy: strategy.name.clone(),
        kind: strategy.kind.name().to_owned(),
    });
    in_deployment(context, strategy, async |deployment| {
        let history = load_and_fence(context, deployment, strategy).await?;
        if history.fences.iter().any(|step| !step.ok)
            && let Some(error) = stack_failed(context).await
        {
            return Err(error);
        }
        Ok(history)
    })
    .await
}

/// Raises the system under test of a strategy, has something done with it, and tears it down again.
pub async fn in_deployment<T>(
    context: &Context<'_>,
    strategy: &Strategy,
    work: impl AsyncFnOnce(&Deployment<'_>) -> Result<T, RunError>,
) -> Result<T, RunError> {
    let mut deployment = Deployment::plan(
        context.stack,
        context.scenario,
        strategy,
        context.reaper,
        context.folder,
        context
            .trace
            .then(|| folder::trace(context.folder, &strategy.name)),
    )?;
    if let Some(lane) = &context.lane {
        deployment.run_beside_others(lane.way)?;
    }
    let patience = Patience::new(context.interrupted.clone());
    let raise = async {
        context.stack.make_whole().await?;
        deployment.raise().await
    };
    let raised = tokio::select! {
        raised = patience.give(RAISE_WITHIN, raise) => raised
            .unwrap_or_else(|cut| Err(context.cut("raising the system under test", cut))),
        failed = context.stack.ends_by_itself() => Err(failed.into()),
        () = patience.interruption() => {
            Err(context.cut("raising the system under test", Cut::Interruption))
        }
    };
    let mut done = match raised {
        Ok(()) => work(&deployment).await,
        Err(e) => Err(e),
    };
    // Where something failed because the stack did, that is the failure.
    if matches!(done, Err(RunError::Failed { .. }))
        && let Some(error) = stack_failed(context).await
    {
        done = Err(error);
    }
    let within = if patience.is_interrupted() {
        TEAR_DOWN_INTERRUPTED_WITHIN
    } else {
        TEAR_DOWN_WITHIN
    };
    let torn = deployment.tear_down(leave(context, &done), context.reporter);
    if tokio::time::timeout(within, torn).await.is_err() {
        // What it had not come to is dropped with the deployment, by the reaper, or by the next sweep.
        let text = format!(
            "tearing down {} did not end within {within:?}: the rest of it is dropped by the \
             reaper, or by the next run on this stack",
            strategy.name
        );
        context.reporter.event(Event::Note { text });
    }
    done
}

/// The failure of the stack, if it has one that nobody asked for.
async fn stack_failed(context: &Context<'_>) -> Option<RunError> {
    if *context.interrupted.borrow() {
        return None;
    }
    context.stack.failure().await.map(RunError::from)
}

fn leave<T>(context: &Context<'_>, done: &Result<T, RunError>) -> Leave {
    match (context.stack, done) {
        (Stack::Own(_), Err(RunError::Stack(_))) => Leave::ToTheStack,
        // It is stopped next.
        (Stack::Own(_), _) if *context.interrupted.borrow() && !context.stack_stays => {
            Leave::ToTheStack
        }
        _ if context.keep => Leave::SchemaAndTopic,
        _ => Leave::Nothing,
    }
}

async fn load_and_fence(
    context: &Context<'_>,
    deployment: &Deployment<'_>,
    strategy: &Strategy,
) -> Result<History, RunError> {
    let scenario = context.scenario;
    let clock = RunClock::start();
    let started_at = jiff::Timestamp::now().to_string();
    let watch = Watch {
        keeps_recent: context.looked_at.is_some(),
        ..deployment.watch(clock)
    };
    let patience = Patience::new(context.interrupted.clone());
    let asked = ("listing the topics", ASK_WITHIN);
    let topics_before = context
        .bounded(&patience, asked, watch.broker.topics())
        .await?;
    let asked = ("starting the observer", ASK_WITHIN);
    let observer = context
        .bounded(&patience, asked, Observer::start(watch.clone()))
        .await?;
    let plan = EndsPlan {
        expected: scenario.workload.duration + scenario.drain.within,
        has_transactions: strategy.topology().recovers(),
    };
    let asked = ("asking for the topic's ends", ASK_WITHIN);
    let ends = context
        .bounded(&patience, asked, Ends::start(watch.clone(), plan))
        .await?;
    let (end_sampling, sampling) = watch::channel(false);
    let sampler = Sampler {
        clock,
        processes: deployment
            .service
            .iter()
            .chain(&deployment.relays)
            .chain(&deployment.consumers)
            .cloned()
            .collect(),
        own_schema: deployment.own_schema.clone(),
        layout: deployment.layout.clone(),
    };
    let sampler = tokio::spawn(sampler.run(deployment.database.costs(), sampling));

    let (end_looking, looking) = watch::channel(false);
    let progress = Arc::new(Progress {
        // Somebody watches.
        answers: context.looked_at.map(|_| Answers::default()),
        ..Progress::default()
    });
    let watched = WatchedLane {
        sights: observer.sights(),
        progress: Arc::clone(&progress),
        clock,
    };
    let looker = look(context, deployment, strategy, watched, looking);
    if let Some(lane) = &context.lane {
        lane.begins_with_the_others().await;
    }
    let load_from_ns = clock.now_ns() + SETTLE.as_nanos() as i64;
    let (
        Offered {
            requests,
            reads,
            unoffered,
            until_ns,
        },
        campaign,
    ) = load(
        context,
        deployment,
        (clock, load_from_ns),
        progress,
        observer.sights(),
    )
    .await?;
    context.reporter.event(Event::LoadEnded);
    // What nobody pressed was no fault.
    let (played, campaign) = match &context.lane {
        Some(lane) => {
            let is_played = |n: usize| {
                let fault = scenario.faults.get(n);
                fault.is_some_and(|f| lane.stage.keyboard.is_asked_for(f.trigger()))
            };
            (lane.played(scenario), campaign.only(is_played))
        }
        None => (scenario.clone(), campaign),
    };

    let requests = Arc::new(requests);
    let fencing = Fencing {
        context,
        deployment,
        strategy,
        watch: &watch,
        requests: &requests,
        campaign: &campaign,
    };
    let mut read = tokio::select! {
        biased;
        failed = context.stack.ends_by_itself() => return Err(failed.into()),
        read = fencing.read(observer) => read,
    };
    let consumed = consuming::consume(context, deployment, &read.topic.log, clock);
    let consumed = tokio::select! {
        biased;
        failed = context.stack.ends_by_itself() => return Err(failed.into()),
        consumed = consumed => consumed,
    };
    let cached = caching::read_cache(context, deployment, requests.len());
    let (cached, cache) = tokio::select! {
        biased;
        failed = context.stack.ends_by_itself() => return Err(failed.into()),
        cached = cached => cached,
    };
    let under_test = deployment.service.iter().chain(&deployment.relays);
    for child in under_test.chain(&deployment.consumers) {
        if child.own_end().is_some() {
            let text = child.ends_by_itself().await.to_string();
            context.reporter.event(Event::Note { text });
        }
    }
    let strays = observer::stray_topics(
        &watch.broker,
        &deployment.identity,
        &watch.place,
        &watch.topic,
        &topics_before,
    );
    let asked = ("looking for events on other topics", STRAYS_WITHIN);
    let patience = Patience::new(context.interrupted.clone());
    let stray_topics = match context.lane {
        // The topics beside its own are those of other lanes, which are dropped while they are looked at.
        Some(_) => Vec::new(),
        None => {
            let found = context.bounded(&patience, asked, strays).await;
            or_no_hint(found, context.reporter)
        }
    };
    let _ = end_sampling.send(true);
    let _ = end_looking.send(true);
    if let Some(looker) = looker {
        // What is for show costs no history.
        if let Err(error) = looker.await {
            let text = format!("looking at the lane ended early: {error}");
            context.reporter.event(Event::Note { text });
        }
    }
    let mut samples = sampler.await.map_err(|e| failed("sampling", &e))?;
    samples.extend(ends.stop().await);
    match projecting::project(deployment, &patience, clock, read.truth.as_ref()).await {
        Ok(sample) => samples.extend(sample),
        Err(remark) => read.remarks.push(remark),
    }
    let trace = collect_trace(context, deployment, clock).await?;

    let meta = RunMeta {
        format: crate::history::FORMAT,
        scenario: played,
        strategy: strategy.name.clone(),
        part_of: context.part_of.clone(),
        key: deployment.key.clone(),
        clock,
        started_at,
        topic: deployment.topics.name(),
        topics: deployment.topics.names().to_vec(),
        schema: deployment.layout.name.clone(),
        made_of: Some(strategy.topology()),
        proxied: deployment.proxies.keys().copied().collect(),
        load_from_ns,
        load_until_ns: until_ns,
        unoffered,
        truth_lsn: read.truth.as_ref().map(|t| t.lsn),
        wall_drift_ns: clock.wall_drift_ns() as i64,
        uncommitted_records: read.topic.uncommitted_records,
        service_killed_at_teardown: read.service_killed,
        interrupted: *context.interrupted.borrow(),
        deaths: deployment.deaths(&clock),
        remarks: read.remarks,
        heuristic: read.heuristic,
        trigger_notes: campaign.trigger_notes,
        consumers: consumed.ends,
        cache,
        stray_topics,
        trace_cut_ns: trace.cut_ns,
        trace_dropped: trace.dropped,
        environment: super::environment::of(context.stack, scenario),
        sha256: BTreeMap::new(),
    };
    Ok(History {
        meta,
        requests: Arc::unwrap_or_clone(requests),
        truth: read.truth.map(|t| t.rows).unwrap_or_default(),
        log: read.topic.log,
        raw: read.topic.raw,
        sightings: read.sightings,
        partitions: read.topic.partitions,
        pending: read.pending,
        faults: campaign.faults,
        observations: campaign.observations,
        processes: deployment.process_events(&clock),
        samples,
        fences: read.steps,
        trace: trace.rows.into_iter().collect(),
        effects: consumed.effects,
        reads,
        cached,
    })
}

/// What there is to look at beside the database.
struct WatchedLane {
    sights: Sights,
    progress: Arc<Progress>,
    clock: RunClock,
}

/// Has somebody look at a strategy's lane while it runs, where anybody watches.
fn look(
    context: &Context<'_>,
    deployment: &Deployment<'_>,
    strategy: &Strategy,
    watched: WatchedLane,
    stop: watch::Receiver<bool>,
) -> Option<tokio::task::JoinHandle<()>> {
    let pace = context.looked_at?;
    let request_timeout = context.scenario.workload.request_timeout;
    let publishes = deployment.parts.publish_within(request_timeout);
    let looker = Looker {
        reporter: context.reporter.clone(),
        pace,
        truth: deployment.database.look(),
        identity: Arc::clone(&deployment.identity),
        sights: watched.sights,
        progress: watched.progress,
        clock: watched.clock,
        gives_up_after: (!strategy.topology().has_outbox).then_some(publishes + GIVEN_UP),
    };
    Some(tokio::spawn(looker.run(stop)))
}

/// Other topics with events of the run are a hint where something is lost; no count and no verdict
/// rests on them, so a look that fails costs the hint and not the history.
fn or_no_hint(found: Result<Vec<String>, RunError>, reporter: &Reporter) -> Vec<String> {
    found.unwrap_or_else(|e| {
        let text = format!("events on other topics were not looked for, which is a hint less: {e}");
        reporter.event(Event::Note { text });
        Vec::new()
    })
}

/// What the system under test wrote of its work, now that all of it has ended.
async fn collect_trace(
    context: &Context<'_>,
    deployment: &Deployment<'_>,
    clock: RunClock,
) -> Result<Collected, RunError> {
    let Some(folder) = deployment.trace.clone() else {
        return Ok(Collected::default());
    };
    let identity = Arc::clone(&deployment.identity);
    let collected = tokio::task::spawn_blocking(move || trace::collect(&folder, &identity, &clock))
        .await
        .map_err(|e| failed("reading the traces", &e))?;
    for problem in &collected.problems {
        context.reporter.event(Event::Note {
            text: format!("a trace is left out, `explain` knows less: {problem}"),
        });
    }
    Ok(collected)
}

async fn load(
    context: &Context<'_>,
    deployment: &Deployment<'_>,
    (clock, load_from_ns): (RunClock, i64),
    progress: Arc<Progress>,
    sights: Sights,
) -> Result<(Offered, Campaign), RunError> {
    let workload = &context.scenario.workload;
    let begins_in_ns = load_from_ns.saturating_sub(clock.now_ns()).max(0);
    context.reporter.event(Event::LoadStarted {
        begins_in: Duration::from_nanos(begins_in_ns.unsigned_abs()),
        duration: workload.duration,
        planned: (workload.rate * workload.duration.as_secs_f64()) as u64,
    });
    let hit = nemesis::LoadWindow {
        from_ns: load_from_ns,
        until_ns: load_from_ns.saturating_add(nemesis::nanoseconds(workload.duration)),
        counts: Arc::new(LiveCounts {
            progress: Arc::clone(&progress),
            sights,
            keyboard: context
                .lane
                .as_ref()
                .map(|lane| Arc::clone(&lane.stage.keyboard)),
        }),
    };
    if let Some(lane) = &context.lane {
        lane.stage.keyboard.open(SETTLE + workload.duration);
    }
    let load = deployment.load(clock, Arc::clone(&progress));
    let reporter = context.reporter.clone();
    let announce = move |said: Announcement| {
        reporter.event(Event::Fault {
            what: said.what,
            turn: said.turn,
        });
    };
    let targets = deployment.fault_targets(clock, Arc::new(announce));
    let (halt, halted) = watch::channel(false);
    let loaded = async {
        tokio::join!(
            workload::offer(load, load_from_ns, halted.clone()),
            nemesis::campaign(&context.scenario.faults, &targets, hit, halted.clone()),
        )
    };
    tokio::pin!(loaded);
    let patience = Patience::new(context.interrupted.clone());
    let ended = tokio::select! {
        loaded = &mut loaded => Some(loaded),
        () = patience.interruption() => None,
        _ = context.stack.ends_by_itself() => None,
        never = tell_what_is_offered(context.reporter, &progress) => match never {},
    };
    let ended = match ended {
        Some(loaded) => Ok(loaded),
        None => {
            // Both end in order: every request gets its outcome, every fault is healed.
            let _ = halt.send(true);
            let within = workload.request_timeout * 2 + LOAD_OVERTIME;
            let halted = patience.give(within, loaded).await;
            halted.map_err(|cut| context.cut("ending the load", cut))
        }
    };
    let offered = OfferedCounts::of(&progress);
    context.reporter.event(Event::Offered { offered });
    ended
}

/// Tells how far the load has come, for as long as it goes on.
async fn tell_what_is_offered(reporter: &Reporter, progress: &Progress) -> Infallible {
    loop {
        tokio::time::sleep(TELL_EVERY).await;
        let offered = OfferedCounts::of(progress);
        reporter.event(Event::Offered { offered });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::event::Happening;
    use crate::run::reporter::Sink;
    use std::sync::Mutex;

    #[derive(Default)]
    struct NotesSink(Mutex<Vec<String>>);

    impl Sink for NotesSink {
        fn take(&self, happening: &Happening) {
            if let Event::Note { text } = &happening.event {
                self.0.lock().unwrap().push(text.clone());
            }
        }
    }

    #[test]
    fn given_a_broker_that_does_not_say_its_topics_when_strays_are_looked_for_then_only_the_hint_is_lost()
     {
        let notes = Arc::new(NotesSink::default());
        let reporter = Reporter::to([notes.clone() as Arc<dyn Sink>]);
        let found = or_no_hint(Ok(vec!["elsewhere".to_owned()]), &reporter);
        assert_eq!(
            (found, notes.0.lock().unwrap().len()),
            (vec!["elsewhere".to_owned()], 0)
        );

        let reason = failed("looking for events on other topics", &"no answer");
        let found = or_no_hint(Err(reason), &reporter);

        assert!(found.is_empty());
        let said = notes.0.lock().unwrap().join("");
        assert!(
            said.contains("a hint less") && said.contains("no answer"),
            "{said}"
        );
    }
}
