//! Arguments of `stack`, and the keeper of a kept one.

use clap::{Args, Subcommand};
use std::path::PathBuf;

pub(super) const STACK_EXAMPLES: &str = "\
Examples:
  outbox-harness stack up
  outbox-harness run --stack kept scenarios/broker-outage.toml
  outbox-harness stack status --json
  outbox-harness stack down

Scenarios that kill, restart or pause a server, or have a [stack] of their own, need --stack local.

Exit code: 0 it is up (up, status), or gone (down); 2 usage; 3 it is not up (status); 4 it could not be started or
stopped, or does not answer.";

/// `stack`.
#[derive(Debug, Args)]
#[command(after_help = STACK_EXAMPLES)]
pub struct StackArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub what: StackCommand,
}

/// What to do with a kept stack.
#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Start PostgreSQL, Kafka and Toxiproxy, warm them, and leave them running
    ///
    /// They run on free ports, without a terminal, until `stack down`, the machine's end, or until one of them ends by
    /// itself. A stack that is up already is left as it is.
    #[command(after_help = STACK_EXAMPLES)]
    Up(StackUpArgs),
    /// Stop them, and remove their data
    ///
    /// Not while a run uses them. A `run` of several scenarios gives them back after each: between two of them, this
    /// stops them all the same, and the next scenario finds none. The servers' logs stay until the next `stack up`.
    #[command(after_help = STACK_EXAMPLES)]
    Down(StackDownArgs),
    /// Servers, versions, addresses, since when, who uses them, and their memory
    #[command(after_help = STACK_EXAMPLES)]
    Status(StackStatusArgs),
}

/// Where a stack is kept.
#[derive(Debug, Args)]
pub struct KeptAt {
    /// Folder in which the stack is kept [default: `kept` in the folder of --programs]
    #[arg(long, value_name = "DIR")]
    pub at: Option<PathBuf>,
    /// Folder with Kafka's jars and Toxiproxy [default: as for `run`]
    #[arg(long, value_name = "DIR", env = "OUTBOX_HARNESS_PROGRAMS")]
    pub programs: Option<PathBuf>,
}

/// `stack up`.
#[derive(Debug, Args)]
pub struct StackUpArgs {
    /// Where.
    #[command(flatten)]
    pub place: KeptAt,
}

/// `stack down`.
#[derive(Debug, Args)]
pub struct StackDownArgs {
    /// Also while a run uses it, which then fails
    #[arg(long)]
    pub force: bool,
    /// Where.
    #[command(flatten)]
    pub place: KeptAt,
}

/// `stack status`.
#[derive(Debug, Args)]
pub struct StackStatusArgs {
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
    /// Where.
    #[command(flatten)]
    pub place: KeptAt,
}

/// `stack-keeper`.
#[derive(Debug, Args)]
pub struct KeeperArgs {
    /// Folder in which the stack is kept
    #[arg(long, value_name = "DIR")]
    pub at: PathBuf,
    /// Folder with Kafka's jars and Toxiproxy
    #[arg(long, value_name = "DIR")]
    pub programs: PathBuf,
}
