//! What a relay writes of each event's way through it.

use super::KINDS_OF_RELAYS;
use super::fixture::{Fixture, Kind, Wiring};
use super::process::RelayProcess;
use relays::signal::Signal;
use relays::trace::Stage::{
    self, Abandoned, Claimed, Confirmed, Decoded, Delivered, DeliveryFailed, Handed,
};
use relays::trace::Step;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

fn by_attempt(steps: Vec<(u32, Step)>) -> HashMap<Uuid, Vec<(u32, Step)>> {
    let mut all: HashMap<Uuid, Vec<(u32, Step)>> = HashMap::new();
    for (pid, step) in steps {
        all.entry(step.attempt).or_default().push((pid, step));
    }
    all
}

fn stages(steps: &[(u32, Step)]) -> Vec<Stage> {
    steps.iter().map(|(_, step)| step.stage).collect()
}

fn taken(kind: Kind) -> Stage {
    match kind {
        Kind::Delete
        | Kind::Mark
        | Kind::Purge
        | Kind::Partitions
        | Kind::Rotate
        | Kind::Position => Claimed,
        Kind::Cdc | Kind::Message => Decoded,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_backlog_when_published_then_every_event_has_its_stages_in_order() {
    for kind in KINDS_OF_RELAYS {
        Fixture::run(kind, Wiring::Direct, async |fixture| {
            fixture.insert(50, 1..=4).await;
            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_worked_off(200).await;
            relay.terminate().await;

            let traced = by_attempt(fixture.traces.steps());
            let log = fixture.read_topic();
            assert_eq!(traced.len(), 200);
            let mut details: HashMap<Stage, Vec<u64>> = HashMap::new();
            for record in &log.0 {
                let steps = &traced[&record.id.parse::<Uuid>().unwrap()];
                assert_eq!(stages(steps), [taken(kind), Handed, Delivered, Confirmed]);
                for (_, step) in steps {
                    assert_eq!(u64::from(step.version), record.version);
                    details.entry(step.stage).or_default().push(step.detail);
                }
                let offset = steps[2].1.detail;
                assert_eq!(i64::try_from(offset).unwrap(), record.offset);
            }
            // Each was a row and a transaction of its own.
            let different: HashSet<u64> = details[&taken(kind)].iter().copied().collect();
            assert_eq!(different.len(), 200);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_relay_killed_in_the_middle_when_its_successor_is_done_then_both_tell_their_part() {
    for kind in KINDS_OF_RELAYS {
        Fixture::run(kind, Wiring::Direct, async |fixture| {
            fixture.insert(500, 1..=4).await;
            let mut relay = RelayProcess::start(&fixture);
            let some =
                |s: &Signal| matches!(s, Signal::Progress { delivered, .. } if *delivered > 0);
            relay.wait_for(some).await;
            let first_pid = relay.pid();
            relay.kill().await;
            let before = fixture.traces.steps();
            assert!(before.iter().any(|(_, step)| step.stage == Delivered));

            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_worked_off(2_000).await;
            relay.terminate().await;

            // Then nothing of the first life is gone, and each event was confirmed by one of them,
            // or by none if the first died over it
            let all = fixture.traces.steps();
            assert_eq!(pid_count(&all, first_pid), before.len());
            assert_eq!(all.len() - before.len(), pid_count(&all, relay.pid()));
            let traced = by_attempt(all);
            assert_eq!(traced.len(), 2_000);
            for steps in traced.values() {
                let stages = stages(steps);
                assert_eq!(stages[0], taken(kind));
                assert!(
                    stages.contains(&Handed) && stages.contains(&Delivered),
                    "{stages:?}"
                );
                let ends = steps.iter().filter(|(_, s)| s.stage == Confirmed).count();
                assert!(ends <= 1 || kind == Kind::Cdc, "{stages:?}");
                let died_over_it = steps.iter().all(|(pid, _)| *pid == first_pid);
                assert!(ends >= 1 || died_over_it, "{stages:?}");
            }
        })
        .await;
    }
}

fn pid_count(steps: &[(u32, Step)], pid: u32) -> usize {
    steps.iter().filter(|(p, _)| *p == pid).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_cut_to_kafka_when_the_producer_is_given_up_then_what_it_held_is_abandoned() {
    for kind in [Kind::Delete, Kind::Cdc] {
        Fixture::run(kind, Wiring::ProxiedKafka, async |fixture| {
            fixture.insert(10, 1..=1).await;
            let mut relay = RelayProcess::start(&fixture);
            fixture.wait_until_worked_off(10).await;
            fixture.set_proxy(false).await;
            fixture.insert(10, 2..=2).await;
            let given_up =
                |s: &Signal| matches!(s, Signal::PublishFailed { count, .. } if *count > 0);
            relay.wait_for(given_up).await;
            fixture.set_proxy(true).await;
            fixture.wait_until_worked_off(20).await;
            relay.terminate().await;

            let traced = by_attempt(fixture.traces.steps());
            let second: Vec<_> = traced.values().filter(|s| s[0].1.version == 2).collect();
            assert_eq!(second.len(), 10);
            let end = [taken(kind), Handed, Delivered, Confirmed];
            let mut abandoned = 0;
            for steps in second {
                let stages = stages(steps);
                assert!(stages.ends_with(&end), "{stages:?}");
                // One that was inserted after the last claim before the cut was noticed was only taken
                // when Kafka was back.
                if stages.len() > end.len() {
                    let fates = [Abandoned, DeliveryFailed];
                    assert_eq!(stages[..2], [taken(kind), Handed]);
                    assert!(fates.contains(&stages[2]), "{stages:?}");
                    abandoned += 1;
                }
            }
            assert!(abandoned > 0);
        })
        .await;
    }
}
