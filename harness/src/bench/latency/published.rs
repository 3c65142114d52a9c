//! What nothing is before: events that are published alone at a rate, and seen on the topic by the observer of every run.

use super::{MAX, P50, P99, P999, P999_EVENTS};
use crate::bench::alone::PublishingAlone;
use crate::bench::drain::arrival;
use crate::bench::events;
use crate::bench::ground::Ground;
use crate::bench::sheet::Measured;
use crate::bench::strategies;
use crate::bench::systems::Systems;
use crate::clock::RunClock;
use crate::history::{LogRow, Rows, Sighting};
use crate::measure::{MAX_LAG_MS, Recorder};
use crate::observer::{Observer, read_again};
use crate::run::RunError;
use crate::run::deployment::{Deployment, Leave, failed};
use crate::workload::{Pacing, Schedule};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// The notes on a table with this row have this text.
pub(super) const METHOD: &str = "publish: events of the same size at the same rate, made before and kept in memory, by \
    the relay's own publisher with the same confirms; no order service and no database is before it. End to end is the \
    same as of a run: from when an event was due to its first sight by the same observer, over all that were due after \
    the warm-up; all of them have to be on the topic, once each. The ratios to it are of end to end.";

/// As in every run: between everything being ready and the first event.
const SETTLE: Duration = Duration::from_millis(600);
/// What was due is there so long after the load, or there are no figures.
const ARRIVE_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// Events become due at a rate, for so long.
#[derive(Debug, Clone, Copy)]
pub(super) struct PacedLoad {
    pub rate: f64,
    pub seconds: u32,
    /// Those of the first seconds do not count.
    pub warm_up_s: u32,
}

/// Publishes them alone, on a topic of their own, and finds how long each took to be seen there.
pub(super) async fn measure(
    ground: &Ground<'_>,
    systems: Systems,
    load: PacedLoad,
) -> Result<Measured, RunError> {
    // Of the strategy only the topic and the way there are wanted.
    let polling = strategies::polling();
    let scenario = strategies::scenario(systems, &[polling], load.rate, load.seconds, "")?;
    let strategy = &scenario.strategies[0];
    let mut deployment = ground.deployment(&scenario, strategy)?;
    let measured = ground
        .unless_interrupted(async {
            deployment.prepare().await?;
            publish(&deployment, Schedule::new(&scenario.workload), load).await
        })
        .await;
    deployment.tear_down(Leave::Nothing, ground.reporter).await;
    measured
}

async fn publish(
    deployment: &Deployment<'_>,
    schedule: Schedule,
    load: PacedLoad,
) -> Result<Measured, RunError> {
    let doing = "watching the topic";
    let count = u32::try_from(schedule.ticks()).unwrap_or(u32::MAX);
    let all = events::events(&deployment.identity, 0..count).collect();
    let clock = RunClock::start();
    let watched = deployment.watch(clock);
    let observer = Observer::start(watched.clone())
        .await
        .map_err(|e| failed(doing, &e))?;
    let (due, is_due) = watch::channel(0);
    let publishing = PublishingAlone::start(deployment.relay_broker(), all, is_due).await?;
    let from_ns = clock.now_ns() + SETTLE.as_nanos() as i64;
    let pacing = Arc::new(Pacing::new(schedule, clock, from_ns));
    pace(&pacing, due)?;
    publishing.end().await?;
    let deadline = Instant::now() + ARRIVE_WITHIN;
    while observer.distinct_valid() < u64::from(count) && Instant::now() < deadline {
        tokio::time::sleep(LOOK).await;
    }
    let requests = Arc::new(events::requests(count));
    let read = read_again(&watched, requests)
        .await
        .map_err(|e| failed("reading the topic", &e))?;
    let caught_up = observer.catch_up(&read.log, ARRIVE_WITHIN).await;
    let (sightings, ended) = observer.stop().await;
    if let Some(reason) = ended.or(caught_up.err()) {
        return Err(failed(doing, &reason));
    }
    let warm_ns = from_ns + i64::from(load.warm_up_s) * 1_000_000_000;
    Ok(figures(&read.log, &sightings, &pacing, (count, warm_ns)))
}

/// Makes them due by a thread of its own, until nobody waits for more.
fn pace(pacing: &Arc<Pacing>, due: watch::Sender<u64>) -> Result<(), RunError> {
    let pacing = Arc::clone(pacing);
    let thread = std::thread::Builder::new().name("pacing".into());
    let started = thread.spawn(move || pacing.pace(|tick| due.send(tick).ok().map(|()| 0)));
    started
        .map(drop)
        .map_err(|e| failed("starting a thread", &e))
}

/// What was seen of so many events, of which those count that were due from this run time on.
fn figures(
    log: &Rows<LogRow>,
    sightings: &Rows<Sighting>,
    pacing: &Pacing,
    (count, warm_ns): (u32, i64),
) -> Measured {
    let arrived = arrival::judge(log.iter(), count);
    let mut measured = Measured {
        wrong: arrived.wrong(),
        ..Measured::default()
    };
    if arrived.duplicated > 0 {
        let what = format!("{} events came more than once", arrived.duplicated);
        measured.wrong.push(what);
    }
    let mut seen: HashMap<(i32, i64), i64> = HashMap::new();
    for sight in sightings {
        seen.entry((sight.partition, sight.offset))
            .or_insert(sight.seen_ns);
    }
    let (mut late, mut end_to_end) = (Recorder::new(), Recorder::new());
    for row in log {
        let due_ns = pacing.intended_ns(u64::from(row.attempt));
        late.record_ns(pacing.late_ns(due_ns));
        if due_ns >= warm_ns {
            let seen_ns = seen.get(&(row.partition, row.offset));
            end_to_end.record(seen_ns.map(|seen_ns| seen_ns - due_ns));
        }
    }
    if late.percentile_ms(99.0).is_some_and(|ms| ms > MAX_LAG_MS) {
        let what = "the load was behind its schedule: no figures".to_owned();
        measured.inconclusive.push(what);
        return measured;
    }
    let latency = end_to_end.latency();
    for (column, value) in [
        (P50, latency.p50),
        (P99, latency.p99),
        (P999, latency.p999.filter(|_| latency.count >= P999_EVENTS)),
        (MAX, latency.max),
    ] {
        measured.values.extend(value.map(|value| (column, value)));
    }
    measured
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::history::Body;

    const COUNT: u32 = 8;

    fn pacing() -> Pacing {
        let polling = [strategies::polling()];
        let scenario = strategies::scenario(Systems::default(), &polling, 4.0, 2, "").unwrap();
        Pacing::new(Schedule::new(&scenario.workload), RunClock::start(), 0)
    }

    /// Event `n` is due at `n` quarters of a second, and seen `n` ms later.
    fn whole() -> (Vec<LogRow>, Vec<Sighting>) {
        let row = |attempt: u32| LogRow {
            partition: 0,
            offset: i64::from(attempt),
            append_ms: -1,
            attempt,
            order: attempt / 4,
            version: attempt % 4 + 1,
            body: Body::Intact,
        };
        let sight = |n: u32| Sighting {
            partition: 0,
            offset: i64::from(n),
            seen_ns: i64::from(n) * 251_000_000,
        };
        (
            (0..COUNT).map(row).collect(),
            (0..COUNT).map(sight).collect(),
        )
    }

    fn figures_of(log: Vec<LogRow>, sights: Vec<Sighting>) -> Measured {
        let (log, sights) = (log.into_iter().collect(), sights.into_iter().collect());
        figures(&log, &sights, &pacing(), (COUNT, 1_000_000_000))
    }

    #[test]
    fn given_events_that_were_seen_when_measured_then_those_after_the_warm_up_count_from_when_they_were_due()
     {
        let (log, sights) = whole();
        let measured = figures_of(log, sights);
        let [p50, max] = [P50, MAX].map(|column| measured.values[column].round());
        assert_eq!((p50, max), (5.0, 7.0));
        assert!(measured.wrong.is_empty() && measured.inconclusive.is_empty());
        assert!(!measured.values.contains_key(P999));
    }

    #[test]
    fn given_an_event_that_is_missing_or_there_twice_when_measured_then_that_is_wrong() {
        let (mut log, sights) = whole();
        log.pop();
        assert_eq!(figures_of(log, sights).wrong, ["1 of 8 events never came"]);
        let (mut log, sights) = whole();
        log.push(LogRow {
            offset: 8,
            ..log[7]
        });
        assert_eq!(
            figures_of(log, sights).wrong,
            ["1 events came more than once"]
        );
    }
}
