//! One scenario, straight through: stack, strategies one after the other, history, verdict, record.

pub(crate) mod arena;
pub mod explain;
mod fencing;
pub(crate) mod folder;
pub(crate) mod judge;
pub(crate) mod rehearsal;
pub(crate) mod sampler;
pub mod strategy;
mod trace;
mod whole;

use crate::history::{self, PartOf, RunMeta};
use crate::process::reaper::Reaper;
use crate::record::{Came, Frame, Judged};
use crate::scenario::{Scenario, Strategy, StrategyKind};
use crate::stack::{Jit, Provider, Stack, StackInfo};
use crate::workload::Progress;
use arena::failed;
use rehearsal::Rehearsal;
use reports::record::{NotRun, Record};
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
    /// `local` or `external`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Local { .. } => "local",
            Self::External { .. } => "external",
        }
    }

    /// The provider for one run folder; `jit` of a local broker.
    pub fn provider(&self, run_folder: &Path, jit: Jit) -> Provider {
        match self {
            Self::Local { programs } => Provider::Local {
                data: run_folder.join("stack"),
                logs: run_folder.join("logs"),
                programs: programs.clone(),
                jit,
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

impl RunError {
    /// Why something was not run, for a record.
    fn why(&self) -> String {
        match self {
            Self::Stack(_) | Self::Failed { .. } => self.to_string(),
            Self::Interrupted { .. } => "the run was interrupted".to_owned(),
        }
    }
}

/// A run that has come to its end, complete or not.
#[derive(Debug)]
pub struct Finished {
    /// Its record; the reports are in the folder already.
    pub record: Record,
    /// The run's folder.
    pub folder: PathBuf,
    /// What ended it before it was complete.
    pub failure: Option<RunError>,
}

/// Runs one scenario. `interrupted` turns true on Ctrl-C or SIGTERM. Whatever ends it, what was judged
/// by then is in its record and its reports, and so is what could not be run; without a folder to put
/// them in there is an error alone.
pub async fn run(
    scenario: &Scenario,
    options: &Options,
    reaper: &Arc<Reaper>,
    reporter: &Arc<dyn Reporter>,
    interrupted: watch::Receiver<bool>,
) -> Result<Finished, RunError> {
    let started = Instant::now();
    let started_at = jiff::Timestamp::now().to_string();
    let folder = folder::create(&options.out, &scenario.name)?;
    reporter.event(Event::ScenarioStarted {
        scenario: scenario.name.clone(),
        folder: folder.clone(),
    });
    let mut environment =
        BTreeMap::from([("stack.provider".to_owned(), options.stack.name().to_owned())]);
    let ran = on_a_stack(
        scenario,
        options,
        &folder,
        reaper,
        reporter,
        interrupted,
        &mut environment,
    )
    .await;
    let Ran {
        judged,
        mut failure,
    } = ran;
    let why = failure.as_ref().map(RunError::why);
    let came = Came {
        not_run: not_run(&chosen(scenario, options), &judged, why.as_deref()),
        judged,
        failure: why,
    };
    let frame = Frame {
        run: &folder::name(&folder),
        scenario,
        started_at,
        environment: &environment,
    };
    let record = crate::record::assemble(frame, came, started.elapsed());
    if let Err(error) = folder::write_reports(&folder, &record) {
        failure.get_or_insert(error);
    }
    Ok(Finished {
        record,
        folder,
        failure,
    })
}

/// The record of a scenario of which nothing could be run.
pub fn unrun(scenario: &Scenario, options: Option<&Options>, why: &str) -> Record {
    let chosen: Vec<&Strategy> = match options {
        Some(options) => chosen(scenario, options),
        None => scenario.strategies.iter().collect(),
    };
    let came = Came {
        judged: Vec::new(),
        not_run: not_run(&chosen, &[], Some(why)),
        failure: Some(why.to_owned()),
    };
    let frame = Frame {
        run: &folder::unique_name(&scenario.name),
        scenario,
        started_at: jiff::Timestamp::now().to_string(),
        environment: &BTreeMap::new(),
    };
    crate::record::assemble(frame, came, Duration::ZERO)
}

/// What came of the strategies of a scenario.
#[derive(Debug, Default)]
pub(crate) struct Ran {
    /// Those that were judged, whatever happened after that.
    pub judged: Vec<Judged>,
    /// Why there are no more.
    pub failure: Option<RunError>,
}

impl From<RunError> for Ran {
    fn from(failure: RunError) -> Self {
        Self {
            judged: Vec::new(),
            failure: Some(failure),
        }
    }
}

/// The strategies that are to be run.
fn chosen<'a>(scenario: &'a Scenario, options: &Options) -> Vec<&'a Strategy> {
    let is_chosen = |s: &&Strategy| options.strategy.as_ref().is_none_or(|name| *name == s.name);
    scenario.strategies.iter().filter(is_chosen).collect()
}

/// Those that were not judged. The first of them is the one that something happened to.
fn not_run(chosen: &[&Strategy], judged: &[Judged], why: Option<&str>) -> Vec<NotRun> {
    let why = why.unwrap_or("the run ended before it");
    let is_judged = |s: &&&Strategy| judged.iter().any(|j| j.meta.strategy == s.name);
    let missing = chosen.iter().filter(|s| !is_judged(s));
    let strategy = |s: &&Strategy| NotRun {
        strategy: s.name.clone(),
        why: why.to_owned(),
    };
    missing.map(strategy).collect()
}

/// Starts the stack, runs the strategies on it, and stops it.
async fn on_a_stack(
    scenario: &Scenario,
    options: &Options,
    folder: &Path,
    reaper: &Arc<Reaper>,
    reporter: &Arc<dyn Reporter>,
    mut interrupted: watch::Receiver<bool>,
    environment: &mut BTreeMap<String, String>,
) -> Ran {
    let stack = tokio::select! {
        stack = start_stack(options, folder, Jit::C1, reaper, reporter) => stack,
        _ = interrupted.wait_for(|i| *i) => Err(RunError::Interrupted { folder: folder.to_owned() }),
    };
    let stack = match stack {
        Ok(stack) => stack,
        Err(error) => return error.into(),
    };
    *environment = self::environment(&stack, scenario);
    let whole = Whole {
        scenario,
        options,
        stack: &stack,
        folder,
        reaper,
        reporter,
        interrupted: &interrupted,
    };
    let mut ran = match warm(&whole).await {
        Ok(()) => run_strategies(&whole).await,
        Err(error) => error.into(),
    };
    let stack_failed = matches!(ran.failure, Some(RunError::Stack(_)));
    let left = if options.keep_stack && !stack_failed {
        keep(stack, folder, reporter).await
    } else {
        stack.stop().await.map_err(RunError::from)
    };
    // What failed first explains the rest.
    if ran.failure.is_none() {
        ran.failure = left.err();
    }
    if ran.failure.is_none() && *interrupted.borrow() {
        let folder = folder.to_owned();
        ran.failure = Some(RunError::Interrupted { folder });
    }
    ran
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

/// Starts it; `jit` of a local broker. It is up, but not warm.
pub(crate) async fn start_stack(
    options: &Options,
    folder: &Path,
    jit: Jit,
    reaper: &Arc<Reaper>,
    reporter: &Arc<dyn Reporter>,
) -> Result<Stack, RunError> {
    let provider = options.stack.provider(folder, jit);
    reporter.event(Event::StackStarting {
        provider: options.stack.name().to_owned(),
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

/// What the strategies of a scenario have in common.
pub(crate) struct Whole<'a> {
    pub scenario: &'a Scenario,
    pub options: &'a Options,
    pub stack: &'a Stack,
    pub folder: &'a Path,
    pub reaper: &'a Arc<Reaper>,
    pub reporter: &'a Arc<dyn Reporter>,
    /// Ctrl-C or SIGTERM.
    pub interrupted: &'a watch::Receiver<bool>,
}

impl<'a> Whole<'a> {
    fn chosen(&self) -> Vec<&'a Strategy> {
        chosen(self.scenario, self.options)
    }

    fn context(&self) -> strategy::Context<'a> {
        strategy::Context {
            stack: self.stack,
            scenario: self.scenario,
            reaper: self.reaper,
            folder: self.folder,
            reporter: self.reporter,
            interrupted: self.interrupted.clone(),
            keep: self.options.keep_stack,
            part_of: PartOf {
                run: folder::name(self.folder),
                strategies: self.chosen().iter().map(|s| s.name.clone()).collect(),
            },
            trace: self.options.trace,
        }
    }
}

/// Brings a stack to the speed that is its own. Strategies that are compared are worth a rehearsal:
/// a short one where the broker's compiler is soon done, on somebody's stack, of which nothing is
/// known, until it gets no faster.
async fn warm(whole: &Whole<'_>) -> Result<(), RunError> {
    let compared = whole.chosen().len() > 1;
    match whole.stack {
        Stack::Local(_) if compared => rehearsal::rehearse(whole, Rehearsal::Brief).await,
        Stack::Local(_) => warm_up(whole.stack, crate::stack::warm_up::BRIEF).await,
        Stack::External(_) if compared => rehearsal::rehearse(whole, Rehearsal::UntilSteady).await,
        Stack::External(_) => Ok(()),
    }
}

/// Runs the strategies one after the other, each judged before the next one begins, up to the first
/// of which no history comes.
pub(crate) async fn run_strategies(whole: &Whole<'_>) -> Ran {
    let (stack, folder, interrupted) = (whole.stack, whole.folder, whole.interrupted);
    let chosen = whole.chosen();
    let context = whole.context();
    if chosen.iter().any(|s| s.kind == StrategyKind::Debezium {}) {
        // What is missing is said before anything is run.
        if let Err(error) = arena::debezium(stack) {
            return error.into();
        }
    }
    let mut ran = Ran::default();
    for strategy in chosen {
        match one_strategy(&context, strategy).await {
            Ok(judged) => ran.judged.push(judged),
            Err(error) => {
                ran.failure = Some(error);
                break;
            }
        }
        if *interrupted.borrow() {
            let folder = folder.to_owned();
            ran.failure = Some(RunError::Interrupted { folder });
            break;
        }
    }
    ran
}

/// One strategy, from its start to its judgement.
async fn one_strategy(
    context: &strategy::Context<'_>,
    strategy: &Strategy,
) -> Result<Judged, RunError> {
    let history = strategy::run(context, strategy).await?;
    let cut_short = *context.interrupted.borrow();
    let path = folder::history(context.folder, &strategy.name);
    let run_folder = context.folder.to_owned();
    // Saving and judging are work for a processor, not for the runtime's threads.
    let mut judged = tokio::task::spawn_blocking(move || {
        history::save(&history, &path).map_err(|e| failed("saving the history", &e))?;
        judge::judge(history, &[], Some(&run_folder))
    })
    .await
    .map_err(|e| failed("judging", &e))??;
    if cut_short {
        judged.doubt("the run was interrupted while this strategy was under way");
    }
    context.reporter.event(Event::StrategyJudged {
        strategy: strategy.name.clone(),
        verdict: format!("{:?}", judged.verdict).to_lowercase(),
    });
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
    crate::record::build(judged, started.elapsed()).map_err(|e| failed("building the record", &e))
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
