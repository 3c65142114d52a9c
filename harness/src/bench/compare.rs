//! `compare --scenario`: the strategies of a scenario in rounds on one stack, each round an ordinary run of all of them,
//! and what their records say next to each other.

use super::begin;
use super::ground::Ground;
use super::latency::ordinary_run;
use super::rounds::balanced;
use crate::compare::{Rounds, Terms, compare_rounds};
use crate::process::reaper::Reaper;
use crate::run::deployment::failed;
use crate::run::{self, Reporter, RunError};
use crate::scenario::{Scenario, Strategy, limits};
use crate::stack::Jit;
use reports::compare::{Compare, html, json, markdown};
use reports::record::{Record, Verdict};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tokio::sync::watch;

/// What is its own.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// These options are the same as for any run.
    pub of_run: run::Options,
    /// A comparison has so many rounds; after an alarm as many again.
    pub rounds: u32,
    /// These strategies are compared, the one to compare with first; it is empty for all of the file.
    pub strategies: Vec<String>,
    /// Whether the first one is run twice a round.
    pub noise_floor: bool,
    /// What is asked of the rounds.
    pub terms: Terms,
}

impl CompareOptions {
    /// What is wrong with the strategies that were named, with the remedy.
    pub fn check(&self, scenario: &Scenario) -> Result<(), String> {
        let known: Vec<&str> = scenario
            .strategies
            .iter()
            .map(|s| s.name.as_str())
            .collect();
        if let Some(name) = self
            .strategies
            .iter()
            .find(|name| !known.contains(&name.as_str()))
        {
            return Err(format!(
                "--strategies {name}: this file has {}",
                known.join(", ")
            ));
        }
        let mut chosen: Vec<&str> = self
            .chosen(scenario)
            .iter()
            .map(|s| s.name.as_str())
            .collect();
        let named = chosen.len();
        chosen.sort_unstable();
        chosen.dedup();
        match chosen.len() {
            0 | 1 => Err(
                "a comparison takes two strategies or more: name them with --strategies".to_owned(),
            ),
            different if different < named => {
                Err("--strategies names one of them twice".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn chosen<'a>(&self, scenario: &'a Scenario) -> Vec<&'a Strategy> {
        let named = |name: &String| scenario.strategies.iter().find(|s| s.name == *name);
        match self.strategies.is_empty() {
            true => scenario.strategies.iter().collect(),
            false => self.strategies.iter().filter_map(named).collect(),
        }
    }
}

/// A comparison that has come to its end, or was cut short after some rounds.
#[derive(Debug)]
pub struct FinishedCompare {
    /// This is the comparison as its reports show it; they are in the folder already.
    pub compare: Compare,
    /// The comparison's files are in this folder, with a folder a round.
    pub folder: PathBuf,
    /// This error cut the comparison short; `None` where nothing did.
    pub failure: Option<RunError>,
}

/// These strategies take part in every round.
struct Arms {
    /// The one to compare with comes first, its twin last.
    strategies: Vec<Strategy>,
    twin: Option<String>,
}

impl Arms {
    fn of(scenario: &Scenario, options: &CompareOptions) -> Self {
        let mut strategies: Vec<Strategy> = options.chosen(scenario).into_iter().cloned().collect();
        let base = strategies.first().filter(|_| options.noise_floor).cloned();
        let twin = base.map(|base| Strategy {
            name: twin_name(&base.name, &scenario.strategies),
            ..base
        });
        strategies.extend(twin.clone());
        Self {
            strategies,
            twin: twin.map(|twin| twin.name),
        }
    }

    fn base(&self) -> &str {
        self.strategies.first().map_or("", |base| &base.name)
    }

    fn others(&self) -> Vec<String> {
        let others = self.strategies.iter().skip(1).map(|s| s.name.clone());
        others
            .filter(|name| Some(name) != self.twin.as_ref())
            .collect()
    }
}

/// A name that no strategy of the file has, and that is no longer than names may be.
fn twin_name(base: &str, strategies: &[Strategy]) -> String {
    let mut ending = "-again".to_owned();
    loop {
        let room = limits::STRATEGY_NAME.saturating_sub(ending.len());
        let name: String = base.chars().take(room).chain(ending.chars()).collect();
        if strategies.iter().all(|s| s.name != name) {
            return name;
        }
        ending.push('2');
    }
}

/// Runs the rounds and compares them. `interrupted` turns true on Ctrl-C or SIGTERM: the rounds that are whole by then
/// are compared all the same.
pub async fn run(
    scenario: &Scenario,
    options: &CompareOptions,
    reaper: &Arc<Reaper>,
    reporter: &Reporter,
    mut interrupted: watch::Receiver<bool>,
) -> Result<FinishedCompare, RunError> {
    let name = format!("compare-{}", scenario.name);
    let arms = Arms::of(scenario, options);
    let scenario = Scenario {
        strategies: arms.strategies.clone(),
        ..scenario.clone()
    };
    let settings = (Jit::C1, crate::run::server_settings(&scenario));
    let (folder, stack) = begin(
        &name,
        &options.of_run,
        settings,
        (reaper, reporter),
        &mut interrupted,
    )
    .await?;
    let ground = Ground {
        stack: &stack,
        folder: &folder,
        reaper,
        reporter,
        interrupted,
        of_run: &options.of_run,
        cut_short: OnceLock::new(),
    };
    let ran = run_rounds(&ground, &scenario, &arms, options).await;
    drop(ground);
    let stopped = stack.stop().await.map_err(RunError::from);
    let RanRounds {
        records,
        confirming,
        failure,
    } = ran;
    // What failed first explains the rest.
    let failure = failure.or(stopped.err());
    if records.is_empty() {
        let none = || failed("comparing", &"no round was run");
        return Err(failure.unwrap_or_else(none));
    }
    let mut compare = compared(&folder, &arms, &records, &confirming, &options.terms)?;
    if let Some(failure) = &failure {
        cut_short(&mut compare, records.len(), options.rounds, failure);
    }
    write(&folder, &compare)?;
    Ok(FinishedCompare {
        compare,
        folder,
        failure,
    })
}

/// The rounds that are whole.
#[derive(Default)]
struct RanRounds {
    records: Vec<Record>,
    /// These are the records of the rounds after an alarm.
    confirming: Vec<Record>,
    /// Why there are no more.
    failure: Option<RunError>,
}

async fn run_rounds(
    ground: &Ground<'_>,
    scenario: &Scenario,
    arms: &Arms,
    options: &CompareOptions,
) -> RanRounds {
    let mut ran = RanRounds::default();
    let whole = ground.scenario_run(scenario, ground.folder);
    if let Err(error) = run::stack::ready(&whole, false).await {
        ran.failure = Some(error);
        return ran;
    }
    // In the first round of a stack the first arms are several times as slow as ever after.
    if let Err(error) = ordinary_run(ground, scenario, run::folder::WARM_UP).await {
        ran.failure = Some(error);
        return ran;
    }
    let orders = balanced(scenario.strategies.len(), 2 * options.rounds, scenario.seed);
    let (first, second) = orders.split_at(options.rounds as usize);
    let failure = one_set(ground, scenario, "round", first, &mut ran.records).await;
    ran.failure = failure.err();
    if ran.failure.is_none() && raises_alarm(ground, arms, &ran.records, &options.terms) {
        let rounds = options.rounds;
        ground.note(format!(
            "a figure is worse by more than it may be: {rounds} more rounds confirm it, or do not"
        ));
        let failure = one_set(ground, scenario, "confirming", second, &mut ran.confirming).await;
        ran.failure = failure.err();
    }
    ran
}

fn raises_alarm(ground: &Ground<'_>, arms: &Arms, records: &[Record], terms: &Terms) -> bool {
    let compare = compared(ground.folder, arms, records, &[], terms);
    compare.is_ok_and(|compare| {
        let mut rows = compare.subjects.iter().flat_map(|subject| &subject.rows);
        rows.any(|row| row.beyond_limit == Some(true))
    })
}

/// Runs one set of rounds: each is an ordinary run of all arms, in an order of its own.
async fn one_set(
    ground: &Ground<'_>,
    scenario: &Scenario,
    name: &str,
    orders: &[Vec<usize>],
    records: &mut Vec<Record>,
) -> Result<(), RunError> {
    for (round, order) in (1..).zip(orders) {
        let scenario = Scenario {
            strategies: order
                .iter()
                .map(|at| scenario.strategies[*at].clone())
                .collect(),
            ..scenario.clone()
        };
        let ran = ordinary_run(ground, &scenario, &format!("{name}-{round:03}")).await?;
        records.push(ran.record);
    }
    Ok(())
}

fn compared(
    folder: &Path,
    arms: &Arms,
    records: &[Record],
    confirming: &[Record],
    terms: &Terms,
) -> Result<Compare, RunError> {
    let rounds = Rounds {
        from: &run::folder::name(folder),
        records,
        confirming,
        base: arms.base(),
        twin: arms.twin.as_deref(),
        others: &arms.others(),
    };
    compare_rounds(&rounds, terms).map_err(|e| failed("comparing", &e))
}

/// What was cut short proves nothing by being good.
fn cut_short(compare: &mut Compare, complete: usize, rounds: u32, why: &RunError) {
    let why = match why {
        RunError::Interrupted { .. } => "interrupted".to_owned(),
        RunError::Stack(_) | RunError::Failed { .. } => why.to_string(),
    };
    compare.reasons.push(format!(
        "Cut short after {complete} of {rounds} rounds: {why}."
    ));
    if compare.verdict == Verdict::Pass {
        compare.verdict = Verdict::Unknown;
    }
}

/// Where the folder of a comparison has its page.
pub fn page_in(folder: &Path) -> PathBuf {
    folder.join("compare.html")
}

fn write(folder: &Path, compare: &Compare) -> Result<(), RunError> {
    let json = json(compare).map_err(|e| failed("writing compare.json", &e))?;
    run::folder::write(&folder.join("compare.json"), &json)?;
    run::folder::write(&page_in(folder), html::render(compare).as_bytes())?;
    run::folder::write(
        &folder.join("compare.md"),
        markdown::render(compare).as_bytes(),
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::compare::FEWEST_PAIRS;
    use crate::run::StackChoice;

    fn scenario() -> Scenario {
        let text = "name = \"two\"\n[workload]\nduration = \"6s\"\n[strategy.cdc]\nkind = \"cdc\"\n\
                    [strategy.polling]\nkind = \"polling\"\n[strategy.cdc-again]\nkind = \"cdc\"\n";
        crate::scenario::parse("two.toml", text).unwrap()
    }

    fn options(strategies: &[&str]) -> CompareOptions {
        CompareOptions {
            of_run: run::Options {
                strategy: None,
                out: PathBuf::new(),
                stack: StackChoice::Local {
                    programs: PathBuf::new(),
                },
                keep_stack: false,
                trace: true,
            },
            rounds: FEWEST_PAIRS as u32,
            strategies: strategies.iter().map(|s| (*s).to_owned()).collect(),
            noise_floor: true,
            terms: Terms {
                max_regression: None,
                metrics: crate::compare::chosen(&[]).unwrap(),
                allow_unlike: false,
            },
        }
    }

    #[test]
    fn given_strategies_by_name_then_the_first_has_a_twin_of_a_name_of_its_own() {
        let scenario = scenario();
        let arms = Arms::of(&scenario, &options(&["cdc", "polling"]));
        assert_eq!(
            (arms.base(), arms.others()),
            ("cdc", vec!["polling".to_owned()])
        );
        assert_eq!(arms.twin.as_deref(), Some("cdc-again2"));
        assert_eq!(arms.strategies[2].kind, arms.strategies[0].kind);
        let alone = CompareOptions {
            noise_floor: false,
            ..options(&[])
        };
        let arms = Arms::of(&scenario, &alone);
        assert_eq!(
            (
                arms.strategies.len(),
                arms.twin.clone(),
                arms.others().len()
            ),
            (3, None, 2)
        );
        let long = "a".repeat(limits::STRATEGY_NAME);
        assert_eq!(twin_name(&long, &[]).len(), limits::STRATEGY_NAME);
    }

    #[test]
    fn given_names_that_cannot_be_compared_then_each_is_refused_with_a_remedy() {
        let scenario = scenario();
        for (named, said) in [
            (&["cdc", "cdx"][..], "this file has cdc, polling, cdc-again"),
            (&["cdc"][..], "takes two strategies"),
            (&["cdc", "polling", "cdc"][..], "twice"),
        ] {
            let error = options(named).check(&scenario).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        options(&[]).check(&scenario).unwrap();
    }
}
