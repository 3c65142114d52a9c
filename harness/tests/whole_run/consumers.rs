//! Consumers in whole runs: what they did with events that came twice.

use super::external::{AsFound, until};
use super::turn::alone;
use super::{only_run, program, record, run};
use crate::all;
use harness::history::{self, History};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reports::record::Consumer;
use std::collections::BTreeMap;
use std::process::Stdio;

/// A relay that dies between delivery and confirmation, as in scenarios/consumers.toml, but shorter.
const TWICE: &str = r#"
name = "twice"
description = "Events come twice, and consumers read them."
seed = 7

[workload]
rate = 300
duration = "6s"

[[fault]]
target = "relay->kafka"
kind = "latency"
latency = "1200ms"
stream = "downstream"
at = "1s"
for = "2400ms"

[[fault]]
target = "relay"
kind = "kill"
at = "2800ms"
for = "1s"

[drain]
settle = "200ms"

[strategy.polling]
kind = "polling"
linger = "50ms"

[consumer.payments]
effect = "insert"

[consumer.payments-inbox]
effect = "insert"
idempotency = "inbox"

[consumer.inventory]
effect = "increment"

[consumer.notifications]
effect = "call"

[consumer.notifications-inbox]
effect = "call"
idempotency = "inbox"

[consumer.shipping]
effect = "state"

[consumer.shipping-version]
effect = "state"
idempotency = "key"

[expect.polling]
duplicated = ">= 1"
consumer-payments.applied_twice = ">= 1"
consumer-payments.unapplied = 0
consumer-shipping.applied_out_of_order = ">= 1"
"#;

/// How many events of a topic take their order back, for who applies whatever comes.
fn taken_back(history: &History) -> u64 {
    let mut rows: Vec<_> = history.log.iter().collect();
    rows.sort_by_key(|row| (row.partition, row.offset));
    let mut highest = BTreeMap::new();
    let back = rows.iter().filter(|row| {
        let highest = highest.entry(row.order).or_insert(0);
        let goes_back = row.version < *highest;
        *highest = row.version.max(*highest);
        goes_back
    });
    back.count() as u64
}

#[test]
fn given_events_that_come_twice_when_run_then_who_is_not_idempotent_applies_as_many_twice() {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), TWICE, &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let folder = only_run(home.path());
    let record = record(&folder);
    let strategy = &record.strategies[0];
    let twice = strategy.counts.duplicated.unwrap();
    let committed = strategy.counts.committed.unwrap();
    let saved = history::load(&folder.join("history/polling"))
        .unwrap()
        .history;
    // Exactly as many as came, and all of them.
    for consumer in &strategy.consumers {
        let is_idempotent = consumer.idempotency != "none";
        let again = if is_idempotent { 0 } else { twice };
        let back = match (consumer.effect.as_str(), is_idempotent) {
            ("state", false) => Some(taken_back(&saved)),
            ("state", true) => Some(0),
            _ => None,
        };
        let expected = Consumer {
            effects: Some(committed + again),
            copies: Some(twice),
            unapplied: Some(0),
            applied_twice: Some(again),
            applied_unseen: Some(0),
            applied_out_of_order: back,
            ..consumer.clone()
        };
        assert_eq!(*consumer, expected);
    }
    let names: Vec<&str> = strategy.consumers.iter().map(|c| c.name.as_str()).collect();
    let all = "payments payments-inbox inventory notifications notifications-inbox shipping shipping-version";
    let all: Vec<String> = all
        .split(' ')
        .map(|name| format!("consumer-{name}"))
        .collect();
    assert_eq!(names, all);
    // What idempotence promises is expected of it, though the file does not say so.
    let implicit = strategy.expectations.iter().filter(|e| e.implicit);
    let names: Vec<&str> = implicit.map(|e| e.metric.as_str()).collect();
    assert!(
        names.contains(&"consumer-payments-inbox.applied_twice"),
        "{names:?}"
    );
    // The table on the terminal has a row for each of them.
    assert!(said.contains("payments-inbox (insert, inbox)"), "{said}");
    // And all of it is in the history, from which the same is judged again.
    assert_eq!(saved.effects.len() as u64, 7 * committed + 4 * twice);
    let checked = program().arg("check").arg(&folder).output().unwrap();
    assert_eq!(checked.status.code(), Some(0));
    let again = super::record(&folder);
    assert_eq!(again.strategies[0].consumers, strategy.consumers);
}

/// A consumer that is killed, one that is stopped and one that is told to end, each under load.
const HIT: &str = r#"
name = "hit"
description = "Consumers are killed, paused and restarted."
seed = 7

[workload]
rate = 300
duration = "7s"

[[fault]]
target = "consumer-payments"
kind = "kill"
at = "1s"
for = "1s"

[[fault]]
target = "consumer-notifications"
kind = "kill"
at = "1s"
for = "1s"

[[fault]]
target = "consumer-payments-inbox"
kind = "pause"
at = "3s"
for = "800ms"

[[fault]]
target = "consumer-payments-inbox"
kind = "restart"
at = "5s"
for = "500ms"

[drain]
settle = "200ms"

[strategy.polling]
kind = "polling"

[consumer.payments]
effect = "insert"

[consumer.payments-inbox]
effect = "insert"
idempotency = "inbox"

[consumer.notifications]
effect = "call"
idempotency = "inbox"

[expect.polling]
lost = 0
consumer-payments.unapplied = 0
"#;

#[test]
fn given_consumers_that_are_killed_paused_and_restarted_when_run_then_each_fault_bit_and_nothing_is_left_out()
 {
    let home = tempfile::tempdir().unwrap();
    let output = run(home.path(), HIT, &[]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let record = record(&only_run(home.path()));
    let strategy = &record.strategies[0];
    for fault in &strategy.faults {
        assert_eq!(fault.bit, Some(true), "{fault:?}");
        assert!(
            fault.evidence.contains("came to the topic meanwhile"),
            "{}",
            fault.evidence
        );
    }
    for consumer in &strategy.consumers {
        assert_eq!(consumer.unapplied, Some(0), "{}", consumer.name);
    }
    assert_eq!(strategy.consumers[1].applied_twice, Some(0));
    // No more than the one call that was under way.
    let twice = strategy.consumers[2].applied_twice;
    assert!(twice.is_some_and(|twice| twice <= 1), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn given_consumers_on_somebodys_stack_when_the_harness_is_killed_then_nothing_of_them_is_left()
 {
    if !all::is_asked_for() {
        return;
    }
    let turn = alone();
    let home = tempfile::tempdir().unwrap();
    let theirs = AsFound::look(&turn).await;
    let file = home.path().join("scenario.toml");
    std::fs::write(&file, TWICE).unwrap();
    let mut harness = program()
        .arg("run")
        .arg(&file)
        .args(theirs.arguments("polling"))
        .arg("--out")
        .arg(home.path().join("runs"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // When the last of them is at work
    let connected = "select count(*) from pg_stat_activity where usename like 'oh\\_%\\_c6\\_svc'";
    until("the last consumer is connected", async || {
        let connected = sqlx::query_scalar::<_, i64>(connected);
        let connected = connected.fetch_one(&mut theirs.session().await).await;
        connected.unwrap() > 0
    })
    .await;
    kill(Pid::from_raw(harness.id() as i32), Signal::SIGKILL).unwrap();
    harness.wait().unwrap();
    until("nothing of it is left", async || theirs.is_as_found().await).await;
}
