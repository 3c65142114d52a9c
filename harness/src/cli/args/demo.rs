//! Arguments of `demo`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

pub(super) const DEMO_EXAMPLES: &str = "\
Examples:
  outbox-harness demo
  outbox-harness demo --script
  outbox-harness demo --web
  outbox-harness demo --script --record demo.cast

Exit code: 0 the demo showed what it should; 1 an outbox lost something, or the script's dual write nothing;
3 unknown (nothing was proved, or interrupted); 4 the stack failed.";

/// `demo`.
#[derive(Debug, Args)]
#[command(after_help = DEMO_EXAMPLES)]
pub struct DemoArgs {
    /// Play it by itself, in plain lines; so it is where standard output is no terminal
    #[arg(long)]
    pub script: bool,
    /// Show it as a page too, with the same keys, at an address that is printed once
    ///
    /// It is served to this machine alone (127.0.0.1, a port of its own), and only to whoever has the address, which
    /// has a token in it. `?projector` at its end, or the key v, makes everything large. When the run has ended, the
    /// page stays: the last state and what came of it, until Ctrl-C here or q there, for an hour at most.
    /// The exit code is that of the run all the same.
    #[arg(long)]
    pub web: bool,
    /// Record what the terminal shows into this file, as an asciicast (version 2; asciinema plays it)
    ///
    /// It is the view of a large terminal, 120 by 40, whatever terminal there is, and the story of the end. A file that is
    /// there is overwritten; 16 MiB are the most that is written.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Then show the run's report in a browser, as for `run`
    #[arg(long)]
    pub open: bool,
    /// Folder in which the run makes a folder of its own
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Where PostgreSQL, Kafka and Toxiproxy come from
    #[arg(long, value_enum, default_value_t = DemoStack::Local)]
    pub stack: DemoStack,
    /// Folder of the stack that `stack up` keeps, for `--stack kept` [default: `kept` in the folder of --programs]
    #[arg(long, value_name = "DIR")]
    pub kept: Option<PathBuf>,
    /// Folder with Kafka's jars and Toxiproxy [default: as for `run`]
    #[arg(long, value_name = "DIR", env = "OUTBOX_HARNESS_PROGRAMS")]
    pub programs: Option<PathBuf>,
}

/// A stack that a demo can be played on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DemoStack {
    /// Started for the demo, and stopped after it
    Local,
    /// The one that `outbox-harness stack up` started
    Kept,
}
