//! Comparisons over time: what is kept of each, and a page that shows how the figures went. One entry is a file of its
//! own, so that two that are kept at the same time lose nothing.

use crate::compare::{Compare, Finding, words};
use crate::html::axis::Axis;
use crate::html::escape::{escaped, filled, items, left_out};
use crate::html::plot::{Canvas, Ink, Line, Plot, strategy_class, swatch};
use crate::record::Verdict;
use crate::{ExportError, figures};
use serde::{Deserialize, Serialize};

/// This is the version of the format of an entry, which each entry carries.
pub const SCHEMA_VERSION: u32 = 1;
/// The page has this name, in the folder of the entries.
pub const FILE_NAME: &str = "index.html";

const PAGE: &str = include_str!("html/trend.html");
const STYLE: &str = include_str!("html/style.css");

const WIDE: Canvas = Canvas {
    width: 560,
    height: 200,
};
const NARROW: Canvas = Canvas {
    width: 340,
    height: 180,
};

/// What is kept of one comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrendEntry {
    /// This is the version of the entry's format, [`SCHEMA_VERSION`] when it was written.
    pub schema_version: u32,
    /// When it was compared, RFC 3339.
    pub compared_at: String,
    /// This is the version of the outbox-harness that compared.
    pub harness_version: String,
    /// This is the name of the scenario that the compared runs are of.
    pub scenario: String,
    /// This line says what the comparison ran on: figures of other servers or cores are no trend.
    pub ran_on: String,
    /// These are the versions of each side, one line a side.
    pub versions: Vec<String>,
    /// This is how many pairs of runs the comparison had.
    pub pairs: u32,
    /// This is what the comparison came to.
    pub verdict: Verdict,
    /// What was compared with what.
    pub subjects: Vec<TrendSubject>,
}

/// This compares one strategy with itself in another version, or with another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrendSubject {
    /// This names what is compared: `cdc`, or `polling against cdc`.
    pub title: String,
    /// What it is compared with: `base`, or a strategy.
    pub base: String,
    /// This names the new side: `new`, or a strategy.
    pub new: String,
    /// These rows hold the figures of the subject, one a metric.
    pub rows: Vec<TrendRow>,
}

/// This is what is kept of one compared metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrendRow {
    /// As `--metrics` takes it.
    pub metric: String,
    /// This is the metric's name as the page shows it, e.g. `end to end p99`.
    pub name: String,
    /// This is the unit of the two medians, e.g. `ms` or `/s`.
    pub unit: String,
    /// Median of the runs of the base; null where it was not measured or never came.
    pub base: Option<f64>,
    /// This is the median of the runs of the other side; null where it was not measured or never came.
    pub new: Option<f64>,
    /// This is the centre of the paired ratios, less one; null without pairs.
    pub change: Option<f64>,
    /// This is what the comparison found of the metric.
    pub finding: Finding,
}

impl TrendEntry {
    /// What is kept of a comparison that was made then.
    pub fn of(compare: &Compare, compared_at: &str) -> Self {
        let subjects = compare.subjects.iter().map(|subject| TrendSubject {
            title: subject.title.clone(),
            base: subject.base.clone(),
            new: subject.new.clone(),
            rows: words::shown(subject)
                .map(|(_, row)| TrendRow {
                    metric: row.metric.clone(),
                    name: row.name.clone(),
                    unit: row.unit.clone(),
                    base: row.base.median,
                    new: row.new.median,
                    change: row.change,
                    finding: row.finding,
                })
                .collect(),
        });
        let versions = compare.sides.iter();
        Self {
            schema_version: SCHEMA_VERSION,
            compared_at: compared_at.to_owned(),
            harness_version: compare.harness_version.clone(),
            scenario: compare.scenario.clone(),
            ran_on: compare.ran_on.clone(),
            versions: versions
                .map(|side| format!("{}: {}", side.name, side.versions.join(", ")))
                .collect(),
            pairs: compare.pairs,
            verdict: compare.verdict,
            subjects: subjects.collect(),
        }
    }

    /// As it is kept.
    pub fn json(&self) -> Result<Vec<u8>, ExportError> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|e| wrong(&e.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// An entry that was kept; the error says what it is instead.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let entry: Self = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        match entry.schema_version {
            SCHEMA_VERSION => Ok(entry),
            other => Err(format!(
                "an entry of version {other}, and this program reads version {SCHEMA_VERSION}"
            )),
        }
    }
}

fn wrong(reason: &str) -> ExportError {
    ExportError {
        format: "the history of comparisons",
        reason: reason.to_owned(),
    }
}

/// Returns the page. `unread` names the files that are no entries, or that were left out, each with the reason.
pub fn page(
    mut entries: Vec<TrendEntry>,
    unread: &[(String, String)],
) -> Result<String, ExportError> {
    entries.sort_by(|a, b| a.compared_at.cmp(&b.compared_at));
    let mut sections = String::new();
    for strand in strands(&entries) {
        sections.push_str(&section(&strand).map_err(|e| wrong(&e))?);
    }
    let unread = left_out(unread, "is not shown");
    let unread = match unread.is_empty() {
        true => unread,
        false => format!("<ul class=\"reasons\">{unread}</ul>"),
    };
    let span = match (entries.first(), entries.last()) {
        (Some(first), Some(last)) => format!("{} to {}", first.compared_at, last.compared_at),
        _ => String::new(),
    };
    let rows: String = entries.iter().rev().map(row).collect();
    Ok(filled(
        PAGE,
        &[
            ("style", STYLE),
            (
                "count",
                &figures::counted(entries.len() as u64, "comparison"),
            ),
            ("span", &escaped(&span)),
            ("unread", &unread),
            ("sections", &sections),
            ("rows", &rows),
        ],
    ))
}

/// What may be read as one line: the comparisons of one thing on one machine, by their time.
struct Strand<'a> {
    scenario: &'a str,
    ran_on: &'a str,
    title: &'a str,
    points: Vec<(&'a TrendEntry, &'a TrendSubject)>,
}

fn strands(entries: &[TrendEntry]) -> Vec<Strand<'_>> {
    let mut strands: Vec<Strand<'_>> = Vec::new();
    for entry in entries {
        for subject in &entry.subjects {
            let key = (&*entry.scenario, &*entry.ran_on, &*subject.title);
            let same = |s: &&mut Strand<'_>| (s.scenario, s.ran_on, s.title) == key;
            match strands.iter_mut().find(same) {
                Some(strand) => strand.points.push((entry, subject)),
                None => strands.push(Strand {
                    scenario: key.0,
                    ran_on: key.1,
                    title: key.2,
                    points: vec![(entry, subject)],
                }),
            }
        }
    }
    strands
}

fn section(strand: &Strand<'_>) -> Result<String, String> {
    let mut metrics: Vec<&TrendRow> = Vec::new();
    for row in strand.points.iter().flat_map(|(_, subject)| &subject.rows) {
        if metrics.iter().all(|known| known.metric != row.metric) {
            metrics.push(row);
        }
    }
    let mut charts = String::new();
    for metric in metrics {
        charts.push_str(&chart(strand, metric)?);
    }
    let facts = [
        strand.ran_on.to_owned(),
        figures::counted(strand.points.len() as u64, "comparison"),
    ];
    Ok(format!(
        "<section><h2>{}: {}</h2>{}<div class=\"charts\">{charts}</div></section>\n",
        escaped(strand.scenario),
        escaped(strand.title),
        items("facts", &facts)
    ))
}

/// Draws one figure over time, both sides.
fn chart(strand: &Strand<'_>, metric: &TrendRow) -> Result<String, String> {
    let rows: Vec<Option<&TrendRow>> = strand
        .points
        .iter()
        .map(|(_, subject)| subject.rows.iter().find(|row| row.metric == metric.metric))
        .collect();
    let sides: [fn(&TrendRow) -> Option<f64>; 2] = [|row| row.base, |row| row.new];
    let values = sides.map(|of| -> Vec<Option<f64>> {
        let values = rows.iter().map(|row| row.and_then(of));
        values.map(|v| v.filter(|v| v.is_finite())).collect()
    });
    let highest = values.iter().flatten().flatten().copied().reduce(f64::max);
    let Some(highest) = highest else {
        return Ok(String::new());
    };
    let lines: Vec<Line> = values
        .iter()
        .enumerate()
        .map(|(index, values)| Line {
            ink: Ink::Strategy(index),
            runs: unbroken(values),
        })
        .collect();
    let days: Vec<&str> = strand
        .points
        .iter()
        .map(|(entry, _)| entry.compared_at.get(..10).unwrap_or(&entry.compared_at))
        .collect();
    let plot = |across: usize, up: usize| Plot {
        description: format!("{} over time, {}", metric.name, metric.unit),
        x: Axis::places(&days, across),
        y: Axis::linear(highest, up),
        windows: Vec::new(),
        moments: Vec::new(),
        lines: lines.clone(),
    };
    let last = rows.last().copied().flatten();
    let names = strand
        .points
        .last()
        .map(|(_, subject)| [&subject.base, &subject.new]);
    let legend: String = names
        .into_iter()
        .flatten()
        .zip(sides)
        .enumerate()
        .map(|(index, (name, of))| {
            let latest = last.and_then(of);
            let latest = latest.map_or_else(
                || figures::DASH.to_owned(),
                |value| crate::bench::value(value, &metric.unit),
            );
            format!(
                "<li class=\"{}\">{}{} {}</li>",
                strategy_class(index),
                swatch(index),
                escaped(name),
                escaped(&latest)
            )
        })
        .collect();
    Ok(format!(
        "<figure class=\"chart\"><figcaption><h3>{}, {}</h3><ul class=\"legend\">{legend}</ul><p>{}</p></figcaption>\
         <div class=\"wide\">{}</div><div class=\"narrow\" hidden>{}</div></figure>\n",
        escaped(&metric.name),
        escaped(&metric.unit),
        escaped(&latest(last)),
        plot(4, 4).svg(WIDE)?,
        plot(2, 3).svg(NARROW)?
    ))
}

/// What the newest comparison says of the figure.
fn latest(row: Option<&TrendRow>) -> String {
    let Some(row) = row else {
        return "Not in the newest comparison.".to_owned();
    };
    let change = row
        .change
        .map_or_else(|| figures::DASH.to_owned(), words::change);
    format!("Newest: {change}, {}.", words::said(row.finding))
}

/// Runs of places that have a value.
fn unbroken(values: &[Option<f64>]) -> Vec<Vec<(f64, f64)>> {
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (place, value) in values.iter().enumerate() {
        match (value, runs.last_mut()) {
            (Some(value), Some(run)) => run.push((place as f64, *value)),
            (Some(_), None) | (None, _) => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn row(entry: &TrendEntry) -> String {
    let verdict = figures::verdict(entry.verdict);
    let found: Vec<String> = entry
        .subjects
        .iter()
        .flat_map(|subject| subject.rows.iter().map(move |row| (subject, row)))
        .filter(|(_, row)| matches!(row.finding, Finding::Worse | Finding::Better))
        .map(|(subject, row)| {
            let change = row.change.map_or_else(String::new, words::change);
            let said = words::said(row.finding);
            format!("{}: {} {change}, {said}", subject.title, row.name)
        })
        .collect();
    format!(
        "<tr><td>{}</td><th scope=\"row\">{}</th><td><span class=\"chip {verdict}\">{verdict}</span></td>\
         <td class=\"number\">{}</td><td class=\"prose\">{}</td><td class=\"prose\">{}</td></tr>\n",
        escaped(&entry.compared_at),
        escaped(&entry.scenario),
        entry.pairs,
        escaped(&found.join("; ")),
        escaped(&entry.versions.join("; "))
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::compare::sample::compare;

    fn entry(day: u32) -> TrendEntry {
        TrendEntry::of(&compare(), &format!("2026-11-{day:02}T10:00:00Z"))
    }

    #[test]
    fn given_a_comparison_then_its_entry_comes_back_and_another_version_is_refused() {
        let kept = entry(1);
        assert_eq!(TrendEntry::parse(&kept.json().unwrap()), Ok(kept.clone()));
        // What neither side measured is not kept
        assert!(
            kept.subjects[0]
                .rows
                .iter()
                .all(|row| row.name != "recovery")
        );
        let newer = TrendEntry {
            schema_version: 99,
            ..kept
        };
        let why = TrendEntry::parse(&newer.json().unwrap()).unwrap_err();
        assert!(why.contains("version 99"), "{why}");
    }

    #[test]
    fn given_comparisons_of_two_machines_then_each_has_lines_of_its_own_by_time() {
        // Given
        let elsewhere = TrendEntry {
            ran_on: "another <machine>".to_owned(),
            ..entry(3)
        };
        let unread = [("a<b>.json".to_owned(), "torn".to_owned())];
        // When
        let page = page(vec![entry(5), elsewhere, entry(2)], &unread).unwrap();
        // Then
        assert!(page.contains("3 comparisons") && page.ends_with("</html>\n"));
        assert!(!page.contains("{{") && !page.contains("<machine>") && !page.contains("a<b>"));
        assert!(page.contains("<strong>a&lt;b&gt;.json</strong> is not shown: torn"));
        assert_eq!(page.matches("<section><h2>a &lt;scenario&gt;").count(), 2);
        assert!(page.contains("2026-11-02T10:00:00Z to 2026-11-05T10:00:00Z"));
        // Five of its six figures were measured, wide and narrow
        assert_eq!(page.matches("<svg viewBox").count(), 2 * 5 * 2);
        assert!(page.contains("Newest: +20%, worse.") && !page.contains("<script"));
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let runs = unbroken(&[Some(1.0), None, Some(2.0), Some(3.0), None]);
        assert_eq!(runs, [vec![(0.0, 1.0)], vec![(2.0, 2.0), (3.0, 3.0)]]);
    }
}
