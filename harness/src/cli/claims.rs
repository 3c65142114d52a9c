//! `claims`: what is said of the outbox, and what the records of runs say of it.

use super::args::ClaimsArgs;
use super::exit::Outcome;
use super::{results, terminal};
use crate::claims::{self, Claim};
use reports::record::Record;
use std::path::Path;

/// Lists the scenarios of the claims, or writes their page from the records of runs.
pub fn claims(args: &ClaimsArgs) -> Outcome {
    let claims = match read(&args.claims) {
        Ok(claims) => claims,
        Err(message) => return usage(&message),
    };
    let scenarios = args.scenarios.display().to_string();
    let Some(file) = &args.records else {
        for name in claims::scenarios(&claims) {
            terminal::results(&format!("{scenarios}/{name}.toml\n"));
        }
        return Outcome::Met;
    };
    let records = match records(file) {
        Ok(records) => records,
        Err(message) => return usage(&message),
    };
    let rows = claims::rows(&claims, &records);
    let page = reports::claims::page(&rows, &records, &args.link);
    let outcomes = rows
        .iter()
        .map(|row| match (row.broken, row.held, row.open) {
            (0, 1.., 0) => Outcome::Met,
            (0, _, _) => Outcome::Unknown,
            (1.., _, _) => Outcome::Missed,
        });
    let worst = outcomes.max().unwrap_or(Outcome::Unknown);
    match &args.page {
        None => terminal::results(&page),
        Some(file) => {
            if let Err(message) = results::write(file, Ok(page.into_bytes())) {
                terminal::message(&message);
                return Outcome::Failed;
            }
        }
    }
    worst
}

fn read(file: &Path) -> Result<Vec<Claim>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        format!(
            "{}: {error}; name the file of the claims with --claims",
            file.display()
        )
    })?;
    let named = |lines: Vec<String>| {
        let lines = lines
            .iter()
            .map(|line| format!("{}: {line}", file.display()));
        lines.collect::<Vec<_>>().join("\n")
    };
    claims::read(&text).map_err(named)
}

/// The records that `run --json` wrote: a list, or one.
fn records(file: &Path) -> Result<Vec<Record>, String> {
    let wrong = |error: &dyn std::fmt::Display| {
        format!(
            "{}: {error}; name the file that `run --json FILE` wrote",
            file.display()
        )
    };
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error))?;
    let list = serde_json::from_str::<Vec<Record>>(&text);
    list.or_else(|error| match text.trim_start().starts_with('{') {
        true => serde_json::from_str(&text).map(|record| vec![record]),
        false => Err(error),
    })
    .map_err(|error| wrong(&error))
}

fn usage(message: &str) -> Outcome {
    terminal::message(message);
    Outcome::Usage
}
