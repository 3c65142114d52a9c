//! The tables of the page. Each scrolls within a box of its own.

use super::escape::escaped;
use super::plot::{strategy_class, swatch};
use crate::comparison::{self, LATENCIES, Section, Tone};
use crate::figures::{self, DASH};
use crate::record::{Latency, Record};

/// The class that makes a figure strike the reader.
pub fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Plain => "plain",
        Tone::Faint => "faint",
        Tone::Good => "good",
        Tone::Warning => "warning",
        Tone::Bad => "bad",
    }
}

fn boxed(table: &str) -> String {
    format!("<div class=\"scroll\" tabindex=\"0\">{table}</div>")
}

/// Returns the table with the strategies side by side.
pub fn comparison(record: &Record) -> String {
    let mut html = "<table class=\"comparison\" cellpadding=\"4\"><thead><tr><td></td>".to_owned();
    for (index, strategy) in record.strategies.iter().enumerate() {
        html.push_str(&format!(
            "<th scope=\"col\" class=\"{}\">{}{} <small>{}</small></th>",
            strategy_class(index),
            swatch(index),
            escaped(&strategy.name),
            escaped(&strategy.what_else())
        ));
    }
    html.push_str("</tr></thead>");
    let columns = record.strategies.len() + 1;
    for section in sections(record) {
        html.push_str(&section_rows(&section, columns));
    }
    html.push_str("</table>");
    boxed(&html)
}

fn sections(record: &Record) -> Vec<Section> {
    let mut sections = vec![
        comparison::verdicts(record),
        comparison::outcomes(record),
        comparison::harms(record),
        comparison::consumers(record),
    ];
    let percentiles = comparison::latencies(record, &comparison::TYPICAL_AND_SLOW);
    sections.extend(percentiles.into_iter().map(|section| Section {
        title: match section.title {
            "end to end" => "end to end, p50 / p99",
            "propagation" => "propagation, p50 / p99",
            "order" => "order, p50 / p99",
            comparison::SERVICE_TIME => "service time, p50 / p99",
            other => other,
        },
        ..section
    }));
    sections.push(comparison::reads(record));
    sections.push(comparison::database(record));
    sections.push(comparison::in_doubt(record));
    sections.push(comparison::work(record));
    sections.push(comparison::faults(record));
    sections.push(comparison::costs(record));
    sections
}

fn section_rows(section: &Section, columns: usize) -> String {
    if section.rows.is_empty() {
        return String::new();
    }
    let mut html = "<tbody class=\"rows\">".to_owned();
    if !section.title.is_empty() {
        html.push_str(&format!(
            "<tr class=\"section\"><th scope=\"rowgroup\" colspan=\"{columns}\"><span>{}</span></th></tr>",
            escaped(section.title)
        ));
    }
    for row in &section.rows {
        html.push_str(&format!(
            "<tr><th scope=\"row\">{}</th>",
            escaped(&row.label)
        ));
        for cell in &row.cells {
            html.push_str(&format!(
                "<td class=\"{}\">{}</td>",
                tone_class(cell.tone),
                escaped(&cell.text)
            ));
        }
        html.push_str("</tr>");
    }
    html.push_str("</tbody>");
    html
}

/// Returns the table with every percentile of every phase.
pub fn latencies(record: &Record) -> String {
    let mut rows = String::new();
    for (title, pick) in LATENCIES {
        let title = comparison::latency_title(record, title);
        for (index, strategy) in record.strategies.iter().enumerate() {
            let mut add = |phase: &str, latency: &Latency| {
                rows.push_str(&format!(
                    "<tr><td>{title}</td>{}<td>{}</td>",
                    name_cell(index, &strategy.name),
                    escaped(phase)
                ));
                for value in [
                    latency.p50,
                    latency.p90,
                    latency.p99,
                    latency.p999,
                    latency.max,
                ] {
                    let text = figures::percentile(latency, value);
                    let tone = if text == DASH { " faint" } else { "" };
                    rows.push_str(&format!("<td class=\"number{tone}\">{text}</td>"));
                }
                rows.push_str(&format!(
                    "<td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
                    figures::count(latency.count),
                    figures::count(latency.censored)
                ));
            };
            add("whole run", pick(&strategy.latency_ms));
            for phase in &strategy.phases {
                add(&phase.name, pick(&phase.latency_ms));
            }
        }
    }
    listed(
        &[
            Head::Text("latency"),
            Head::Text("strategy"),
            Head::Text("phase"),
            Head::Number("p50"),
            Head::Number("p90"),
            Head::Number("p99"),
            Head::Number("p99.9"),
            Head::Number("max"),
            Head::Number("count"),
            Head::Number("never ended"),
        ],
        &rows,
    )
}

/// What was expected, and what was seen.
pub fn expectations(record: &Record) -> String {
    let mut rows = String::new();
    for (index, strategy) in record.strategies.iter().enumerate() {
        for expectation in &strategy.expectations {
            let tone = match expectation.met {
                Some(true) => Tone::Good,
                Some(false) => Tone::Bad,
                None => Tone::Warning,
            };
            let origin = if expectation.implicit {
                "<small>always</small>"
            } else {
                ""
            };
            rows.push_str(&format!(
                "<tr>{}<td><code>{}</code> {origin}</td><td class=\"number\">{}</td>\
                 <td class=\"{}\">{}</td><td class=\"prose\">{}</td></tr>",
                name_cell(index, &strategy.name),
                escaped(&figures::expectation(expectation)),
                figures::observed(expectation),
                tone_class(tone),
                figures::met(expectation.met),
                escaped(&expectation.reason)
            ));
        }
    }
    listed(
        &[
            Head::Text("strategy"),
            Head::Text("expected"),
            Head::Number("seen"),
            Head::Text(""),
            Head::Text("why"),
        ],
        &rows,
    )
}

/// Returns the table of the faults and whether they bit.
pub fn faults(record: &Record) -> String {
    let mut rows = String::new();
    for (index, strategy) in record.strategies.iter().enumerate() {
        for fault in &strategy.faults {
            let bite = comparison::bite(fault);
            rows.push_str(&format!(
                "<tr>{}<td>{}</td><td class=\"number\">{}</td><td class=\"{}\">{}</td>\
                 <td class=\"prose\">{}</td></tr>",
                name_cell(index, &strategy.name),
                escaped(&comparison::fault_title(fault)),
                escaped(&comparison::fault_window(fault)),
                tone_class(bite.tone),
                escaped(&bite.text),
                escaped(&fault.evidence)
            ));
        }
    }
    listed(
        &[
            Head::Text("strategy"),
            Head::Text("fault"),
            Head::Number("in force"),
            Head::Text(""),
            Head::Text("evidence"),
        ],
        &rows,
    )
}

/// Returns a cell with a strategy's name and its colour.
pub fn name_cell(index: usize, name: &str) -> String {
    format!(
        "<th scope=\"row\" class=\"{}\">{}{}</th>",
        strategy_class(index),
        swatch(index),
        escaped(name)
    )
}

/// This is the head of a column.
pub enum Head {
    /// It heads a column of words, and this is what it says.
    Text(&'static str),
    /// Of figures, aligned as they are.
    Number(&'static str),
}

/// Returns a table with a head; nothing without rows.
pub fn listed(heads: &[Head], rows: &str) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let heads: String = heads
        .iter()
        .map(|head| match head {
            Head::Text(name) => format!("<th scope=\"col\">{name}</th>"),
            Head::Number(name) => format!("<th scope=\"col\" class=\"number\">{name}</th>"),
        })
        .collect();
    boxed(&format!(
        "<table class=\"list\" cellpadding=\"4\"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    ))
}
