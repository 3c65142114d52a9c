//! Mistakes in single keys and values.

use super::*;

#[test]
fn unknown_keys_are_refused_wherever_they_are() {
    let whole = file(&["nam = 1\n", HEAD, LOAD, CDC]);
    refused(&whole, "nam", &["did you mean `name`?"]);
    refused(
        &file(&[HEAD, LOAD, CDC, "[what]\n"]),
        "what",
        &["possible: name"],
    );
    refused(
        &with_workload("duratoin = 1"),
        "duratoin",
        &["[workload]", "did you mean `duration`?"],
    );
    refused(
        &with_fault("tagret = 1"),
        "tagret",
        &["did you mean `target`?"],
    );
    refused(
        &file(&[HEAD, LOAD, CDC, "kid = 1"]),
        "kid",
        &["did you mean `kind`?"],
    );
    refused(
        &with_expect("losst = 0"),
        "losst",
        &["did you mean `lost`?"],
    );
    refused(
        &file(&[HEAD, LOAD, CDC, "[drain]\nwitin = 1"]),
        "witin",
        &["did you mean `within`?"],
    );
}

#[test]
fn wrong_types_and_units_say_what_to_write() {
    let duration = "write a duration such as \"4s\" or \"250ms\"";
    refused(
        &file(&[HEAD, "[workload]\nduration = 12\n", CDC]),
        "12",
        &["without a unit", duration],
    );
    refused(&with_workload("hold = \"20\""), "\"20\"", &[duration]);
    refused(
        &with_workload("hold = \"20 sec\""),
        "\"20 sec\"",
        &[duration],
    );
    refused(
        &with_workload("rate = \"500\""),
        "\"500\"",
        &["is a text", "without quotes"],
    );
    refused(
        &with_workload("connections = 1.5"),
        "1.5",
        &["an integer from 1"],
    );
    refused(
        &with_fault("kind = \"bandwidth\"\nrate = \"10KB\""),
        "\"10KB\"",
        &["100KB/s"],
    );
    refused(
        &with_fault("kind = \"limit_data\"\nbytes = \"10Kb\""),
        "\"10Kb\"",
        &["64KB"],
    );
    refused(
        &with_fault("kind = \"latency\"\nlatency = 200"),
        "200",
        &[duration],
    );
    refused(
        &with_fault("kind = \"latency\"\nlatency = \"1500us\""),
        "\"1500us\"",
        &["milliseconds"],
    );
    refused(
        &file(&["name = 5\n", LOAD, CDC]),
        "5",
        &["in double quotes"],
    );
    refused(
        &file(&[HEAD, LOAD, CDC, "[fault]\n"]),
        "[fault]",
        &["[[fault]]"],
    );
    refused(&file(&[HEAD, "workload = 5\n", CDC]), "5", &["not a table"]);
    refused(
        &file(&[HEAD, LOAD, "[strategy]\nkind = \"cdc\"\n"]),
        "kind",
        &["[strategy.NAME]"],
    );
    refused(
        &file(&[HEAD, LOAD, "[strategy.p]\nkind = \"polling\"\nnotify = 1\n"]),
        "1",
        &["true or false"],
    );
}

#[test]
fn given_keys_of_the_other_loop_when_a_load_is_read_then_each_is_refused_with_what_to_do() {
    let closed = |lines: &str| {
        let load = format!("[workload]\nduration = \"6s\"\nload = \"closed\"\n{lines}");
        file(&[HEAD, &load, CDC])
    };
    for key in ["rate = 500", "ramp = \"1s\"", "connections = 4"] {
        let name = key.split(' ').next().unwrap_or_default();
        let text = closed(&format!("clients = 4\n{key}\n"));
        refused(&text, name, &["of an open loop", "leave it out"]);
    }
    refused(
        &closed(""),
        "\"closed\"",
        &["how many clients", "clients = 8"],
    );
    refused(&closed("clients = 0\n"), "0", &[]);
    refused(
        &with_workload("clients = 8"),
        "clients",
        &["of a closed loop", "load = \"closed\""],
    );
    refused(
        &with_workload("load = \"half\""),
        "\"half\"",
        &["open", "closed"],
    );
}

#[test]
fn numbers_out_of_bounds_are_refused() {
    for (lines, marked) in [
        ("rate = 0", "0"),
        ("rate = -1", "-1"),
        ("rate = nan", "nan"),
        ("rate = inf", "inf"),
        ("changes_per_order = 0", "0"),
        ("payload_bytes = 900_001", "900_001"),
        (
            "connections = 99999999999999999999999999999999999999999999",
            "9999",
        ),
        ("request_timeout = \"0s\"", "\"0s\""),
        ("rollback_ratio = 1.01", "1.01"),
        ("rollback_ratio = 1", "1"),
        ("hold_ratio = -0.1", "-0.1"),
        ("hold = \"2s\"", "\"2s\""),
        ("ramp = \"7s\"", "\"7s\""),
        ("partitions = 0", "0"),
        ("min_committed_per_phase = -1", "-1"),
    ] {
        refused(&with_workload(lines), marked, &[]);
    }
    refused(
        &file(&[HEAD, "[workload]\nduration = \"0s\"\n", CDC]),
        "\"0s\"",
        &["from \"1ms\""],
    );
    let long = "[workload]\nduration = \"10h\"\nrate = 10000\n";
    refused(
        &file(&[HEAD, long, CDC]),
        "10000",
        &["360000000 changes", "at most 50000000"],
    );
    refused(
        &with_fault("kind = \"slicer\"\naverage_size = 0"),
        "0",
        &["from 1"],
    );
    refused(
        &with_fault("kind = \"timeout\"\ntoxicity = 1.5"),
        "1.5",
        &["from 0 to 1"],
    );
    for toxicity in ["0", "5e-324"] {
        refused(
            &with_fault(&format!("kind = \"timeout\"\ntoxicity = {toxicity}")),
            toxicity,
            &["cannot bite"],
        );
    }
    refused(
        &with_fault("kind = \"latency\"\nlatency = \"10ms\"\njitter = \"11ms\""),
        "\"11ms\"",
        &["at most `latency`"],
    );
    let linger = format!("{NAIVE}publish_timeout = \"1s\"\nlinger = \"1s\"\n");
    refused(
        &file(&[HEAD, LOAD, &linger]),
        "\"1s\"",
        &["linger", "shorter"],
    );
}

#[test]
fn given_a_two_phase_commit_that_cannot_be_when_read_then_each_key_is_named_with_its_bounds() {
    let two_phase = |keys: &str| {
        let strategy = format!("[strategy.a]\nkind = \"two-phase-commit\"\n{keys}\n");
        file(&[HEAD, LOAD, &strategy])
    };
    refused(
        &two_phase("publish_timeout = \"61s\""),
        "\"61s\"",
        &["longer than `transaction_timeout`", "shorter"],
    );
    refused(
        &two_phase("transaction_timeout = \"901s\""),
        "\"901s\"",
        &["\"15m\""],
    );
    refused(&two_phase("producers = 33"), "33", &["1 to 32"]);
    refused(
        &two_phase("linger = \"1s\""),
        "\"1s\"",
        &["linger", "shorter"],
    );
    refused(
        &two_phase("batch = 3"),
        "batch",
        &["polling", "publish_timeout"],
    );
}

#[test]
fn given_a_strategy_that_leaves_nothing_in_doubt_when_bounded_by_what_that_blocks_then_the_line_is_refused()
 {
    for metric in ["blocked_orders", "blocked_consumers"] {
        let bound = format!("{metric} = \"<= 1s\"");
        let of = |kind: &str| {
            let strategy = format!("[strategy.a]\nkind = \"{kind}\"\n[expect.a]\n{bound}\n");
            file(&[HEAD, LOAD, &strategy])
        };
        for kind in ["polling", "cdc", "event-sourcing", "logical-message"] {
            let what = format!("so it has no `{metric}`");
            refused(
                &of(kind),
                metric,
                &[
                    kind,
                    "has no transactions in doubt",
                    &what,
                    "remove the line",
                ],
            );
        }
        // Of a two-phase commit it is a time
        assert!(parse("s.toml", &of("two-phase-commit")).is_ok());
        let number = of("two-phase-commit").replace("1s", "1");
        refused(&number, "\"<= 1\"", &["a number without a unit", "250ms"]);
    }
}

#[test]
fn what_is_missing_is_named_with_an_example() {
    refused(
        &file(&[LOAD, CDC]),
        "",
        &["`name`", "name = \"broker-outage\""],
    );
    refused(&file(&[HEAD, CDC]), "", &["`workload`"]);
    refused(
        &file(&[HEAD, "[workload]\n", CDC]),
        "[workload]",
        &["`duration`", "duration = \"12s\""],
    );
    refused(
        &file(&[HEAD, LOAD]),
        "",
        &["no strategy", "[strategy.polling]"],
    );
    refused(
        &file(&[HEAD, LOAD, "[strategy]\n"]),
        "strategy",
        &["no strategy"],
    );
    refused(
        &file(&[HEAD, LOAD, CDC, "[[fault]]\n"]),
        "[[fault]]",
        &["number 1", "`target`"],
    );
    refused(
        &file(&[HEAD, LOAD, "[strategy.a]\n"]),
        "[strategy.a]",
        &["`kind`"],
    );
    refused(
        &file(&[HEAD, LOAD, "[strategy.a]\nkind = \"dual-write\"\n"]),
        "[strategy.a]",
        &["`order`"],
    );
    refused(
        &with_fault("kind = \"latency\""),
        "[[fault]]",
        &["`latency`"],
    );
    refused("", "", &["`name`"]);
}

#[test]
fn a_key_of_another_kind_is_told_from_an_unknown_one() {
    refused(
        &with_fault("kind = \"bandwidth\"\nrate = 1\nlatency = \"1s\""),
        "latency",
        &[
            "belongs to latency",
            "takes target, kind, at, when, for, id and rate",
        ],
    );
    refused(
        &with_fault("toxicity = 1"),
        "toxicity",
        &["belongs to latency", "a down fault takes"],
    );
    refused(
        &file(&[HEAD, LOAD, CDC, "batch = 1"]),
        "batch",
        &["belongs to polling", "`cdc` is cdc"],
    );
    refused(
        &file(&[HEAD, LOAD, DEBEZIUM, "notify = true"]),
        "notify",
        &[
            "`debezium` is debezium",
            "takes kind, linger, failover_slot",
        ],
    );
    refused(
        &file(&[HEAD, LOAD, NAIVE, "interval = \"1s\""]),
        "interval",
        &["belongs to polling"],
    );
}

#[test]
fn names_can_be_parts_of_folders_schemas_and_topics() {
    for bad in ["", "a b", "../x", "ä", "-a", "a.b"] {
        let text = file(&[&format!("name = \"{bad}\"\n"), LOAD, CDC]);
        refused(&text, &format!("\"{bad}\""), &["a-z"]);
        let text = file(&[
            HEAD,
            LOAD,
            &format!("[strategy.\"{bad}\"]\nkind = \"cdc\"\n"),
        ]);
        refused(&text, &format!("\"{bad}\""), &["a-z"]);
    }
    let long = "a".repeat(33);
    refused(
        &file(&[HEAD, LOAD, &format!("[strategy.{long}]\nkind = \"cdc\"\n")]),
        &long,
        &["1 to 32"],
    );
    let twins = "[strategy.a-b]\nkind = \"cdc\"\n[strategy.A_b]\nkind = \"cdc\"\n";
    refused(&file(&[HEAD, LOAD, twins]), "A_b", &["share a schema"]);
    refused(
        &file(&[HEAD, LOAD, CDC, CDC]),
        "cdc]",
        &["duplicate key", "stands once"],
    );
}

#[test]
fn syntax_errors_have_a_place_and_all_errors_are_shown_at_once() {
    refused("name = x\n", "x", &["quoted", "key = value"]);
    refused("[workload\n", "", &["TOML"]);
    let text = "name = 1\n[workload]\nrate = 0\nduration = 3\nhold = 4\n[strategy.a]\nkind = 5\n";
    let error = parse("s.toml", text).unwrap_err();
    assert_eq!(error.problems().len(), 5, "{error}");
    let lines: Vec<String> = error
        .to_string()
        .lines()
        .filter(|l| l.starts_with("s.toml:"))
        .map(|l| l.split(':').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(lines, ["1", "3", "4", "5", "7"]);
}

#[test]
fn what_a_stack_cannot_be_asked_for_is_refused() {
    let with = |lines: &str| file(&[HEAD, LOAD, CDC, "[stack]\n", lines, "\n"]);
    refused(
        &with("synchronous_standbye = true"),
        "synchronous_standbye",
        &[
            "`synchronous_standbye`",
            "did you mean `synchronous_standby`?",
        ],
    );
    refused(
        &with("synchronous_standby = \"on\""),
        "\"on\"",
        &["write true or false"],
    );
    refused(
        &file(&["stack = 3\n", HEAD, LOAD, CDC]),
        "3",
        &["not a table", "[stack]"],
    );
}

#[test]
fn given_events_that_are_read_from_the_log_when_a_key_of_polling_is_there_then_it_is_refused_with_what_has_it()
 {
    let with = |lines: &str| file(&[HEAD, LOAD, EVENTS, lines]);
    for (key, value) in [("interval", "\"5ms\""), ("batch", "10")] {
        let text = with(&format!("publish = \"cdc\"\n{key} = {value}\n"));
        let said = [
            &*format!("`{key}`"),
            "publish = \"polling\"",
            "leave it out",
        ];
        refused(&text, key, &said);
    }
    refused(&with("publish = \"log\"\n"), "\"log\"", &["polling", "cdc"]);
    refused(
        &with("after_publish = \"mark\"\n"),
        "after_publish",
        &["belongs to polling"],
    );
}
