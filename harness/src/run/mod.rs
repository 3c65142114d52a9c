//! One scenario, straight through: stack, strategies one after the other, history, verdict, record.

mod again;
mod caching;
mod consuming;
mod context;
mod counts;
pub(crate) mod deployment;
pub(crate) mod environment;
pub mod event;
mod event_log;
pub mod explain;
mod fencing;
pub(crate) mod folder;
pub(crate) mod judge;
pub mod keyboard;
pub mod lane_counts;
mod look;
pub mod look_pace;
mod projecting;
pub(crate) mod rehearsal;
pub mod replay;
pub mod reporter;
pub(crate) mod sampler;
mod saved;
mod sinks;
pub(crate) mod stack;
pub mod stage;
pub(crate) mod strategies;
pub mod strategy;
mod trace;
pub mod trend;
mod whole;

use crate::history::{self, PartOf};
use crate::process::reaper::Reaper;
use crate::record::{Came, Frame, Judged};
use crate::scenario::{Scenario, Server, Strategy};
use crate::stack::kept::KeptFolder;
use crate::stack::{Jit, Provider, ServerSettings, Stack};
pub use again::{charts, check, index, report};
use deployment::failed;
pub use event::Event;
pub use folder::{is_run, lacks_history, report_page};
use lane_counts::LaneCounts;
use look_pace::LookPace;
pub use reporter::{Reporter, Sink};
use reports::record::{NotRun, Record};
pub use saved::saved;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::{Mutex, watch};

/// These say how a scenario is run, as far as that is not in its file.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only the strategy of this name is run; with `None`, all of the scenario's are.
    pub strategy: Option<String>,
    /// Folder under which the run's own folder is made.
    pub out: PathBuf,
    /// The scenario is run on this stack.
    pub stack: StackChoice,
    /// With this, the stack, its schemas and its topics are left after the run.
    pub keep_stack: bool,
    /// With this, order service and relay write a trace of each event's way.
    pub trace: bool,
}

/// This is the stack as the command line names it.
#[derive(Debug, Clone)]
pub enum StackChoice {
    /// The stack consists of child processes; their programs are in this folder.
    Local {
        /// This is the folder `.stack` of the checkout.
        programs: PathBuf,
    },
    /// The stack consists of containers, of the image that `make images` builds.
    Docker {
        /// This is `.stack` of the checkout, if there is one.
        programs: Option<PathBuf>,
    },
    /// The stack is described by this file.
    External {
        /// This is the path of the stack file, such as `external.toml`.
        file: PathBuf,
        /// `.stack` of the checkout, if there is one.
        programs: Option<PathBuf>,
    },
    /// The stack was started by `stack up`, and is kept in this folder.
    Kept {
        /// This is the folder, and what is in it.
        folder: KeptFolder,
    },
}

impl StackChoice {
    /// Returns `local`, `docker`, `external` or `kept`, as events and records call the provider.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Local { .. } => "local",
            Self::Docker { .. } => "docker",
            Self::External { .. } => "external",
            Self::Kept { .. } => "kept",
        }
    }

    /// Returns the provider for one run folder; `jit` and `settings` are those of servers that it starts.
    pub fn provider(&self, run_folder: &Path, jit: Jit, settings: ServerSettings) -> Provider {
        match self {
            Self::Local { programs } => Provider::Local {
                data: run_folder.join("stack"),
                logs: run_folder.join("logs"),
                programs: programs.clone(),
                jit,
                settings,
            },
            Self::Docker { programs } => Provider::Docker {
                data: run_folder.join("stack"),
                logs: run_folder.join("logs"),
                programs: programs.clone(),
                jit,
                settings,
            },
            Self::External { file, programs } => Provider::External {
                file: file.clone(),
                programs: programs.clone(),
            },
            Self::Kept { folder } => Provider::Kept {
                folder: folder.clone(),
            },
        }
    }
}

/// What servers of the harness's own are to be like for a scenario.
pub(crate) fn server_settings(scenario: &Scenario) -> ServerSettings {
    ServerSettings {
        synchronous_standby: scenario.stack.synchronous_standby,
        hot_standby: scenario.stack.hot_standby,
        max_slot_wal_keep_bytes: scenario.stack.max_slot_wal_keep_bytes,
        autovacuum_naptime_s: scenario.stack.autovacuum_naptime_s,
        nats_sync: scenario.stack.nats_sync,
        eventbridge_throttle: scenario.stack.eventbridge_throttle,
        kafka: scenario.stack.kafka,
        servers: servers_of(scenario),
    }
}

/// Returns the servers that some strategy of a scenario uses, PostgreSQL aside, which every one does.
fn servers_of(scenario: &Scenario) -> BTreeSet<Server> {
    let others = Server::ALL
        .into_iter()
        .filter(|server| !server.is_of_every_stack() && !server.is_node());
    let used = |server: &Server| {
        let mut strategies = scenario.strategies.iter();
        strategies.any(|strategy| strategy.topology().has_server(*server))
    };
    others.filter(used).collect()
}

/// Why a scenario has no record.
#[derive(Debug, Error)]
pub enum RunError {
    /// The stack failed, at its start, during the run or at its end; the exit code is 4.
    #[error(transparent)]
    Stack(#[from] crate::stack::StackError),
    /// The run folder or the referee itself failed; the exit code is 4.
    #[error("{doing}: {reason}")]
    Failed {
        /// What was being done.
        doing: String,
        /// Why it failed and what to do about it.
        reason: String,
    },
    /// Ctrl-C or SIGTERM ended the run: everything was healed and torn down; what was recorded is in the folder.
    #[error("interrupted; what was recorded is in {folder}")]
    Interrupted {
        /// This is the run's folder, in which there is what was recorded until then.
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
    /// This is the run's record; the reports are in the folder already.
    pub record: Record,
    /// This is the run's own folder, in which its logs, histories and reports are.
    pub folder: PathBuf,
    /// What ended it before it was complete.
    pub failure: Option<RunError>,
}

/// How the strategies of a run take the stage, and who looks at them meanwhile.
#[derive(Clone, Copy)]
pub(crate) enum Showing<'a> {
    /// They are measured, one after the other, and nobody looks.
    Nothing,
    /// They are measured, one after the other, and somebody sees each.
    InTurn,
    /// They are for show, and run at the same time.
    OnStage(&'a stage::Stage),
}

/// Runs one scenario for an audience: all its strategies at the same time. See [`run`] for the rest.
pub async fn run_on_stage(
    scenario: &Scenario,
    options: &Options,
    reaper: &Arc<Reaper>,
    (reporter, stage): (&Reporter, &stage::Stage),
    interrupted: watch::Receiver<bool>,
) -> Result<Finished, RunError> {
    let told = Told {
        reporter,
        showing: Showing::OnStage(stage),
    };
    run_and_tell(scenario, options, reaper, told, interrupted).await
}

/// Runs one scenario as [`run`] does, and tells what is counted in each lane as it goes on.
pub async fn run_watched(
    scenario: &Scenario,
    options: &Options,
    reaper: &Arc<Reaper>,
    reporter: &Reporter,
    interrupted: watch::Receiver<bool>,
) -> Result<Finished, RunError> {
    let told = Told {
        reporter,
        showing: Showing::InTurn,
    };
    run_and_tell(scenario, options, reaper, told, interrupted).await
}

/// Who is told of a run, and how it is shown.
#[derive(Clone, Copy)]
struct Told<'a> {
    reporter: &'a Reporter,
    showing: Showing<'a>,
}

/// Runs one scenario. `interrupted` turns true on Ctrl-C or SIGTERM. Whatever ends it, what was judged
/// by then is in its record and its reports, and so is what could not be run; without a folder to put
/// them in there is an error alone.
pub async fn run(
    scenario: &Scenario,
    options: &Options,
    reaper: &Arc<Reaper>,
    reporter: &Reporter,
    interrupted: watch::Receiver<bool>,
) -> Result<Finished, RunError> {
    let told = Told {
        reporter,
        showing: Showing::Nothing,
    };
    run_and_tell(scenario, options, reaper, told, interrupted).await
}

async fn run_and_tell(
    scenario: &Scenario,
    options: &Options,
    reaper: &Arc<Reaper>,
    told: Told<'_>,
    interrupted: watch::Receiver<bool>,
) -> Result<Finished, RunError> {
    let started = Instant::now();
    let started_at = jiff::Timestamp::now().to_string();
    let folder = folder::create(&options.out, &scenario.name)?;
    let reporter = told.reporter.and(sinks::of_every_run());
    let told = Told {
        reporter: &reporter,
        ..told
    };
    told.reporter.event(Event::ScenarioStarted {
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
        told,
        interrupted,
        &mut environment,
    )
    .await;
    let played = match told.showing {
        Showing::OnStage(stage) => Some(stage.keyboard.played(scenario)),
        Showing::Nothing | Showing::InTurn => None,
    };
    let scenario = played.as_ref().unwrap_or(scenario);
    let Ran {
        judged,
        mut failure,
    } = ran;
    let came = Came {
        not_run: not_run(
            &chosen(scenario, options.strategy.as_deref()),
            &judged,
            failure.as_ref(),
        ),
        judged,
        failure: failure.as_ref().map(RunError::why),
    };
    let frame = Frame {
        run: &folder::name(&folder),
        scenario,
        started_at,
        environment: &environment,
    };
    let mut record = crate::record::assemble(frame, came, started.elapsed());
    if let Err(error) = folder::write_reports(&folder, &record) {
        // Those that are written elsewhere must not call it a pass.
        record.failure.get_or_insert_with(|| error.why());
        if record.verdict == reports::record::Verdict::Pass {
            record.verdict = reports::record::Verdict::Unknown;
        }
        failure.get_or_insert(error);
    }
    Ok(Finished {
        record,
        folder,
        failure,
    })
}

/// Returns the record of a scenario of which nothing, or not this strategy, could be run.
pub fn unrun(scenario: &Scenario, strategy: Option<&str>, why: &str) -> Record {
    let chosen = chosen(scenario, strategy);
    let not_run = chosen.iter().map(|s| NotRun {
        strategy: s.name.clone(),
        why: why.to_owned(),
    });
    let came = Came {
        judged: Vec::new(),
        not_run: not_run.collect(),
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

/// This is what came of the strategies of a scenario.
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
pub fn chosen<'a>(scenario: &'a Scenario, strategy: Option<&str>) -> Vec<&'a Strategy> {
    let is_chosen = |s: &&Strategy| strategy.is_none_or(|name| name == s.name);
    scenario.strategies.iter().filter(is_chosen).collect()
}

/// Those that were not judged, and why. The first of them is the one that something happened to; that
/// the others were not begun is its fault only where it was its own.
fn not_run(chosen: &[&Strategy], judged: &[Judged], failure: Option<&RunError>) -> Vec<NotRun> {
    let is_judged = |s: &&&Strategy| judged.iter().any(|j| j.meta.strategy == s.name);
    let mut missing = chosen.iter().filter(|s| !is_judged(s));
    let Some(first) = missing.next() else {
        return Vec::new();
    };
    let why = failure.map_or_else(|| "the run ended before it".to_owned(), RunError::why);
    let later = match failure {
        Some(RunError::Failed { .. }) => format!("not begun: the run ended at {}", first.name),
        Some(RunError::Stack(_) | RunError::Interrupted { .. }) | None => why.clone(),
    };
    let not_run = |s: &Strategy, why: String| NotRun {
        strategy: s.name.clone(),
        why,
    };
    let others = missing.map(|s| not_run(s, later.clone()));
    std::iter::once(not_run(first, why)).chain(others).collect()
}

/// Starts the stack, runs the strategies on it, and stops it.
async fn on_a_stack(
    scenario: &Scenario,
    options: &Options,
    folder: &Path,
    reaper: &Arc<Reaper>,
    Told { reporter, showing }: Told<'_>,
    mut interrupted: watch::Receiver<bool>,
    environment: &mut BTreeMap<String, String>,
) -> Ran {
    let stack = tokio::select! {
        stack = stack::start(options, folder, (Jit::C1, server_settings(scenario)), reaper, reporter) => stack,
        _ = interrupted.wait_for(|i| *i) => Err(RunError::Interrupted { folder: folder.to_owned() }),
    };
    let stack = match stack {
        Ok(stack) => stack,
        Err(error) => return error.into(),
    };
    *environment = environment::of(&stack, scenario);
    let scenario_run = ScenarioRun {
        scenario,
        options,
        stack: &stack,
        folder,
        reaper,
        reporter,
        interrupted: &interrupted,
    };
    let for_show = matches!(showing, Showing::OnStage(_));
    let mut ran = match (stack::ready(&scenario_run, for_show).await, showing) {
        (Ok(()), Showing::OnStage(stage)) => stage::run(&scenario_run, stage).await,
        (Ok(()), Showing::Nothing) => run_strategies(&scenario_run, None).await,
        (Ok(()), Showing::InTurn) => run_strategies(&scenario_run, Some(LookPace::Seldom)).await,
        (Err(error), _) => error.into(),
    };
    let stack_failed = matches!(ran.failure, Some(RunError::Stack(_)));
    let left = if options.keep_stack && !stack_failed {
        stack::keep(stack, folder, reporter).await
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

/// What the strategies of a scenario have in common.
pub(crate) struct ScenarioRun<'a> {
    pub scenario: &'a Scenario,
    pub options: &'a Options,
    pub stack: &'a Stack,
    pub folder: &'a Path,
    pub reaper: &'a Arc<Reaper>,
    pub reporter: &'a Reporter,
    /// This turns true on Ctrl-C or SIGTERM.
    pub interrupted: &'a watch::Receiver<bool>,
}

impl<'a> ScenarioRun<'a> {
    fn chosen(&self) -> Vec<&'a Strategy> {
        chosen(self.scenario, self.options.strategy.as_deref())
    }

    fn context(&self) -> context::Context<'a> {
        context::Context {
            stack: self.stack,
            scenario: self.scenario,
            reaper: self.reaper,
            folder: self.folder,
            reporter: self.reporter,
            interrupted: self.interrupted.clone(),
            keep: self.options.keep_stack,
            stack_stays: self.options.keep_stack,
            part_of: PartOf {
                run: folder::name(self.folder),
                strategies: self.chosen().iter().map(|s| s.name.clone()).collect(),
            },
            trace: self.options.trace,
            lane: None,
            looked_at: None,
        }
    }
}

/// Runs the strategies one after the other, each judged before the next one begins, up to the first
/// of which no history comes. Each is looked at in this pace, where somebody watches.
pub(crate) async fn run_strategies(
    scenario_run: &ScenarioRun<'_>,
    looked_at: Option<LookPace>,
) -> Ran {
    let (folder, interrupted) = (scenario_run.folder, scenario_run.interrupted);
    let chosen = scenario_run.chosen();
    let judging = Mutex::new(());
    let mut ran = Ran::default();
    for (lane, strategy) in chosen.into_iter().enumerate() {
        let reporter = scenario_run.reporter.of_lane(lane);
        let mut context = scenario_run.context();
        context.reporter = &reporter;
        context.looked_at = looked_at;
        match one_strategy(&context, strategy, &judging).await {
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

/// Runs one strategy, from its start to its judgement. Whoever holds `judging` writes the run's files.
async fn one_strategy(
    context: &context::Context<'_>,
    strategy: &Strategy,
    judging: &Mutex<()>,
) -> Result<Judged, RunError> {
    let history = strategy::run(context, strategy).await?;
    let _turn = judging.lock().await;
    let path = folder::history(context.folder, &strategy.name);
    let run_folder = context.folder.to_owned();
    // Saving and judging are work for a processor, not for the runtime's threads.
    let judged = tokio::task::spawn_blocking(move || {
        history::save(&history, &path).map_err(|e| failed("saving the history", &e))?;
        judge::judge(history, &[], Some(&run_folder))
    })
    .await
    .map_err(|e| failed("judging", &e))??;
    context.reporter.event(Event::StrategyJudged {
        strategy: strategy.name.clone(),
        verdict: format!("{:?}", judged.verdict).to_lowercase(),
        counts: LaneCounts::judged(&judged.strategy),
        expectations: judged.strategy.expectations.clone(),
    });
    Ok(judged)
}
