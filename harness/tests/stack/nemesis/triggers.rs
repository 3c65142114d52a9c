//! Faults that wait for something, with counts that the test moves.

use super::bench::{fault, history};
use super::processes::{busy, targets};
use crate::patience::PATIENCE;
use harness::bite::{Bite, bites, name};
use harness::history::FaultRecord;
use harness::nemesis::{Campaign, Counts, LoadWindow, campaign};
use harness::scenario::{Fault, FaultKind, Start, Target, Trigger, Victim};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const VICTIM: Victim = Victim::OrderService;
/// Far beyond any test.
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Default)]
struct Staged(AtomicU64);

impl Staged {
    fn count(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }
}

impl Counts for Staged {
    fn committed(&self) -> u64 {
        0
    }
    fn events(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

fn waiting(kind: FaultKind, trigger: Trigger, lasts: Duration) -> Fault {
    Fault {
        target: Target::Process(VICTIM),
        start: Start::When(trigger),
        lasts,
        ..fault(kind)
    }
}

/// Runs the faults on a busy process under a load of that length, while the test does something; all is
/// healed in the end.
async fn hit(
    faults: &[Fault],
    load: Duration,
    meanwhile: impl AsyncFnOnce(&Staged, &watch::Sender<bool>),
) -> (Campaign, Vec<Bite>) {
    let folder = tempfile::tempdir().unwrap();
    let child = busy(VICTIM.name(), folder.path()).await;
    let targets = targets(VICTIM, &child);
    let counts = Arc::new(Staged::default());
    let from_ns = targets.clock.now_ns();
    let load = LoadWindow {
        from_ns,
        until_ns: from_ns + load.as_nanos() as i64,
        counts: counts.clone(),
    };
    let (stop, stopped) = watch::channel(false);
    let running = campaign(faults, &targets, load, stopped);
    let running = timeout(PATIENCE, running);
    let (campaign, ()) = tokio::join!(running, meanwhile(&counts, &stop));
    let campaign = campaign.unwrap();
    assert!(child.is_alive());
    assert!(campaign.errors.is_empty(), "{:?}", campaign.errors);
    let mut history = history(&targets, faults, &campaign, Vec::new());
    history.processes = child.events(&targets.clock);
    let bites = bites(&history);
    (campaign, bites)
}

fn noted(campaign: &Campaign, name: &str) -> Vec<f64> {
    let all = campaign.observations.iter();
    all.filter(|o| o.name == name).map(|o| o.value).collect()
}

fn lasted(record: FaultRecord) -> Duration {
    let ns = record.healed_ns.unwrap() - record.injected_ns.unwrap();
    Duration::from_nanos(ns as u64)
}

#[tokio::test]
async fn given_a_count_that_is_reached_when_faults_wait_for_it_and_for_each_other_then_they_come_in_turn()
 {
    let first = Fault {
        id: Some("first".to_owned()),
        ..waiting(
            FaultKind::Kill,
            Trigger::Events(300),
            Duration::from_millis(100),
        )
    };
    let after = Trigger::After {
        fault: "first".to_owned(),
        after: Duration::from_millis(700),
    };
    let second = waiting(FaultKind::Pause, after, Duration::from_millis(200));
    let (campaign, _) = hit(&[first, second], HOUR, async |counts, _| {
        counts.count(299);
        sleep(Duration::from_millis(100)).await;
        counts.count(304);
    })
    .await;

    let [first, second] = [campaign.faults[0], campaign.faults[1]];
    assert_eq!(noted(&campaign, name::TRIGGER_FIRED)[0], 304.0);
    assert!(first.planned_at_ns >= 100_000_000);
    assert!(first.planned_at_ns <= first.injected_ns.unwrap());
    let apart = second.planned_at_ns - first.injected_ns.unwrap();
    assert!(apart >= 700_000_000, "{apart}");
    // What was looked at before the injection is there, but not all of the waiting
    let looks = campaign.observations.iter().filter(|o| o.fault == 1);
    let before = looks.filter(|o| o.at_ns < second.planned_at_ns && o.name == name::THREADS);
    assert!(before.count() >= 2);
    assert!(lasted(second) >= Duration::from_millis(200));
}

#[tokio::test]
async fn given_a_count_that_is_never_reached_when_the_load_is_over_then_nothing_was_injected_and_it_says_so()
 {
    let short = Duration::from_millis(300);
    let after = Trigger::After {
        fault: "first".to_owned(),
        after: Duration::ZERO,
    };
    let first = Fault {
        id: Some("first".to_owned()),
        ..waiting(FaultKind::Kill, Trigger::Events(1_000), short)
    };
    let second = waiting(FaultKind::Pause, after, short);
    let load = Duration::from_millis(600);
    let (campaign, bites) = hit(&[first, second], load, async |counts, _| {
        counts.count(312);
    })
    .await;

    assert!(campaign.faults.iter().all(|f| f.injected_ns.is_none()));
    assert!(bites.iter().all(|b| !b.bit));
    let said = &bites[0].evidence;
    let reason =
        "its trigger, 1000 events, was not reached: 312 by the end of the load (waited for";
    assert!(said.starts_with(reason), "{said}");
    let said = &bites[1].evidence;
    let reason = "its trigger, 0s after first, was not reached: first was never injected";
    assert!(said.starts_with(reason), "{said}");
}

#[tokio::test]
async fn given_a_fault_that_begins_late_when_the_load_is_over_then_it_is_healed_and_says_so() {
    let long = waiting(FaultKind::Pause, Trigger::Events(1), HOUR);
    let load = Duration::from_millis(800);
    let (campaign, bites) = hit(&[long], load, async |counts, _| {
        sleep(Duration::from_millis(300)).await;
        counts.count(1);
    })
    .await;

    assert!(lasted(campaign.faults[0]) < HOUR);
    assert!(campaign.faults[0].healed_ns.unwrap() >= load.as_nanos() as i64);
    let said = &bites[0].evidence;
    assert!(
        said.contains("it was healed at the end of the load, "),
        "{said}"
    );
    assert!(said.contains("though it was to last 1h"), "{said}");
}

#[tokio::test]
async fn given_a_fault_that_waits_when_it_is_told_to_stop_then_it_waits_no_longer() {
    let waits = waiting(FaultKind::Kill, Trigger::Events(1), HOUR);
    let (campaign, _) = hit(&[waits], HOUR, async |_, stop| {
        sleep(Duration::from_millis(100)).await;
        stop.send(true).unwrap();
    })
    .await;
    assert_eq!(campaign.faults[0].injected_ns, None);
    assert_eq!(noted(&campaign, name::TRIGGER_MISSED), [0.0]);
}
