//! What can be written on the command line; one command, or what belongs together, a file.

mod bench;
mod claims;
mod compare;
mod demo;
mod init;
mod reference;
mod run;
mod saved;
mod service_check;
mod stack;
#[cfg(test)]
mod tests;

pub use bench::{BenchArgs, BenchKind, BenchShared};
pub use claims::ClaimsArgs;
pub use compare::CompareArgs;
pub use demo::{DemoArgs, DemoStack};
pub use init::InitArgs;
pub use reference::{CompletionsArgs, ListArgs, SchemaArgs, SchemaOf};
pub use run::{RunArgs, StackName};
pub use saved::{ExplainArgs, Folder, ReplayArgs, ReportArgs};
pub use service_check::ServiceCheckArgs;
pub use stack::{
    KeeperArgs, KeptAt, StackArgs, StackCommand, StackDownArgs, StackStatusArgs, StackUpArgs,
};

use clap::{Args, Parser, Subcommand};
use run::EXAMPLES;
use std::path::PathBuf;

/// Fault-injection tests and benchmarks for transactional outboxes, on a real PostgreSQL and a real Kafka.
#[derive(Debug, Parser)]
#[command(name = "outbox-harness", version, after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run scenarios, judge them, and write record and reports
    ///
    /// Each scenario runs its strategies one after the other: load, faults, heal, fence, drain,
    /// final reads, verdict. Results go to standard output, progress to standard error. All files
    /// are checked before anything starts.
    Run(RunArgs),
    /// Show a dual write losing events beside two outboxes that keep them, in under a minute
    ///
    /// Three strategies run at the same time under the same load, each in a lane of its own. In a terminal
    /// single keys break things for all of them: cut the broker, kill the relay. Elsewhere, and with
    /// --script, it plays by itself. It ends with what was committed against what was seen, and with the
    /// story of one lost order. Its figures are for show: the lanes take each other's time.
    Demo(DemoArgs),
    /// A local stack between runs: start it, stop it, look at it
    ///
    /// A run on it (`run --stack kept`) has no server to start, and begins its load within one to three seconds. One
    /// run at a time uses it.
    Stack(StackArgs),
    /// Write a scenario to begin with, which runs as it stands
    ///
    /// With `--strategy external` the template of a relay in Python is written beside it.
    Init(InitArgs),
    /// The verdict of a run again, from its saved history alone
    Check(Folder),
    /// The reports of a run again, from its record alone; of a folder with runs, an index of them
    ///
    /// With `--charts DIR` each chart of the run as a picture and as a table of its figures, and nothing else.
    Report(ReportArgs),
    /// What happened to the offending events of a run, or to one order, step by step
    ///
    /// Without --order: the first five of each kind, each with one sentence and a timeline across all
    /// processes. With it: the timeline of that order, whatever happened to it.
    Explain(ExplainArgs),
    /// A finished run once more, as a live view in 20 seconds
    ///
    /// From its saved history, in the view of the demo: what each strategy had committed, seen and lost at every
    /// moment, and what was broken. It ends with what was committed against what has an event, and with the story
    /// of one lost order. Off a terminal it is told in plain lines, at once.
    Replay(ReplayArgs),
    /// Measure strategies next to the limits and peers of the same minutes
    ///
    /// Rounds are interleaved: each row is measured once a round. The table on standard output has
    /// medians with the smallest and largest; a folder gets bench.json and bench.html. Figures of
    /// work that was not done right are left out.
    Bench(BenchArgs),
    /// Compare runs of one scenario with others: better, worse, or how small a difference could not be told
    ///
    /// BASE and NEW are saved runs: a record.json, the folder of a run, or a folder of such folders; their runs are
    /// paired in the order in which they were made. With --scenario the strategies of a file are run here, in rounds,
    /// and each is compared with the first.
    Compare(CompareArgs),
    /// What is said of the outbox, and what came of it when it was tried
    ///
    /// Without RECORDS: the scenarios that try the claims, for `run`. With them: the claims as a page, each with the
    /// verdict and the figures of these runs. `make claims` does both.
    Claims(ClaimsArgs),
    /// Whether an order service of yours keeps the contract of a run, rule by rule
    ///
    /// For a service that takes the place of the project's own (`[service]`, docs/your-service.md), started by
    /// hand. Each rule of docs/order-service.openapi.json that it breaks is named, with what it does instead
    /// and the remedy. It gets orders of this check's own: give it a database without value.
    ServiceCheck(ServiceCheckArgs),
    /// List scenarios, strategies, faults and invariants, each with a line of explanation and an example
    List(ListArgs),
    /// The JSON Schema of scenario files, of relays' files or of record.json, on standard output
    ///
    /// docs/schema in the repository has the same files. Editors with Taplo (Even Better TOML) take a scenario's from
    /// a first line such as `#:schema ../docs/schema/scenario.json`.
    Schema(SchemaArgs),
    /// Completions for a shell, on standard output
    Completions(CompletionsArgs),
    /// The manual's page, on standard output: `outbox-harness man | man -l -`
    Man,
    /// The order service of the system under test (started by `run`)
    #[command(hide = true)]
    OrderService(ChildArgs),
    /// The relay of the system under test (started by `run`)
    #[command(hide = true)]
    Relay(ChildArgs),
    /// The recoverer of two-phase commits of the system under test (started by `run`)
    #[command(hide = true)]
    Recoverer(ChildArgs),
    /// A consumer of the system under test (started by `run`)
    #[command(hide = true)]
    Consumer(ChildArgs),
    /// Keeps the servers of a stack (started by `stack up`)
    #[command(hide = true)]
    StackKeeper(KeeperArgs),
    /// Ends what `run` leaves behind when it is killed (started by `run`)
    #[command(hide = true)]
    Reaper,
}

/// A child process of a run.
#[derive(Debug, Args)]
pub struct ChildArgs {
    /// Its configuration (JSON), written by `run`
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}
