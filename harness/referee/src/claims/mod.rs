//! Claims of those who teach the outbox, each with the scenario that tries it, and what records say of them.
//!
//! `docs/claims.toml` has a `[[claim]]` for each: what is said, the scenario, and the figures that show it.

mod condition;
mod figure;

use condition::Condition;
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
    /// It holds in a run where each of these is true, such as `retrying.lost < naive.lost`, beside the scenario's own
    /// expectations.
    #[serde(default)]
    pub holds: Vec<String>,
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
        let conditions = claim.holds.iter();
        wrong.extend(conditions.filter_map(|text| {
            let what = Condition::read(text).err()?;
            Some(format!("claim {number}: `{text}`: {what}"))
        }));
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
        name: name.replace(['.', '_'], " "),
        values: runs().map(|record| shown(record, name)).collect(),
    });
    let came = |verdict| runs().filter(|r| came_of(claim, r) == verdict).count();
    ClaimRow {
        says: claim.says.clone(),
        scenario: claim.scenario.clone(),
        held: came(Verdict::Pass),
        broken: came(Verdict::Fail),
        open: came(Verdict::Unknown),
        figures: figures.collect(),
        reports: runs()
            .filter(|record| !record.run.is_empty())
            .map(|record| record.run.clone())
            .collect(),
    }
}

/// What a run says of a claim: nothing, unless each strategy that the claim names was run and judged and each figure
/// measured.
fn came_of(claim: &Claim, record: &Record) -> Verdict {
    let names = || claim.figures.iter();
    let strategies = names().filter_map(|name| name.split_once('.'));
    let verdicts = strategies.map(|(name, _)| {
        let mut all = record.strategies.iter();
        all.find(|s| s.name == name)
            .map_or(Verdict::Unknown, |s| s.verdict)
    });
    let verdict = worst(verdicts);
    // Of a run that proved nothing, figures that are not as they should be prove nothing either.
    if verdict != Verdict::Pass {
        return verdict;
    }
    let conditions = claim.holds.iter().map(|text| {
        let told = Condition::read(text).ok();
        told.map_or(Verdict::Unknown, |condition| condition.of(record))
    });
    let measured = names().map(|name| match shown(record, name) {
        Some(_) => Verdict::Pass,
        None => Verdict::Unknown,
    });
    worst(conditions.chain(measured))
}

/// One that failed is worse than one that is not known.
fn worst(all: impl Iterator<Item = Verdict>) -> Verdict {
    let all: Vec<Verdict> = all.collect();
    let any = |verdict| all.contains(&verdict);
    match (any(Verdict::Fail), any(Verdict::Unknown)) {
        (true, _) => Verdict::Fail,
        (false, true) => Verdict::Unknown,
        (false, false) => Verdict::Pass,
    }
}

fn shown(record: &Record, name: &str) -> Option<reports::claims::ClaimValue> {
    let (strategy, figure) = name.split_once('.')?;
    let strategy = record.strategies.iter().find(|s| s.name == strategy)?;
    figure::of(strategy, figure)
}

#[cfg(test)]
mod tests;
