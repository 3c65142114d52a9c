//! Each scenario that is shipped, run whole as its users run it: its exit code, that each of its faults
//! bit, and that its lesson is there to be seen. They take twenty minutes and a release build, so they
//! are run where they are asked for (`make test-scenarios`) and named as not done elsewhere.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../shared/not_done.rs"]
mod not_done;
#[path = "../shared/whole.rs"]
mod whole;

use reports::record::{Counts, Strategy};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use whole::Whole;

/// Set by `make test-scenarios`.
const ASKED_FOR: &str = "OUTBOX_HARNESS_SCENARIOS";

/// Each has the machine to itself, as its users give it.
static TURN: Mutex<()> = Mutex::new(());

/// A scenario that was run.
struct Ran(Whole);

impl std::ops::Deref for Ran {
    type Target = Whole;

    fn deref(&self) -> &Whole {
        &self.0
    }
}

impl Ran {
    #[track_caller]
    fn strategy(&self, name: &str) -> &Strategy {
        let mut all = self.record.strategies.iter();
        all.find(|s| s.name == name).unwrap()
    }

    /// A strategy has so many of something in all, all others have none.
    #[track_caller]
    fn only(&self, strategies: &[&str], least: u64, counts: fn(&Counts) -> Vec<Option<u64>>) {
        for strategy in &self.record.strategies {
            let found: Option<u64> = counts(&strategy.counts).into_iter().sum();
            let found = found.expect("everything was read");
            let expected = strategies.contains(&strategy.name.as_str());
            let right = if expected { found >= least } else { found == 0 };
            assert!(right, "{}: {found}\n{}", strategy.name, self.said);
        }
    }
}

/// Runs a shipped file, which passes, and each of whose faults bit.
#[track_caller]
fn passes(file: &str) -> Ran {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let ran = Ran(whole::run(&shipped().join(file)));
    let reasons: Vec<_> = ran
        .record
        .strategies
        .iter()
        .flat_map(|s| &s.reasons)
        .collect();
    assert_eq!(ran.code, Some(0), "{reasons:?}\n{}", ran.said);
    for strategy in &ran.record.strategies {
        for fault in &strategy.faults {
            println!(
                "{}: {} {}: {}",
                strategy.name, fault.kind, fault.target, fault.evidence
            );
            assert_ne!(fault.bit, Some(false), "{}: {fault:?}", strategy.name);
        }
    }
    // Each fault of the file concerns a strategy of it.
    for fault in 0..ran.record.strategies[0].faults.len() {
        let bit = |s: &Strategy| s.faults[fault].bit == Some(true);
        assert!(ran.record.strategies.iter().any(bit), "fault {fault}");
    }
    ran
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios")
}

/// A test for each file, and the list of them.
macro_rules! scenarios {
    ($($file:literal $test:ident: $lesson:expr;)*) => {
        const FILES: &[&str] = &[$($file),*];
        $(
            #[test]
            fn $test() {
                if std::env::var_os(ASKED_FOR).is_none() {
                    not_done::not_done(concat!($file, " is run by `make test-scenarios`"));
                    return;
                }
                let lesson: fn(&Ran) = $lesson;
                lesson(&passes($file));
            }
        )*
    };
}

scenarios! {
    "steady.toml" given_steady_when_run_then_nothing_goes_wrong: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.duplicated, c.reordered]);
    };
    "broker-outage.toml" given_broker_outage_when_run_then_the_dual_write_alone_loses: |ran| {
        ran.only(&["naive"], 1, |c| vec![c.lost]);
        ran.only(&[], 0, |c| vec![c.undrained, c.phantom, c.reordered]);
    };
    "kafka-leader.toml" given_kafka_leader_when_run_then_acks_of_all_replicas_alone_keep_what_was_acknowledged: |ran| {
        ran.only(&["naive", "leader"], 50, |c| vec![c.lost]);
        ran.only(&[], 0, |c| vec![c.undrained, c.phantom, c.false_rejection]);
        // Followers and leader are all three, and each strategy has its own leader.
        for strategy in ["naive", "leader", "polling", "cdc"] {
            let faults = &ran.strategy(strategy).faults;
            let hit = |fault: usize, node: &str| faults[fault].evidence.contains(node);
            for node in ["kafka-server-1", "kafka-server-2", "kafka-server-3"] {
                assert_ne!(hit(0, node), hit(1, node), "{node}: {faults:?}");
            }
        }
    };
    "kafka-broker.toml" given_kafka_broker_when_run_then_one_that_cannot_be_reached_is_waited_for_and_nothing_is_lost: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
    };
    "nats-outage.toml" given_nats_outage_when_run_then_the_dual_write_alone_loses: |ran| {
        ran.only(&["naive"], 1, |c| vec![c.lost]);
        ran.only(&[], 0, |c| vec![c.undrained, c.phantom, c.reordered]);
    };
    "eventbridge-outage.toml" given_eventbridge_outage_when_run_then_the_dual_write_alone_loses: |ran| {
        ran.only(&["naive"], 20, |c| vec![c.lost]);
        ran.only(&[], 0, |c| vec![c.undrained, c.phantom]);
    };
    "eventbridge-throttle.toml" given_eventbridge_throttle_when_run_then_who_looks_at_each_entry_alone_loses_nothing: |ran| {
        ran.only(&["naive", "status"], 5, |c| vec![c.lost]);
        ran.only(&[], 0, |c| vec![c.undrained, c.phantom, c.duplicated]);
        // Each event of it was put once, and each twentieth refused.
        let counts = &ran.strategy("status").counts;
        assert_eq!(counts.lost, counts.committed.map(|committed| committed / 20));
    };
    "nats-window.toml" given_nats_window_when_run_then_only_what_is_within_it_comes_once: |ran| {
        ran.only(&["beyond", "without"], 1, |c| vec![c.duplicated]);
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
    };
    "service-crash.toml" given_service_crash_when_run_then_the_dual_write_alone_loses: |ran| {
        ran.only(&["naive"], 1, |c| vec![c.lost]);
        ran.only(&[], 0, |c| vec![c.undrained, c.phantom, c.reordered]);
    };
    "phantom.toml" given_phantom_when_run_then_the_dual_write_alone_has_them: |ran| {
        ran.only(&["naive"], 1, |c| vec![c.phantom]);
        ran.only(&[], 0, |c| vec![c.undrained, c.lost, c.reordered]);
    };
    "commit-timeout.toml" given_commit_timeout_when_run_then_all_are_told_nothing_and_one_loses: |ran| {
        ran.only(&["naive", "cdc"], 1, |c| vec![c.unacknowledged]);
        ran.only(&["naive"], 1, |c| vec![c.lost]);
    };
    "relay-crash.toml" given_relay_crash_when_run_then_each_relay_repeats_and_loses_nothing: |ran| {
        // What comes in during one late acknowledgement, some 360 events.
        ran.only(&["polling", "cdc"], 100, |c| vec![c.duplicated]);
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
        for strategy in ["polling", "cdc"] {
            let evidence = &ran.strategy(strategy).faults[1].evidence;
            assert!(evidence.contains("seen before and again after it"), "{evidence}");
        }
    };
    "no-table.toml" given_no_table_when_run_then_the_log_alone_keeps_what_a_table_keeps: |ran| {
        ran.only(&["table", "message"], 100, |c| vec![c.duplicated]);
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
        let peak = |name| ran.strategy(name).database.outbox_peak_bytes.total;
        assert!(peak("table").is_some() && peak("message").is_none());
    };
    "event-sourcing.toml" given_event_sourcing_when_run_then_events_stay_and_are_published_like_an_outboxs: |ran| {
        ran.only(&["outbox", "events", "events-cdc"], 100, |c| vec![c.duplicated]);
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
        let database = |name| &ran.strategy(name).database;
        assert_eq!(database("outbox").rebuild_ms, None);
        for events in ["events", "events-cdc"] {
            let (events, outbox) = (database(events), database("outbox"));
            assert!(events.rebuild_ms.is_some() && events.rows_written.total.is_some());
            assert!(events.rows_written.total < outbox.rows_written.total);
            assert!(events.outbox_peak_bytes.total.is_none());
        }
        assert_eq!(database("events-cdc").rows_changed.total, Some(0.0));
    };
    "two-phase-commit.toml" given_two_phase_commit_when_run_then_it_loses_nothing_and_refuses_what_the_outbox_takes: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.duplicated, c.reordered]);
        // What was open when the order service was killed, the recoverer has aborted.
        let two_phase = ran.strategy("two-phase");
        assert!(two_phase.counts.aborted_records >= Some(1), "{}", ran.said);
        let neither = |name| ran.strategy(name).outcomes.neither;
        assert!(neither("two-phase") > neither("polling"), "{}", ran.said);
    };
    "consumers.toml" given_consumers_when_run_then_those_without_idempotence_apply_twice_what_came_twice: |ran| {
        ran.only(&["polling", "cdc"], 1, |c| vec![c.duplicated]);
        for strategy in ["polling", "cdc"] {
            let strategy = ran.strategy(strategy);
            for consumer in &strategy.consumers {
                let twice = match consumer.idempotency.as_str() {
                    "none" => strategy.counts.duplicated,
                    _ => Some(0),
                };
                assert_eq!(consumer.applied_twice, twice, "{}", consumer.name);
                let others = (consumer.unapplied, consumer.applied_unseen);
                assert_eq!(others, (Some(0), Some(0)), "{}", consumer.name);
                let back = consumer.applied_out_of_order;
                let is_right = match (consumer.effect.as_str(), consumer.idempotency.as_str()) {
                    ("state", "none") => back.is_some_and(|back| back > 0),
                    ("state", _) => back == Some(0),
                    _ => back.is_none(),
                };
                assert!(is_right, "{}: {back:?}", consumer.name);
            }
        }
    };
    "relay-pause.toml" given_relay_pause_when_run_then_events_are_late_and_complete: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
    };
    "relay-failover.toml" given_relay_failover_when_run_then_another_relay_goes_on_in_order: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
        for strategy in ["polling", "cdc"] {
            for fault in &ran.strategy(strategy).faults {
                println!("{strategy}: fail-over after {:?} s", fault.failover_s);
                let took_over = fault.evidence.contains("took over");
                assert!(took_over && fault.failover_s.is_some(), "{fault:?}");
            }
        }
    };
    "deployment.toml" given_deployment_when_run_then_all_end_in_order_and_lose_nothing: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.missing]);
        for strategy in &ran.record.strategies {
            for fault in strategy.faults.iter().filter(|f| f.bit == Some(true)) {
                let told = fault.evidence.contains("with exit code 0");
                assert!(told, "{}: {fault:?}", strategy.name);
            }
        }
    };
    "slow-broker.toml" given_slow_broker_when_run_then_nothing_is_lost: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
    };
    "broker-crash.toml" given_broker_crash_when_run_then_the_dual_write_alone_loses: |ran| {
        ran.only(&["naive"], 1, |c| vec![c.lost]);
        ran.only(&[], 0, |c| vec![c.undrained, c.phantom, c.reordered]);
    };
    "database-crash.toml" given_database_crash_when_run_then_nothing_acknowledged_is_missing: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.missing, c.reordered]);
    };
    "database-failover.toml" given_database_failover_when_run_then_slots_that_the_standby_has_lose_nothing: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.missing, c.reordered]);
        for strategy in &ran.record.strategies {
            let evidence = &strategy.faults[0].evidence;
            assert!(evidence.contains("that is the standby"), "{}: {evidence}", strategy.name);
        }
    };
    "retries.toml" given_retries_when_run_then_they_lose_less_and_double_more_and_still_lose: |ran| {
        ran.only(&["naive", "retrying"], 1, |c| vec![c.lost]);
        ran.only(&["retrying"], 1, |c| vec![c.duplicated]);
        let lost = |name| ran.strategy(name).counts.lost;
        assert!(lost("retrying") < lost("naive"), "{}", ran.said);
    };
    "growth.toml" given_growth_when_run_then_log_and_outbox_grow_and_nothing_is_lost: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
        let held = |name| ran.strategy(name).database.slot_wal_peak_bytes.total;
        assert!(held("polling").is_none() && held("cdc").is_some(), "{}", ran.said);
    };
    "cache.toml" given_cache_when_run_then_what_is_invalidated_after_the_commit_alone_stays_stale: |ran| {
        ran.only(&["naive"], 1, |c| vec![c.stale]);
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom]);
        // The dual write has some where somebody reads what it left.
        for name in ["polling", "cdc"] {
            let stale_reads = ran.strategy(name).counts.stale_reads;
            assert!(stale_reads.is_some_and(|n| n > 0), "{name}: {}", ran.said);
        }
    };
    "cache-race.toml" given_cache_race_when_run_then_a_cache_that_knows_versions_alone_has_nothing_stale: |ran| {
        ran.only(&["any"], 1, |c| vec![c.stale]);
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom]);
    };
    "housekeeping.toml" given_housekeeping_when_a_snapshot_is_held_then_whole_tables_stay_small_and_dead_rows_do_not: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
        let peak = |name| ran.strategy(name).database.outbox_peak_bytes.total;
        assert!(peak("rotate") < peak("delete") && peak("partitions") < peak("purge"), "{}", ran.said);
    };
    "rabbitmq-outage.toml" given_rabbitmq_outage_when_run_then_the_dual_write_alone_loses: |ran| {
        ran.only(&["naive"], 1, |c| vec![c.lost]);
        ran.only(&[], 0, |c| vec![c.undrained, c.phantom, c.reordered]);
    };
    "rabbitmq-lessons.toml" given_rabbitmq_lessons_when_run_then_the_relay_without_confirms_alone_loses: |ran| {
        ran.only(&["unconfirmed"], 100, |c| vec![c.lost]);
        ran.only(&[], 0, |c| vec![c.undrained, c.phantom]);
    };
    "mariadb-outage.toml" given_mariadb_outage_when_run_then_the_dual_write_alone_loses: |ran| {
        ran.only(&["naive"], 1, |c| vec![c.lost]);
        ran.only(&[], 0, |c| vec![c.undrained, c.phantom, c.reordered]);
    };
    "mariadb-crash.toml" given_mariadb_crash_when_run_then_nothing_acknowledged_is_missing: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.missing, c.reordered]);
    };
    "rabbitmq-consumers.toml" given_rabbitmq_consumers_when_run_then_requeue_and_crowd_break_the_order_and_a_hash_keeps_it: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
        for strategy in &ran.record.strategies {
            let of = |name: &str| {
                let mut all = strategy.consumers.iter();
                all.find(|c| c.name == format!("consumer-{name}")).unwrap()
            };
            assert!(strategy.consumers.iter().all(|c| c.unapplied == Some(0)), "{}", ran.said);
            assert!(of("payments").applied_twice > Some(0), "{}", ran.said);
            for name in ["shipping-requeue", "shipping-crowd"] {
                assert!(of(name).applied_out_of_order > Some(0), "{name}: {}", ran.said);
            }
            assert_eq!(of("shipping-hashed").applied_out_of_order, Some(0), "{}", ran.said);
        }
    };
    "debezium.toml" given_debezium_when_run_then_no_relay_loses: |ran| {
        ran.only(&[], 0, |c| vec![c.lost, c.undrained, c.phantom, c.reordered]);
    };
}

#[test]
fn given_the_shipped_files_when_listed_then_each_is_run() {
    let files = std::fs::read_dir(shipped()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let shipped: BTreeSet<String> = names.filter(|name| name.ends_with(".toml")).collect();
    let run: BTreeSet<String> = FILES.iter().map(|file| (*file).to_owned()).collect();
    assert_eq!(shipped, run);
}
