//! Files in, scenarios or errors out.

#![allow(clippy::unwrap_used)]

mod brokers;
mod caches;
mod consumers;
mod contradictions;
mod databases;
mod docs;
mod failover;
mod fuzz;
mod housekeeping;
mod instances;
mod kafka;
mod mistakes;
mod properties;
mod rabbitmq;
mod schema;
mod shipped;
mod triggers;
mod values;

use super::*;

const HEAD: &str = "name = \"x\"\n";
const LOAD: &str = "[workload]\nduration = \"6s\"\n";
const CDC: &str = "[strategy.cdc]\nkind = \"cdc\"\n";
const EVENTS: &str = "[strategy.events]\nkind = \"event-sourcing\"\n";
const DEBEZIUM: &str = "[strategy.debezium]\nkind = \"debezium\"\n";
const NAIVE: &str = "[strategy.naive]\nkind = \"dual-write\"\norder = \"commit-then-publish\"\n";

fn fault(lines: &str) -> String {
    let mut text = format!("[[fault]]\n{lines}\n");
    for (key, line) in [
        ("target", "target = \"relay->kafka\""),
        ("kind", "kind = \"down\""),
        ("at", "at = \"2s\""),
        ("for", "for = \"1s\""),
    ] {
        let has = |key: &str| lines.lines().any(|l| l.starts_with(&format!("{key} ")));
        if !(has(key) || key == "at" && has("when")) {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

fn file(parts: &[&str]) -> String {
    parts.concat()
}

fn with_fault(lines: &str) -> String {
    file(&[HEAD, LOAD, &fault(lines), NAIVE, CDC])
}

fn with_workload(lines: &str) -> String {
    file(&[HEAD, LOAD, lines, "\n", CDC])
}

fn with_expect(lines: &str) -> String {
    file(&[HEAD, LOAD, CDC, "[expect.cdc]\n", lines])
}

fn with_expect_of_two_phase(lines: &str) -> String {
    let strategy = "[strategy.a]\nkind = \"two-phase-commit\"\n[expect.a]\n";
    file(&[HEAD, LOAD, strategy, lines])
}

const CONSUMER: &str = "[consumer.a]\neffect = \"insert\"\n";

/// With a consumer called `a`, of which something is expected.
fn with_consumer(lines: &str) -> String {
    file(&[HEAD, LOAD, CDC, CONSUMER, "[expect.cdc]\n", lines])
}

/// The file is refused, with an error that points at `marked` and says all of `said`.
fn refused(text: &str, marked: &str, said: &[&str]) {
    let error = parse("s.toml", text)
        .map(|s| panic!("accepted:\n{text}\n{s:?}"))
        .unwrap_err();
    let shown = error.to_string();
    let hit = error.problems().iter().any(|p| {
        let span = p.span.clone().unwrap_or(0..0);
        let at = text.get(span.start..).unwrap_or_default();
        let all = format!("{}\n{}", p.what, p.help);
        at.starts_with(marked) && said.iter().all(|s| all.contains(s))
    });
    assert!(hit, "no error at `{marked}` says {said:?}:\n{shown}");
    let place = |line: &str| line.starts_with("s.toml:") && line.split(':').count() > 3;
    assert!(shown.lines().any(place), "{shown}");
}
