//! `bench latency`: propagation at fixed rates, by ordinary runs and their records. There is no
//! second way to measure.

use super::Results;
use super::costs;
use super::ground::Ground;
use super::scenarios;
use super::sheet::{Measured, Sheet};
use crate::run::{self, RunError, arena::failed};
use crate::scenario::{Scenario, limits};
use reports::bench::Role;
use reports::record::{Record, Strategy, Verdict};
use std::time::Duration;

const P50: &str = "p50";
const P99: &str = "p99";
const P999: &str = "p99.9";
const MAX: &str = "max";
const WHOLE_P50: &str = "end to end p50";
const WHOLE_P99: &str = "end to end p99";
const TIMES: [(&str, &str); 6] = [
    (P50, "ms"),
    (P99, "ms"),
    (P999, "ms"),
    (MAX, "ms"),
    (WHOLE_P50, "ms"),
    (WHOLE_P99, "ms"),
];
/// With fewer events the 99.9th percentile is the largest of them.
const P999_EVENTS: u64 = 1_000;

/// The strategies: name, settings, what they are here. A further one is a line here.
const STRATEGIES: [(&str, &str, &str); 4] = [
    (
        "polling",
        "kind = \"polling\"\ninterval = \"5ms\"",
        "interval 5 ms",
    ),
    (
        "polling-notify",
        "kind = \"polling\"\ninterval = \"5ms\"\nnotify = true",
        "interval 5 ms, NOTIFY",
    ),
    ("cdc", "kind = \"cdc\"", "TCP on loopback"),
    (
        "dual-write",
        "kind = \"dual-write\"\norder = \"commit-then-publish\"",
        "publishes before it answers",
    ),
];

/// What is its own.
#[derive(Debug, Clone)]
pub struct Options {
    /// Changes a second, a table each.
    pub rates: Vec<f64>,
    /// Length of each load.
    pub seconds: u32,
    /// Only this strategy.
    pub strategy: Option<String>,
}

impl Options {
    /// What is wrong, with the remedy.
    pub fn check(&self) -> Result<(), String> {
        check_seconds(self.seconds)?;
        let bad = |rate: &&f64| !(1.0..=limits::RATE.1).contains(*rate);
        if let Some(rate) = self.rates.iter().find(bad) {
            return Err(format!("--rate {rate}: take 1 to {}", limits::RATE.1));
        }
        check_strategy(self.strategy.as_deref())
    }
}

/// A load's length, with the remedy.
pub(super) fn check_seconds(seconds: u32) -> Result<(), String> {
    if (1..=600).contains(&seconds) {
        return Ok(());
    }
    Err(format!("--seconds {seconds}: take 1 to 600"))
}

/// A strategy's name, with the remedy.
pub(super) fn check_strategy(name: Option<&str>) -> Result<(), String> {
    match name {
        Some(name) if chosen(Some(name)).is_empty() => Err(format!(
            "--strategy {name}: take one of {}",
            STRATEGIES.map(|(name, ..)| name).join(", ")
        )),
        _ => Ok(()),
    }
}

fn chosen(name: Option<&str>) -> Vec<(&'static str, &'static str, &'static str)> {
    let all = STRATEGIES.into_iter();
    all.filter(|(known, ..)| name.is_none_or(|n| n == *known))
        .collect()
}

/// Name and note of the chosen strategies.
pub(super) fn rows(name: Option<&str>) -> Vec<(&'static str, &'static str)> {
    let all = chosen(name).into_iter();
    all.map(|(name, _, note)| (name, note)).collect()
}

/// The load, and the chosen strategies under it. All of them are expected to be clean.
pub(super) fn scenario(
    name: Option<&str>,
    rate: f64,
    seconds: u32,
    more: &str,
) -> Result<Scenario, RunError> {
    // A slow load has fewer changes than a lesson needs; half of them must be there all the same.
    let least = (rate * f64::from(seconds) / 2.0).clamp(1.0, 100.0) as u64;
    let mut text = format!(
        "name = \"bench-{rate:.0}\"\n[workload]\nrate = {rate}\nduration = \"{seconds}s\"\n\
         min_committed_per_phase = {least}\n{more}"
    );
    for (name, keys, _) in chosen(name) {
        text.push_str(&format!(
            "[strategy.{name}]\n{keys}\n[expect.{name}]\nlost = 0\n"
        ));
    }
    scenarios::parse(&text)
}

/// Runs it.
pub(super) async fn run(
    ground: &Ground<'_>,
    options: &Options,
    repetitions: u32,
) -> Result<Results, RunError> {
    let only = options.strategy.as_deref();
    let mut sheets: Vec<(f64, Sheet)> = Vec::new();
    for rate in &options.rates {
        let columns = [&TIMES[..], &costs::COLUMNS].concat();
        let mut sheet = Sheet::new(format!("{rate:.0} changes/s"), &columns);
        for (name, note) in rows(only) {
            let role = match name {
                "dual-write" => Role::Peer,
                _ => Role::Subject,
            };
            sheet.row(name, role, note);
        }
        sheets.push((*rate, sheet));
    }
    for round in 1..=repetitions {
        for (rate, sheet) in &mut sheets {
            let scenario = scenario(only, *rate, options.seconds, "")?;
            let folder = format!("round-{round}-rate-{rate:.0}");
            let record = ordinary_run(ground, &scenario, &folder).await?;
            for (row, strategy) in record.strategies.iter().enumerate() {
                sheet.add(row, figures(strategy));
            }
        }
    }
    let ratios = sheets
        .iter()
        .flat_map(|(_, sheet)| {
            [("polling", "cdc"), ("polling-notify", "cdc")]
                .into_iter()
                .filter_map(|(of, against)| sheet.ratio(P50, of, against))
        })
        .collect();
    Ok(Results {
        question: "How long after its answer is a change's event on the topic, at a given rate?",
        method: method(),
        settings: [("load", format!("{} s each", options.seconds))]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        sheets: sheets.into_iter().map(|(_, sheet)| sheet).collect(),
        ratios,
    })
}

fn method() -> Vec<String> {
    [
        "Each figure is of an ordinary run without a fault, judged like any other; its record and \
         its report are in this folder, a folder a round and rate.",
        "Propagation: from the answer to the first sight of the event on the topic; an event that \
         was seen before its answer counts as 0. End to end: from when the change was due. Both \
         from intended starts, open loop.",
        "The figures of a load that was not offered on schedule are left out. The 99.9th percentile \
         takes 1,000 events.",
        costs::METHOD,
        "Warm-up: a second of records through the new broker, and in each run 600 ms between \
         everything being ready and the first change.",
    ]
    .map(str::to_owned)
    .into()
}

/// A run of all strategies of a scenario on the stack that is up; its reports are in `name`.
pub(super) async fn ordinary_run(
    ground: &Ground<'_>,
    scenario: &Scenario,
    name: &str,
) -> Result<Record, RunError> {
    let began = std::time::Instant::now();
    let folder = ground.folder.join(name);
    let doing = format!("making {}", folder.display());
    std::fs::create_dir_all(folder.join("logs")).map_err(|e| failed(&doing, &e))?;
    ground.note(name.to_owned());
    let judged = run::run_strategies(
        scenario,
        ground.of_run,
        ground.stack,
        &folder,
        ground.reaper,
        ground.reporter,
        &ground.interrupted,
    )
    .await?;
    if *ground.interrupted.borrow() {
        return Err(ground.was_interrupted());
    }
    let took: Duration = began.elapsed();
    let record =
        crate::record::build(&judged, took).map_err(|e| failed("building a record", &e))?;
    run::folder::write_reports(&folder, &record)?;
    Ok(record)
}

/// What a run's record says of a strategy.
fn figures(strategy: &Strategy) -> Measured {
    let mut measured = problems(strategy);
    if !strategy.generator.kept_schedule {
        measured
            .doubts
            .push("the load was behind its schedule: no figures".to_owned());
        return measured;
    }
    let latency = &strategy.latency_ms;
    let p999 = latency.propagation.p999;
    for (column, value) in [
        (P50, latency.propagation.p50),
        (P99, latency.propagation.p99),
        (
            P999,
            p999.filter(|_| latency.propagation.count >= P999_EVENTS),
        ),
        (MAX, latency.propagation.max),
        (WHOLE_P50, latency.end_to_end.p50),
        (WHOLE_P99, latency.end_to_end.p99),
    ] {
        if let Some(value) = value {
            measured.values.insert(column, value);
        }
    }
    costs::of_run(&strategy.database, &mut measured);
    measured
}

/// A failed run's figures are worth nothing; an unknown one's reasons are told.
pub(super) fn problems(strategy: &Strategy) -> Measured {
    let reasons = strategy.reasons.clone();
    match strategy.verdict {
        Verdict::Pass => Measured::default(),
        Verdict::Unknown => Measured {
            doubts: reasons,
            ..Measured::default()
        },
        Verdict::Fail => Measured {
            wrong: reasons,
            ..Measured::default()
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_strategy_is_in_the_scenario_and_expected_to_be_clean() {
        let scenario = scenario(None, 100.0, 3, "").unwrap();
        assert_eq!(scenario.strategies.len(), STRATEGIES.len());
        assert!(
            scenario
                .strategies
                .iter()
                .all(|s| !s.expectations.is_empty())
        );
        assert_eq!(
            super::scenario(Some("cdc"), 0.5, 3, "")
                .unwrap()
                .strategies
                .len(),
            1
        );
    }

    #[test]
    fn an_unknown_strategy_is_refused_with_those_there_are() {
        let reason = check_strategy(Some("cdd")).unwrap_err();
        assert!(reason.contains("polling-notify"), "{reason}");
        check_strategy(None).unwrap();
    }
}
