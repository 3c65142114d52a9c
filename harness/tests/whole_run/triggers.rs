//! Faults that wait for something instead of a time, in whole runs.

use super::foreign::{LOAD, file, run_with, stand_in};
use super::{only_run, program, record, run_on_theirs};
use reports::record::{Fault, Strategy, Verdict};

/// A kill by the count of events; and a second one, while the link that it needs is cut.
const TRIGGERED: &str = r#"
name = "triggered"
description = "The relay is killed after 300 events, and again while Kafka is out of its reach."
seed = 7

[workload]
rate = 200
duration = "12s"
min_committed_per_phase = 20

[[fault]]
target = "relay"
kind = "kill"
when = { events = 300 }
for = "1s"

[[fault]]
id = "cut"
target = "relay->kafka"
kind = "down"
at = "6s"
for = "2500ms"

[[fault]]
target = "relay"
kind = "kill"
when = { fault = "cut", after = "500ms" }
for = "1s"

[drain]
settle = "200ms"

[strategy.polling]
kind = "polling"

[expect.polling]
lost = 0
"#;

/// More events than there are: some of the changes are rolled back.
const NEVER: &str = r#"
name = "never"
description = "The relay is to be killed after as many events as there are changes."
seed = 7

[workload]
rate = 100
duration = "3s"
rollback_ratio = 0.2

[[fault]]
target = "relay"
kind = "kill"
when = { events = 300 }
for = "1s"

[drain]
settle = "200ms"

[strategy.polling]
kind = "polling"

[expect.polling]
lost = 0
"#;

fn trigger(fault: &Fault) -> &str {
    fault.trigger.as_deref().unwrap_or_default()
}

fn phases(strategy: &Strategy) -> Vec<&str> {
    strategy.phases.iter().map(|p| p.name.as_str()).collect()
}

#[test]
fn given_faults_that_wait_for_a_count_and_for_another_fault_when_run_then_each_bit_and_it_passes() {
    let home = tempfile::tempdir().unwrap();
    let output = run_on_theirs(home.path(), TRIGGERED);
    let said = String::from_utf8_lossy(&output.stderr);
    let folder = only_run(home.path());
    let record = record(&folder);
    let strategy = &record.strategies[0];
    for fault in &strategy.faults {
        assert_eq!(fault.bit, Some(true), "{fault:#?}\n{said}");
    }
    assert_eq!(
        output.status.code(),
        Some(0),
        "{:?}\n{said}",
        strategy.reasons
    );

    // Faults with a time come first, in the record as in the scenario
    let [cut, by_count, by_cut] = strategy.faults.as_slice() else {
        panic!("three faults: {:#?}", strategy.faults);
    };
    assert_eq!((cut.trigger.as_deref(), cut.fired_s), (None, None));
    assert_eq!(trigger(by_count), "300 events");
    assert_eq!(trigger(by_cut), "500ms after cut");
    // 300 events are there after two seconds or so, and at no time before
    let fired_s = by_count.fired_s.unwrap();
    assert!(fired_s > 1.4, "{fired_s}");
    assert!(by_count.injected_s >= Some(fired_s));
    let apart_s = by_cut.fired_s.unwrap() - cut.injected_s.unwrap();
    assert!(apart_s >= 0.5, "{apart_s}");
    let both = "during down relay->kafka and kill relay (2)";
    assert!(phases(strategy).contains(&both), "{:?}", phases(strategy));

    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(shown.contains("kill relay, trigger: 300 events"), "{shown}");

    // And the history alone tells the same
    let checked = program().arg("check").arg(&folder).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(said.contains("kill relay, trigger: 300 events"), "{said}");
}

#[test]
fn given_a_trigger_that_is_never_reached_when_run_then_the_run_is_unknown_and_says_how_far_it_came()
{
    let home = tempfile::tempdir().unwrap();
    let output = run_on_theirs(home.path(), NEVER);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let record = record(&only_run(home.path()));
    let strategy = &record.strategies[0];
    assert_eq!(strategy.verdict, Verdict::Unknown);
    let fault = &strategy.faults[0];
    assert_eq!(
        (fault.bit, fault.injected_s, fault.fired_s),
        (Some(false), None, None)
    );
    assert_eq!(trigger(fault), "300 events");
    let reason = "fault `kill relay` did not bite: its trigger, 300 events, was not reached: 2";
    let told = strategy.reasons.iter().any(|r| r.starts_with(reason));
    assert!(told, "{:#?}", strategy.reasons);
    assert_eq!(phases(strategy), ["whole run"]);
    assert!(
        said.contains("kill relay not injected: 300 events did not come"),
        "{said}"
    );
}

/// A kill by what the database holds.
const ASKED: &str = r#"
name = "asked"
description = "The relay is killed as soon as 400 orders' changes are in the database."
seed = 7

[workload]
rate = 200
duration = "6s"
min_committed_per_phase = 20

[[fault]]
target = "relay"
kind = "kill"
when = { sql = """
-- of all orders
select sum(version) >= 400
  from orders""" }
for = "1s"

[drain]
settle = "200ms"

[strategy.polling]
kind = "polling"

[expect.polling]
lost = 0
"#;

#[test]
fn given_a_fault_that_waits_for_a_query_when_it_is_true_then_it_comes_and_bites() {
    let home = tempfile::tempdir().unwrap();
    let output = run_on_theirs(home.path(), ASKED);
    let said = String::from_utf8_lossy(&output.stderr);
    let record = record(&only_run(home.path()));
    let strategy = &record.strategies[0];
    let reasons = &strategy.reasons;
    assert_eq!(output.status.code(), Some(0), "{reasons:?}\n{said}");
    let fault = &strategy.faults[0];
    assert_eq!(fault.bit, Some(true), "{fault:#?}");
    assert_eq!(
        trigger(fault),
        "`-- of all orders select sum(version) >= 400 from orders`"
    );
    // 400 changes take two seconds
    let fired_s = fault.fired_s.unwrap();
    assert!(fired_s > 1.9, "{fired_s}");
    assert_eq!(fault.fired_on, None);
}

#[test]
fn given_a_query_that_cannot_be_asked_when_run_then_that_is_known_before_any_load() {
    for (wrong, line, told) in [
        ("from ordres", 17, "relation \"ordres\" does not exist"),
        (
            "from orders, pg_authid",
            14,
            "permission denied for table pg_authid",
        ),
        ("from orders where 1 / 0 = 1", 14, "division by zero"),
        (
            ", 7 from orders",
            14,
            "it gives BOOL, INT4, and not one boolean",
        ),
    ] {
        let home = tempfile::tempdir().unwrap();
        let output = run_on_theirs(home.path(), &ASKED.replace("from orders", wrong));
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{wrong}: {said}");
        assert!(said.contains(told), "{wrong}: {said}");
        let place = format!("(`sql`, line {line} of the scenario)");
        assert!(said.contains(&place), "{wrong}: {said}");
        assert!(!said.contains("load:"), "{wrong}: {said}");
    }
}

#[test]
fn given_a_query_that_breaks_under_way_when_run_then_the_trigger_never_fired_and_it_says_why() {
    let home = tempfile::tempdir().unwrap();
    // It is right as long as there are few orders
    let breaks = "select 1 / (count(*) < 50)::int > 1 from orders";
    let scenario = ASKED.replace("select sum(version) >= 400\n  from orders", breaks);
    assert!(scenario.contains(breaks));
    let output = run_on_theirs(home.path(), &scenario);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    let record = record(&only_run(home.path()));
    let reasons = &record.strategies[0].reasons;
    let told = "never fired because division by zero";
    assert!(reasons.iter().any(|r| r.contains(told)), "{reasons:#?}");
}

#[test]
fn given_a_fault_that_waits_for_a_line_of_a_log_when_it_is_said_then_it_comes_on_that_line() {
    // Said before the load, and then every second
    let script = format!(
        "echo caught up with nothing; n=0; \
         while sleep 1; do n=$((n + 1)); echo caught up with $n >&2; done & exec {}",
        stand_in()
    );
    let kill = r#"
[[fault]]
target = "relay"
kind = "kill"
when = { log = { of = "relay", matches = 'caught up with \w+$' } }
for = "600ms"
"#;
    let more = "duration = \"6s\"\nmin_committed_per_phase = 1";
    let load = LOAD.replace("duration = \"4s\"", more);
    let ran = run_with(&file(&script, ""), &format!("{load}{kill}"));
    let record = ran.record();
    let theirs = &record.strategies[0];
    assert_eq!(
        ran.output.status.code(),
        Some(0),
        "{:?}\n{}",
        theirs.reasons,
        ran.said()
    );
    let fault = &theirs.faults[0];
    assert_eq!(fault.bit, Some(true), "{fault:#?}");
    assert_eq!(trigger(fault), "relay logs `caught up with \\w+$`");
    let on = fault.fired_on.as_deref().unwrap();
    let number = on.strip_prefix("caught up with ").unwrap();
    assert!(number.parse::<u32>().is_ok(), "{on}");
    let told = format!("its trigger fired on `{on}`");
    assert!(fault.evidence.contains(&told), "{}", fault.evidence);
    assert!(fault.fired_s > Some(0.0), "{:?}", fault.fired_s);
}
