//! Claims of those who teach the outbox, each with the scenario that tries it, and what records say of them.
//!
//! `docs/claims.toml` has a `[[claim]]` for each: what is said, the scenario, and the figures that show it.

mod figure;

use reports::claims::{ClaimFigure, ClaimRow};
use reports::record::{Record, Verdict};
use serde::Deserialize;

/// The file of the claims.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClaimsFile {
    claim: Vec<Claim>,
}

/// Something that is said of the outbox or of what is done in its place, and how it is tried.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// This is what is said, in a sentence.
    pub says: String,
    /// The scenario of this name tries it; its file is `NAME.toml` in the folder of the scenarios.
    pub scenario: String,
    /// These figures show it, each as `STRATEGY.FIGURE`.
    pub figures: Vec<String>,
}

/// Reads a file's text. The error says every claim that is wrong, with what to do.
pub fn read(text: &str) -> Result<Vec<Claim>, Vec<String>> {
    let file: ClaimsFile = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
    let mut wrong = Vec::new();
    for (index, claim) in file.claim.iter().enumerate() {
        let number = index + 1;
        if claim.figures.is_empty() {
            wrong.push(format!(
                "claim {number} has no `figures`: name what shows it, such as \"cdc.lost\""
            ));
        }
        let unknown = claim.figures.iter().filter(|name| !is_figure(name));
        wrong.extend(unknown.map(|name| {
            format!(
                "claim {number}: `{name}` is no figure; write a strategy's name and one of {}, or of its consumers, such as \
                 \"cdc.consumer-payments.applied_twice\"",
                figure::names().join(", ")
            )
        }));
    }
    match wrong.is_empty() {
        true => Ok(file.claim),
        false => Err(wrong),
    }
}

fn is_figure(name: &str) -> bool {
    name.split_once('.')
        .is_some_and(|(_, figure)| figure::is_known(figure))
}

/// Returns the scenarios of the claims, each once, in the order of their first claim.
pub fn scenarios(claims: &[Claim]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for claim in claims {
        if !names.contains(&claim.scenario.as_str()) {
            names.push(&claim.scenario);
        }
    }
    names
}

/// Returns what these records say of each claim, in the claims' order.
pub fn rows(claims: &[Claim], records: &[Record]) -> Vec<ClaimRow> {
    claims.iter().map(|claim| row(claim, records)).collect()
}

fn row(claim: &Claim, records: &[Record]) -> ClaimRow {
    let runs = || records.iter().filter(|r| r.scenario == claim.scenario);
    let figures = claim.figures.iter().map(|name| ClaimFigure {
        name: name.replace('.', " ").replace('_', " "),
        values: runs().map(|record| shown(record, name)).collect(),
    });
    ClaimRow {
        says: claim.says.clone(),
        scenario: claim.scenario.clone(),
        passed: runs().filter(|r| r.verdict == Verdict::Pass).count(),
        runs: runs().count(),
        figures: figures.collect(),
        reports: runs()
            .filter(|record| !record.run.is_empty())
            .map(|record| record.run.clone())
            .collect(),
    }
}

fn shown(record: &Record, name: &str) -> Option<reports::claims::ClaimValue> {
    let (strategy, figure) = name.split_once('.')?;
    let strategy = record.strategies.iter().find(|s| s.name == strategy)?;
    figure::of(strategy, figure)
}

#[cfg(test)]
mod tests;
