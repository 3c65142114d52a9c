//! Arguments of `run`.

use crate::cli::selection::Shard;
use clap::{Args, ValueEnum};
use std::path::PathBuf;

pub(super) const EXAMPLES: &str = "\
Examples:
  outbox-harness demo
  outbox-harness init first.toml
  outbox-harness run scenarios/broker-outage.toml
  outbox-harness run scenarios --junit junit.xml --json results.json
  outbox-harness run scenarios --shard 1/3 --fail-fast
  outbox-harness run scenarios/phantom.toml --open
  outbox-harness run scenarios/broker-outage.toml --watch
  outbox-harness run scenarios/relay-crash.toml --until-fail --repeat 50
  outbox-harness run scenarios/steady.toml --strategy cdc --keep-stack
  outbox-harness run scenarios/steady.toml --stack external --external external.toml
  outbox-harness check runs/broker-outage-20261123T101500Z
  outbox-harness explain runs/broker-outage-20261123T101500Z --strategy naive
  outbox-harness replay runs/broker-outage-20261123T101500Z
  outbox-harness list
  outbox-harness schema scenario

Exit code: 0 every expectation met; 1 an expectation missed; 2 usage or a scenario file is wrong;
3 unknown (nothing was proved, or interrupted); 4 the stack failed. Of several scenarios the worst
counts: 4, then 1, then 3.";

/// Rounds that one command runs at most.
const MOST_ROUNDS: i64 = 1000;

/// A stack as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StackName {
    /// Started for each scenario as child processes on free ports, and stopped after it
    Local,
    /// The containers of docker-compose.yml, started for each scenario on free ports, and stopped after it
    Docker,
    /// A running one, described by a file (see --external)
    External,
    /// The one that `outbox-harness stack up` started
    Kept,
    /// `local` where its programs are installed, else `docker`
    Auto,
}

/// `run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Scenario files (TOML), folders with them, or patterns such as 'scenarios/relay-*.toml'; they run one
    /// after the other
    #[arg(required = true, value_name = "SCENARIO")]
    pub scenarios: Vec<PathBuf>,
    /// Run only the strategy of this name
    #[arg(long, value_name = "NAME")]
    pub strategy: Option<String>,
    /// Only say which scenarios would be run, and about how long they take
    #[arg(long)]
    pub list: bool,
    /// Only one part of the scenarios, such as 2/5, the second of five that take about as long as each other
    #[arg(long, value_name = "PART")]
    pub shard: Option<Shard>,
    /// Run all of them this often
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_ROUNDS))]
    pub repeat: Option<u32>,
    /// Run all of them again until one is not a pass, --repeat times at most [default: 1000]
    #[arg(long, conflicts_with = "fail_fast")]
    pub until_fail: bool,
    /// Run no more after the first scenario that is not a pass
    #[arg(long)]
    pub fail_fast: bool,
    /// Folder in which each run makes a folder of its own
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Also write the results of all scenarios as JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Also write the record to this file (a list of records when there are several scenarios)
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Where PostgreSQL, Kafka and Toxiproxy come from
    #[arg(long, value_enum, default_value_t = StackName::Local)]
    pub stack: StackName,
    /// Description of the running stack, for `--stack external`
    #[arg(long, value_name = "FILE", default_value = "external.toml")]
    pub external: PathBuf,
    /// Show each run as it goes on, in the live view of the demo, strategy after strategy
    ///
    /// What each strategy has committed, seen and lost so far, what is broken, and where each expectation stands. q (or
    /// Ctrl-C) interrupts the run in order, ? explains, and no key breaks anything. The run is the same as without: its
    /// strategies run one after the other, and no verdict rests on what is shown. It costs a little of one core (docs/reading.md
    /// says how much): it is drawn ten times a second, and what is committed is looked up in the database, at least two seconds
    /// apart, and seldom where the table is large. Where standard input or output is no terminal, progress is shown in plain lines.
    #[arg(long)]
    pub watch: bool,
    /// Then show the report in a browser: what BROWSER names, else xdg-open or open; of several runs that of the first
    /// that is not a pass, else of the last
    #[arg(long)]
    pub open: bool,
    /// Folder of the stack that `stack up` keeps, for `--stack kept` [default: `kept` in the folder of --programs]
    #[arg(long, value_name = "DIR")]
    pub kept: Option<PathBuf>,
    /// Leave the stack, each strategy's schema and its topic, and say how to connect and how to stop it
    #[arg(long)]
    pub keep_stack: bool,
    /// Do not record each event's way through order service and relay; `explain` then knows less
    #[arg(long, hide = true)]
    pub no_trace: bool,
    /// Folder with Kafka's jars, Toxiproxy and Debezium, as stack/install.sh makes it [default: `.stack` in this folder
    /// or one above it, else in the checkout that this program was built from]
    #[arg(long, value_name = "DIR", env = "OUTBOX_HARNESS_PROGRAMS")]
    pub programs: Option<PathBuf>,
}

impl RunArgs {
    /// How often all scenarios are run at most.
    pub fn rounds(&self) -> u32 {
        match self.repeat {
            Some(rounds) => rounds,
            None if self.until_fail => MOST_ROUNDS as u32,
            None => 1,
        }
    }
}
