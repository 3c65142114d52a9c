//! The command line.

mod again;
mod args;
mod bench;
mod browser;
mod children;
mod claims;
mod compare;
mod demo;
mod exit;
mod explain;
mod github;
mod init;
mod list;
mod live;
mod memory;
mod places;
mod progress;
mod replay;
mod results;
mod run;
mod schema;
mod selection;
mod service_check;
mod session;
mod shell;
mod signals;
mod stack;
mod tally;
mod terminal;
mod watch;

use args::{Cli, Command};
use clap::Parser;
use exit::Outcome;
use std::process::ExitCode;

/// Parses the arguments, does what they say, and returns the exit code of the contract: 0 every
/// expectation met, 1 one missed, 2 usage or scenario wrong, 3 nothing proved, 4 the stack failed.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no mistake. A closed pipe is none either.
            let _ = error.print();
            return if error.use_stderr() {
                Outcome::Usage.into()
            } else {
                Outcome::Met.into()
            };
        }
    };
    match cli.command {
        Command::Run(args) => run::run(&args).into(),
        Command::Demo(args) => demo::demo(&args).into(),
        Command::Init(args) => init::init(&args).into(),
        Command::Stack(args) => stack::stack(&args).into(),
        Command::Check(args) => again::check(&args).into(),
        Command::Report(args) => again::report(&args).into(),
        Command::Replay(args) => replay::replay(&args).into(),
        Command::Explain(args) => explain::explain(&args).into(),
        Command::Bench(args) => bench::bench(&args).into(),
        Command::Compare(args) => compare::compare(&args).into(),
        Command::Claims(args) => claims::claims(&args).into(),
        Command::ServiceCheck(args) => service_check::service_check(&args).into(),
        Command::List(args) => list::list(&args).into(),
        Command::Schema(args) => schema::schema(&args).into(),
        Command::Completions(args) => shell::completions(&args).into(),
        Command::Man => shell::man().into(),
        Command::OrderService(args) => children::order_service(&args).into(),
        Command::Relay(args) => children::relay(&args).into(),
        Command::Recoverer(args) => children::recoverer(&args).into(),
        Command::Consumer(args) => children::consumer(&args).into(),
        Command::StackKeeper(args) => children::stack_keeper(&args).into(),
        Command::Reaper => crate::process::reaper::main(crate::stack::DUTIES),
    }
}
