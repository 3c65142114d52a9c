//! A process that writes what a server says to its log, and does not let that grow without end. It
//! lives exactly as long as somebody can still say something: also when the server is kept and the
//! harness is gone.

use super::reaper::{self, Reaper};
use super::tree::ProcessId;
use super::{environment, output, spawn};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};

/// The binary becomes such a process by this hidden subcommand.
pub const SUBCOMMAND: &str = "keep-log";

/// This is such a process, as the harness sees it.
pub(super) struct LogKeeper {
    pub(super) id: ProcessId,
    /// Where the server is to write.
    pub(super) pipe: OwnedFd,
    /// Closed when all that was said is in the log.
    pub(super) said: Receiver<()>,
}

/// Starts one that writes to `log`, in the group of the reaper.
pub(super) fn start(reaper: &Reaper, log: File) -> Result<LogKeeper, String> {
    use std::os::unix::process::CommandExt;
    let program = reaper.program();
    let failed = |e: &dyn std::fmt::Display| {
        format!(
            "start what keeps its log, {} {SUBCOMMAND}: {e}",
            program.display()
        )
    };
    let mut command = Command::new(program);
    command
        .arg(SUBCOMMAND)
        .env_clear()
        .envs(environment::of_own_child())
        .process_group(reaper.process_group())
        .stdin(Stdio::piped())
        .stdout(log)
        .stderr(Stdio::null());
    let (mut process, id) = spawn::spawn(&mut command).map_err(|e| failed(&e))?;
    let Some(pipe) = process.stdin.take() else {
        return Err(failed(&"it has no standard input"));
    };
    let (open, said) = channel::<()>();
    std::thread::Builder::new()
        .name(format!("log-{}", id.pid))
        .stack_size(128 * 1024)
        .spawn(move || {
            let _ = process.wait();
            spawn::forget(id);
            drop(open);
        })
        .map_err(|e| failed(&e))?;
    Ok(LogKeeper {
        id,
        pipe: pipe.into(),
        said,
    })
}

/// Runs the hidden subcommand: copies standard input to standard output, until nobody is left who could say
/// something.
pub fn main() -> ExitCode {
    if reaper::ignore_signals().is_err() {
        return ExitCode::FAILURE;
    }
    let log = File::from(
        match std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned() {
            Ok(log) => log,
            Err(_) => return ExitCode::FAILURE,
        },
    );
    output::keep(std::io::stdin().lock(), log);
    ExitCode::SUCCESS
}
