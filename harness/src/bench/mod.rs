//! Benchmarks: strategies next to the limits and peers of the same minutes, on the real stack.
//!
//! Rounds are interleaved (A B C, then B C A): a machine's capacity swings within minutes, so each row is
//! measured once a round, and a ratio is the median of the ratios by round. No figure goes without
//! a check of the work it is of: what was not done right has no speed.

mod alone;
pub mod capacity;
pub mod compare;
mod costs;
pub mod drain;
mod events;
mod ground;
pub mod latency;
pub mod orders;
mod pace;
mod program;
mod rounds;
mod scenarios;
mod sheet;
mod strategies;
pub mod systems;
mod usage;

use crate::process::reaper::Reaper;
use crate::run::deployment::failed;
use crate::run::{self, Event, Reporter, RunError, StackChoice};
use crate::stack::{Jit, ServerSettings, Stack};
use ground::Ground;
use reports::bench::{Bench, Ratio, SCHEMA_VERSION};
use reports::record::Verdict;
use rounds::Rounds;
use sheet::Sheet;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use systems::Systems;
use tokio::sync::watch;

/// Which benchmark, with what is its own.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A backlog, until its last event is on the topic.
    Drain(drain::DrainOptions),
    /// The benchmark measures end to end latency and propagation at fixed rates.
    Latency(latency::LatencyOptions),
    /// The benchmark looks for the highest rate with a bounded backlog.
    Capacity(capacity::CapacityOptions),
    /// The benchmark measures the order path next to pgbench.
    Orders(orders::OrdersOptions),
}

impl Kind {
    /// Returns the benchmark's name on the command line, e.g. `drain`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Drain(_) => "drain",
            Self::Latency(_) => "latency",
            Self::Capacity(_) => "capacity",
            Self::Orders(_) => "orders",
        }
    }

    /// Between which systems its strategies stand.
    fn systems(&self) -> Systems {
        match self {
            Self::Drain(options) => options.systems,
            Self::Latency(options) => options.systems,
            Self::Capacity(_) | Self::Orders(_) => Systems::default(),
        }
    }

    /// What is wrong with its options, before anything starts; with the remedy.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Drain(options) => options.check(),
            Self::Latency(options) => options.check(),
            Self::Capacity(options) => options.check(),
            Self::Orders(options) => options.check(),
        }
    }
}

/// What all benchmarks have in common.
#[derive(Debug, Clone)]
pub struct BenchOptions {
    /// Folder under which the benchmark's own folder is made.
    pub out: PathBuf,
    /// The benchmark runs on this stack: one of its own, or one that a file describes.
    pub stack: StackChoice,
    /// Every row is measured in so many rounds, at least 1.
    pub repetitions: u32,
    /// This command line repeats the benchmark.
    pub command: String,
}

/// This benchmark came to its end, or was cut short after rounds that are worth keeping.
#[derive(Debug)]
pub struct FinishedBench {
    /// This is its record; `bench.json` and `bench.html` are in the folder already.
    pub bench: Bench,
    /// The benchmark's reports, and what it left beside them, are in this folder.
    pub folder: PathBuf,
}

/// One benchmark came to this, which goes into its record.
struct Results {
    question: &'static str,
    method: Vec<String>,
    settings: BTreeMap<String, String>,
    sheets: Vec<Sheet>,
    ratios: Vec<Ratio>,
}

/// Runs one benchmark. `interrupted` turns true on Ctrl-C or SIGTERM.
pub async fn run(
    kind: &Kind,
    options: &BenchOptions,
    reaper: &Arc<Reaper>,
    reporter: &Reporter,
    mut interrupted: watch::Receiver<bool>,
) -> Result<FinishedBench, RunError> {
    let started = Instant::now();
    let started_at = jiff::Timestamp::now().to_string();
    let name = format!("bench-{}", kind.name());
    let of_run = run::Options {
        strategy: None,
        out: options.out.clone(),
        stack: options.stack.clone(),
        keep_stack: false,
        trace: false,
    };
    let settings = (Jit::C2, kind.systems().servers());
    let (folder, stack) = begin(
        &name,
        &of_run,
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
        of_run: &of_run,
        cut_short: OnceLock::new(),
    };
    let repetitions = options.repetitions.max(1);
    let results = match kind {
        Kind::Drain(own) => drain::run(&ground, own, repetitions).await,
        Kind::Latency(own) => latency::run(&ground, own, repetitions).await,
        Kind::Capacity(own) => capacity::run(&ground, own, repetitions).await,
        Kind::Orders(own) => orders::run(&ground, own, repetitions).await,
    };
    let cut_short = ground.cut_short.into_inner();
    let environment = run::environment::servers(stack.info());
    stop(stack).await?;
    let results = results?;
    let rounds = Rounds::of(&results.sheets, repetitions);
    let cut_short = match cut_short {
        Some(reason) if !rounds.outlast(&reason) => return Err(reason),
        Some(reason) => rounds.cut_short(&reason),
        None => None,
    };
    let (verdict, reasons) = verdict(&results.sheets, cut_short);
    let bench = Bench {
        schema_version: SCHEMA_VERSION,
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        bench: kind.name().to_owned(),
        question: results.question.to_owned(),
        command: options.command.clone(),
        started_at,
        took_s: started.elapsed().as_secs_f64(),
        repetitions,
        complete: rounds.complete,
        verdict,
        reasons,
        method: results.method,
        settings: results.settings,
        stack: crate::record::stack(&environment),
        tables: results.sheets.iter().map(Sheet::table).collect(),
        ratios: results.ratios,
    };
    write(&folder, &bench)?;
    Ok(FinishedBench { bench, folder })
}

/// A folder under the one of the options, announced, and a stack that is up: what everything that is measured begins
/// with.
async fn begin(
    name: &str,
    of_run: &run::Options,
    settings: (Jit, ServerSettings),
    (reaper, reporter): (&Arc<Reaper>, &Reporter),
    interrupted: &mut watch::Receiver<bool>,
) -> Result<(PathBuf, Stack), RunError> {
    let folder = run::folder::create(&of_run.out, name)?;
    reporter.event(Event::ScenarioStarted {
        scenario: name.to_owned(),
        folder: folder.clone(),
    });
    let stack = tokio::select! {
        stack = run::stack::start(of_run, &folder, settings, reaper, reporter) => stack?,
        _ = interrupted.wait_for(|i| *i) => return Err(RunError::Interrupted { folder }),
    };
    Ok((folder, stack))
}

async fn stop(stack: Stack) -> Result<(), RunError> {
    Ok(stack.stop().await?)
}

/// Work done wrongly fails the benchmark; a figure that is missing leaves it unknown.
fn verdict(sheets: &[Sheet], cut_short: Option<String>) -> (Verdict, Vec<String>) {
    let wrong: Vec<String> = sheets.iter().flat_map(Sheet::wrong).collect();
    let inconclusive = sheets.iter().flat_map(Sheet::inconclusive);
    let inconclusive: Vec<String> = cut_short.into_iter().chain(inconclusive).collect();
    let verdict = match (wrong.is_empty(), inconclusive.is_empty()) {
        (false, _) => Verdict::Fail,
        (true, false) => Verdict::Unknown,
        (true, true) => Verdict::Pass,
    };
    (verdict, wrong.into_iter().chain(inconclusive).collect())
}

fn write(folder: &Path, bench: &Bench) -> Result<(), RunError> {
    let files = [
        ("bench.json", reports::bench::json(bench)),
        ("bench.html", reports::bench::html::export(bench)),
    ];
    for (name, bytes) in files {
        let path = folder.join(name);
        let doing = format!("writing {}", path.display());
        let bytes = bytes.map_err(|e| failed(&doing, &e))?;
        std::fs::write(&path, bytes).map_err(|e| failed(&doing, &e))?;
    }
    Ok(())
}
