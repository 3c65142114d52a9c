//! Order services that a file brings along (`[service]`), with their outbox inside or with a relay beside
//! them: one that does its work, one that loses, and some that do not behave. What stands in for
//! somebody's service is this program's own, which nothing here knows.

use super::foreign::{Ran, is_left, ran_beside};
use super::turn::{Turn, beside_another};
use super::{all, run_beside, run_on_theirs};
use reports::record::Verdict;
use std::path::Path;
use std::process::Output;

/// The tables that the stand-in works on, and what it committed.
const TABLES: &str = r#"
[outbox]
ddl = [
    '''create table orders (id uuid primary key,
        version int generated always as (cardinality(attempts)) stored,
        state text not null, attempts uuid[] not null, changes uuid[] not null)''',
    '''create table outbox (
        seq bigint generated always as identity primary key, id uuid not null, aggregatetype text not null,
        aggregateid text not null, type text not null, version int not null, payload text not null)''',
]
pending = "select payload::json->>'attempt' from outbox"
[truth]
query = '''
select id, n, attempt
  from orders, unnest(attempts) with ordinality as made(attempt, n)
'''
"#;

const POSTGRES: &str = r#"{"kind": "postgres", "host": "${postgres_host}", "port": ${postgres_port},
    "user": "${postgres_user}", "password": "${postgres_password}", "database": "${postgres_database}",
    "schema": "${schema}"}"#;
const KAFKA: &str =
    r#"{"kind": "kafka", "bootstrap": "${bootstrap}", "topic": "${topic}", "linger_ms": 0.0}"#;

pub fn service_config(write_path: &str) -> String {
    format!(
        r#"{{"listen": "127.0.0.1:${{port}}", "run": "${{run}}", "database": {POSTGRES},
            "database_connections": 16, "write_path": {write_path}}}"#
    )
}

pub fn relay_config() -> String {
    format!(
        r#"{{"database": {POSTGRES}, "broker": {KAFKA}, "source": {{"kind": "polling",
            "after_publish": "delete", "interval_ms": 5, "batch": 500, "notify": false}}}}"#
    )
}

pub const OUTBOX: &str = r#"{"kind": "outbox", "notify": false}"#;

fn dual_write() -> String {
    format!(
        r#"{{"kind": "dual-write", "order": "commit-then-publish", "publish_timeout_ms": 500, "broker": {KAFKA}}}"#
    )
}

/// A shell's words for this program, with the configuration of this name.
fn own(subcommand: &str) -> String {
    let program = env!("CARGO_BIN_EXE_outbox-harness");
    format!("'{program}' {subcommand} --config \"$FOLDER/{subcommand}.json\"")
}

/// Both halves below one shell, which ends when they have.
pub fn with_outbox_inside() -> String {
    let (relay, service) = (own("relay"), own("order-service"));
    format!(
        "{relay} & relay=$!; {service} & service=$!; \
         trap 'kill $relay $service; wait $relay; wait $service; exit 0' TERM; wait $service; exit 3"
    )
}

/// A file whose order service is this script.
pub fn file(script: &str, more: &str) -> String {
    format!(
        "name = \"stand-in\"\nversion = \"7\"\n[service]\n\
         command = [\"sh\", \"-c\", '''{script}''']\nenv = {{ FOLDER = \"${{folder}}\" }}\n\
         files = {{ \"order-service.json\" = \"order-service.json.in\", \"relay.json\" = \"relay.json.in\" }}\n\
         ready_within = \"10s\"\n{more}\n{TABLES}"
    )
}

const LOAD: &str = r#"
name = "foreign-service"
order = "not-tested"
[workload]
rate = 200
duration = "4s"
# A dead service commits nothing.
min_committed_per_phase = 0
[drain]
settle = "200ms"
within = "5s"
[strategy.theirs]
kind = "external"
relay = "relay.toml"
"#;

fn run_with(relay: &str, write_path: &str, scenario: &str) -> Ran {
    ran(relay, write_path, |home| run_on_theirs(home, scenario))
}

/// For whoever has the turn.
fn run_beside_with(turn: &Turn, relay: &str, write_path: &str, scenario: &str) -> Ran {
    ran(relay, write_path, |home| run_beside(turn, home, scenario))
}

fn ran(relay: &str, write_path: &str, run: impl FnOnce(&Path) -> Output) -> Ran {
    let files = [
        ("relay.toml", relay),
        ("order-service.json.in", &service_config(write_path)),
        ("relay.json.in", &relay_config()),
    ];
    ran_beside(&files, run)
}

const KILLED_AND_CUT_OFF: &str = r#"
[[fault]]
target = "order-service"
kind = "kill"
at = "1s"
for = "600ms"
[[fault]]
target = "orders->kafka"
kind = "down"
at = "2500ms"
for = "600ms"
"#;

#[test]
fn given_a_service_with_its_outbox_inside_when_killed_and_cut_off_then_nothing_is_lost() {
    let ran = run_with(
        &file(&with_outbox_inside(), ""),
        OUTBOX,
        &format!("{LOAD}{KILLED_AND_CUT_OFF}"),
    );
    assert_eq!(ran.output.status.code(), Some(0), "{}", ran.said());
    let record = ran.record();
    let theirs = &record.strategies[0];
    assert_eq!(theirs.what(), "stand-in 7");
    assert!(theirs.counts.committed.unwrap() > 400);
    assert_eq!(theirs.counts.lost, Some(0));
    assert!(theirs.faults.iter().all(|fault| fault.bit == Some(true)));
    let links: Vec<&str> = theirs.wiring.keys().map(String::as_str).collect();
    assert_eq!(links, ["orders->kafka", "orders->postgres"]);
    let service = &record.stack.environment["service.theirs"];
    assert!(
        service.contains("publishes what is in its outbox"),
        "{service}"
    );
    assert_eq!(theirs.remarks, Vec::<String>::new());
    // What it was told is for its owner alone
    let config = ran.folder.join("service/theirs/order-service.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&config.metadata().unwrap().permissions());
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn given_a_service_without_an_outbox_when_the_broker_is_away_then_what_it_lost_is_counted() {
    let cut = KILLED_AND_CUT_OFF.split("[[fault]]").nth(2).unwrap();
    let script = format!("exec {}", own("order-service"));
    let ran = run_with(
        &file(&script, ""),
        &dual_write(),
        &format!("{LOAD}[[fault]]{cut}"),
    );
    assert_eq!(ran.output.status.code(), Some(1), "{}", ran.said());
    let record = ran.record();
    let theirs = &record.strategies[0];
    assert!(theirs.counts.lost.unwrap() > 0, "{:?}", theirs.counts);
    assert_eq!(theirs.counts.phantom, Some(0));
    let lost = theirs
        .expectations
        .iter()
        .find(|e| e.metric == "lost")
        .unwrap();
    assert_eq!(lost.met, Some(false));
}

#[test]
fn given_a_service_with_a_relay_beside_it_then_each_is_killed_and_cut_off_by_itself() {
    let faults = KILLED_AND_CUT_OFF.replace("orders->kafka", "relay->kafka");
    let relay = format!(
        "[relay]\ncommand = [\"sh\", \"-c\", '''exec {}''']\nenv = {{ FOLDER = \"${{folder}}\" }}\n\
         files = {{ \"relay.json\" = \"relay.json.in\" }}\nready = {{ log = '\"signal\":\"ready\"' }}\n",
        own("relay")
    );
    let script = format!("exec {}", own("order-service"));
    let ran = run_with(
        &format!("{}{relay}", file(&script, "")),
        OUTBOX,
        &format!("{LOAD}{faults}"),
    );
    assert_eq!(ran.output.status.code(), Some(0), "{}", ran.said());
    let theirs = &ran.record().strategies[0];
    assert_eq!(theirs.counts.lost, Some(0));
    assert!(theirs.faults.iter().all(|fault| fault.bit == Some(true)));
    assert_eq!(theirs.wiring.len(), 3);
}

#[test]
fn given_a_service_that_dies_in_the_middle_then_its_death_heads_the_reasons() {
    let script = format!(
        "{} >/dev/null & {} >/dev/null & sleep 2; kill -9 $!; echo tired >&2; exit 3",
        own("relay"),
        own("order-service")
    );
    let ran = run_with(&file(&script, ""), OUTBOX, LOAD);
    let theirs = &ran.record().strategies[0];
    assert_ne!(theirs.verdict, Verdict::Pass, "{}", ran.said());
    let first = &theirs.reasons[0];
    assert!(
        first.contains("order-service") && first.contains("tired"),
        "{first}"
    );
}

#[test]
fn given_a_service_that_floods_forks_and_ignores_the_end_then_the_run_ends_and_nothing_is_left() {
    if !all::is_asked_for() {
        return;
    }
    let script = format!(
        "trap '' TERM; (while :; do head -c 100000 /dev/zero | tr '\\0' x; echo noise >&2; done) & \
         setsid sleep 987653 & {} & {} & wait; wait; wait; wait",
        own("relay"),
        own("order-service")
    );
    let ran = run_with(&file(&script, "stop = { within = \"1s\" }"), OUTBOX, LOAD);
    let theirs = &ran.record().strategies[0];
    assert_eq!(theirs.counts.lost, Some(0), "{}", ran.said());
    let killed = |remark: &String| remark.contains("order service did not end within 1s");
    assert!(theirs.remarks.iter().any(killed), "{:?}", theirs.remarks);
    let log = ran.folder.join("logs/theirs.order-service.log");
    assert!(log.metadata().unwrap().len() < 16 << 20);
    assert!(!is_left(987_653), "a grandchild outlived the run");
}

#[test]
fn given_a_file_whose_parts_cannot_work_then_that_is_known_before_any_load() {
    let good = file(&with_outbox_inside(), "");
    let cases = [
        (
            "select id, n, attempt",
            "select id, n, atempt",
            "relay.toml:21: `query` of [truth]: in its line 1, column \"atempt\" does not exist",
        ),
        (
            "select id, n, attempt",
            "select id, n",
            "it gives 2 columns; it must give three",
        ),
        (
            "select id, n, attempt",
            "select id, n::text, attempt",
            "must be the version, and is of type text: cast it",
        ),
        (
            "[truth]",
            "after_ddl = [\"insert into orders values (gen_random_uuid(), default, 'placed', \
             array[gen_random_uuid()], array[gen_random_uuid()])\"]\n[truth]",
            "before any order was placed",
        ),
        (
            "select payload::json->>'attempt'",
            "select nothing",
            "trying `pending` of the relay's file",
        ),
        (
            "\"sh\", \"-c\"",
            "\"shh\", \"-c\"",
            "`command` of [service] begins with `shh`",
        ),
        (
            "\"-c\", '''",
            "\"-c\", '''exit 5; ",
            "order-service: start: it was not ready yet and exited with code 5",
        ),
    ];
    let turn = beside_another();
    for (right, wrong, told) in &cases {
        assert!(good.contains(right), "{right}");
        let ran = run_beside_with(&turn, &good.replacen(right, wrong, 1), OUTBOX, LOAD);
        assert_eq!(ran.output.status.code(), Some(4), "{wrong}: {}", ran.said());
        assert!(ran.said().contains(told), "{wrong}: {}", ran.said());
        assert!(!ran.said().contains("load:"), "{wrong}: {}", ran.said());
    }
}

#[test]
fn given_a_query_that_does_not_tell_the_truth_then_nothing_is_called_lost() {
    let good = file(&with_outbox_inside(), "");
    let load = LOAD.replace("duration = \"4s\"", "duration = \"1500ms\"");
    for (right, wrong, told) in [
        (
            "select id, n, attempt",
            "select id, n + 1, attempt",
            "and no version 1",
        ),
        (
            "select id, n, attempt",
            "select id, n, id",
            "as an attempt, which is none of this run",
        ),
        (
            "as made(attempt, n)",
            "as made(attempt, n), (values (1), (2)) as twice",
            "version 1 twice",
        ),
        (
            "select id, n, attempt",
            "select id, n, case when pg_is_in_recovery() or n > 1 then (1/(n-n))::text::uuid else attempt end",
            "division by zero",
        ),
    ] {
        assert!(good.contains(right), "{right}");
        let ran = run_with(&good.replacen(right, wrong, 1), OUTBOX, &load);
        assert_eq!(ran.output.status.code(), Some(3), "{wrong}: {}", ran.said());
        let theirs = &ran.record().strategies[0];
        assert_eq!(theirs.counts.lost, None, "{wrong}");
        let named = |reason: &String| reason.contains(told);
        assert!(
            theirs.reasons.iter().any(named),
            "{wrong}: {:?}",
            theirs.reasons
        );
    }
}

#[test]
fn given_changes_that_show_only_when_the_wait_for_their_events_is_over_then_none_is_called_lost() {
    // Nobody publishes, and while the service lives it seems to have committed nothing
    let script = format!("exec {}", own("order-service"));
    let relay = file(&script, "").replace(
        "as made(attempt, n)",
        "as made(attempt, n) where not exists \
         (select from pg_stat_activity where usename = '${postgres_user}')",
    );
    let ran = run_with(&relay, OUTBOX, LOAD);
    assert_eq!(ran.output.status.code(), Some(3), "{}", ran.said());
    let theirs = &ran.record().strategies[0];
    assert_eq!(theirs.counts.lost, None);
    let named = |r: &String| r.contains("committed only when the wait for events had begun");
    assert!(theirs.reasons.iter().any(named), "{:?}", theirs.reasons);
}
