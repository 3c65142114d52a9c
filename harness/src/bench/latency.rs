//! `bench latency`: end to end latency and propagation at fixed rates, by ordinary runs and their
//! histories; beside other systems than the usual ones, what publishing alone takes.

mod published;

use super::Results;
use super::alone;
use super::costs;
use super::ground::Ground;
use super::pace::Pace;
use super::rounds::turn;
use super::sheet::{Measured, Sheet};
use super::strategies::{self, BenchStrategy, Chosen};
use super::systems::Systems;
use crate::history::{self, History};
use crate::measure;
use crate::run::{self, RunError, deployment::failed};
use crate::scenario::{Scenario, limits};
use crate::view::Join;
use published::PacedLoad;
use reports::bench::{Ratio, Role};
use reports::record::{Record, Strategy, Verdict};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// This row has what nothing is before.
const PUBLISH: &str = "publish";

const P50: &str = "end to end p50";
const P99: &str = "end to end p99";
const P999: &str = "end to end p99.9";
const MAX: &str = "end to end max";
const PROPAGATION_P50: &str = "propagation p50";
const PROPAGATION_P99: &str = "propagation p99";
const TIMES: [(&str, &str); 6] = [
    (P50, "ms"),
    (P99, "ms"),
    (P999, "ms"),
    (MAX, "ms"),
    (PROPAGATION_P50, "ms"),
    (PROPAGATION_P99, "ms"),
];
/// With fewer events the 99.9th percentile is the largest of them.
const P999_EVENTS: u64 = 1_000;

/// A load lasts so many seconds at most, and so does a warm-up.
const SECONDS_MAX: u32 = 600;

/// What is its own.
#[derive(Debug, Clone)]
pub struct LatencyOptions {
    /// The strategies stand between these.
    pub systems: Systems,
    /// The strategies are measured at each of these rates (changes a second), which have a table each.
    pub rates: Vec<f64>,
    /// Length of what is measured of each load.
    pub seconds: u32,
    /// What comes before that and does not count.
    pub warm_up_s: u32,
    /// Only the strategy of this name is measured; `None` means all of them.
    pub strategy: Option<String>,
}

impl LatencyOptions {
    /// What is wrong, with the remedy.
    pub fn check(&self) -> Result<(), String> {
        check_seconds("--seconds", self.seconds, 1)?;
        check_seconds("--warm-up", self.warm_up_s, 0)?;
        let bad = |rate: &&f64| !(1.0..=limits::RATE.1).contains(*rate);
        if let Some(rate) = self.rates.iter().find(bad) {
            return Err(format!("--rate {rate}: take 1 to {}", limits::RATE.1));
        }
        let load_s = f64::from(self.warm_up_s + self.seconds);
        let too_many = |rate: &&f64| **rate * load_s > f64::from(alone::EVENTS_MAX);
        if let Some(rate) = self.rates.iter().find(too_many)
            && self.has_limit()
        {
            return Err(format!(
                "--rate {rate} for {load_s} s (--warm-up and --seconds): the row `{PUBLISH}` has all its events in \
                 memory, {} at most: take a lower rate, or fewer seconds",
                alone::EVENTS_MAX
            ));
        }
        strategies::check(self.systems, self.strategy.as_deref())
    }

    /// Whether there is a row of what is published alone.
    fn has_limit(&self) -> bool {
        !self.systems.are_usual()
    }
}

/// Checks a load's length in seconds; an Err names the option, with the remedy.
pub(super) fn check_seconds(option: &str, seconds: u32, least: u32) -> Result<(), String> {
    if (least..=SECONDS_MAX).contains(&seconds) {
        return Ok(());
    }
    Err(format!("{option} {seconds}: take {least} to {SECONDS_MAX}"))
}

/// Measures all strategies at each rate in each round, and returns what the report shows; a failure ends the rounds.
pub(super) async fn run(
    ground: &Ground<'_>,
    options: &LatencyOptions,
    repetitions: u32,
) -> Result<Results, RunError> {
    let chosen = strategies::choose(ground, options.systems, options.strategy.as_deref())?;
    let mut sheets: Vec<(f64, Sheet)> = Vec::new();
    for rate in &options.rates {
        let columns = [&TIMES[..], &costs::COLUMNS].concat();
        let mut sheet = Sheet::new(format!("{rate:.0} changes/s"), &columns);
        for entry in &chosen.entries {
            sheet.row(entry.name, entry.role, entry.note);
        }
        if options.has_limit() {
            sheet.row(
                PUBLISH,
                Role::Limit,
                "events from memory, by the relay's publisher with its confirms, no order service and no database",
            );
        }
        sheets.push((*rate, sheet));
    }
    let load_s = options.warm_up_s + options.seconds;
    if let Some(rate) = options.rates.first() {
        let scenario = strategies::scenario(options.systems, &chosen.entries, *rate, load_s, "")?;
        ground.rehearse(&scenario).await?;
    }
    'rounds: for round in 1..=repetitions {
        for (rate, sheet) in &mut sheets {
            let order = turn(&chosen.entries, round);
            let entries: Vec<&BenchStrategy> = order.iter().map(|(_, entry)| *entry).collect();
            let scenario = strategies::scenario(options.systems, &entries, *rate, load_s, "")?;
            let folder = format!("round-{round}-rate-{rate:.0}");
            let load = PacedLoad {
                rate: *rate,
                seconds: load_s,
                warm_up_s: options.warm_up_s,
            };
            // The limit is before the strategies in one round, and behind them in the next.
            let [limit_first, limit_last] =
                [0, 1].map(|rest| options.has_limit() && round % 2 == rest);
            if limit_first {
                let measured = published::measure(ground, options.systems, load).await;
                let Some(measured) = ground.unless_cut_short(measured) else {
                    break 'rounds;
                };
                sheet.add(chosen.entries.len(), measured);
            }
            let ran = ordinary_run(ground, &scenario, &folder).await;
            let Some(ran) = ground.unless_cut_short(ran) else {
                break 'rounds;
            };
            for ((row, _), strategy) in order.iter().zip(&ran.record.strategies) {
                let history = ran.history(strategy)?;
                sheet.add(*row, figures(strategy, &history, options.warm_up_s));
            }
            if limit_last {
                let measured = published::measure(ground, options.systems, load).await;
                let Some(measured) = ground.unless_cut_short(measured) else {
                    break 'rounds;
                };
                sheet.add(chosen.entries.len(), measured);
            }
        }
    }
    let ratios = sheets.iter().flat_map(|(_, sheet)| ratios(sheet)).collect();
    Ok(Results {
        question: "How long after a change is due is its event on the topic, at a given rate?",
        method: method(options)
            .into_iter()
            .chain(options.has_limit().then(|| published::METHOD.to_owned()))
            .chain(chosen.left_out.clone())
            .collect(),
        settings: settings(options, &chosen),
        sheets: sheets.into_iter().map(|(_, sheet)| sheet).collect(),
        ratios,
    })
}

/// Compares the strategies on end to end latency, since propagation knows neither what never arrived nor what a relay
/// takes from the order path.
fn ratios(sheet: &Sheet) -> impl Iterator<Item = Ratio> {
    let of_cdc = ["polling", "polling-notify", "debezium"].map(|of| (of, "cdc"));
    let of_limit = ["polling", "polling-notify", "cdc"].map(|of| (of, PUBLISH));
    of_cdc
        .into_iter()
        .chain(of_limit)
        .filter_map(|(of, against)| sheet.ratio(P50, of, against))
}

fn settings(options: &LatencyOptions, chosen: &Chosen) -> BTreeMap<String, String> {
    let settings = [
        ("load", Some(format!("{} s each", options.seconds))),
        ("warm-up", Some(format!("{} s", options.warm_up_s))),
        ("debezium", chosen.debezium.clone()),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let mut settings: BTreeMap<String, String> = settings.collect();
    options.systems.say_in(&mut settings);
    settings
}

fn method(options: &LatencyOptions) -> Vec<String> {
    [
        "Each figure is of an ordinary run without a fault, judged like any other; its record and \
         its report are in this folder, a folder a round and rate."
            .to_owned(),
        strategies::FAIRNESS.to_owned(),
        "End to end: from when a change was due to the first sight of its event on the topic, over \
         everything committed; the ratios are of it. Propagation: from the answer to that sight (an \
         event that was seen before its answer counts as 0); it knows survivors only, and not what a \
         relay takes from the order path, so it compares no strategies."
            .to_owned(),
        "A row says of each round in which the order path or the relay fell behind: a queue that \
         grew by more than 1 % of what came in over the load's second half, or an order p99 above \
         250 ms. What such a round measured is how long the load lasted."
            .to_owned(),
        format!(
            "The load lasts {} s longer than is measured: changes due in its first {} s are offered \
             and judged, but are in no figure of this page (they are in the runs' own reports). \
             Every strategy has just been started when its load begins, and a JVM has to be warm: \
             at a low rate Debezium's is not, after so few events.",
            options.warm_up_s, options.warm_up_s
        ),
        "The figures of a load that was not offered on schedule are left out. The 99.9th percentile \
         takes 1,000 events."
            .to_owned(),
        costs::METHOD.to_owned(),
        "In each run: 600 ms between everything being ready (of Debezium: a heartbeat came out on Kafka) and the first \
         change."
            .to_owned(),
    ]
    .into()
}

/// An ordinary run that is over.
pub(super) struct OrdinaryRun {
    pub record: Record,
    folder: PathBuf,
}

impl OrdinaryRun {
    /// Reads back the history of one of its strategies; an Err says why it cannot be loaded.
    pub fn history(&self, strategy: &Strategy) -> Result<History, RunError> {
        let place = run::folder::history(&self.folder, &strategy.name);
        let loaded = history::load(&place).map_err(|e| failed("loading the history", &e))?;
        Ok(loaded.history)
    }
}

/// A run of all strategies of a scenario on the stack that is up; its reports are in `name`.
pub(super) async fn ordinary_run(
    ground: &Ground<'_>,
    scenario: &Scenario,
    name: &str,
) -> Result<OrdinaryRun, RunError> {
    let began = std::time::Instant::now();
    let folder = ground.folder.join(name);
    let doing = format!("making {}", folder.display());
    std::fs::create_dir_all(folder.join("logs")).map_err(|e| failed(&doing, &e))?;
    ground.note(name.to_owned());
    let ran = run::run_strategies(&ground.scenario_run(scenario, &folder), None).await;
    if *ground.interrupted.borrow() {
        return Err(ground.was_interrupted());
    }
    if let Some(error) = ran.failure {
        return Err(error);
    }
    let took: Duration = began.elapsed();
    let record =
        crate::record::build(ran.judged, took).map_err(|e| failed("building a record", &e))?;
    run::folder::write_reports(&folder, &record)?;
    Ok(OrdinaryRun { record, folder })
}

/// What a run says of a strategy, without its warm-up.
fn figures(strategy: &Strategy, history: &History, warm_up_s: u32) -> Measured {
    let mut measured = problems(strategy);
    if !strategy.generator.kept_schedule {
        measured
            .inconclusive
            .push("the load was behind its schedule: no figures".to_owned());
        return measured;
    }
    let warm_ns = history.meta.load_from_ns + i64::from(warm_up_s) * 1_000_000_000;
    let join = Join::new(history);
    measured.remark = Pace::of_load(&join, warm_up_s)
        .and_then(|pace| pace.behind().map(|behind| pace.said(behind)));
    let latency = measure::latencies_from(&join, warm_ns).set();
    let p999 = latency.end_to_end.p999;
    for (column, value) in [
        (P50, latency.end_to_end.p50),
        (P99, latency.end_to_end.p99),
        (
            P999,
            p999.filter(|_| latency.end_to_end.count >= P999_EVENTS),
        ),
        (MAX, latency.end_to_end.max),
        (PROPAGATION_P50, latency.propagation.p50),
        (PROPAGATION_P99, latency.propagation.p99),
    ] {
        if let Some(value) = value {
            measured.values.insert(column, value);
        }
    }
    costs::of_run(&strategy.database, &mut measured);
    measured
}

/// Returns what keeps a strategy's figures from being taken at their word.
pub(super) fn problems(strategy: &Strategy) -> Measured {
    found(
        strategy.verdict,
        strategy.reasons.clone(),
        strategy.counts.reordered.unwrap_or(0),
    )
}

/// A failed run's figures are worth nothing; an unknown one's reasons are told. Under a slow load
/// nothing is expected of the order, but what is found all the same counts.
fn found(verdict: Verdict, reasons: Vec<String>, reordered: u64) -> Measured {
    let mut problems = Measured::default();
    match verdict {
        Verdict::Pass => {}
        Verdict::Unknown => problems.inconclusive = reasons,
        Verdict::Fail => problems.wrong = reasons,
    }
    if reordered > 0 && verdict != Verdict::Fail {
        let what = format!("reordered: {reordered} found, 0 expected");
        problems.wrong.push(what);
    }
    problems
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{clean, naive};

    /// What a run says whose answers all came so late.
    fn figures_of(late_ns: i64) -> Measured {
        let mut history = clean(400, naive());
        for request in history.requests.open().iter_mut() {
            request.ended_ns = request.intended_ns + late_ns;
        }
        let last_ns = history.requests.iter().map(|r| r.intended_ns).max();
        let load_ns = last_ns.unwrap() - history.meta.load_from_ns;
        history.meta.scenario.workload.duration = Duration::from_nanos(load_ns.unsigned_abs());
        let judged = run::judge::judge(history.clone(), &[], None).unwrap();
        let mut record = crate::record::build(vec![judged], Duration::ZERO).unwrap();
        let mut strategy = record.strategies.remove(0);
        strategy.generator.kept_schedule = true;
        figures(&strategy, &history, 0)
    }

    #[test]
    fn given_an_order_path_that_fell_behind_when_measured_then_its_row_says_so() {
        let remark = figures_of(400_000_000).remark.unwrap();
        assert!(remark.starts_with("the order path fell behind"), "{remark}");
        assert_eq!(figures_of(4_000_000).remark, None);
    }

    /// As it was once: NOTIFY's lock held up the order path, and what was answered arrived soon.
    #[test]
    fn given_a_quick_relay_behind_a_slow_order_path_when_compared_then_the_order_path_counts() {
        let mut sheet = Sheet::new("5,000 changes/s", &[(P50, "ns"), (PROPAGATION_P50, "ns")]);
        for (name, end_to_end, propagation) in
            [("cdc", 34e6, 6.4e6), ("polling-notify", 2.244e9, 3.3e6)]
        {
            let row = sheet.row(name, Role::Subject, "");
            let values = [(P50, end_to_end), (PROPAGATION_P50, propagation)].into();
            let measured = Measured {
                values,
                ..Measured::default()
            };
            sheet.add(row, measured);
        }
        let [ratio]: [Ratio; 1] = ratios(&sheet).collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(
            (ratio.of.as_str(), ratio.against.as_str()),
            ("polling-notify", "cdc")
        );
        assert_eq!(ratio.figure.unwrap().median.round(), 66.0);
    }

    /// And what the end to end of a change is counted from is when it was due.
    #[test]
    fn given_answers_that_come_late_when_measured_then_end_to_end_has_the_wait_and_propagation_has_not()
     {
        let at_once = figures_of(0).values;
        let late = figures_of(400_000_000).values;
        assert!(at_once[P50] > 0.0);
        assert_eq!((late[P50], late[PROPAGATION_P50]), (at_once[P50], 0.0));
    }

    #[test]
    fn what_is_out_of_order_is_wrong_even_where_nothing_was_expected_of_it() {
        let slow = || vec!["slow".to_owned()];
        let orderly = found(Verdict::Unknown, slow(), 0);
        assert_eq!((orderly.inconclusive, orderly.wrong), (slow(), Vec::new()));
        let disorderly = found(Verdict::Unknown, slow(), 2);
        assert_eq!(
            (disorderly.inconclusive, disorderly.wrong.len()),
            (slow(), 1)
        );
        assert_eq!(found(Verdict::Pass, Vec::new(), 2).wrong.len(), 1);
        // And where the verdict says so it is not said twice
        assert_eq!(found(Verdict::Fail, slow(), 2).wrong, slow());
    }
}
