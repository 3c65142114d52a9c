//! A stack that is kept: it can be run on, and it is stopped as it was said.

use super::all;
use super::installed::lacks;
use super::not_done::not_done;
use super::turn::beside_another;
use super::{Ended, POLLING, command, nothing_left, programs, record, run, run_folder, secrets};
use harness::scenario::Server;
use harness::stack::cache_is_installed;
use reports::record::Record;
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Something is lost, something is a phantom, and something comes twice: a client library looks once a second for what has
/// timed out, so that answers are late only if they come more than a second after that.
const COUNTED: &str = r#"
name = "counted"

[workload]
rate = 200
duration = "5s"
partitions = 2
rollback_ratio = 0.1
min_committed_per_phase = 0

[[fault]]
target = "kafka"
kind = "latency"
latency = "1500ms"
stream = "downstream"
at = "1s"
for = "2s"

[[fault]]
target = "relay"
kind = "kill"
at = "1500ms"
for = "1s"

[[fault]]
target = "orders->kafka"
kind = "down"
at = "3500ms"
for = "800ms"

[drain]
settle = "200ms"

[strategy.losing]
kind = "dual-write"
order = "commit-then-publish"
publish_timeout = "300ms"

[strategy.retrying]
kind = "dual-write"
order = "commit-then-publish"
publish_timeout = "300ms"
publish_retries = 5
linger = "50ms"

[strategy.announcing]
kind = "dual-write"
order = "publish-then-commit"
publish_timeout = "300ms"

[strategy.polling]
kind = "polling"
linger = "50ms"

[strategy.message]
kind = "logical-message"
linger = "50ms"

[strategy.events]
kind = "event-sourcing"
linger = "50ms"

[strategy.two-phase]
kind = "two-phase-commit"

[consumer.payments]
effect = "insert"

[consumer.payments-inbox]
effect = "insert"
idempotency = "inbox"

[consumer.inventory]
effect = "increment"

[expect.polling]
lost = 0

[expect.message]
lost = 0
"#;

/// The same; where there is a Redis, with caches of which one takes old orders.
fn scenario() -> String {
    if !cache_is_installed(&programs()) {
        not_done("caches are not counted, Redis is not installed (`stack/install.sh redis`)");
        return COUNTED.to_owned();
    }
    // Changes that take their time are read meanwhile.
    let reads = "[workload]\nread_share = 0.5\nhold_ratio = 0.5\nhold = \"30ms\"";
    let cached = |name: &str, mode: &str| {
        let lines = format!("cache = \"{mode}\"\ncache_fill_hold = \"50ms\"");
        (
            format!("[strategy.{name}]"),
            format!("[strategy.{name}]\n{lines}"),
        )
    };
    let late = [
        cached("losing", "invalidate-after-commit"),
        cached("polling", "invalidate-by-relay"),
        cached("message", "write-through"),
    ];
    late.iter()
        .fold(COUNTED.replace("[workload]", reads), |text, (old, new)| {
            text.replace(old, new)
        })
}

/// The same of a system that a kept stack does not know: what is not answered is given up and there all the same, what a
/// service holds while its broker is cut off is lost with it, and a relay that dies before its answers repeats.
const COUNTED_ELSEWHERE: &str = r#"
name = "counted-elsewhere"

[workload]
rate = 200
duration = "3500ms"
rollback_ratio = 0.1
min_committed_per_phase = 0

[[fault]]
target = "BROKER"
kind = "timeout"
stream = "downstream"
at = "400ms"
for = "900ms"

[[fault]]
target = "relay"
kind = "kill"
at = "900ms"
for = "700ms"

[[fault]]
target = "orders->BROKER"
kind = "down"
at = "1700ms"
for = "900ms"

[[fault]]
target = "order-service"
kind = "kill"
at = "2300ms"
for = "100ms"

[drain]
settle = "200ms"

[strategy.losing]
kind = "dual-write"
order = "commit-then-publish"
publish_timeout = "300ms"
broker = "BROKER"

[strategy.announcing]
kind = "dual-write"
order = "publish-then-commit"
publish_timeout = "300ms"
broker = "BROKER"

[strategy.cdc]
kind = "cdc"
broker = "BROKER"

[expect.cdc]
lost = 0
"#;

/// What a program in another language counts on the kept stack that a file describes, by strategy.
fn counted_again(stack: &Path, record: &Path) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile/independent/count.py");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let psql = runtime.block_on(harness::stack::postgres_program("psql"));
    let out = Command::new("python3")
        .arg(script)
        .args([stack, record])
        .arg(psql.unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{said}");
    serde_json::from_slice(&out.stdout).unwrap()
}

/// The same figures, as the record has them.
fn as_recorded(record: &Record) -> Value {
    let strategies = record.strategies.iter().map(|strategy| {
        let counts = &strategy.counts;
        let unpublished = [counts.lost, counts.undrained, counts.undecided];
        let consumers = strategy.consumers.iter().map(|consumer| {
            let did = serde_json::json!({
                "effects": consumer.effects,
                "unapplied": consumer.unapplied,
                "applied_twice": consumer.applied_twice,
                "applied_unseen": consumer.applied_unseen,
                "charges": consumer.effects,
            });
            (consumer.name.clone(), did)
        });
        let figures = serde_json::json!({
            "committed": counts.committed,
            "observed": counts.observed,
            "unpublished": unpublished.iter().copied().sum::<Option<u64>>(),
            "phantom": counts.phantom,
            "duplicated": counts.duplicated,
            "stale": counts.stale,
            "consumers": consumers.collect::<serde_json::Map<_, _>>(),
        });
        (strategy.name.clone(), figures)
    });
    Value::Object(strategies.collect())
}

#[test]
fn given_a_kept_stack_when_it_was_counted_again_and_run_on_and_stopped_as_said_then_all_agrees_and_nothing_is_left()
 {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    let mut keep = command(home.path(), &scenario());
    let kept = run({
        keep.arg("--keep-stack");
        keep
    });
    // What it proves is not asked here, but what is there.
    assert!(matches!(kept.code, Some(0 | 3)), "{}{}", kept.out, kept.err);
    let says_what_stays = kept
        .err
        .contains("kept until the next run on this stack: schema oh_");
    assert!(says_what_stays, "{}", kept.err);
    let folder = run_folder(home.path());
    // What tells others how to connect is for its owner.
    for name in secrets::files_with_passwords(&folder) {
        let is_config = name.starts_with("config/") && name.ends_with(".json");
        let says_how = ["events.jsonl", "external.toml"].contains(&&*name);
        assert!(is_config || says_how, "{name}");
    }

    let file = folder.join("external.toml");
    // When somebody else counts what is there
    let recorded = record(home.path());
    let counted = counted_again(&file, &folder.join("record.json"));
    assert_eq!(counted, as_recorded(&recorded));
    has_some(&recorded, "losing", |c| c.lost);
    has_some(&recorded, "retrying", |c| c.duplicated);
    has_some(&recorded, "announcing", |c| c.phantom);
    has_some(&recorded, "polling", |c| c.duplicated);
    has_some(&recorded, "message", |c| c.duplicated);
    has_some(&recorded, "events", |c| c.duplicated);
    if cache_is_installed(&programs()) {
        has_some(&recorded, "polling", |c| c.stale);
    }

    // And a run with proxies follows on it
    let other = tempfile::tempdir().unwrap();
    let mut again = command(other.path(), POLLING);
    again.args(["--stack", "external", "--external"]).arg(file);
    let dropped = ["dropped schema or database oh_", "dropped topic oh."];
    run(again).passed(other.path(), &dropped);

    stop_as_said(&kept.err, home.path());
}

/// A strategy of a run has some of this.
#[track_caller]
fn has_some(record: &Record, name: &str, of: fn(&reports::record::Counts) -> Option<u64>) {
    let mut all = record.strategies.iter();
    let count = all.find(|s| s.name == name).and_then(|s| of(&s.counts));
    assert!(count > Some(0), "{name}: {count:?}");
}

/// A stack that is kept is stopped as its run said, and nothing of it is left.
#[track_caller]
fn stop_as_said(said: &str, home: &Path) {
    let (_, how) = said.split_once("  stop it     ").unwrap();
    let how = how.lines().next().unwrap();
    let stopped = Command::new("sh").args(["-c", how]).status().unwrap();
    assert!(stopped.success(), "{how}");
    nothing_left(home);
}

/// How to reach the MariaDB of a stack that is kept, as a file has it.
fn mariadb_as_said(said: &str) -> String {
    let (_, command) = said.split_once("mariadb -h ").unwrap();
    let words: Vec<&str> = command.lines().next().unwrap().split(' ').collect();
    let [host, "-P", port, "-u", user, password] = words[..] else {
        panic!("{words:?}");
    };
    let password = password.strip_prefix("-p").unwrap();
    format!(
        "[mariadb]\nuser = \"{user}\"\npassword = \"{password}\"\nhost = \"{host}\"\nport = {port}\n"
    )
}

/// How to reach the database of a stack that is kept, as a file has it: of one without Kafka its run writes none.
fn postgres_as_said(said: &str) -> String {
    let (_, url) = said.split_once("psql postgres://").unwrap();
    let (user, rest) = url.lines().next().unwrap().split_once(':').unwrap();
    let (password, rest) = rest.split_once('@').unwrap();
    let (host, rest) = rest.split_once(':').unwrap();
    let (port, database) = rest.split_once('/').unwrap();
    format!(
        "[postgres]\nuser = \"{user}\"\npassword = \"{password}\"\nhost = \"{host}\"\nport = {port}\n\
         database = \"{database}\"\n"
    )
}

/// Runs on a stack with this broker, which is kept, and has another program count what is there.
fn counts_agree(broker: Server, changes: &[(&str, &str)]) {
    if !lacks(broker) {
        counts_agree_with(broker, changes, |kept, _| postgres_as_said(&kept.err));
    }
}

/// The same with any system; `described` says of a kept run, which left this folder, what its servers are.
fn counts_agree_with(
    broker: Server,
    changes: &[(&str, &str)],
    described: impl Fn(&Ended, &Path) -> String,
) {
    let _turn = beside_another();
    let home = tempfile::tempdir().unwrap();
    let scenario = COUNTED_ELSEWHERE.replace("BROKER", broker.name());
    let scenario = changes
        .iter()
        .fold(scenario, |text, (old, new)| text.replace(old, new));
    let mut keep = command(home.path(), &scenario);
    keep.arg("--keep-stack");
    let kept = run(keep);
    assert!(matches!(kept.code, Some(0 | 3)), "{}{}", kept.out, kept.err);

    // When somebody else counts what is there
    let recorded = record(home.path());
    let (folder, stack) = (run_folder(home.path()), home.path().join("stack.toml"));
    std::fs::write(&stack, described(&kept, &folder)).unwrap();
    let counted = counted_again(&stack, &folder.join("record.json"));
    stop_as_said(&kept.err, home.path());
    assert_eq!(counted, as_recorded(&recorded), "{}", kept.err);
    has_some(&recorded, "losing", |c| c.lost);
    has_some(&recorded, "announcing", |c| c.phantom);
    has_some(&recorded, "cdc", |c| c.duplicated);
}

#[test]
fn given_a_run_on_rabbitmq_when_its_stream_is_counted_again_then_all_agrees() {
    // Its server takes its time to start.
    if all::is_asked_for() {
        counts_agree(Server::RABBITMQ, &[]);
    }
}

#[test]
fn given_a_run_on_nats_when_its_stream_is_counted_again_then_all_agrees() {
    let knows_nothing = "kind = \"cdc\"\nnats = { message_id = false }\n";
    let changes = [("kind = \"cdc\"\n", knows_nothing)];
    counts_agree(Server::NATS, &changes);
}

#[test]
fn given_a_run_with_orders_in_mariadb_when_its_tables_are_counted_again_then_all_agrees() {
    // Three runs one after the other, on a stack of their own.
    if !all::is_asked_for() || lacks(Server::MARIADB) {
        return;
    }
    let in_mariadb = "broker = \"kafka\"\ndatabase = \"mariadb\"\n";
    let changes = [("broker = \"kafka\"\n", in_mariadb)];
    counts_agree_with(Server::KAFKA, &changes, |kept, folder| {
        let others = std::fs::read_to_string(folder.join("external.toml")).unwrap();
        format!("{others}\n{}", mariadb_as_said(&kept.err))
    });
}
