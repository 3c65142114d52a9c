//! `stack up`: starts a keeper, unless a stack is up; of several that come at the same time one starts it, and the
//! others wait for that.

use super::asked::{Answer, STAY};
use crate::process::log;
use crate::process::tree::ProcessId;
use crate::stack::StackError;
use crate::stack::external::ask_kept;
use crate::stack::kept::state::KeptState;
use crate::stack::kept::{Found, KeptFolder};
use std::fs::{DirBuilder, File};
use std::io::{BufReader, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The program becomes the keeper by this hidden subcommand.
pub const SUBCOMMAND: &str = "stack-keeper";
/// A start, one's own or another's, may take at most this time.
const UP_WITHIN: Duration = Duration::from_secs(300);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const DOING: &str = "start the stack that is to be kept";

/// A stack is up: what is known of it, and whether this call started it.
#[derive(Debug)]
pub struct BroughtUp {
    /// What is known of the stack.
    pub state: Box<KeptState>,
    /// It took so long to start; `None` if it was up already, or another call started it.
    pub took: Option<Duration>,
}

/// Sees that a stack is up in this folder, and answers.
pub async fn up(folder: &KeptFolder, programs: &Path) -> Result<BroughtUp, StackError> {
    let deadline = Instant::now() + UP_WITHIN;
    loop {
        match folder.look()? {
            Found::Up { keeper, state } => match ask_kept(folder).await {
                Ok(()) => return Ok(BroughtUp { state, took: None }),
                Err(reason) if is_up_still(folder, keeper)? => {
                    let reason = format!(
                        "one is up that cannot be used ({reason}); `outbox-harness stack down` and \
                         `outbox-harness stack up` give another"
                    );
                    return Err(folder.failed(DOING, reason));
                }
                // It was stopped meanwhile.
                Err(_) => {}
            },
            Found::Unreadable { .. } => {
                let state = folder.up()?;
                return Ok(BroughtUp { state, took: None });
            }
            Found::Nothing | Found::Ended { .. } | Found::Dead { .. } => {
                let since = Instant::now();
                if start(folder, programs).map_err(|reason| folder.failed(DOING, reason))? {
                    let state = folder.up()?;
                    let took = Some(since.elapsed());
                    return Ok(BroughtUp { state, took });
                }
            }
            Found::Changing { keeper } if Instant::now() > deadline => {
                let reason = format!(
                    "process {} has been starting or stopping it for {UP_WITHIN:?}; see {}",
                    keeper.pid,
                    folder.keeper_log().display()
                );
                return Err(folder.failed(DOING, reason));
            }
            Found::Changing { .. } => {}
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether this keeper has its stack up, and does not stop it.
fn is_up_still(folder: &KeptFolder, keeper: ProcessId) -> Result<bool, StackError> {
    Ok(matches!(folder.look()?, Found::Up { keeper: now, .. } if now == keeper))
}

/// Starts a keeper and waits until its stack is up; false if there is another keeper.
fn start(folder: &KeptFolder, programs: &Path) -> Result<bool, String> {
    let explain = |e: std::io::Error| e.to_string();
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder.path())
        .map_err(explain)?;
    let log_file = folder.keeper_log();
    let mut options = File::options();
    let options = options.create(true).append(true).mode(0o600);
    let keeper_log = options.open(&log_file).map_err(explain)?;
    let mut command = Command::new(std::env::current_exe().map_err(explain)?);
    command
        .arg(SUBCOMMAND)
        .arg("--at")
        .arg(folder.path())
        .arg("--programs")
        .arg(programs)
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(keeper_log);
    let new_session = || {
        nix::unistd::setsid()?;
        Ok(())
    };
    // SAFETY: between fork and exec, setsid is one system call, which allocates nothing and takes no lock.
    unsafe { command.pre_exec(new_session) };
    let mut keeper = command.spawn().map_err(explain)?;
    // Both ends of the talk are closed when this returns, and a keeper that was not told to stay then goes.
    let (Some(mut to), Some(from_keeper)) = (keeper.stdin.take(), keeper.stdout.take()) else {
        return Err("it has no pipes".to_owned());
    };
    let (say, heard) = mpsc::channel();
    std::thread::spawn(move || say.send(Answer::hear(BufReader::new(from_keeper))));
    match heard.recv_timeout(UP_WITHIN) {
        Ok(Some(Answer::Up)) => to.write_all(STAY).map(|()| true).map_err(explain),
        Ok(Some(Answer::Taken)) => Ok(false),
        Ok(Some(Answer::Failed(reason))) => Err(reason),
        Ok(None) | Err(mpsc::RecvTimeoutError::Disconnected) => Err(without_a_word(&log_file)),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(format!("it was not up within {UP_WITHIN:?}")),
    }
}

/// Why a keeper failed that has not said so, as far as its log tells.
fn without_a_word(log_file: &Path) -> String {
    // From its beginning: the keeper has emptied it, whatever its length was before.
    let tail = log::tail(log_file, 0);
    format!("its keeper ended without a word{tail}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stack::kept::clearing;

    #[test]
    fn given_a_longer_log_of_the_last_keeper_when_one_ends_without_a_word_then_its_own_log_is_told()
    {
        let home = tempfile::tempdir().unwrap();
        let folder = KeptFolder::at(home.path());
        std::fs::write(folder.keeper_log(), "the last one's\n".repeat(9)).unwrap();
        let mut options = File::options();
        let mut of_this_one = options.append(true).open(folder.keeper_log()).unwrap();
        clearing::forget_the_last(&folder).unwrap();
        of_this_one.write_all(b"out of memory\n").unwrap();

        let told = without_a_word(&folder.keeper_log());

        assert!(told.ends_with("---\nout of memory"), "{told}");
    }
}
