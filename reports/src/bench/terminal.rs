//! Exporter: a benchmark on a terminal, a table with median and spread, and the ratios.

use super::{Bench, Figure, Role, Table, spread, value};
use crate::figures::{self, DASH};
use crate::record::Verdict;

/// These blanks stand between two columns.
const GAP: &str = "  ";

/// Returns the benchmark as text, its lines ended by `\n`.
pub fn render(bench: &Bench) -> String {
    let mut text = format!(
        "bench {}: {}\n{}, every row once a round; median (smallest to largest)\n",
        bench.bench,
        bench.question,
        super::rounds(bench)
    );
    let stack = &bench.stack;
    text.push_str(&format!(
        "{} stack: {}; {}\n",
        stack.provider,
        stack.in_words(),
        bench
            .settings
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect::<Vec<_>>()
            .join(", ")
    ));
    for table in &bench.tables {
        text.push('\n');
        text.push_str(&rows(table));
    }
    if !bench.ratios.is_empty() {
        text.push_str("\nratios, each from figures of the same round\n");
        text.push_str(&ratios(bench));
    }
    for line in bench
        .tables
        .iter()
        .flat_map(|t| {
            t.rows
                .iter()
                .flat_map(move |r| r.remarks.iter().map(move |m| (t, r, m)))
        })
        .map(|(table, row, remark)| format!("{}, {}: {remark}\n", table.name, row.name))
    {
        text.push_str(&line);
    }
    text.push('\n');
    text.push_str(&format!(
        "{}  {}\n",
        figures::verdict(bench.verdict).to_uppercase(),
        match bench.verdict {
            Verdict::Pass => "every figure is of work that was checked",
            Verdict::Fail => "some work was done wrongly; its figures are left out",
            Verdict::Unknown => "some figures could not be taken",
        }
    ));
    for reason in &bench.reasons {
        text.push_str(&format!("  {reason}\n"));
    }
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { ' ' } else { c })
        .collect()
}

fn rows(table: &Table) -> String {
    let head: Vec<String> = [table.name.clone()]
        .into_iter()
        .chain(table.columns.iter().map(|c| c.name.clone()))
        .collect();
    let body = table.rows.iter().map(|row| {
        let name = match row.role {
            Role::Subject => row.name.clone(),
            Role::Limit => format!("{} (limit)", row.name),
            Role::Peer => format!("{} (peer)", row.name),
        };
        let cells = table.columns.iter().map(|column| {
            let figure = row.figures.get(&column.name).and_then(Option::as_ref);
            cell(figure, &column.unit)
        });
        [name].into_iter().chain(cells).collect::<Vec<_>>()
    });
    aligned(&[head].into_iter().chain(body).collect::<Vec<_>>())
}

fn ratios(bench: &Bench) -> String {
    let lines: Vec<Vec<String>> = bench
        .ratios
        .iter()
        .map(|ratio| {
            let what = format!("{}: {} / {}", ratio.table, ratio.of, ratio.against);
            let figure = ratio.figure.as_ref().map_or_else(
                || DASH.to_owned(),
                |f| format!("{:.2} ({:.2} to {:.2})", f.median, f.min, f.max),
            );
            vec![what, figure]
        })
        .collect();
    aligned(&lines)
}

/// One round has no spread.
fn cell(figure: Option<&Figure>, unit: &str) -> String {
    match figure {
        None => DASH.to_owned(),
        Some(figure) if figure.rounds.len() < 2 => value(figure.median, unit),
        Some(figure) => format!("{} ({})", value(figure.median, unit), spread(figure, unit)),
    }
}

/// Puts the cells of the lines under each other: the first to the left, figures to the right.
fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (column, cell) in line.iter().enumerate() {
            let room = " ".repeat(widths[column] - cell.chars().count());
            match column {
                0 => text.push_str(&format!("{cell}{room}")),
                _ => text.push_str(&format!("{GAP}{room}{cell}")),
            }
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_a_bench_when_rendered_then_medians_spreads_ratios_and_reasons_are_there() {
        let text = render(&super::super::sample::bench());
        for part in [
            "49,000/s (48,000 to 50,000)",
            "pg_recvlogical (limit)",
            "cdc / pg_recvlogical  0.97 (0.96 to 0.98)",
            "UNKNOWN",
            "round 2: <cdc> was late",
        ] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
        assert!(!text.contains("CUT SHORT"), "{text}");
    }

    #[test]
    fn given_a_bench_that_was_cut_short_when_rendered_then_it_says_so_before_its_figures() {
        let mut bench = super::super::sample::bench();
        bench.complete = 1;
        let text = render(&bench);
        let before = &text[..text.find("49,000/s").unwrap()];
        assert!(before.contains("CUT SHORT after 1 of 2 rounds"), "{before}");
    }
}
