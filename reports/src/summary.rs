//! Exporter: `summary.md`, GitHub-flavoured markdown for a CI job's summary.

use crate::comparison::{self, Section, Tone};
use crate::record::{Record, Verdict};
use crate::{ExportError, Exporter, conclusion, figures, limits};

/// This exporter writes `summary.md`.
#[derive(Debug, Clone, Copy)]
pub struct Summary;

impl Exporter for Summary {
    fn file_name(&self) -> &'static str {
        "summary.md"
    }

    fn export(&self, record: &Record) -> Result<Vec<u8>, ExportError> {
        Ok(render(record).into_bytes())
    }
}

fn render(record: &Record) -> String {
    let mut text = format!(
        "## {} {}: {}\n\n",
        mark(record.verdict),
        escaped(&record.scenario),
        figures::verdict(record.verdict)
    );
    text.push_str(&format!(
        "**{}**\n\n{}\n\n",
        escaped(&conclusion::sentence(record)),
        escaped(&conclusion::expectations(record))
    ));
    if !record.description.is_empty() {
        text.push_str(&format!("> {}\n\n", escaped(&record.description)));
    }
    if let Some(closed) = comparison::closed_loop(record) {
        text.push_str(&format!("{}\n\n", escaped(&closed)));
    }
    remarks(record, &mut text);
    comparison_table(record, &mut text);
    folded("Expectations", expectations(record), &mut text);
    folded("Faults and their evidence", faults(record), &mut text);
    folded("First offending events", offences(record), &mut text);
    folded("What this run does not prove", scope(record), &mut text);
    text
}

fn remarks(record: &Record, text: &mut String) {
    let remarks = conclusion::remarks(record);
    for (strategy, remark) in &remarks {
        let (strategy, remark) = (escaped(strategy), escaped(remark));
        text.push_str(&format!("- **{strategy}**: {remark}\n"));
    }
    if !remarks.is_empty() {
        text.push('\n');
    }
}

fn comparison_table(record: &Record, text: &mut String) {
    if record.strategies.is_empty() {
        return;
    }
    text.push_str("| |");
    for strategy in &record.strategies {
        text.push_str(&format!(" {} |", escaped(&strategy.name)));
    }
    text.push_str("\n|:--|");
    text.push_str(&"--:|".repeat(record.strategies.len()));
    text.push('\n');
    for section in sections(record) {
        for row in section.rows {
            let label = if section.title.is_empty() {
                row.label
            } else {
                format!("{}: {}", section.title, row.label)
            };
            text.push_str(&format!("| {} |", escaped(&label)));
            for cell in row.cells {
                let shown = escaped(&cell.text);
                match cell.tone {
                    Tone::Bad | Tone::Warning => text.push_str(&format!(" **{shown}** |")),
                    Tone::Good | Tone::Plain | Tone::Faint => {
                        text.push_str(&format!(" {shown} |"));
                    }
                }
            }
            text.push('\n');
        }
    }
    text.push('\n');
}

/// The label of a row stands alone in markdown, so a section's title goes in front of it only where
/// the row would not be understood without.
fn sections(record: &Record) -> Vec<Section> {
    let mut sections = vec![
        comparison::verdicts(record),
        comparison::outcomes(record),
        comparison::harms(record),
        comparison::consumers(record),
        comparison::work(record),
        comparison::faults(record),
    ];
    for section in &mut sections {
        section.title = "";
    }
    let percentiles = comparison::latencies(record, &comparison::TYPICAL_AND_SLOW);
    let at = sections.len() - 2;
    let latencies = percentiles.into_iter().map(|section| Section {
        title: match section.title {
            "end to end" => "end to end p50 / p99",
            "propagation" => "propagation p50 / p99",
            "order" => "order p50 / p99",
            comparison::SERVICE_TIME => "service time p50 / p99",
            other => other,
        },
        ..section
    });
    let database = Section {
        title: "database",
        ..comparison::database(record)
    };
    let in_doubt = Section {
        title: "longest blocked",
        ..comparison::in_doubt(record)
    };
    let reads = comparison::reads(record);
    sections.splice(at..at, latencies.chain([reads, database, in_doubt]));
    sections
}

fn expectations(record: &Record) -> String {
    let mut rows = String::new();
    for strategy in &record.strategies {
        for expectation in &strategy.expectations {
            rows.push_str(&format!(
                "| {} | `{}` | {} | {} {} | {} |\n",
                escaped(&strategy.name),
                code(&figures::expectation(expectation)),
                escaped(&figures::observed(expectation)),
                met_mark(expectation.met),
                figures::met(expectation.met),
                escaped(&expectation.reason)
            ));
        }
    }
    table(
        "| strategy | expected | seen | | why |\n|:--|:--|--:|:--|:--|\n",
        rows,
    )
}

fn faults(record: &Record) -> String {
    let mut rows = String::new();
    for strategy in &record.strategies {
        for fault in &strategy.faults {
            rows.push_str(&format!(
                "| {} | {} | {} | {} | {} |\n",
                escaped(&strategy.name),
                escaped(&comparison::fault_title(fault)),
                escaped(&comparison::fault_window(fault)),
                comparison::bite(fault).text,
                escaped(&fault.evidence)
            ));
        }
    }
    table(
        "| strategy | fault | when | | evidence |\n|:--|:--|:--|:--|:--|\n",
        rows,
    )
}

fn offences(record: &Record) -> String {
    let mut rows = String::new();
    for strategy in &record.strategies {
        for offence in &strategy.offences {
            let order = offence.order_id.as_deref().unwrap_or(figures::DASH);
            let version = offence
                .version
                .map_or_else(|| figures::DASH.to_owned(), |v| v.to_string());
            rows.push_str(&format!(
                "| {} | {} | `{}` | {version} | {} |\n",
                escaped(&strategy.name),
                escaped(&figures::spoken(&offence.metric)),
                code(order),
                escaped(offence.told())
            ));
        }
    }
    table(
        "| strategy | kind | order | version | what |\n|:--|:--|:--|--:|:--|\n",
        rows,
    )
}

fn scope(record: &Record) -> String {
    limits::of(record)
        .iter()
        .map(|limit| format!("- {}\n", escaped(limit)))
        .collect()
}

pub(crate) fn table(head: &str, rows: String) -> String {
    if rows.is_empty() {
        rows
    } else {
        format!("{head}{rows}")
    }
}

/// GitHub needs the blank lines to see markdown inside of the element.
fn folded(title: &str, body: String, text: &mut String) {
    if !body.is_empty() {
        text.push_str(&format!(
            "<details><summary>{title}</summary>\n\n{body}\n</details>\n\n"
        ));
    }
}

pub(crate) fn mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅",
        Verdict::Fail => "❌",
        Verdict::Unknown => "❔",
    }
}

fn met_mark(met: Option<bool>) -> &'static str {
    match met {
        Some(true) => "✅",
        Some(false) => "❌",
        None => "❔",
    }
}

/// Returns text that stays text: no markup, no html, no end of a table's cell, no line of its own.
pub(crate) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.trim().chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '|' | '*' | '`' | '_' | '[' | ']' | '\\' | '~' | '#' | '@' => {
                safe.push('\\');
                safe.push(letter);
            }
            _ if letter.is_control() => safe.push(' '),
            _ => safe.push(letter),
        }
    }
    safe
}

/// Inside of backticks nothing but these can end the cell or the code.
fn code(text: &str) -> String {
    let safe = text.replace('`', "'").replace('|', "\\|");
    safe.replace(|c: char| c.is_control(), " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        assert_eq!(escaped("a|b\n<c>"), "a\\|b &lt;c&gt;");
        assert_eq!(code("a`b|c"), "a'b\\|c");
    }
}
