//! One run of one strategy, a straight line: raise, load with faults, fence, final reads, history.

use super::arena::{Arena, Leave, failed};
use super::sampler::Sampler;
use super::trace::{self, Collected};
use super::{Event, Reporter, RunError, folder};
use crate::clock::RunClock;
use crate::fence::database::Truth;
use crate::fence::{Fence, database};
use crate::history::{
    History, NONE, PartOf, Pending, PendingState, Request, Rows, RunMeta, Sighting,
};
use crate::nemesis::{self, Campaign};
use crate::observer::{self, FinalRead, Observer, Watch};
use crate::process::Child;
use crate::process::reaper::Reaper;
use crate::scenario::{Scenario, Strategy, StrategyKind};
use crate::stack::Stack;
use crate::workload::{self, Load, Offered, Progress};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

const FENCE_STEP_WITHIN: Duration = Duration::from_secs(30);
/// Between "everything is ready" and the first intended start. An idempotent producer that has just
/// connected asks for its producer id on a timer of half a second; the first events would pay for it.
const SETTLE: Duration = Duration::from_millis(600);
const POLL: Duration = Duration::from_millis(20);

/// What a strategy's run needs of its scenario's run.
pub struct Context<'a> {
    /// The stack, up.
    pub stack: &'a Stack,
    /// The scenario.
    pub scenario: &'a Scenario,
    /// The reaper of this process.
    pub reaper: &'a Arc<Reaper>,
    /// The run's folder.
    pub folder: &'a Path,
    /// Who is told.
    pub reporter: &'a Arc<dyn Reporter>,
    /// Ctrl-C or SIGTERM.
    pub interrupted: watch::Receiver<bool>,
    /// Keep schema and topic.
    pub keep: bool,
    /// What each history of the run says it is part of.
    pub part_of: PartOf,
    /// Have order service and relay write a trace.
    pub trace: bool,
}

/// Runs one strategy and gives its history; everything it made is gone afterwards.
pub async fn run(context: &Context<'_>, strategy: &Strategy) -> Result<History, RunError> {
    context.reporter.event(Event::StrategyStarted {
        strategy: strategy.name.clone(),
        kind: strategy.kind.name().to_owned(),
    });
    let mut arena = Arena::plan(
        context.stack,
        context.scenario,
        strategy,
        context.reaper,
        context.folder,
        context
            .trace
            .then(|| folder::trace(context.folder, &strategy.name)),
    )?;
    let mut interrupted = context.interrupted.clone();
    let raised = tokio::select! {
        raised = arena.raise() => raised,
        failed = context.stack.ends_by_itself() => Err(failed.into()),
        _ = interrupted.wait_for(|i| *i) => Err(RunError::Interrupted { folder: context.folder.to_owned() }),
    };
    let history = match raised {
        Ok(()) => load_and_fence(context, &arena, strategy).await,
        Err(e) => Err(e),
    };
    let history = blame(context, history).await;
    arena
        .tear_down(leave(context, &history), context.reporter)
        .await;
    history
}

/// Where something failed because the stack did, that is the failure.
async fn blame(
    context: &Context<'_>,
    history: Result<History, RunError>,
) -> Result<History, RunError> {
    let trouble = match &history {
        Ok(history) => history.fences.iter().any(|step| !step.ok),
        Err(RunError::Failed { .. }) => true,
        Err(RunError::Stack(_) | RunError::Interrupted { .. }) => false,
    };
    if !trouble || *context.interrupted.borrow() {
        return history;
    }
    match context.stack.failure().await {
        Some(failed) => Err(failed.into()),
        None => history,
    }
}

fn leave(context: &Context<'_>, history: &Result<History, RunError>) -> Leave {
    match (context.stack, history) {
        (Stack::Local(_), Err(RunError::Stack(_))) => Leave::ToTheStack,
        _ if context.keep => Leave::SchemaAndTopic,
        _ => Leave::Nothing,
    }
}

async fn load_and_fence(
    context: &Context<'_>,
    arena: &Arena<'_>,
    strategy: &Strategy,
) -> Result<History, RunError> {
    let scenario = context.scenario;
    let clock = RunClock::start();
    let started_at = jiff::Timestamp::now().to_string();
    let watch = Watch {
        bootstrap: context.stack.info().kafka_bootstrap.clone(),
        topic: arena.topic_name.clone(),
        partitions: scenario.workload.partitions,
        identity: Arc::clone(&arena.identity),
        payload_bytes: scenario.workload.payload_bytes,
        clock,
    };
    let topics_before = arena
        .topic
        .all()
        .await
        .map_err(|e| failed("listing the topics", &e))?;
    let observer = Observer::start(watch.clone())
        .await
        .map_err(|e| failed("starting the observer", &e))?;
    let (end_sampling, sampling) = watch::channel(false);
    let sampler = Sampler {
        clock,
        processes: arena.service.iter().chain(&arena.relay).cloned().collect(),
        admin: context.stack.info().postgres.clone(),
        layout: arena.layout.clone(),
    };
    let sampler = tokio::spawn(sampler.run(sampling));

    let load_from_ns = clock.now_ns() + SETTLE.as_nanos() as i64;
    let (
        Offered {
            requests,
            unoffered,
            until_ns,
        },
        campaign,
    ) = load(context, arena, clock, load_from_ns).await;
    context.reporter.event(Event::LoadEnded);

    let mut fence = Fence::new(clock);
    let requests = Arc::new(requests);
    let read = tokio::select! {
        biased;
        failed = context.stack.ends_by_itself() => return Err(failed.into()),
        read = fence_and_read(
            context, arena, strategy, &mut fence, observer, &watch, &requests, &campaign,
        ) => read,
    };
    for child in arena.service.iter().chain(&arena.relay) {
        if child.own_end().is_some() {
            let text = child.ends_by_itself().await.to_string();
            context.reporter.event(Event::Note { text });
        }
    }
    let stray_topics = observer::stray_topics(
        &watch.bootstrap,
        &arena.identity,
        &watch.topic,
        &topics_before,
    )
    .await
    .map_err(|e| failed("looking for events on other topics", &e))?;
    let _ = end_sampling.send(true);
    let samples = sampler.await.map_err(|e| failed("sampling", &e))?;
    let trace = collect_trace(context, arena, clock).await?;

    let meta = RunMeta {
        format: crate::history::FORMAT,
        scenario: scenario.clone(),
        strategy: strategy.name.clone(),
        part_of: context.part_of.clone(),
        key: arena.key.clone(),
        clock,
        started_at,
        topic: arena.topic_name.clone(),
        schema: arena.layout.schema.clone(),
        proxied: arena.proxies.keys().copied().collect(),
        load_from_ns,
        load_until_ns: until_ns,
        unoffered,
        truth_lsn: read.truth.as_ref().map(|t| t.lsn),
        wall_drift_ns: clock.wall_drift_ns() as i64,
        uncommitted_records: read.topic.uncommitted_records,
        service_killed_at_teardown: read.service_killed,
        stray_topics,
        trace_cut_ns: trace.cut_ns,
        trace_dropped: trace.dropped,
        environment: super::environment(context.stack, scenario),
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
        processes: arena.process_events(&clock),
        samples,
        fences: fence.into_steps(),
        trace: trace.rows.into_iter().collect(),
    })
}

/// What the system under test wrote of its work, now that all of it has ended.
async fn collect_trace(
    context: &Context<'_>,
    arena: &Arena<'_>,
    clock: RunClock,
) -> Result<Collected, RunError> {
    let Some(folder) = arena.trace.clone() else {
        return Ok(Collected::default());
    };
    let identity = Arc::clone(&arena.identity);
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
    arena: &Arena<'_>,
    clock: RunClock,
    load_from_ns: i64,
) -> (Offered, Campaign) {
    let workload = &context.scenario.workload;
    let progress = Arc::new(Progress::default());
    context.reporter.event(Event::LoadStarted {
        duration: workload.duration,
        planned: (workload.rate * workload.duration.as_secs_f64()) as u64,
        progress: Arc::clone(&progress),
    });
    let load = Load {
        service: arena.service_address,
        workload: workload.clone(),
        seed: context.scenario.seed,
        identity: Arc::clone(&arena.identity),
        clock,
        progress,
    };
    let reporter = Arc::clone(context.reporter);
    let announce = move |what| reporter.event(Event::Fault { what });
    let field = arena.battlefield(clock, Arc::new(announce));
    let (halt, halted) = watch::channel(false);
    let loaded = async {
        tokio::join!(
            workload::offer(load, load_from_ns, halted.clone()),
            nemesis::campaign(
                &context.scenario.faults,
                &field,
                load_from_ns,
                halted.clone()
            ),
        )
    };
    tokio::pin!(loaded);
    let mut interrupted = context.interrupted.clone();
    tokio::select! {
        loaded = &mut loaded => return loaded,
        Ok(_) = interrupted.wait_for(|i| *i) => {}
        _ = context.stack.ends_by_itself() => {}
    }
    // Both end in order: every request gets its outcome, every fault is healed.
    let _ = halt.send(true);
    loaded.await
}

/// What the fence let us read; empty where a step failed.
struct Read {
    truth: Option<Truth>,
    topic: FinalRead,
    sightings: Rows<Sighting>,
    pending: Vec<Pending>,
    service_killed: bool,
}

#[expect(
    clippy::too_many_arguments,
    reason = "the one place where all parts of a run meet"
)]
async fn fence_and_read(
    context: &Context<'_>,
    arena: &Arena<'_>,
    strategy: &Strategy,
    fence: &mut Fence,
    observer: Observer,
    watch: &Watch,
    requests: &Arc<Rows<Request>>,
    campaign: &Campaign,
) -> Read {
    let within = context.scenario.drain.within;
    let announce = |number: u32| {
        let name = crate::fence::STEPS[number as usize - 1].1.to_owned();
        context.reporter.event(Event::Fence { number, name });
        number
    };

    fence
        .step(announce(1), async {
            Ok((
                (),
                format!("{} attempts have their outcome", requests.len()),
            ))
        })
        .await;
    let healed = fence.step(announce(2), heal(arena, campaign)).await;
    let went_by_itself = fence.step(announce(3), stop_service(arena, within)).await;
    let truth = fence.step(announce(4), read_truth(context, arena)).await;
    let committed: Vec<(u32, u32)> = truth
        .iter()
        .flat_map(|t| &t.rows)
        .map(|r| (r.attempt, r.version))
        .collect();
    fence
        .step(
            announce(5),
            drain(
                arena.relay.as_ref(),
                &observer,
                &committed,
                within,
                context.interrupted.clone(),
            ),
        )
        .await;
    // After the drain, and before it is told to.
    let relay_died = arena.relay.as_ref().and_then(Child::death);
    let pending = fence
        .step(announce(6), read_pending(context, arena, strategy))
        .await;
    if let (Some(()), Some(reason)) = (healed, relay_died) {
        fence
            .step(6, async { Err::<((), String), _>(reason) })
            .await;
    }
    fence
        .step(announce(7), async {
            arena
                .topic
                .close(&arena.identity, FENCE_STEP_WITHIN)
                .await
                .map(|()| ((), String::new()))
        })
        .await;
    let topic = fence
        .step(announce(8), read_topic(watch, Arc::clone(requests)))
        .await;
    // What the final read found stands, whatever the live observer saw of it.
    let behind = match &topic {
        Some(topic) => observer.catch_up(&topic.log, FENCE_STEP_WITHIN).await.err(),
        None => None,
    };
    let (sightings, broken) = observer.stop().await;
    let broken = broken.map(|reason| format!("the live observer broke: {reason}"));
    for reason in behind.into_iter().chain(broken) {
        fence
            .step(8, async { Err::<((), String), _>(reason) })
            .await;
    }
    Read {
        truth,
        topic: topic.unwrap_or_default(),
        sightings,
        pending: pending.unwrap_or_default(),
        service_killed: went_by_itself == Some(false),
    }
}

async fn heal(arena: &Arena<'_>, campaign: &Campaign) -> Result<((), String), String> {
    let field = arena.battlefield(RunClock::start(), Arc::new(|_| {}));
    nemesis::heal_all(&field).await?;
    arena
        .toxiproxy
        .assert_healed(&arena.proxy_names())
        .await
        .map_err(|e| e.to_string())?;
    let dead = arena.dead();
    if !dead.is_empty() {
        return Err(dead.join("; "));
    }
    match campaign.errors.first() {
        Some(error) => Err(error.clone()),
        None => Ok((
            (),
            format!(
                "{} proxies, {} faults",
                arena.proxies.len(),
                campaign.faults.len()
            ),
        )),
    }
}

async fn stop_service(arena: &Arena<'_>, within: Duration) -> Result<(bool, String), String> {
    let Some(service) = &arena.service else {
        return Err("there is no order service".to_owned());
    };
    let by_itself = service.terminate(within).await.map_err(|e| e.to_string())?;
    let detail = if by_itself {
        "ended by itself"
    } else {
        "had to be killed"
    };
    Ok((by_itself, detail.to_owned()))
}

async fn read_truth(context: &Context<'_>, arena: &Arena<'_>) -> Result<(Truth, String), String> {
    let admin = &context.stack.info().postgres;
    let truth =
        database::close_and_read(admin, &arena.layout, &arena.identity, FENCE_STEP_WITHIN).await?;
    let detail = format!("{} committed versions", truth.rows.len());
    Ok((truth, detail))
}

/// A dual write has nothing that could still deliver once its service is gone, and neither has an
/// outbox whose relay is dead: no wait.
async fn drain(
    relay: Option<&Child>,
    observer: &Observer,
    committed: &[(u32, u32)],
    within: Duration,
    interrupted: watch::Receiver<bool>,
) -> Result<((), String), String> {
    let Some(relay) = relay else {
        return Ok(((), "nothing can deliver any more".to_owned()));
    };
    let deadline = Instant::now() + within;
    loop {
        let missing = observer.missing(committed);
        if missing == 0 {
            return Ok(((), format!("all {} seen", committed.len())));
        }
        if !relay.is_alive() {
            let all = committed.len();
            return Ok((
                (),
                format!("{missing} of {all} not seen, and the relay is dead"),
            ));
        }
        if Instant::now() > deadline {
            return Ok((
                (),
                format!(
                    "{missing} of {} not seen within {within:?}",
                    committed.len()
                ),
            ));
        }
        if *interrupted.borrow() {
            return Err(format!("interrupted with {missing} not seen"));
        }
        tokio::time::sleep(POLL).await;
    }
}

async fn read_pending(
    context: &Context<'_>,
    arena: &Arena<'_>,
    strategy: &Strategy,
) -> Result<(Vec<Pending>, String), String> {
    arena.stop_relay().await?;
    let admin = &context.stack.info().postgres;
    let held: Vec<(u64, String)> = match &strategy.kind {
        StrategyKind::DualWrite { .. } => Vec::new(),
        StrategyKind::Polling { after_publish, .. } => {
            relays::source::polling::pending_payloads(admin, &arena.layout.schema, *after_publish)
                .await?
                .into_iter()
                .map(|payload| (0, payload))
                .collect()
        }
        StrategyKind::Cdc {} | StrategyKind::Debezium {} => {
            relays::source::cdc::pending_payloads(
                admin,
                &arena.layout.slot(),
                &arena.layout.publication(),
            )
            .await?
        }
    };
    let state = match strategy.kind {
        StrategyKind::Cdc {} | StrategyKind::Debezium {} => PendingState::Slot,
        _ => PendingState::OutboxRow,
    };
    let verifier = crate::event::Verifier {
        identity: &arena.identity,
        requests: None,
        payload_bytes: context.scenario.workload.payload_bytes,
    };
    let pending: Vec<Pending> = held
        .iter()
        .filter_map(
            |(lsn, payload)| match verifier.verify(None, Some(payload.as_bytes())) {
                crate::event::Record::Event(event) if event.attempt != NONE => Some(Pending {
                    attempt: event.attempt,
                    state,
                    lsn: *lsn,
                }),
                _ => None,
            },
        )
        .collect();
    let detail = format!("{} events still held", held.len());
    Ok((pending, detail))
}

async fn read_topic(
    watch: &Watch,
    requests: Arc<Rows<Request>>,
) -> Result<(FinalRead, String), String> {
    let read = observer::read_again(watch, requests).await?;
    let detail = format!(
        "{} records on {} partitions",
        read.log.len(),
        read.partitions.len()
    );
    Ok((read, detail))
}
