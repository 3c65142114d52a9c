//! Relays that a file describes (`kind = "external"`): one that does its work, and some that do not
//! behave. What stands in for somebody's relay is this program's own, which nothing here knows.

use super::turn::{Turn, beside_another};
use super::{all, only_run, record, run_beside, run_on_theirs};
use reports::record::{Record, Verdict};
use std::path::{Path, PathBuf};
use std::process::Output;

/// The table that the stand-in reads.
const OUTBOX: &str = r#"
[outbox]
ddl = ['''create table outbox (
    seq bigint generated always as identity primary key, id uuid not null, aggregatetype text not null,
    aggregateid text not null, type text not null, version int not null, payload text not null)''']
insert = ['''insert into outbox (id, aggregatetype, aggregateid, type, version, payload)
    values (${event_id}::uuid, 'Order', ${order_id}, ${event_type}, ${version}::int, ${payload})''']
pending = "select id from outbox;"
"#;

pub const CONFIG: &str = r#"{
  "database": {"kind": "postgres", "host": "${postgres_host}", "port": ${postgres_port}, "user": "${postgres_user}",
    "password": "${postgres_password}", "database": "${postgres_database}", "schema": "${schema}"},
  "broker": {"kind": "kafka", "bootstrap": "${bootstrap}", "topic": "${topic}", "linger_ms": 0.0},
  "source": {"kind": "polling", "after_publish": "delete", "interval_ms": 5, "batch": 500, "notify": false}
}"#;

const SERVE: &str = r#"
import http.server, os
where = ("127.0.0.1", int(os.environ["PORT"]))
http.server.HTTPServer(where, http.server.SimpleHTTPRequestHandler).serve_forever()
"#;

pub const LOAD: &str = r#"
name = "foreign"
order = "not-tested"
[workload]
rate = 200
duration = "4s"
[drain]
settle = "200ms"
within = "5s"
[strategy.theirs]
kind = "external"
relay = "relay.toml"
"#;

/// The stand-in's command line, as a shell says it.
pub fn stand_in() -> String {
    let program = env!("CARGO_BIN_EXE_outbox-harness");
    format!("'{program}' relay --config \"$CONFIG\"")
}

/// A relay's file whose process is this script.
pub fn file(script: &str, more: &str) -> String {
    format!(
        "name = \"stand-in\"\nversion = \"7\"\n{OUTBOX}\n[relay]\n\
         command = [\"sh\", \"-c\", '''{script}''']\n\
         env = {{ CONFIG = \"${{folder}}/config.json\" }}\n\
         files = {{ \"config.json\" = \"config.json.in\" }}\n\
         ready = {{ log = '\"signal\":\"ready\"' }}\nready_within = \"10s\"\n{more}"
    )
}

pub struct Ran {
    pub output: Output,
    pub folder: PathBuf,
    _home: tempfile::TempDir,
}

impl Ran {
    pub fn record(&self) -> Record {
        record(&self.folder)
    }

    pub fn said(&self) -> String {
        let out = String::from_utf8_lossy(&self.output.stdout);
        format!("{}\n{out}", String::from_utf8_lossy(&self.output.stderr))
    }
}

pub fn run_with(relay: &str, scenario: &str) -> Ran {
    run_with_config(relay, CONFIG, scenario)
}

fn run_with_config(relay: &str, config: &str, scenario: &str) -> Ran {
    ran(relay, config, |home| run_on_theirs(home, scenario))
}

/// For whoever has the turn.
fn run_beside_with(turn: &Turn, relay: &str, scenario: &str) -> Ran {
    ran(relay, CONFIG, |home| run_beside(turn, home, scenario))
}

fn ran(relay: &str, config: &str, run: impl FnOnce(&Path) -> Output) -> Ran {
    let files = [
        ("relay.toml", relay),
        ("config.json.in", config),
        ("serve.py", SERVE),
    ];
    ran_beside(&files, run)
}

/// Runs in a folder of its own, beside these files.
pub fn ran_beside(files: &[(&str, &str)], run: impl FnOnce(&Path) -> Output) -> Ran {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    let output = run(home.path());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(home.path().join("runs").exists(), "{said}");
    Ran {
        folder: only_run(home.path()),
        output,
        _home: home,
    }
}

#[test]
fn given_a_relay_of_a_file_of_which_two_run_when_one_is_killed_then_the_other_takes_over() {
    if !all::is_asked_for() {
        return;
    }
    let faults = r#"
[[fault]]
target = "relay"
kind = "kill"
at = "1500ms"
for = "1s"
"#;
    let script = format!("echo \"$NAME in $CONFIG\"; exec {}", stand_in());
    let relay = file(&script, "instances = 2\n")
        .replace("env = { CONFIG", "env = { NAME = \"${instance}\", CONFIG");
    // As its operators would tell it
    let config = CONFIG.replacen('{', "{ \"one_of_several\": true, ", 1);
    let ran = run_with_config(&relay, &config, &format!("{LOAD}{faults}"));
    assert_eq!(ran.output.status.code(), Some(0), "{}", ran.said());
    let record = ran.record();
    let strategy = &record.strategies[0];
    let fault = &strategy.faults[0];
    assert!(
        fault.evidence.contains("and relay-2 took over"),
        "{fault:?}"
    );
    assert!(fault.failover_s.is_some(), "{fault:?}");
    assert_eq!(
        (strategy.counts.lost, strategy.counts.reordered),
        (Some(0), Some(0))
    );
    // Each has a name, a folder and a log of its own
    let config_of = |name: &str| {
        let log = ran.folder.join("logs").join(format!("theirs.{name}.log"));
        let log = std::fs::read_to_string(log).unwrap();
        let mut lines = log.lines();
        let said = lines.find_map(|line| line.strip_prefix(&format!("{name} in ")));
        said.unwrap_or_else(|| panic!("{log}")).to_owned()
    };
    assert_ne!(config_of("relay"), config_of("relay-2"));
}

/// A relay that routes by type: orders' first events to one topic, the rest to another, by a table and a process each.
fn routing() -> String {
    let table = |schema: &str| {
        format!(
            "'''create schema {schema}''', '''create table {schema}.outbox (
    seq bigint generated always as identity primary key, id uuid not null, aggregatetype text not null,
    aggregateid text not null, type text not null, version int not null, payload text not null)''',
    '''grant usage on schema {schema} to public''', '''grant insert on {schema}.outbox to public'''"
        )
    };
    let insert = |schema: &str, is: &str| {
        format!(
            "'''insert into {schema}.outbox (id, aggregatetype, aggregateid, type, version, payload)
    select ${{event_id}}::uuid, 'Order', ${{order_id}}, ${{event_type}}, ${{version}}::int, ${{payload}}
    where ${{event_type}} {is} 'OrderPlaced''''"
        )
    };
    format!(
        "name = \"router\"\nversion = \"7\"\n[outbox]\nisolation = \"database\"\nddl = [{}, {}]\ninsert = [{}, {}]\n\
         pending = \"select id from placed.outbox union all select id from rest.outbox\"\n[relay]\n\
         command = [\"sh\", \"-c\", '''trap 'kill $A $B; wait; exit 0' TERM; CONFIG=$PLACED; {} & A=$!; \
         CONFIG=$REST; {} & B=$!; wait''']\n\
         env = {{ PLACED = \"${{folder}}/placed.json\", REST = \"${{folder}}/rest.json\" }}\n\
         files = {{ \"placed.json\" = \"placed.json.in\", \"rest.json\" = \"rest.json.in\" }}\n\
         ready = {{ log = '\"signal\":\"ready\"' }}\n\
         [event]\ntopics = [\"${{topic}}.placed\", \"orders-rest\"]\n",
        table("placed"),
        table("rest"),
        insert("placed", "="),
        insert("rest", "<>"),
        stand_in(),
        stand_in(),
    )
}

#[test]
fn given_a_relay_with_topics_of_its_own_then_all_are_judged_and_what_one_of_them_loses_is_lost() {
    let scenario = r#"
[[fault]]
target = "relay"
kind = "kill"
at = "800ms"
for = "500ms"
[strategy.router]
kind = "external"
relay = "router.toml"
[strategy.forgetful]
kind = "external"
relay = "forgetful.toml"
"#;
    let workload = LOAD.split("[strategy").next().unwrap();
    let workload = workload.replace("rate = 200", "rate = 400");
    let workload = workload.replace("\"4s\"", "\"2500ms\"");
    let good = routing();
    // The other one has no route for one type: its event is taken out of the table, and published nowhere
    let forgets = "create rule forgets as on insert to rest.outbox \
                   where new.type = 'OrderPaid' do instead nothing''', '''grant insert on rest.outbox";
    let forgetful = good.replacen("grant insert on rest.outbox", forgets, 1);
    assert_ne!(good, forgetful);
    let config = |schema: &str, topic: &str| {
        CONFIG
            .replace("${schema}", schema)
            .replace("\"${topic}\"", &format!("\"{topic}\""))
    };
    let (placed, rest) = (
        config("placed", "${topic}.placed"),
        config("rest", "orders-rest"),
    );
    let files = [
        ("router.toml", good.as_str()),
        ("forgetful.toml", forgetful.as_str()),
        ("placed.json.in", placed.as_str()),
        ("rest.json.in", rest.as_str()),
    ];
    let ran = ran_beside(&files, |home| {
        run_on_theirs(home, &format!("{workload}{scenario}"))
    });
    assert_eq!(ran.output.status.code(), Some(1), "{}", ran.said());
    let record = ran.record();
    let [router, forgetful] = &record.strategies[..] else {
        panic!("{:?}", record.strategies);
    };
    // An order's events are on both topics, and on one partition of each
    assert_eq!(router.verdict, Verdict::Pass, "{:?}", router.reasons);
    assert!(
        router.topic.ends_with(".router.placed + orders-rest"),
        "{}",
        router.topic
    );
    assert!(router.counts.committed.unwrap() > 500);
    assert_eq!(
        (router.counts.lost, router.counts.split),
        (Some(0), Some(0))
    );
    assert!(router.faults.iter().all(|fault| fault.bit == Some(true)));
    // What one of the topics does not have is lost
    assert_eq!(forgetful.verdict, Verdict::Fail);
    let lost = forgetful.counts.lost.unwrap();
    assert!(lost > 100, "{:?}", forgetful.counts);
    assert_eq!(Some(lost), forgetful.outcomes.db_only);
    assert_eq!(forgetful.counts.undrained, Some(0));
}

#[test]
fn given_a_relay_of_a_file_when_killed_and_cut_off_then_it_is_judged_like_any_other() {
    let faults = r#"
[[fault]]
target = "relay"
kind = "kill"
at = "1s"
for = "600ms"
[[fault]]
target = "relay->kafka"
kind = "down"
at = "3500ms"
for = "600ms"
"#;
    // A relay that starts slowly leaves enough between the two
    let load = LOAD.replace("\"4s\"", "\"5s\"");
    let relay = file(
        &format!("exec {}", stand_in()),
        "stop = { within = \"5s\" }\n",
    );
    let ran = run_with(&relay, &format!("{load}{faults}"));
    assert_eq!(ran.output.status.code(), Some(0), "{}", ran.said());
    let record = ran.record();
    let theirs = &record.strategies[0];
    assert_eq!(theirs.what(), "stand-in 7");
    assert_eq!(theirs.relay.as_ref().unwrap().delivery, "at-least-once");
    assert!(theirs.counts.committed.unwrap() > 500);
    assert!(theirs.faults.iter().all(|fault| fault.bit == Some(true)));
    assert_eq!(record.stack.environment["relay.theirs"], "stand-in 7");
    // And what it was told is for its owner alone
    let config = ran.folder.join("relay/theirs/config.json");
    let mode = std::os::unix::fs::PermissionsExt::mode(&config.metadata().unwrap().permissions());
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn given_a_relay_that_ends_by_itself_when_it_is_to_be_started_again_then_it_is_and_that_is_counted()
{
    // Its first life ends in the middle of the load, and its next two before they work
    let script = format!(
        "if mkdir \"$CONFIG.1\" 2>/dev/null; then {} & sleep 2; kill -9 $!; exit 3; fi; \
         mkdir \"$CONFIG.2\" 2>/dev/null && exit 4; mkdir \"$CONFIG.3\" 2>/dev/null && exit 5; exec {}",
        stand_in(),
        stand_in()
    );
    let ran = run_with(&file(&script, "restart = true\n"), LOAD);
    assert_eq!(ran.output.status.code(), Some(0), "{}", ran.said());
    let remarks = &ran.record().strategies[0].remarks;
    assert!(remarks[0].contains("ended by itself once"), "{remarks:?}");
    assert_eq!(
        remarks[1],
        "2 starts of the relay failed, the last since it was not ready yet and exited with code 5"
    );
}

#[test]
fn given_a_relay_that_cannot_start_without_its_broker_when_it_is_killed_while_that_is_away_then_it_is_started_until_it_can()
 {
    // The kill is healed long before the cut, however long a start takes
    let faults = r#"
[[fault]]
target = "relay->kafka"
kind = "down"
at = "1500ms"
for = "4s"
[[fault]]
target = "relay"
kind = "kill"
at = "1800ms"
for = "600ms"
"#;
    let script = format!(
        "python3 -c 'import os, socket; socket.create_connection(os.environ[\"BROKER\"].split(\":\"), 2)' \
         || exit 6; exec {}",
        stand_in()
    );
    let relay = file(&script, "").replace("env = {", "env = { BROKER = \"${bootstrap}\",");
    let load = LOAD.replace("duration = \"4s\"", "duration = \"8s\"");
    let ran = run_with(&relay, &format!("{load}{faults}"));
    let record = ran.record();
    let theirs = &record.strategies[0];
    assert_eq!(
        ran.output.status.code(),
        Some(0),
        "{:?}\n{}",
        theirs.reasons,
        ran.said()
    );
    assert!(theirs.faults.iter().all(|fault| fault.bit == Some(true)));
    let told = "failed, the last since it was not ready yet and exited with code 6";
    let is_told = |r: &String| r.contains(told) || r.contains("one start of the relay failed");
    assert!(theirs.remarks.iter().any(is_told), "{:?}", theirs.remarks);
    let said = ran.said();
    assert!(said.contains("relay does not start yet"), "{said}");
}

#[test]
fn given_a_relay_that_never_comes_back_from_a_kill_then_that_is_a_death_with_what_it_left() {
    let kill = r#"
[[fault]]
target = "relay"
kind = "kill"
at = "2s"
for = "600ms"
"#;
    let script = format!(
        "mkdir \"$CONFIG.1\" 2>/dev/null || {{ echo lock held; exit 7; }}; exec {}",
        stand_in()
    );
    let ran = run_with(&file(&script, ""), &format!("{LOAD}{kill}"));
    assert_eq!(ran.output.status.code(), Some(1), "{}", ran.said());
    let record = ran.record();
    let theirs = &record.strategies[0];
    let first = &theirs.reasons[0];
    assert!(first.contains("relay died at "), "{first}");
    assert!(first.contains("never became ready again in "), "{first}");
    assert!(first.contains("its log ends with: lock held"), "{first}");
    assert!(theirs.counts.undrained.unwrap() > 0);
    let step = |r: &String| r.contains("of the fence");
    assert!(!theirs.reasons.iter().any(step), "{:?}", theirs.reasons);
}

#[test]
fn given_a_relay_that_ends_by_itself_then_its_death_heads_the_reasons() {
    let script = format!("{} & sleep 2; kill -9 $!; echo tired; exit 3", stand_in());
    let ran = run_with(&file(&script, ""), LOAD);
    let record = ran.record();
    let theirs = &record.strategies[0];
    assert_eq!(theirs.verdict, Verdict::Fail, "{}", ran.said());
    assert!(
        theirs.reasons[0].contains("relay died"),
        "{:?}",
        theirs.reasons
    );
    assert!(theirs.reasons[0].contains("tired"), "{:?}", theirs.reasons);
    assert!(theirs.counts.undrained.unwrap() > 0);
}

#[test]
fn given_a_relay_that_floods_forks_and_ignores_the_end_then_the_run_ends_and_nothing_is_left() {
    // Endless noise on both outputs, a grandchild in a session of its own, and no ear for SIGTERM
    let script = format!(
        "trap '' TERM; (while :; do echo noise; echo noise >&2; sleep 0.001; done) & \
         setsid sleep 987654 & {} & wait; wait; wait",
        stand_in()
    );
    let ran = run_with(&file(&script, "stop = { within = \"1s\" }\n"), LOAD);
    assert_eq!(ran.output.status.code(), Some(0), "{}", ran.said());
    let remarks = &ran.record().strategies[0].remarks;
    assert!(
        remarks[0].contains("within 1s and was killed"),
        "{remarks:?}"
    );
    let log = ran.folder.join("logs/theirs.relay.log");
    assert!(log.metadata().unwrap().len() < 16 << 20);
    assert!(!is_left(987_654), "a grandchild outlived the run");
}

/// Whether somebody still sleeps for so many seconds.
pub fn is_left(seconds: u32) -> bool {
    let line_of_it = format!("sleep\0{seconds}");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let mut lines = entries.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
    lines.any(|line| line.starts_with(line_of_it.as_bytes()))
}

#[test]
fn given_each_way_to_know_that_a_relay_works_then_its_start_is_waited_for() {
    // The stand-in, with a server beside it that answers HTTP
    let load = LOAD.replace("duration = \"4s\"", "duration = \"1500ms\"");
    for ready in [
        "{ tcp = \"127.0.0.1:${port}\" }",
        "{ http = \"http://127.0.0.1:${port}/\" }",
        "{ sql = \"select count(*) > 0 from pg_stat_activity where usename = '${postgres_user}'\" }",
    ] {
        let relay = file(&format!("python3 serve.py & exec {}", stand_in()), "")
            .replace("{ log = '\"signal\":\"ready\"' }", ready)
            .replace("env = {", "env = { PORT = \"${port}\",");
        let ran = run_with(&relay, &load);
        assert_eq!(ran.output.status.code(), Some(0), "{ready}: {}", ran.said());
    }
}

#[test]
fn given_a_relay_that_never_works_then_the_error_says_so_with_its_last_words() {
    for (script, how) in [
        ("echo no such host; exit 5", "exited with code 5"),
        ("echo no such host; sleep 60", "not ready within 2s"),
    ] {
        let relay = file(script, "").replace("\"10s\"", "\"2s\"");
        let ran = run_with(&relay, LOAD);
        assert_eq!(ran.output.status.code(), Some(4), "{}", ran.said());
        let said = ran.said();
        assert!(
            said.contains(how) && said.contains("no such host"),
            "{said}"
        );
    }
}

#[test]
fn given_a_relay_that_has_to_be_installed_then_that_is_done_once_and_a_failure_is_told() {
    let install = "[install]\ncheck = [\"test\", \"-e\", \"installed\"]\n";
    let relay = file(&format!("exec {}", stand_in()), "");
    let good = format!("{relay}{install}run = [\"touch\", \"installed\"]\n");
    let ran = run_with(&good, LOAD);
    assert_eq!(ran.output.status.code(), Some(0), "{}", ran.said());
    let bad = format!("{relay}{install}run = [\"sh\", \"-c\", \"echo no compiler; false\"]\n");
    let ran = run_with(&bad, LOAD);
    assert_eq!(ran.output.status.code(), Some(4), "{}", ran.said());
    assert!(ran.said().contains("no compiler"), "{}", ran.said());
}

#[test]
fn given_a_query_that_gives_no_event_ids_then_nothing_is_called_lost() {
    // Dead from the middle on, with the rows in its table
    let script = format!("{} & sleep 2; kill -9 $!; exit 3", stand_in());
    let relay = file(&script, "").replace("select id from outbox", "select seq from outbox");
    let ran = run_with(&relay, LOAD);
    assert_eq!(ran.output.status.code(), Some(3), "{}", ran.said());
    let reasons = &ran.record().strategies[0].reasons;
    let named = |r: &String| r.contains("which is no event id of this run");
    assert!(reasons.iter().any(named), "{reasons:?}");
}

#[test]
fn given_a_file_whose_parts_cannot_work_then_that_is_known_before_any_load() {
    let good = file(&format!("exec {}", stand_in()), "");
    let cases = [
        (
            "(id, aggregatetype",
            "(idd, aggregatetype",
            "column \"idd\"",
        ),
        (
            "select id from outbox",
            "select id form outbox",
            "trying `pending`",
        ),
        ("\"sh\", \"-c\"", "\"shh\", \"-c\"", "begins with `shh`"),
        (
            "env = {",
            "folder = \"nowhere\"\nenv = {",
            "which is no folder",
        ),
    ];
    let turn = beside_another();
    for (right, wrong, told) in &cases {
        assert!(good.contains(right), "{right}");
        let ran = run_beside_with(&turn, &good.replace(right, wrong), LOAD);
        assert_eq!(ran.output.status.code(), Some(4), "{wrong}: {}", ran.said());
        assert!(ran.said().contains(told), "{wrong}: {}", ran.said());
        assert!(!ran.said().contains("load:"), "{wrong}: {}", ran.said());
    }
}

#[test]
fn given_an_outbox_that_cannot_be_made_then_the_servers_own_words_are_told() {
    let relay = file(&format!("exec {}", stand_in()), "").replace("create table", "create tabel");
    let ran = run_with(&relay, LOAD);
    assert_eq!(ran.output.status.code(), Some(4), "{}", ran.said());
    let said = ran.said();
    assert!(said.contains("statement 1 of the outbox's DDL"), "{said}");
    assert!(said.contains("tabel"), "{said}");
}

#[test]
fn given_a_relay_that_tells_nothing_of_what_it_holds_when_it_delivers_late_then_the_verdict_says_so()
 {
    // Dead from the middle on, and without a query for what it left
    let script = format!("{} & sleep 2; kill -9 $!; exit 3", stand_in());
    let relay = file(&script, "").replace("pending = \"select id from outbox;\"", "");
    let ran = run_with(&relay, LOAD);
    assert_eq!(ran.output.status.code(), Some(1), "{}", ran.said());
    let record = ran.record();
    let missed = record.strategies[0].expectations.iter();
    let reasons: Vec<&str> = missed.map(|e| e.reason.as_str()).collect();
    assert!(
        reasons.iter().any(|r| r.contains("no `pending` query")),
        "{reasons:?}"
    );
}

#[test]
fn the_files_of_the_shipped_relays_are_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../relays/external");
    let mut checked = 0;
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        for file in std::fs::read_dir(entry.path()).unwrap().flatten() {
            let path = file.path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if name.starts_with("scenario") && name.ends_with(".toml") {
                harness::scenario::load(&path).unwrap_or_else(|e| panic!("{e}"));
                checked += 1;
            }
        }
    }
    assert!(checked > 0);
}
