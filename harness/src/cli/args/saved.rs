//! What is asked of saved runs: `check`, `report`, `replay`, `explain`.

use clap::Args;
use std::path::PathBuf;

pub(super) const EXPLAIN_EXAMPLES: &str = "\
Examples:
  outbox-harness explain runs/relay-crash-20261124T101500Z
  outbox-harness explain runs/relay-crash-20261124T101500Z --strategy cdc
  outbox-harness explain runs/relay-crash-20261124T101500Z --order 00000000-002a-8b1e-9d02-51f00c0a6b10

Times are seconds since the load began. What the order service and the relay wrote of an event's way
is shown as they wrote it; no verdict rests on it. Every offending event is also in the run's
offences.jsonl.

Exit code: 0 explained; 2 no folder of a run, or nothing known of the order or the strategy; 4 the
history is damaged.";

pub(super) const REPLAY_EXAMPLES: &str = "\
Examples:
  outbox-harness replay runs/broker-outage-20261123T101500Z
  outbox-harness replay runs/broker-outage-20261123T101500Z --seconds 60
  outbox-harness replay runs/broker-outage-20261123T101500Z --open

Keys: space stops it, and lets it go on; the arrows go a tenth back and forth; q ends it; ? explains.

Exit code: 0 it was played, or told in lines; 2 no folder of a run; 3 its history was changed after the run;
4 its history is damaged.";

/// The folder of one run.
#[derive(Debug, Args)]
pub struct Folder {
    /// Folder of one run, such as runs/steady-20261123-101500
    #[arg(value_name = "RUN_DIR")]
    pub folder: PathBuf,
}

/// `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The run, or the folder with runs
    #[command(flatten)]
    pub of: Folder,
    /// Write every chart of the run into this folder instead, as SVG and as CSV
    #[arg(long, value_name = "DIR")]
    pub charts: Option<PathBuf>,
    /// Then show the page in a browser, as for `run`
    #[arg(long, conflicts_with = "charts")]
    pub open: bool,
}

/// `replay`.
#[derive(Debug, Args)]
#[command(after_help = REPLAY_EXAMPLES)]
pub struct ReplayArgs {
    /// The run
    #[command(flatten)]
    pub of: Folder,
    /// So many seconds it takes, however long the run took
    #[arg(long, value_name = "S", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// Then show the run's report in a browser, as for `run`
    #[arg(long)]
    pub open: bool,
}

/// `explain`.
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// Folder of one run, such as runs/steady-20261123T101500Z
    #[arg(value_name = "RUN_DIR")]
    pub folder: PathBuf,
    /// Only this order: its id, or its number in the history, where each strategy has one of its own
    #[arg(long, value_name = "ID")]
    pub order: Option<String>,
    /// Only the strategy of this name
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
}
