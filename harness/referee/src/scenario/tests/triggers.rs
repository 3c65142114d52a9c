//! Faults that wait for something instead of a time.

use super::*;

const CUT: &str = "id = \"cut\"";

fn two(a: &str, b: &str) -> String {
    file(&[HEAD, LOAD, &fault(a), &fault(b), NAIVE, CDC])
}

fn trigger_of(text: &str) -> Trigger {
    let s = parse("s.toml", text).unwrap();
    s.faults.iter().find_map(Fault::trigger).unwrap().clone()
}

#[test]
fn given_a_trigger_of_every_kind_when_read_then_the_scenario_holds_it() {
    for (when, expected, spoken) in [
        ("{ events = 300 }", Trigger::Events(300), "300 events"),
        (
            "{ committed = 200 }",
            Trigger::Committed(200),
            "200 committed changes",
        ),
        ("{ backlog = 50 }", Trigger::Backlog(50), "a backlog of 50"),
        (
            "{ fault = \"cut\", after = \"500ms\" }",
            Trigger::After {
                fault: "cut".to_owned(),
                after: Duration::from_millis(500),
            },
            "500ms after cut",
        ),
        (
            "{ log = { of = \"relay\", matches = 'caught \\(up\\)' } }",
            Trigger::Log {
                of: Victim::RELAY,
                matches: "caught \\(up\\)".to_owned(),
            },
            "relay logs `caught \\(up\\)`",
        ),
    ] {
        let trigger = trigger_of(&two(CUT, &format!("when = {when}")));
        assert_eq!(trigger, expected);
        assert_eq!(trigger.describe(), spoken);
    }
}

#[test]
fn given_a_query_when_read_then_its_place_is_known_and_a_long_one_is_named_in_short() {
    let query = format!("select 1 <\n  {} from outbox", "count(*) + ".repeat(20));
    let text = with_fault(&format!("when = {{ sql = \"\"\"{query}\"\"\" }}"));
    let trigger = trigger_of(&text);
    let (read, at) = trigger.query().unwrap();
    assert_eq!(read, query);
    assert!(text[at..].starts_with("\"\"\"select 1"), "{}", &text[at..]);
    let spoken = trigger.describe();
    assert!(spoken.starts_with("`select 1 < count(*) + "), "{spoken}");
    assert!(spoken.ends_with("...`") && spoken.len() < 80, "{spoken}");
}

#[test]
fn what_is_waited_for_in_a_log_and_in_the_database_can_be_asked() {
    for (when, at, told) in [
        ("log = \"up\"", "\"up\"", vec!["not a table", "`log`"]),
        (
            "log = { matches = \"up\" }",
            "{ matches",
            vec!["no `of`", "of = \"relay\""],
        ),
        (
            "log = { of = \"relay\" }",
            "{ of",
            vec!["no `matches`", "matches = \"caught up\""],
        ),
        (
            "log = { of = \"kafka-server\", matches = \"up\" }",
            "\"kafka-server\"",
            vec!["not a possible `of`", "order-service"],
        ),
        (
            "log = { of = \"relay\", matches = \"up(\" }",
            "\"up(\"",
            vec!["no regular expression: unclosed group", "backslash"],
        ),
        (
            "log = { of = \"relay\", matches = \"up\", like = 1 }",
            "like",
            vec!["`log` has no key `like`"],
        ),
        ("sql = 3", "3", vec!["is an integer", "double quotes"]),
        ("sql = \" \"", "\" \"", vec!["`sql` is empty", "boolean"]),
    ] {
        refused(&with_fault(&format!("when = {{ {when} }}")), at, &told);
    }
}

#[test]
fn whoever_feels_a_fault_has_the_process_whose_log_it_waits_for() {
    let says = |of: &str| {
        format!(
            "target = \"orders->postgres\"\nwhen = {{ log = {{ of = \"{of}\", matches = \"up\" }} }}"
        )
    };
    refused(
        &file(&[HEAD, LOAD, &fault(&says("relay")), NAIVE, CDC]),
        "{ log",
        &["`naive` feels this fault and has no relay", "order-service"],
    );
    for good in [
        file(&[HEAD, LOAD, &fault(&says("order-service")), NAIVE, CDC]),
        file(&[HEAD, LOAD, &fault(&says("relay")), CDC]),
    ] {
        parse("s.toml", &good).unwrap();
    }
}

#[test]
fn given_faults_with_and_without_a_time_when_read_then_those_with_one_come_first() {
    let s = parse("s.toml", &two("when = { events = 300 }", CUT)).unwrap();
    assert_eq!(s.faults[0].id.as_deref(), Some("cut"));
    assert_eq!(s.faults[0].ends(), Some(Duration::from_secs(3)));
    assert_eq!((s.faults[1].at(), s.faults[1].ends()), (None, None));
    assert_eq!(
        s.faults[1].describe(),
        "down on relay->kafka for 1s, trigger: 300 events"
    );
}

#[test]
fn given_a_history_of_before_triggers_then_its_faults_are_read_as_they_were() {
    let of_before = r#"{"target":{"Link":"relay->kafka"},"kind":"down","at":{"secs":2,"nanos":0},
        "lasts":{"secs":1,"nanos":0}}"#;
    let back: Fault = serde_json::from_str(of_before).unwrap();
    assert_eq!(back.at(), Some(Duration::from_secs(2)));
    assert_eq!(back.id, None);
    // And what is written now is read now
    for start in [
        Start::At(Duration::from_millis(1_500)),
        Start::When(Trigger::Events(7)),
        Start::When(Trigger::After {
            fault: "cut".to_owned(),
            after: Duration::from_micros(1),
        }),
        Start::When(Trigger::Log {
            of: Victim::OrderService,
            matches: "^up".to_owned(),
        }),
        Start::When(Trigger::Sql {
            query: "select true".to_owned(),
            at: 77,
        }),
    ] {
        let fault = Fault {
            start,
            ..back.clone()
        };
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
    }
}

#[test]
fn a_fault_begins_at_a_time_or_waits_for_one_thing() {
    let neither = fault("").replace("at = \"2s\"\n", "");
    refused(
        &file(&[HEAD, LOAD, &neither, CDC]),
        "[[fault]]",
        &["no `at`", "when = { events = 1000 }"],
    );
    refused(
        &with_fault("at = \"2s\"\nwhen = { events = 3 }"),
        "at = ",
        &["both `at` and `when`", "leave one"],
    );
    refused(
        &with_fault("when = { events = 3, backlog = 2 }"),
        "{ events",
        &[
            "several things",
            "when = { events = 1000 }",
            "when = { backlog = 500 }",
        ],
    );
    refused(
        &with_fault("when = {}"),
        "{}",
        &["nothing to wait for", "when = { events = 1000 }"],
    );
    refused(
        &with_fault("when = 1000"),
        "1000",
        &["not a table", "when = { events = 1000 }"],
    );
    refused(
        &with_fault("when = { event = 3 }"),
        "event = 3",
        &["`when` has no key `event`", "did you mean `events`?"],
    );
}

#[test]
fn what_a_trigger_waits_for_can_come() {
    for key in ["events", "committed", "backlog"] {
        refused(
            &with_fault(&format!("when = {{ {key} = 0 }}")),
            "0",
            &["out of bounds"],
        );
        refused(
            &with_fault(&format!("when = {{ {key} = \"3\" }}")),
            "\"3\"",
            &["without quotes"],
        );
        // 500 changes a second for 6 s
        refused(
            &with_fault(&format!("when = {{ {key} = 3001 }}")),
            "3001",
            &["offers 3000 changes", "never reached", "duration"],
        );
        parse("s.toml", &with_fault(&format!("when = {{ {key} = 3000 }}"))).unwrap();
    }
    refused(
        &with_fault("when = { events = 3 }\nfor = \"6s\""),
        "\"6s\"",
        &["cannot be healed in time", "shorter"],
    );
    refused(
        &two(CUT, "when = { fault = \"cut\", after = \"4s\" }"),
        "{ fault",
        &["begins at 6s at the earliest", "lasts 6s"],
    );
    parse(
        "s.toml",
        &two(CUT, "when = { fault = \"cut\", after = \"3900ms\" }"),
    )
    .unwrap();
}

#[test]
fn a_fault_waits_for_one_that_is_there() {
    refused(
        &with_fault("when = { after = \"1s\" }"),
        "{ after",
        &["no `fault`", "fault = \"cut\""],
    );
    refused(
        &two(CUT, "when = { fault = \"cut\" }"),
        "{ fault",
        &["no `after`", "after = \"500ms\""],
    );
    refused(
        &two(CUT, "when = { fault = \"cut\", after = 1 }"),
        "1",
        &["without a unit"],
    );
    refused(
        &two(CUT, "when = { fault = \"cat\", after = \"1s\" }"),
        "{ fault",
        &["no fault has the `id` `cat`", "did you mean `cut`?"],
    );
    refused(
        &with_fault("when = { fault = \"cut\", after = \"1s\" }"),
        "{ fault",
        &["no fault of this file has an `id`"],
    );
    // A broken fault is there all the same, and has its own problem alone
    let broken = two(
        "id = \"cut\"\nkind = \"dwn\"",
        "when = { fault = \"cut\", after = \"1s\" }",
    );
    let error = parse("s.toml", &broken).unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
}

#[test]
fn ids_are_plain_and_each_is_of_one_fault() {
    refused(
        &two(CUT, CUT),
        "\"cut\"",
        &["another fault has the `id` `cut`"],
    );
    for id in ["a b", "", "-a", "a/b", &"a".repeat(33)] {
        let marked = format!("\"{id}\"");
        refused(
            &with_fault(&format!("id = {marked}")),
            &marked,
            &["cannot be the `id`", "1 to 32 of a-z"],
        );
    }
    refused(&with_fault("id = 3"), "3", &["is an integer"]);
}

#[test]
fn faults_that_wait_for_each_other_in_a_circle_are_refused() {
    let after = |id: &str, other: &str| {
        format!("id = \"{id}\"\nwhen = {{ fault = \"{other}\", after = \"1ms\" }}")
    };
    let circle = |texts: &[String]| {
        let faults: Vec<String> = texts.iter().map(|t| fault(t)).collect();
        file(&[HEAD, LOAD, &faults.concat(), CDC])
    };
    for texts in [
        vec![after("a", "a")],
        vec![after("a", "b"), after("b", "a")],
        vec![after("a", "b"), after("b", "c"), after("c", "a")],
    ] {
        refused(&circle(&texts), "{ fault", &["waits for itself", "`at`"]);
    }
    // One that leads into a circle has no problem of its own, and a chain is none
    let texts = [after("a", "a"), after("b", "a")];
    let error = parse("s.toml", &circle(&texts)).unwrap_err();
    assert_eq!(error.problems().len(), 1, "{error}");
    let texts = [CUT.to_owned(), after("a", "b"), after("b", "cut")];
    parse("s.toml", &circle(&texts)).unwrap();
}

#[test]
fn whoever_feels_a_fault_feels_the_one_that_it_waits_for() {
    let on_orders = "target = \"orders->postgres\"\nwhen = { fault = \"cut\", after = \"1s\" }";
    refused(
        &two(CUT, on_orders),
        "{ fault",
        &[
            "`naive` feels this fault and not down on relay->kafka",
            "never injected",
        ],
    );
    parse(
        "s.toml",
        &file(&[HEAD, LOAD, &fault(CUT), &fault(on_orders), CDC]),
    )
    .unwrap();
}

#[test]
fn faults_without_a_time_conflict_with_none_before_the_run() {
    let kill = "target = \"relay\"\nkind = \"kill\"";
    let waits = format!("{kill}\nwhen = {{ events = 3 }}");
    for text in [two(kill, &waits), two(&waits, &waits)] {
        parse("s.toml", &text).unwrap();
    }
    // But what is too little for the whole load is too little for any part of it
    let few = file(&[
        HEAD,
        "[workload]\nduration = \"6s\"\nrate = 10\n",
        &fault("when = { events = 3 }"),
        CDC,
    ]);
    refused(
        &few,
        "[workload]",
        &["of the load", "min_committed_per_phase"],
    );
}
