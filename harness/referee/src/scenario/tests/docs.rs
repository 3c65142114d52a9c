//! docs/scenario.md, made of the rows that the schema is made of. `OUTBOX_WRITE_DOCS=1` writes it.

use super::*;
use crate::scenario::keys::{KeyInfo, Shape, Usual};
use crate::scenario::{
    consumer, explain, fault_kind, faults, parse as parser, stack, strategies, trigger, workload,
};
use std::path::Path;

const HEAD: &str = include_str!("docs/head.md");

fn page() -> String {
    let sections = [
        section("At the top", "", &table(&parser::KEYS)),
        section("`[workload]`", "The load.", &table(&workload::KEYS)),
        section(
            "`[[fault]]`",
            "What hits what, when, and for how long. A fault begins `at` a time or `when` something comes to pass.",
            &table(&faults::KEYS),
        ),
        targets(),
        kinds_of_faults(),
        triggers(),
        section(
            "`[strategy.NAME]`",
            "How events get from the database to the broker. NAME is 1 to 32 letters, digits, `-` and `_`.",
            &table(&strategies::KEYS),
        ),
        kinds_of_strategies(),
        section(
            "`[consumer.NAME]`",
            "What reads the events: a process of its own for each strategy, with a consumer group and a schema of its own, called `consumer-NAME`. NAME is 1 to 24 letters, digits, `-` and `_`; [consumers.md](consumers.md) has more.",
            &format!(
                "{}\nOf `rabbitmq`, a table:\n\n{}",
                table(&consumer::KEYS),
                table(&consumer::rabbitmq::KEYS)
            ),
        ),
        expectations(),
        section(
            "`[drain]`",
            "After the load: how long the rest may take.",
            &table(&workload::KEYS_OF_DRAIN),
        ),
        section(
            "`[stack]`",
            "What the servers of a local stack are to be like.",
            &format!(
                "{}\nKeys of `kafka`:\n\n{}",
                table(&stack::KEYS),
                table(&stack::kafka::KEYS)
            ),
        ),
    ];
    format!("{HEAD}\n{}", sections.join("\n"))
}

fn section(title: &str, what: &str, body: &str) -> String {
    let what = match what {
        "" => String::new(),
        what => format!("{what}\n\n"),
    };
    format!("## {title}\n\n{what}{body}")
}

fn lines(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rule = head.iter().map(|_| "---|").collect::<String>();
    let mut text = format!("| {} |\n|{rule}\n", head.join(" | "));
    for row in rows {
        // A bar within a cell would end it.
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        text += &format!("| {} |\n", cells.join(" | "));
    }
    text
}

fn table(keys: &[KeyInfo]) -> String {
    let rows = keys.iter().map(row);
    lines(&["key", "value", "if left out", "meaning"], rows)
}

fn row(key: &KeyInfo) -> Vec<String> {
    // The words that these can be have tables of their own.
    let value = match (key.name, key.shape) {
        ("target" | "kind", Shape::Word(_)) => "one of those below".to_owned(),
        (_, shape) => shape.words(),
    };
    let usual = match key.usual {
        Usual::Required => "**needed**".to_owned(),
        Usual::Value(value) => format!("`{value}`"),
        Usual::Words(words) => words.to_owned(),
    };
    vec![format!("`{}`", key.name), value, usual, key.what.to_owned()]
}

/// The keys of each kind, in one table.
fn by_kind<'k>(kinds: impl Iterator<Item = (&'k str, Vec<KeyInfo>)>) -> String {
    let rows = kinds.flat_map(|(kind, keys)| {
        let named = keys.into_iter().map(move |key| {
            let mut cells = vec![format!("`{kind}`")];
            cells.extend(row(&key));
            cells
        });
        named.collect::<Vec<_>>()
    });
    lines(&["of", "key", "value", "if left out", "meaning"], rows)
}

fn explained(rows: &[(&str, &str)]) -> Vec<Vec<String>> {
    let cells = rows
        .iter()
        .map(|(name, what)| vec![format!("`{name}`"), (*what).to_owned()]);
    cells.collect()
}

fn targets() -> String {
    let body = lines(
        &["`target`", "what it is"],
        explained(&explain::explained_targets()),
    );
    section("Targets", "", &body)
}

fn kinds_of_faults() -> String {
    let all = lines(&["`kind`", "what happens"], explained(&explain::FAULTS));
    let keys = by_kind(
        fault_kind::KINDS
            .iter()
            .map(|kind| (kind.name, kind.rows())),
    );
    let body = format!("{all}\nKeys of their own:\n\n{keys}");
    section("Kinds of faults", "", &body)
}

fn triggers() -> String {
    let all = lines(
        &["what a fault waits for", "it is injected as soon as"],
        explained(&explain::TRIGGERS),
    );
    let keys: Vec<KeyInfo> = trigger::TRIGGERS
        .iter()
        .flat_map(|info| info.keys)
        .copied()
        .collect();
    let body = format!(
        "{all}\nTheir keys, of which a `when` has one (`fault` and `after` go together):\n\n{}\nKeys of `log`:\n\n{}",
        table(&keys),
        table(&trigger::log::KEYS)
    );
    section("`when`", "", &body)
}

fn kinds_of_strategies() -> String {
    let all = lines(&["`kind`", "how it works"], explained(&explain::STRATEGIES));
    let keys = by_kind(
        strategies::KINDS
            .iter()
            .map(|kind| (kind.name, kind.all_keys())),
    );
    let body = format!("{all}\nKeys of their own:\n\n{keys}");
    section("Kinds of strategies", "", &body)
}

fn expectations() -> String {
    let rows = explain::invariants().into_iter().map(|row| {
        let implicit = match explain::is_implicit(&row.name) {
            true => "yes",
            false => "",
        };
        vec![
            format!("`{}`", row.name),
            row.what.to_owned(),
            implicit.to_owned(),
        ]
    });
    let body = lines(&["key", "of what", "0 expected of every relay"], rows);
    let of_consumers = explain::of_consumers().into_iter();
    let of_consumers = of_consumers.map(|row| vec![format!("`{}`", row.name), row.what.to_owned()]);
    let of_consumers = lines(&["key", "of what"], of_consumers);
    let body = format!(
        "{body}\nOf a consumer, by its process's name. One with an `idempotency` is held to 0 of what its way of working promises, whether the file says so or not ([consumers.md](consumers.md) has which):\n\n{of_consumers}"
    );
    section(
        "`[expect.NAME]`",
        "What is expected of the strategy of that name: of a count `0`, `\">= 1\"` or `\"<= 5\"`, of a time `\"<= 10s\"` or `\">= 250ms\"`.\nA relay strategy is held to 0 of what it must never do, whether the file says so or not; a line here overrides that by name.",
        &body,
    )
}

#[test]
fn given_the_rows_of_keys_when_the_docs_are_read_then_they_have_the_same() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scenario.md");
    if std::env::var_os("OUTBOX_WRITE_DOCS").is_some() {
        std::fs::write(&file, page()).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == page(),
        "docs/scenario.md is not what the keys say: OUTBOX_WRITE_DOCS=1 cargo test --lib scenario::tests::docs"
    );
}

#[test]
fn given_the_docs_of_relays_then_every_key_of_their_file_is_there() {
    let read = |name: &str| {
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        std::fs::read_to_string(docs.join(name)).unwrap()
    };
    let docs = read("your-relay.md") + &read("your-service.md");
    let tables = relay_file::TABLES.iter().map(|(_, keys)| *keys);
    let keys = tables.flatten().chain(&relay_file::KEYS);
    let missing: Vec<&str> = keys
        .map(|key| key.name)
        .filter(|name| {
            !docs.contains(&format!(" {name}`"))
                && !docs.contains(&format!("`{name}`"))
                && !docs.contains(&format!("[{name}]"))
        })
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
}
