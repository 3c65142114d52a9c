//! A two-phase commit in a whole run: what is aborted is no event, what is open hides nothing for good, and offsets
//! have gaps where transactions end.

use super::{all, only_run, record, run};
use reports::record::Verdict;

/// As scenarios/two-phase-commit.toml, but shorter, and with a consumer.
const IN_DOUBT: &str = r#"
name = "in-doubt"
description = "Kafka is cut off, then a coordinator dies with open transactions."
seed = 7

[workload]
# A machine with other things to do as well commits some before each fault, and its successor has time to work before
# the load ends
rate = 30
duration = "12s"
postgres_connections = 24
hold_ratio = 0.5
hold = "150ms"
rollback_ratio = 0.1
min_committed_per_phase = 0

[[fault]]
target = "kafka"
kind = "down"
at = "1500ms"
for = "700ms"

[[fault]]
target = "order-service"
kind = "kill"
at = "5s"
for = "300ms"

[drain]
settle = "200ms"

[strategy.two-phase]
kind = "two-phase-commit"
producers = 12

[consumer.payments]
effect = "insert"
idempotency = "inbox"

[expect.two-phase]
duplicated = 0
"#;

#[test]
fn given_a_two_phase_commit_when_its_broker_and_its_coordinator_fail_then_both_sides_agree_on_all()
{
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), IN_DOUBT, &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let record = record(&only_run(home.path()));
    assert_eq!(record.verdict, Verdict::Pass);
    let strategy = &record.strategies[0];
    let (counts, outcomes) = (strategy.counts, strategy.outcomes);
    // Open when it was killed, so aborted by the recoverer: on the topic, and no phantom
    assert!(counts.aborted_records >= Some(1), "{said}");
    assert_eq!((outcomes.db_only, outcomes.event_only), (Some(0), Some(0)));
    assert_eq!(counts.observed, counts.committed);
    // While its broker was away nobody could end what was open there
    let in_doubt = strategy.in_doubt;
    assert!(in_doubt.blocked_consumers_ms >= Some(400.0), "{said}");
    // The consumer reads to the end, where a mark of a transaction stands behind the last event
    let consumer = &strategy.consumers[0];
    assert_eq!(
        (consumer.unapplied, consumer.effects),
        (Some(0), counts.committed)
    );
}

/// All orders hold their open transactions for 400 ms, so some are decided when the broker has been cut off; it aborts
/// them a second after they began, and is back long after that.
const HEURISTIC: &str = r#"
name = "heuristic"
description = "The broker aborts by itself what was decided."
seed = 7

[workload]
rate = 40
duration = "4500ms"
postgres_connections = 40
hold_ratio = 1.0
hold = "400ms"
min_committed_per_phase = 0

[[fault]]
target = "kafka"
kind = "down"
at = "1s"
for = "3s"

[drain]
settle = "200ms"

[strategy.two-phase]
kind = "two-phase-commit"
producers = 32
transaction_timeout = "1s"

[expect.two-phase]
lost = 0
blocked_consumers = ">= 750ms"
"#;

#[test]
fn given_a_broker_that_does_not_wait_for_what_was_decided_then_it_is_lost_and_explained_as_heuristic()
 {
    if !all::is_asked_for() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), HEURISTIC, &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let strategy = &record(&only_run(home.path())).strategies[0];
    // Committed in the database, and nothing else is wrong: whoever was cut off earlier was refused
    let (counts, outcomes) = (strategy.counts, strategy.outcomes);
    assert!(counts.lost >= Some(1), "{said}");
    assert_eq!(outcomes.db_only, counts.lost);
    assert_eq!((outcomes.event_only, counts.undrained), (Some(0), Some(0)));
    // Each says why
    let lost = strategy.offences.iter().filter(|o| o.metric == "lost");
    for offence in lost {
        let told = offence.told();
        assert!(told.contains("the heuristic outcome"), "{told}");
    }
    // And what its open transaction kept from others
    let met = |name: &str| {
        let mut of = strategy.expectations.iter().filter(|e| e.metric == name);
        of.next().and_then(|e| e.met)
    };
    assert_eq!(met("lost"), Some(false));
    assert_eq!(met("blocked_consumers"), Some(true), "{said}");
}
