//! How a polling relay keeps its outbox small.

use super::*;
use contract::config::{AfterPublish, Housekeeping};

fn polling(lines: &str) -> String {
    let strategy = format!("[strategy.p]\nkind = \"polling\"\n{lines}");
    file(&[HEAD, LOAD, &strategy])
}

fn housekeeping(lines: &str) -> (AfterPublish, Housekeeping) {
    let s = parse("s.toml", &polling(lines)).unwrap();
    match s.strategies[0].kind {
        StrategyKind::Polling {
            after_publish,
            housekeeping,
            ..
        } => (after_publish, housekeeping),
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn given_each_way_of_keeping_house_when_read_then_it_is_that_with_its_defaults() {
    let mark = AfterPublish::Mark;
    for (lines, expected) in [
        ("", (AfterPublish::Delete, Housekeeping::None)),
        ("after_publish = \"mark\"\n", (mark, Housekeeping::None)),
        (
            "after_publish = \"mark\"\npurge = \"250ms\"\n",
            (mark, Housekeeping::Purge { every_ms: 250 }),
        ),
        (
            "after_publish = \"partitions\"\nperiod = \"2s\"\n",
            (mark, Housekeeping::Partitions { period_ms: 2_000 }),
        ),
        (
            "after_publish = \"rotate\"\n",
            (
                mark,
                Housekeeping::Rotate {
                    period_ms: 1_000,
                    tables: 3,
                },
            ),
        ),
    ] {
        assert_eq!(housekeeping(lines), expected, "{lines}");
    }
}

#[test]
fn given_a_key_of_another_way_when_read_then_it_is_refused_with_the_way_that_has_it() {
    for (lines, at, said) in [
        ("purge = \"1s\"\n", "purge", "after_publish = \"mark\""),
        (
            "after_publish = \"rotate\"\npurge = \"1s\"\n",
            "purge",
            "after_publish = \"mark\"",
        ),
        (
            "after_publish = \"mark\"\nperiod = \"1s\"\n",
            "period",
            "\"partitions\" or \"rotate\"",
        ),
        (
            "after_publish = \"partitions\"\ntables = 3\n",
            "tables",
            "after_publish = \"rotate\"",
        ),
    ] {
        refused(&polling(lines), at, &["belongs to", said, "leave it out"]);
    }
    let text = polling("after_publish = \"rotate\"\ntables = 1\n");
    refused(&text, "1", &["from 2 to 16"]);
    let text = polling("after_publish = \"partitions\"\nperiod = \"10ms\"\n");
    refused(&text, "\"10ms\"", &["1s"]);
}

#[test]
fn given_an_old_snapshot_on_anything_but_the_database_server_when_read_then_it_is_refused() {
    let with = |target: &str| {
        let fault = fault(&format!("target = \"{target}\"\nkind = \"old_snapshot\""));
        file(&[HEAD, LOAD, &fault, CDC])
    };
    let s = parse("s.toml", &with("postgres-server")).unwrap();
    assert_eq!(s.faults[0].kind, FaultKind::OldSnapshot);
    for target in ["postgres", "relay", "relay->postgres", "kafka-server"] {
        refused(
            &with(target),
            &format!("\"{target}\""),
            &[
                "works on the database server",
                "target = \"postgres-server\"",
            ],
        );
    }
}
