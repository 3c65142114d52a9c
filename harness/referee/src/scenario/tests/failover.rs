//! A failover of the database, and what it takes.

use super::*;

const STANDBY: &str = "[stack]\nhot_standby = true\n";

fn failover(at: &str) -> String {
    let target = "target = \"postgres-server\"\nkind = \"failover\"";
    format!("[[fault]]\n{target}\nat = \"{at}\"\nfor = \"1s\"\n")
}

fn cdc(lines: &str) -> String {
    format!("[strategy.c]\nkind = \"cdc\"\n{lines}")
}

#[test]
fn given_a_failover_and_a_standby_when_read_then_each_is_there_and_slots_are_for_it_where_asked() {
    for kind in [
        "cdc\"",
        "logical-message\"",
        "debezium\"",
        "event-sourcing\"\npublish = \"cdc\"",
    ] {
        for (line, wanted) in [
            ("", false),
            ("failover_slot = false\n", false),
            ("failover_slot = true\n", true),
        ] {
            let strategy = format!("[strategy.c]\nkind = \"{kind}\n{line}");
            let text = file(&[HEAD, LOAD, &failover("2s"), &strategy, STANDBY]);
            let s = parse("s.toml", &text).unwrap();
            assert_eq!(s.faults[0].kind, FaultKind::Failover);
            assert!(s.stack.hot_standby);
            assert_eq!(s.stack.own_server_key(), Some("hot_standby"));
            assert_eq!(s.strategies[0].failover_slot, wanted, "{kind} {line}");
        }
    }
}

#[test]
fn given_no_standby_when_something_needs_one_then_it_is_refused_where_it_stands() {
    let add = "`hot_standby = true`";
    let text = file(&[HEAD, LOAD, &failover("2s"), &cdc("")]);
    let said = "no standby that could take the place of postgres-server";
    refused(&text, "\"failover\"", &[said, add]);
    let text = file(&[HEAD, LOAD, &cdc("failover_slot = true\n")]);
    let said = "no standby that could have the slot of `c` as well";
    refused(&text, "true", &[said, add]);
}

#[test]
fn given_a_second_failover_or_a_second_kind_of_standby_when_read_then_it_is_refused() {
    let (first, second) = (failover("1s"), failover("4s"));
    let text = file(&[HEAD, LOAD, &first, &second, &cdc(""), STANDBY]);
    let error = parse("s.toml", &text).unwrap_err().to_string();
    let line = text[..text.rfind("kind = \"failover\"").unwrap()]
        .matches('\n')
        .count()
        + 1;
    assert!(error.contains(&format!("s.toml:{line}:")), "{error}");
    assert!(error.contains("there is no other one"), "{error}");

    let both = format!("{STANDBY}synchronous_standby = true\n");
    let text = file(&[HEAD, LOAD, &cdc(""), &both]);
    refused(
        &text,
        "hot_standby",
        &["both", "leave `synchronous_standby` out"],
    );
}

#[test]
fn given_a_slot_or_a_failover_of_what_has_none_when_read_then_it_is_refused() {
    let polling = "[strategy.p]\nkind = \"polling\"\nfailover_slot = true\n";
    let text = file(&[HEAD, LOAD, polling, STANDBY]);
    refused(
        &text,
        "failover_slot",
        &["belongs to cdc and logical-message and event-sourcing and debezium"],
    );
    let by_position = "[strategy.e]\nkind = \"event-sourcing\"\nfailover_slot = true\n";
    let text = file(&[HEAD, LOAD, by_position, STANDBY]);
    let said = ["`e` reads no log", "publish = \"cdc\""];
    refused(&text, "true", &said);
    let mariadb = cdc("database = \"mariadb\"\nfailover_slot = true\n");
    let text = file(&[HEAD, LOAD, &mariadb, STANDBY]);
    refused(&text, "true", &["the log of MariaDB", "has no slots"]);
    for target in ["postgres", "relay", "kafka-server"] {
        let fault = fault(&format!("target = \"{target}\"\nkind = \"failover\""));
        let text = file(&[HEAD, LOAD, &fault, CDC, STANDBY]);
        let said = [
            "works on the database server",
            "target = \"postgres-server\"",
        ];
        refused(&text, &format!("\"{target}\""), &said);
    }
}
