//! What the run was made on, and what it therefore does not prove.

use super::escape::escaped;
use super::tables::{Head, listed, name_cell};
use crate::limits;
use crate::record::Record;

/// What this run does not prove.
pub fn limits(record: &Record) -> String {
    let items: String = limits::of(record)
        .iter()
        .map(|limit| format!("<li>{}</li>", escaped(limit)))
        .collect();
    format!("<ul class=\"limits\">{items}</ul>")
}

/// Returns the table of servers, settings and load.
pub fn environment(record: &Record) -> String {
    let stack = &record.stack;
    let proxy = &stack.toxiproxy;
    let proxy = ("Toxiproxy", proxy.version.as_str(), proxy.url.as_str());
    let database = std::iter::once(stack.database());
    let servers = database.chain(stack.used()).chain([proxy]);
    let mut rows = String::new();
    let mut add = |name: &str, value: &str| {
        rows.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td class=\"prose\">{}</td></tr>",
            escaped(name),
            escaped(value)
        ));
    };
    for (name, version, address) in servers {
        add(name, &format!("{version} at {address}"));
    }
    for (name, value) in stack.environment.iter().chain(&record.workload) {
        add(name, value);
    }
    listed(&[Head::Text("setting"), Head::Text("value")], &rows)
}

/// Returns the table that says which links of each strategy went through a proxy.
pub fn wiring(record: &Record) -> String {
    let mut rows = String::new();
    for (index, strategy) in record.strategies.iter().enumerate() {
        let links: Vec<String> = strategy
            .wiring
            .iter()
            .map(|(link, how)| format!("{link} {how}"))
            .collect();
        rows.push_str(&format!(
            "<tr>{}<td class=\"prose\">{}</td><td><code>{}</code></td><td><code>{}</code></td></tr>",
            name_cell(index, &strategy.name),
            escaped(&links.join(", ")),
            escaped(&strategy.topic),
            escaped(&strategy.schema)
        ));
    }
    listed(
        &[
            Head::Text("strategy"),
            Head::Text("links"),
            Head::Text("topic"),
            Head::Text("schema"),
        ],
        &rows,
    )
}
