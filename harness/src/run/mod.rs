//! One scenario, straight through: stack, strategies one after the other, history, verdict, record.

pub(crate) mod arena;
pub mod explain;
mod fencing;
pub(crate) mod folder;
pub(crate) mod judge;
pub(crate) mod sampler;
pub mod strategy;
mod trace;
mod whole;

use crate::history::{self, PartOf, RunMeta};
use crate::process::reaper::Reaper;
use crate::record::Judged;
use crate::scenario::{Scenario, Strategy, StrategyKind};
use crate::stack::{Provider, Stack, StackInfo};
use crate::workload::Progress;
use arena::failed;
use reports::record::Record;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::watch;

/// What happens during a run, for whoever shows it. The two sides share these values and nothing else.
#[derive(Debug, Clone)]
pub enum Event {
    /// A scenario begins.
    ScenarioStarted {
        /// Its name.
        scenario: String,
        /// The run's folder.
        folder: PathBuf,
    },
    /// The stack is being started.
    StackStarting {
        /// `local` or `external`.
        provider: String,
    },
    /// The stack answers.
    StackUp {
        /// Versions and addresses, one line.
        what: String,
        /// How long it took.
        took: Duration,
    },
    /// A strategy begins.
    StrategyStarted {
        /// Its name.
        strategy: String,
        /// Its kind.
        kind: String,
    },
    /// The load begins.
    LoadStarted {
        /// How long it will last.
        duration: Duration,
        /// Changes it will offer.
        planned: u64,
        /// Live counters.
        progress: Arc<Progress>,
    },
    /// A fault was injected or healed.
    Fault {
        /// e.g. `down kafka injected`.
        what: String,
    },
    /// The load is over; the fence and the drain follow.
    LoadEnded,
    /// A step of the fence begins.
    Fence {
        /// 1 to 8.
        number: u32,
        /// What it does.
        name: String,
    },
    /// A strategy is judged.
    StrategyJudged {
        /// Its name.
        strategy: String,
        /// `pass`, `fail`, `unknown`.
        verdict: String,
    },
    /// Something the user should know, e.g. leftovers cleaned up, how to reach a kept stack.
    Note {
        /// The text.
        text: String,
    },
}

/// Shows events. Called from several threads; must not block for long.
pub trait Reporter: Send + Sync {
    /// One event.
    fn event(&self, event: Event);
}

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only this strategy.
    pub strategy: Option<String>,
    /// Folder under which the run's own folder is made.
    pub out: PathBuf,
    /// The stack.
    pub stack: StackChoice,
    /// Leave the stack, schemas and topics.
    pub keep_stack: bool,
    /// Have order service and relay write a trace of each event's way.
    pub trace: bool,
}

/// The stack as the command line names it.
#[derive(Debug, Clone)]
pub enum StackChoice {
    /// Child processes; programs from this folder.
    Local {
        /// `.stack` of the checkout.
        programs: PathBuf,
    },
    /// Described by this file.
    External {
        /// The file.
        file: PathBuf,
        /// `.stack` of the checkout, if there is one.
        programs: Option<PathBuf>,
    },
}

impl StackChoice {
    /// The provider for one run folder.
    pub fn provider(&self, run_folder: &std::path::Path) -> Provider {
        match self {
            Self::Local { programs } => Provider::Local {
                data: run_folder.join("stack"),
                logs: run_folder.join("logs"),
                programs: programs.clone(),
            },
            Self::External { file, programs } => Provider::External {
                file: file.clone(),
                programs: programs.clone(),
            },
        }
    }
}

/// Why a scenario has no record.
#[derive(Debug, Error)]
pub enum RunError {
    /// Exit code 4.
    #[error(transparent)]
    Stack(#[from] crate::stack::StackError),
    /// Exit code 4: the run folder, the referee itself.
    #[error("{doing}: {reason}")]
    Failed {
        /// What was being done.
        doing: String,
        /// Why it failed and what to do about it.
        reason: String,
    },
    /// Ctrl-C or SIGTERM: everything was healed and torn down; what was recorded is in the folder.
    #[error("interrupted; what was recorded is in {folder}")]
    Interrupted {
        /// The run's folder.
        folder: PathBuf,
    },
}

/// A finished run.
#[derive(Debug)]
pub struct Finished {
    /// Its record; the reports are in the folder already.
    pub record: Record,
    /// The run's folder.
    pub folder: PathBuf,
}

/// Runs one scenario. `interrupted` turns true on Ctrl-C or SIGTERM.
pub async fn run(
    scenario: &Scenario,
    options: &Options,
    reaper: &Arc<Reaper>,
    reporter: &Arc<dyn Reporter>,
    mut interrupted: watch::Receiver<bool>,
) -> Result<Finished, RunError> {
    let started = Instant::now();
    let folder = folder::create(&options.out, &scenario.name)?;
    reporter.event(Event::ScenarioStarted {
        scenario: scenario.name.clone(),
        folder: folder.clone(),
    });
    let stack = tokio::select! {
        stack = start_stack(options, &folder, reaper, reporter) => stack?,
        _ = interrupted.wait_for(|i| *i) => return Err(RunError::Interrupted { folder }),
    };
    let judged = run_strategies(
        scenario,
        options,
        &stack,
        &folder,
        reaper,
        reporter,
        &interrupted,
    )
    .await;
    let stack_failed = matches!(judged, Err(RunError::Stack(_)));
    let left = if options.keep_stack && !stack_failed {
        keep(stack, &folder, reporter).await
    } else {
        stack.stop().await.map_err(RunError::from)
    };
    // What failed first explains the rest.
    let judged = judged?;
    left?;
    if *interrupted.borrow() {
        return Err(RunError::Interrupted { folder });
    }
    let record = crate::record::build(&judged, started.elapsed())
        .map_err(|e| failed("building the record", &e))?;
    folder::write_reports(&folder, &record)?;
    Ok(Finished { record, folder })
}

/// Leaves the stack running, and says how to use it and how to stop it.
async fn keep(stack: Stack, folder: &Path, reporter: &Arc<dyn Reporter>) -> Result<(), RunError> {
    let file = folder.join("external.toml");
    let description = crate::stack::external::stack_file(stack.info());
    folder::write_secret(&file, description.as_bytes())?;
    for text in stack.keep().await? {
        reporter.event(Event::Note { text });
    }
    let text = format!(
        "  run on it   --stack external --external {}",
        crate::stack::shell_word(&file)
    );
    reporter.event(Event::Note { text });
    Ok(())
}

pub(crate) async fn start_stack(
    options: &Options,
    folder: &Path,
    reaper: &Arc<Reaper>,
    reporter: &Arc<dyn Reporter>,
) -> Result<Stack, RunError> {
    let provider = options.stack.provider(folder);
    let name = match &provider {
        Provider::Local { .. } => "local",
        Provider::External { .. } => "external",
    };
    reporter.event(Event::StackStarting {
        provider: name.to_owned(),
    });
    let started = Instant::now();
    let stack = Stack::start(provider, reaper).await?;
    let info = stack.info();
    let what = format!(
        "PostgreSQL {} at {}:{}, Kafka {} at {}, Toxiproxy {} at {}",
        info.postgres_version,
        info.postgres.host,
        info.postgres.port,
        info.kafka_version,
        info.kafka_bootstrap,
        info.toxiproxy_version,
        info.toxiproxy_url
    );
    reporter.event(Event::StackUp {
        what,
        took: started.elapsed(),
    });
    if let Stack::Local(_) = stack {
        warm_up(&stack, crate::stack::warm_up::BRIEF).await?;
    }
    for text in stack.notes() {
        reporter.event(Event::Note { text: text.clone() });
    }
    Ok(stack)
}

/// Gives a broker so much ordinary work that its speed is its own.
pub(crate) async fn warm_up(stack: &Stack, lasts: Duration) -> Result<(), RunError> {
    let topic = format!("oh.{}.warm-up", stack.run_key().run);
    let warmed = crate::stack::warm_up::warm_up(&stack.info().kafka_bootstrap, &topic, lasts).await;
    match warmed {
        Ok(()) => Ok(()),
        Err(e) => Err(match stack.failure().await {
            Some(failed) => failed.into(),
            None => failed("warming up the stack", &e),
        }),
    }
}

pub(crate) async fn run_strategies(
    scenario: &Scenario,
    options: &Options,
    stack: &Stack,
    folder: &Path,
    reaper: &Arc<Reaper>,
    reporter: &Arc<dyn Reporter>,
    interrupted: &watch::Receiver<bool>,
) -> Result<Vec<Judged>, RunError> {
    let is_chosen = |s: &&Strategy| options.strategy.as_ref().is_none_or(|name| *name == s.name);
    let chosen: Vec<&Strategy> = scenario.strategies.iter().filter(is_chosen).collect();
    let name = folder.file_name().unwrap_or_default();
    let context = strategy::Context {
        stack,
        scenario,
        reaper,
        folder,
        reporter,
        interrupted: interrupted.clone(),
        keep: options.keep_stack,
        part_of: PartOf {
            run: name.to_string_lossy().into_owned(),
            strategies: chosen.iter().map(|s| s.name.clone()).collect(),
        },
        trace: options.trace,
    };
    if chosen.iter().any(|s| s.kind == StrategyKind::Debezium {}) {
        // What is missing is said before anything is run.
        arena::debezium(stack)?;
    }
    let mut judged = Vec::new();
    for strategy in chosen {
        let history = strategy::run(&context, strategy).await?;
        let path = folder::history(folder, &strategy.name);
        let run_folder = folder.to_owned();
        // Saving and judging are work for a processor, not for the runtime's threads.
        let one = tokio::task::spawn_blocking(move || {
            history::save(&history, &path).map_err(|e| failed("saving the history", &e))?;
            judge::judge(history, &[], Some(&run_folder))
        })
        .await
        .map_err(|e| failed("judging", &e))??;
        reporter.event(Event::StrategyJudged {
            strategy: strategy.name.clone(),
            verdict: format!("{:?}", one.verdict).to_lowercase(),
        });
        judged.push(one);
        if *interrupted.borrow() {
            break;
        }
    }
    Ok(judged)
}

/// The verdict again, from the saved history of a run folder alone; writes nothing.
pub fn check(folder: &Path) -> Result<Record, RunError> {
    let started = Instant::now();
    let mut judged: Vec<Judged> = Vec::new();
    for path in folder::histories(folder)? {
        let loaded = history::load(&path).map_err(|e| failed("loading the history", &e))?;
        judged.push(judge::judge(loaded.history, &loaded.altered, None)?);
    }
    let metas: Vec<&RunMeta> = judged.iter().map(|one| &one.meta).collect();
    if let Err(reason) = whole::check(&metas) {
        for one in &mut judged {
            one.doubt(&reason);
        }
    }
    judged.sort_by_key(|one| place(&one.meta));
    crate::record::build(&judged, started.elapsed()).map_err(|e| failed("building the record", &e))
}

/// Where the history's strategy stands in its scenario: folders are in the order of their names.
fn place(meta: &RunMeta) -> Option<usize> {
    let strategies = &meta.scenario.strategies;
    strategies.iter().position(|s| s.name == meta.strategy)
}

/// The reports again, from the record alone; returns the files written.
pub fn report(folder: &Path) -> Result<Vec<PathBuf>, RunError> {
    let record = folder::read_record(folder)?;
    folder::write_reports(folder, &record)
}

/// What the record says of the stack, as names and values, so that `check` can repeat it offline.
fn environment(stack: &Stack, scenario: &Scenario) -> BTreeMap<String, String> {
    let mut all = servers(stack.info());
    let uses_debezium = |s: &Strategy| s.kind == StrategyKind::Debezium {};
    if scenario.strategies.iter().any(uses_debezium)
        && let Ok(install) = arena::debezium(stack)
    {
        all.insert("debezium".to_owned(), install.describe());
    }
    all.extend(commit_modes(scenario, &all));
    all
}

/// Whose commits wait for the disk: the service's sessions are as the server is, a relay's as its
/// strategy says.
fn commit_modes(
    scenario: &Scenario,
    servers: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut modes = BTreeMap::new();
    if let Some(mode) = servers.get("synchronous_commit") {
        modes.insert("synchronous_commit.service".to_owned(), mode.clone());
    }
    for strategy in &scenario.strategies {
        let mode = match strategy.kind {
            StrategyKind::Polling { .. } | StrategyKind::Cdc {} => strategy.relay_commit.name(),
            StrategyKind::Debezium {} => "none: it commits nothing",
            StrategyKind::DualWrite { .. } => continue,
        };
        let name = format!("synchronous_commit.relay.{}", strategy.name);
        modes.insert(name, mode.to_owned());
    }
    modes
}

/// Versions, addresses and settings of the stack's servers, as names and values.
pub(crate) fn servers(info: &StackInfo) -> BTreeMap<String, String> {
    let mut all = info.environment.clone();
    let postgres_url = format!(
        "postgres://{}@{}:{}/{}",
        info.postgres.user, info.postgres.host, info.postgres.port, info.postgres.database
    );
    for (name, value) in [
        ("stack.provider", &info.provider),
        ("stack.postgres.version", &info.postgres_version),
        ("stack.postgres.url", &postgres_url),
        ("stack.kafka.version", &info.kafka_version),
        ("stack.kafka.bootstrap", &info.kafka_bootstrap),
        ("stack.toxiproxy.version", &info.toxiproxy_version),
        ("stack.toxiproxy.url", &info.toxiproxy_url),
    ] {
        all.insert(name.to_owned(), value.clone());
    }
    all
}
