//! Exporter: `bench.html`, one file that needs nothing else: the verdict, a chart and a table for
//! each table of the record, the ratios, and how it was measured.

use super::{Bench, Column, Role, Row, Table, spread, value};
use crate::ExportError;
use crate::figures::{self, DASH};
use crate::html::axis::Axis;
use crate::html::escape::{escaped, filled, items};
use crate::html::plot::{Canvas, Ink, Line, Plot, strategy_class, swatch};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("../html/style.css");
const WIDE: Canvas = Canvas {
    width: 560,
    height: 290,
};
const NARROW: Canvas = Canvas {
    width: 340,
    height: 260,
};
/// More rounds than this have no tick each.
const ROUND_TICKS: u32 = 12;

/// Returns the bytes of `bench.html`; an error says why a chart could not be drawn.
pub fn export(bench: &Bench) -> Result<Vec<u8>, ExportError> {
    let mut tables = String::new();
    for table in &bench.tables {
        let drawn = chart(table, bench.repetitions).map_err(|reason| ExportError {
            format: "bench.html",
            reason: format!("drawing a chart: {reason}"),
        })?;
        tables.push_str(&format!(
            "<section><h2>{}</h2>{drawn}{}</section>\n",
            escaped(&table.name),
            figures_of(table)
        ));
    }
    let page = filled(
        PAGE,
        &[
            ("style", STYLE),
            ("bench", &escaped(&bench.bench)),
            ("verdict", figures::verdict(bench.verdict)),
            ("question", &escaped(&bench.question)),
            ("reasons", &items("reasons", &bench.reasons)),
            ("facts", &items("facts", &facts(bench))),
            ("tables", &tables),
            ("ratios", &ratios(bench)),
            ("method", &items("limits", &bench.method)),
            ("settings", &settings(bench)),
            ("command", &escaped(&bench.command)),
            ("version", &escaped(&bench.harness_version)),
        ],
    );
    Ok(page.into_bytes())
}

fn facts(bench: &Bench) -> Vec<String> {
    let stack = &bench.stack;
    let named = |(name, version, _): (&str, &str, &str)| format!("{name} {version}");
    let servers = stack.used().map(named);
    let first = [
        bench.started_at.clone(),
        format!("took {}", figures::seconds(Some(bench.took_s))),
        super::rounds(bench),
        format!("{} stack", stack.provider),
        named(stack.database()),
    ];
    let proxy = format!("Toxiproxy {}", stack.toxiproxy.version);
    first.into_iter().chain(servers).chain([proxy]).collect()
}

/// Draws the first column by round: what swings together is the machine, what does not is the row.
fn chart(table: &Table, repetitions: u32) -> Result<String, String> {
    let Some(column) = table.columns.first() else {
        return Ok(String::new());
    };
    let drawn: Vec<(usize, &[Option<f64>])> = table
        .rows
        .iter()
        .enumerate()
        .filter_map(|(index, row)| {
            let figure = row.figures.get(&column.name)?.as_ref()?;
            Some((index, figure.rounds.as_slice()))
        })
        .collect();
    let all = || drawn.iter().flat_map(|(_, rounds)| rounds.iter().flatten());
    if all().next().is_none() {
        return Ok(String::new());
    }
    let logarithmic = column.unit == "ms";
    let y = |ticks| {
        if logarithmic {
            Axis::log_milliseconds(all().copied())
        } else {
            Axis::linear(all().copied().fold(0.0, f64::max), ticks)
        }
    };
    let height = |value: f64| {
        if logarithmic {
            value.max(f64::MIN_POSITIVE).log10()
        } else {
            value
        }
    };
    let lines = drawn
        .iter()
        .map(|(index, rounds)| Line {
            ink: Ink::Strategy(*index),
            runs: runs(rounds, height),
        })
        .collect::<Vec<_>>();
    let plot = |ticks| Plot {
        description: format!("{}: {} by round", table.name, column.name),
        x: rounds_axis(repetitions),
        y: y(ticks),
        windows: Vec::new(),
        moments: Vec::new(),
        lines: lines.clone(),
    };
    let scale = if logarithmic { " Logarithmic." } else { "" };
    Ok(format!(
        "<figure class=\"chart\" style=\"max-width:760px;margin-bottom:16px\"><figcaption><h3>{}, by round</h3>{}\
         <p>Lines that fall together show the machine, not what is measured.{scale}</p></figcaption>\
         <div class=\"wide\">{}</div><div class=\"narrow\" hidden>{}</div></figure>\n",
        escaped(&title(column)),
        legend(table),
        plot(5).svg(WIDE)?,
        plot(4).svg(NARROW)?
    ))
}

fn title(column: &Column) -> String {
    match column.unit.as_str() {
        "" => column.name.clone(),
        "/s" => format!("{}, a second", column.name),
        unit => format!("{}, {unit}", column.name),
    }
}

fn rounds_axis(repetitions: u32) -> Axis {
    let each = repetitions.div_ceil(ROUND_TICKS).max(1);
    Axis {
        from: 0.5,
        to: f64::from(repetitions.max(1)) + 0.5,
        ticks: (1..=repetitions.max(1))
            .step_by(each as usize)
            .map(|round| (f64::from(round), round.to_string()))
            .collect(),
    }
}

/// Returns the points without the gaps between them, one list for each run of rounds that have a value.
fn runs(rounds: &[Option<f64>], height: impl Fn(f64) -> f64) -> Vec<Vec<(f64, f64)>> {
    let points: Vec<(f64, Option<f64>)> = rounds
        .iter()
        .enumerate()
        .map(|(index, value)| (index as f64 + 1.0, value.filter(|v| v.is_finite())))
        .collect();
    points
        .split(|(_, value)| value.is_none())
        .map(|run| {
            run.iter()
                .filter_map(|(at, value)| value.map(|value| (*at, height(value))))
                .collect::<Vec<_>>()
        })
        .filter(|run| !run.is_empty())
        .collect()
}

fn legend(table: &Table) -> String {
    let items: String = table
        .rows
        .iter()
        .enumerate()
        .map(|(index, row)| {
            format!(
                "<li class=\"{}\">{}{}</li>",
                strategy_class(index),
                swatch(index),
                escaped(&row.name)
            )
        })
        .collect();
    format!("<ul class=\"legend\">{items}</ul>")
}

fn figures_of(table: &Table) -> String {
    let heads: String = table
        .columns
        .iter()
        .map(|column| {
            format!(
                "<th scope=\"col\" class=\"number\">{}</th>",
                escaped(&column.name)
            )
        })
        .collect();
    let rows: String = table
        .rows
        .iter()
        .enumerate()
        .map(|(index, row)| row_of(table, index, row))
        .collect();
    boxed(&format!(
        "<table class=\"list\"><thead><tr><th scope=\"col\">row</th>{heads}<th scope=\"col\"></th></tr></thead>\
         <tbody>{rows}</tbody></table>"
    ))
}

fn row_of(table: &Table, index: usize, row: &Row) -> String {
    let role = match row.role {
        Role::Subject => "",
        Role::Limit => "<small>limit</small>",
        Role::Peer => "<small>peer</small>",
    };
    let cells: String = table
        .columns
        .iter()
        .map(|column| match row.figures.get(&column.name) {
            // One round has no spread.
            Some(Some(figure)) if figure.rounds.len() < 2 => format!(
                "<td class=\"number\">{}</td>",
                escaped(&value(figure.median, &column.unit))
            ),
            Some(Some(figure)) => format!(
                "<td class=\"number\">{}<br>{}</td>",
                escaped(&value(figure.median, &column.unit)),
                escaped(&spread(figure, &column.unit))
            ),
            _ => format!("<td class=\"number faint\">{DASH}</td>"),
        })
        .collect();
    let notes = [&row.note].into_iter().chain(&row.remarks);
    let notes: Vec<String> = notes.map(|note| escaped(note)).collect();
    format!(
        "<tr><th scope=\"row\" class=\"{}\">{}{} {role}</th>{cells}<td class=\"prose\">{}</td></tr>",
        strategy_class(index),
        swatch(index),
        escaped(&row.name),
        notes.join("<br>")
    )
}

fn ratios(bench: &Bench) -> String {
    if bench.ratios.is_empty() {
        return "<p class=\"none\">None.</p>".to_owned();
    }
    let rows: String = bench
        .ratios
        .iter()
        .map(|ratio| {
            let figure = ratio.figure.as_ref().map_or_else(
                || DASH.to_owned(),
                |f| format!("{:.2}<br>{:.2} to {:.2}", f.median, f.min, f.max),
            );
            format!(
                "<tr><td>{}</td><td>{} / {}</td><td>{}</td><td class=\"number\">{figure}</td></tr>",
                escaped(&ratio.table),
                escaped(&ratio.of),
                escaped(&ratio.against),
                escaped(&ratio.column)
            )
        })
        .collect();
    boxed(&format!(
        "<table class=\"list\"><thead><tr><th scope=\"col\">table</th><th scope=\"col\">ratio</th>\
         <th scope=\"col\">of</th><th scope=\"col\" class=\"number\">median, spread</th></tr></thead>\
         <tbody>{rows}</tbody></table>"
    ))
}

fn settings(bench: &Bench) -> String {
    let rows: String = bench
        .settings
        .iter()
        .chain(&bench.stack.environment)
        .map(|(name, value)| {
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"prose\">{}</td></tr>",
                escaped(name),
                escaped(value)
            )
        })
        .collect();
    boxed(&format!(
        "<table class=\"list\"><thead><tr><th scope=\"col\">setting</th><th scope=\"col\">value</th></tr></thead>\
         <tbody>{rows}</tbody></table>"
    ))
}

fn boxed(table: &str) -> String {
    format!("<div class=\"scroll\" tabindex=\"0\">{table}</div>")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_a_bench_when_exported_then_the_page_is_whole_and_its_texts_are_escaped() {
        let page = String::from_utf8(export(&super::super::sample::bench()).unwrap()).unwrap();
        assert!(page.contains("<svg") && page.ends_with("</html>\n"));
        assert!(page.contains("a &lt;note&gt;") && page.contains("&lt;cdc&gt; was late"));
        assert!(!page.contains("<note>") && !page.contains("{{"));
        assert!(!page.contains("http://") || !page.contains("src="));
    }

    #[test]
    fn given_a_bench_that_was_cut_short_when_exported_then_the_page_says_so_at_its_top() {
        let mut bench = super::super::sample::bench();
        bench.complete = 1;
        let page = String::from_utf8(export(&bench).unwrap()).unwrap();
        let (top, _) = page.split_once("</header>").unwrap();
        assert!(top.contains("CUT SHORT after 1 of 2 rounds"), "{top}");
    }

    #[test]
    fn nothing_is_drawn_where_nothing_was_measured() {
        let rounds = [Some(1.0), None, Some(3.0)];
        assert_eq!(runs(&rounds, |v| v), [vec![(1.0, 1.0)], vec![(3.0, 3.0)]]);
    }
}
