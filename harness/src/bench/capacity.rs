//! `bench capacity`: the highest rate at which a strategy's backlog stays bounded, by a bracketed
//! search. Each probe is an ordinary run, and its record says whether the rate was sustained.

mod probe;
mod search;

use super::Results;
use super::costs;
use super::ground::Ground;
use super::latency::{self, OrdinaryRun, ordinary_run};
use super::pace::Pace;
use super::rounds::turn;
use super::sheet::{Measured, Sheet};
use super::strategies::{self, BenchStrategy};
use super::systems::Systems;
use crate::run::RunError;
use crate::scenario::limits;
use crate::view::Join;
use probe::Probe;
use search::{Found, Search};

const RATE: &str = "sustained";
const FAILED: &str = "not sustained";
const PROBES: &str = "probes";
const RATES: [(&str, &str); 3] = [(RATE, "/s"), (FAILED, "/s"), (PROBES, "")];

/// What is its own.
#[derive(Debug, Clone)]
pub struct CapacityOptions {
    /// The search begins at this rate, changes a second.
    pub from: f64,
    /// The search tries no rate above this, changes a second.
    pub ceiling: f64,
    /// The load of each probe lasts so many seconds.
    pub seconds: u32,
    /// Only the strategy of this name is searched for; `None` means all of them.
    pub strategy: Option<String>,
}

impl CapacityOptions {
    /// What is wrong, with the remedy.
    pub fn check(&self) -> Result<(), String> {
        latency::check_seconds("--seconds", self.seconds, 1)?;
        if !(search::FLOOR..=limits::RATE.1).contains(&self.from) {
            return Err(format!(
                "--rate {}: take {} to {}",
                self.from,
                search::FLOOR,
                limits::RATE.1
            ));
        }
        if !(self.from..=limits::RATE.1).contains(&self.ceiling) {
            return Err(format!(
                "--ceiling {}: take --rate ({}) to {}",
                self.ceiling,
                self.from,
                limits::RATE.1
            ));
        }
        strategies::check(Systems::default(), self.strategy.as_deref())
    }
}

/// Searches in each round for the highest rate that each strategy sustains; a failure ends the rounds.
pub(super) async fn run(
    ground: &Ground<'_>,
    options: &CapacityOptions,
    repetitions: u32,
) -> Result<Results, RunError> {
    let mut sheet = Sheet::new("capacity", &[&RATES[..], &costs::COLUMNS].concat());
    let chosen = strategies::choose(ground, Systems::default(), options.strategy.as_deref())?;
    for entry in &chosen.entries {
        sheet.row(entry.name, entry.role, entry.note);
    }
    let scenario = strategies::scenario(
        Systems::default(),
        &chosen.entries,
        options.from,
        options.seconds,
        "",
    )?;
    ground.rehearse(&scenario).await?;
    'rounds: for round in 1..=repetitions {
        for (row, entry) in turn(&chosen.entries, round) {
            let before = sheet.last(row, RATE);
            let measured = search(ground, options, entry, round, before).await;
            let Some(measured) = ground.unless_cut_short(measured) else {
                break 'rounds;
            };
            if let Some(remark) = &measured.remark {
                ground.note(format!(
                    "round {round} of {repetitions}, {}: {remark}",
                    entry.name
                ));
            }
            sheet.add(row, measured);
        }
    }
    Ok(Results {
        question: "What is the highest rate at which the backlog stays bounded?",
        method: method(options).into_iter().chain(chosen.left_out).collect(),
        settings: [
            ("probe", Some(format!("{} s", options.seconds))),
            ("from", Some(format!("{}/s", options.from))),
            ("ceiling", Some(format!("{}/s", options.ceiling))),
            ("debezium", chosen.debezium),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect(),
        sheets: vec![sheet],
        ratios: Vec::new(),
    })
}

fn method(options: &CapacityOptions) -> Vec<String> {
    [
        format!(
            "From {}/s the rate is doubled until it is not sustained (or halved until it is), then \
             the bracket is halved until its ends are {:.0}% apart; later rounds begin at what the round \
             before found, with smaller steps. A result without a failed probe above it is NOT A \
             MAXIMUM.",
            options.from,
            (search::RESOLUTION - 1.0) * 100.0
        ),
        "A rate is sustained if the load was offered on schedule, and order path and relay took at \
         least 99 % of it: over the load's second half neither the changes without an answer nor the \
         backlog grew by more than 1 % of what came in, and the order p99 stayed below 250 ms."
            .to_owned(),
        "What saturated is read from the probe that failed: the generator, the order path (answers \
         fell behind), or the relay (the backlog grew), with the CPU time that it had."
            .to_owned(),
        "Each probe is an ordinary run, judged like any other; its record and report are in this \
         folder. Every strategy has just been started when its load begins: Debezium's JVM gets \
         faster with longer probes (--seconds). What events cost the database is of the highest rate \
         that was sustained."
            .to_owned(),
        strategies::FAIRNESS.to_owned(),
        costs::METHOD.to_owned(),
    ]
    .into()
}

async fn search(
    ground: &Ground<'_>,
    options: &CapacityOptions,
    entry: &BenchStrategy,
    round: u32,
    before: Option<f64>,
) -> Result<Measured, RunError> {
    let mut search = match before {
        None => Search::new(options.from, options.ceiling),
        Some(sustained) => Search::around(sustained, options.ceiling),
    };
    let mut measured = Measured::default();
    let mut why = String::new();
    let mut probes = 0;
    while let Some(rate) = search.next() {
        probes += 1;
        let scenario =
            strategies::scenario(Systems::default(), &[entry], rate, options.seconds, "")?;
        let folder = format!("round-{round}-{}-{rate:.0}", entry.name);
        let ran = ordinary_run(ground, &scenario, &folder).await?;
        let probe = probed(&ran, options.seconds)?;
        measured.wrong.extend(probe.wrong);
        match probe.saturated {
            None => {
                // Of the highest rate that was sustained, the last one told so.
                let at_rate = |reason: &String| format!("at {rate:.0}/s: {reason}");
                measured.inconclusive = probe.inconclusive.iter().map(at_rate).collect();
                if let Some(strategy) = ran.record.strategies.first() {
                    costs::of_run(&strategy.database, &mut measured);
                }
                search.tell(rate, true);
            }
            Some(reason) => {
                why = format!("at {rate:.0}/s {reason}");
                search.tell(rate, false);
            }
        }
    }
    measured.values.insert(PROBES, f64::from(probes));
    let remark = match search.found() {
        Found::Bracketed { sustained, failed } => {
            measured.values.insert(RATE, sustained);
            measured.values.insert(FAILED, failed);
            format!("{sustained:.0}/s; {why}")
        }
        Found::NoFailure { sustained } => {
            measured.values.insert(RATE, sustained);
            format!("{sustained:.0}/s, NOT A MAXIMUM: nothing failed up to --ceiling")
        }
        Found::NoSuccess { failed } => {
            measured.values.insert(FAILED, failed);
            measured.inconclusive.push(format!(
                "NOT A MAXIMUM: not even {failed:.0}/s was sustained"
            ));
            format!("nothing was sustained; {why}")
        }
    };
    measured.remark = Some(remark);
    Ok(measured)
}

/// What a run of one strategy says of its rate.
fn probed(ran: &OrdinaryRun, seconds: u32) -> Result<Probe, RunError> {
    let Some(strategy) = ran.record.strategies.first() else {
        return Ok(Probe::nothing());
    };
    let history = ran.history(strategy)?;
    let pace = Pace::of_load(&Join::new(&history), 0);
    Ok(probe::judge(strategy, pace, seconds))
}
