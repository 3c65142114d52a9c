//! Child processes: started, watched, killed with everything below them, never left behind.

pub mod comeback;
pub mod container;
pub mod environment;
mod life;
pub mod log;
mod log_keeper;
mod output;
pub mod reaper;
mod spawn;
mod stat;
pub mod stillness;
mod stop;
pub mod supervised;
pub mod tree;

pub use life::{FailedStarts, OwnEnd};
pub use output::LOG_BYTES_MAX;
pub use stop::Stop;
pub use supervised::{Child, ChildError, ChildSpec, Ready};

use std::process::ExitCode;

/// The work of the processes that stand beside the harness, where this is one of their hidden
/// subcommands; `duties` are the reaper's.
pub fn hidden(subcommand: &str, duties: &[reaper::Duty]) -> Option<ExitCode> {
    match subcommand {
        reaper::SUBCOMMAND => Some(reaper::main(duties)),
        log_keeper::SUBCOMMAND => Some(log_keeper::main()),
        _ => None,
    }
}
