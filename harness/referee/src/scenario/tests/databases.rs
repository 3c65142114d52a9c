//! `database` of a strategy, and faults on a database.

use super::*;
use contract::config::CommitMode;
use contract::database::DatabaseKind;

const IN_MARIADB: &str = "database = \"mariadb\"\n";

#[test]
fn given_nothing_said_of_a_database_then_it_is_postgresql_and_its_links_are_its() {
    for said in ["", "database = \"postgres\"\n"] {
        let s = parse("s.toml", &file(&[HEAD, LOAD, CDC, said])).unwrap();
        let topology = s.strategies[0].topology();
        assert_eq!(topology.database, DatabaseKind::Postgres);
        assert!(topology.uses(Link::RELAY_POSTGRES) && topology.has_server(Server::POSTGRES));
        assert!(!topology.has_server(Server::MARIADB));
    }
}

#[test]
fn given_a_strategy_in_mariadb_then_its_links_lead_there_and_its_commits_wait_for_the_disk() {
    let s = parse("s.toml", &file(&[HEAD, LOAD, CDC, IN_MARIADB])).unwrap();
    let topology = s.strategies[0].topology();
    assert_eq!(topology.database, DatabaseKind::MariaDb);
    for link in Link::to(Server::MARIADB) {
        let own = link == Link::Orders(Server::MARIADB)
            || link == Link::Relay(Instance::FIRST, Server::MARIADB);
        assert_eq!(topology.uses(link), own, "{}", link.name());
    }
    assert!(!topology.has_server(Server::POSTGRES));
    assert_eq!(s.strategies[0].relay_commit, CommitMode::On);
}

#[test]
fn given_what_only_postgresql_has_when_orders_are_in_mariadb_then_the_line_is_refused() {
    for (key, line) in [
        ("synchronous_commit", "synchronous_commit = \"on\"\n"),
        ("cache", "cache = \"invalidate-after-commit\"\n"),
    ] {
        let text = file(&[HEAD, LOAD, CDC, IN_MARIADB, line]);
        refused(&text, key, &["is of PostgreSQL", "are in MariaDB"]);
    }
    let polling = "[strategy.p]\nkind = \"polling\"\n";
    for line in ["notify = true\n", "after_publish = \"rotate\"\n"] {
        let text = file(&[HEAD, LOAD, polling, IN_MARIADB, line]);
        let value = line.trim().rsplit(' ').next().unwrap();
        let place = if line.starts_with("notify") {
            "notify"
        } else {
            value
        };
        refused(&text, place, &["of PostgreSQL", "MariaDB"]);
    }
    refused(
        &file(&[HEAD, LOAD, DEBEZIUM, IN_MARIADB]),
        "database",
        &["belongs to dual-write", "`debezium` is debezium"],
    );
}

#[test]
fn given_a_fault_on_a_database_that_no_strategy_has_then_nobody_feels_it() {
    for (target, more) in [
        ("\"mariadb\"", ""),
        ("\"relay->mariadb\"", ""),
        ("\"mariadb-server\"", "\nkind = \"kill\""),
    ] {
        let said = ["in MariaDB", "database = \"mariadb\""];
        refused(
            &with_fault(&format!("target = {target}{more}")),
            target,
            &said,
        );
    }
}
