//! The page of claims, in Markdown: what is said, the scenario that tries it, and what came of it.

use crate::figures;
use crate::record::Record;
use std::fmt::Write as _;

/// A claim with what the runs of its scenario say of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRow {
    /// This is what is said, in a sentence.
    pub says: String,
    /// The scenario of this name tries it.
    pub scenario: String,
    /// In so many of its runs it held.
    pub held: usize,
    /// In so many it did not.
    pub broken: usize,
    /// Of so many nothing can be said.
    pub open: usize,
    /// These figures show it.
    pub figures: Vec<ClaimFigure>,
    /// The folders of its runs have these names.
    pub reports: Vec<String>,
}

/// A figure with what each run had of it.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimFigure {
    /// This names strategy and figure, e.g. `naive lost`.
    pub name: String,
    /// What it came to in each run; `None` where it was not measured.
    pub values: Vec<Option<ClaimValue>>,
}

/// A figure that was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ClaimValue {
    /// This is its value; infinite where it falls on what never came.
    pub value: f64,
    /// This is the unit of the value: ms, s, µs, /s, MiB, B, or nothing of a count.
    pub unit: &'static str,
}

impl ClaimValue {
    /// Returns the figure of something that is counted.
    pub fn count(count: u64) -> Self {
        Self {
            value: count as f64,
            unit: "",
        }
    }

    fn text(self) -> String {
        if self.value.is_infinite() {
            return figures::NEVER.to_owned();
        }
        match self.unit {
            "" => figures::decimal(self.value),
            "ms" => figures::milliseconds(self.value),
            "s" => figures::seconds(Some(self.value)),
            "B" => figures::bytes(Some(self.value)),
            unit => format!("{} {unit}", figures::decimal(self.value)),
        }
    }
}

impl ClaimFigure {
    /// Returns what it came to, from the least of the runs to the most: `453 to 470`, or one figure where all had the same.
    fn range(&self) -> String {
        let measured: Vec<ClaimValue> = self.values.iter().copied().flatten().collect();
        let by_value = |a: &&ClaimValue, b: &&ClaimValue| a.value.total_cmp(&b.value);
        let least = measured.iter().min_by(by_value);
        let most = measured.iter().max_by(by_value);
        let (Some(least), Some(most)) = (least, most) else {
            return figures::DASH.to_owned();
        };
        let (least, most) = (least.text(), most.text());
        let range = match least == most {
            true => least,
            false => format!("{least} to {most}"),
        };
        match self.values.len() - measured.len() {
            0 => range,
            unknown => format!("{range} ({unknown} not measured)"),
        }
    }
}

/// Writes the page of these claims; `records` are those of all runs, and `scenarios` is the way from the page to the
/// folder of the scenarios, such as `../scenarios`.
pub fn page(claims: &[ClaimRow], records: &[Record], scenarios: &str) -> String {
    let mut text = String::from(
        "# Claims\n\nWhat is said of the outbox, and of what is done in its place, each tried by a scenario on real servers. \
         This page was written by `make claims`; do not edit it.\n\n",
    );
    if let Some(ran_on) = ran_on(records) {
        let _ = writeln!(text, "{ran_on}\n");
    }
    text.push_str("| claim | tried by | verdict | what was seen |\n|---|---|---|---|\n");
    for claim in claims {
        let seen: Vec<String> = claim
            .figures
            .iter()
            .map(|figure| format!("{} **{}**", cell(&figure.name), figure.range()))
            .collect();
        let name = cell(&claim.scenario);
        let _ = writeln!(
            text,
            "| {} | [{name}]({scenarios}/{name}.toml) | {} | {} |",
            cell(&claim.says),
            verdict(claim),
            seen.join("<br>"),
        );
    }
    text.push_str("\n## The runs\n\nEach run has a folder with its report, `report.html`, in the folder that it was made in.\n\n");
    let mut told: Vec<&str> = Vec::new();
    for claim in claims {
        if told.contains(&claim.scenario.as_str()) {
            continue;
        }
        told.push(&claim.scenario);
        let names: Vec<String> = claim
            .reports
            .iter()
            .map(|n| format!("`{}`", cell(n)))
            .collect();
        let names = match names.is_empty() {
            true => "was not run".to_owned(),
            false => names.join(", "),
        };
        let _ = writeln!(text, "- {}: {names}", cell(&claim.scenario));
    }
    text
}

/// How many of the runs say what of it.
fn verdict(claim: &ClaimRow) -> String {
    let runs = claim.held + claim.broken + claim.open;
    let said = [
        (claim.broken, "**broken**"),
        (claim.open, "unknown"),
        (claim.held, "holds"),
    ];
    let parts = said.iter().filter(|(count, _)| *count > 0);
    match runs {
        0 => "not run".to_owned(),
        1 => parts.map(|(_, words)| *words).collect(),
        _ => {
            let parts: Vec<String> = parts.map(|(n, words)| format!("{words} in {n}")).collect();
            format!("{} of {runs} runs", parts.join(", "))
        }
    }
}

/// What the runs were made on, in a sentence; `None` where there is none.
fn ran_on(records: &[Record]) -> Option<String> {
    // One that could not be run does not know what it would have run on.
    let ran = records.iter().filter(|r| !r.strategies.is_empty());
    let first = ran.min_by_key(|r| &r.started_at)?;
    let stack = &first.stack;
    let day = first.started_at.get(..10).unwrap_or_default();
    let cores = match stack.machine.cores {
        Some(1) => " on one core".to_owned(),
        Some(cores) => format!(" on {cores} cores"),
        None => String::new(),
    };
    Some(format!(
        "{day}, outbox-harness {}, {}, everything{cores} of one machine. A figure is the least and the \
         most of the runs.",
        cell(&first.harness_version),
        cell(&stack.in_words()),
    ))
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn figure(values: &[Option<u64>]) -> ClaimFigure {
        ClaimFigure {
            name: "naive lost".to_owned(),
            values: values.iter().map(|v| v.map(ClaimValue::count)).collect(),
        }
    }

    #[test]
    fn given_figures_of_several_runs_then_their_range_is_shown_and_what_is_not_known_is_said() {
        assert_eq!(
            figure(&[Some(453), Some(1470), Some(500)]).range(),
            "453 to 1,470"
        );
        assert_eq!(figure(&[Some(0), Some(0)]).range(), "0");
        assert_eq!(figure(&[Some(7), None]).range(), "7 (1 not measured)");
        assert_eq!(figure(&[None]).range(), "–");
        let endless = ClaimValue {
            value: f64::INFINITY,
            unit: "ms",
        };
        assert_eq!(endless.text(), "∞");
        assert_eq!(
            ClaimValue {
                value: 2_097_152.0,
                unit: "B"
            }
            .text(),
            "2 MiB"
        );
    }

    #[test]
    fn given_claims_when_written_then_each_has_a_row_and_a_miss_is_not_called_held() {
        let claim = |held, broken, open| ClaimRow {
            says: "It | holds.".to_owned(),
            scenario: "steady".to_owned(),
            held,
            broken,
            open,
            figures: vec![figure(&[Some(1)])],
            reports: vec!["steady-1".to_owned(); 3],
        };
        let claims = [
            claim(3, 0, 0),
            claim(1, 1, 1),
            claim(0, 0, 3),
            claim(0, 1, 0),
            claim(0, 0, 0),
        ];
        let page = page(&claims, &[], "../scenarios");
        let rows = page.lines().filter(|line| line.starts_with("| It"));
        let verdicts: Vec<&str> = rows.map(|row| row.split(" | ").nth(2).unwrap()).collect();
        assert_eq!(
            verdicts,
            [
                "holds in 3 of 3 runs",
                "**broken** in 1, unknown in 1, holds in 1 of 3 runs",
                "unknown in 3 of 3 runs",
                "**broken**",
                "not run",
            ]
        );
        let row = r"| It \| holds. | [steady](../scenarios/steady.toml) | holds in 3 of 3 runs | naive lost **1** |";
        assert!(page.contains(row), "{page}");
        assert!(
            page.ends_with("- steady: `steady-1`, `steady-1`, `steady-1`\n"),
            "{page}"
        );
    }
}
