//! Other brokers, another database: each relay next to publishing alone, and to reading alone.

use super::all::is_asked_for;
use super::installed::lacks;
use super::turn::beside_another;
use super::{bench, bench_in, measured, program, turn};
use harness::scenario::Server;
use reports::bench::{Bench, Role};

/// Which rows there are, in the order of a round, and which of them stands next to which.
fn assert_rows(bench: &Bench, rows: &[&str], ratios: &[(&str, &str)]) {
    let names: Vec<&str> = bench.tables[0].rows.iter().map(|r| &*r.name).collect();
    assert_eq!(names, rows);
    let pairs = bench.ratios.iter().map(|r| (&*r.of, &*r.against));
    assert_eq!(pairs.collect::<Vec<_>>(), ratios);
}

/// Drains a small backlog between these systems: no row is wrong, and each has its speed and its ratio.
fn drain(args: &[&str]) -> Bench {
    let (bench, text) = bench(&[&["drain", "--events", "6000", "--batch", "500"], args].concat());
    let table = &bench.tables[0];
    for row in &table.rows {
        assert!(
            measured(table, &row.name, "drained"),
            "{}: {text}",
            row.name
        );
        let has_log = measured(table, &row.name, "WAL an event");
        assert_eq!(has_log, row.name != "publish", "{}", row.name);
        if row.role == Role::Subject {
            assert!(measured(table, &row.name, "first event"), "{}", row.name);
            assert!(measured(table, &row.name, "peak memory"), "{}", row.name);
        }
    }
    assert!(bench.ratios.iter().all(|r| r.figure.is_some()), "{text}");
    bench
}

/// Drains to this broker, where it is installed.
fn drain_to(server: Server) {
    if lacks(server) {
        return;
    }
    let bench = drain(&["--broker", server.name()]);
    assert_rows(
        &bench,
        &["polling-delete", "cdc-tcp", "publish"],
        &[("polling-delete", "publish"), ("cdc-tcp", "publish")],
    );
    assert_eq!(bench.settings["broker"], server.title());
    // And no Kafka is started for it
    assert_eq!(bench.stack.kafka.version, "");
    assert_eq!(bench.stack.others[0].name, server.title());
}

#[test]
fn given_nats_when_a_backlog_is_drained_then_it_stands_next_to_publishing_alone() {
    drain_to(Server::NATS);
}

#[test]
fn given_rabbitmq_when_a_backlog_is_drained_then_it_stands_next_to_publishing_alone() {
    if is_asked_for() {
        drain_to(Server::RABBITMQ);
    }
}

#[test]
fn given_orders_in_mariadb_when_a_backlog_is_drained_then_it_stands_next_to_reading_and_to_publishing_alone()
 {
    if !is_asked_for() || lacks(Server::MARIADB) {
        return;
    }
    let bench = drain(&["--database", "mariadb"]);
    assert_rows(
        &bench,
        &[
            "polling-delete",
            "claims-delete",
            "cdc-binlog",
            "read-binlog",
            "publish",
        ],
        &[
            ("polling-delete", "claims-delete"),
            ("cdc-binlog", "read-binlog"),
            ("polling-delete", "publish"),
            ("cdc-binlog", "publish"),
        ],
    );
    assert_eq!(bench.settings["database"], "MariaDB");
}

#[test]
fn given_a_rate_when_latency_to_another_broker_is_measured_then_publishing_alone_is_the_limit() {
    if !is_asked_for() || lacks(Server::NATS) {
        return;
    }
    let args = ["latency", "--broker", "nats", "--strategy", "polling"];
    let load = ["--rate", "200", "--seconds", "2", "--warm-up", "1"];
    let args = [&args[..], &load].concat();
    // A busy machine may leave a row's figures out; hardly every time.
    for _ in 0..3 {
        let (bench, _) = bench_in(turn::alone(), &args);
        assert_rows(&bench, &["polling", "publish"], &[("polling", "publish")]);
        let table = &bench.tables[0];
        assert_eq!(table.rows[1].role, Role::Limit);
        let servers: Vec<&str> = bench.stack.others.iter().map(|s| &*s.name).collect();
        assert_eq!((servers, &*bench.stack.kafka.version), (vec!["NATS"], ""));
        let there = |row, column| measured(table, row, column);
        if bench.ratios[0].figure.is_some() {
            assert!(there("publish", "end to end max"));
            // Of 400 events the 99.9th percentile is the largest
            assert!(!there("publish", "end to end p99.9"));
            return;
        }
    }
    panic!("never were both rows measured");
}

#[test]
fn given_a_server_that_is_not_installed_when_it_is_asked_for_then_the_command_that_brings_it_is_said_first()
 {
    let home = tempfile::tempdir().unwrap();
    let nothing = home.path().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    for (args, install) in [
        (
            ["drain", "--broker", "rabbitmq"],
            "stack/install.sh rabbitmq",
        ),
        (["latency", "--broker", "nats"], "stack/install.sh nats"),
        (
            ["drain", "--database", "mariadb"],
            "stack/install.sh mariadb",
        ),
    ] {
        let _turn = beside_another();
        let output = program(home.path(), &args)
            .arg("--programs")
            .arg(&nothing)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains(install), "{said}");
        assert!(!said.contains("stack up"), "{said}");
    }
}

#[test]
fn given_rows_that_these_systems_have_not_when_they_are_asked_for_then_those_there_are_are_named() {
    let home = tempfile::tempdir().unwrap();
    for (args, there) in [
        (
            ["drain", "--broker", "nats", "--strategy", "debezium"],
            "take one of polling-delete, cdc-tcp, or the beginning of some",
        ),
        (
            [
                "latency",
                "--database",
                "mariadb",
                "--strategy",
                "polling-notify",
            ],
            "take one of polling, cdc, dual-write",
        ),
        (
            ["drain", "--broker", "nats", "--events", "1000001"],
            "take 1 to 1000000",
        ),
    ] {
        let output = program(home.path(), &args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(there), "{said}");
    }
}
