//! `stack down`: ends a kept stack, unless somebody uses it, and returns when nothing of it is left but logs.

use crate::process::tree::{self, ProcessId};
use crate::stack::external::kept_lock;
use crate::stack::kept::lock::{self, KeeperLock};
use crate::stack::kept::state::{self, KeptState};
use crate::stack::kept::{Found, KeptFolder, clearing};
use crate::stack::{StackError, Unused};
use nix::sys::signal::Signal;
use std::time::{Duration, Instant};

/// A keeper stops its stack within this time, or is killed, and its reaper does it.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// The kernel and the reaper have so much time after that.
const KILL_WITHIN: Duration = Duration::from_secs(10);
/// A start that is under way is waited for no longer than this.
const SETTLED_WITHIN: Duration = Duration::from_secs(300);
/// A keeper is asked to end, then made to, each with the time that it has for it.
const ENDING: [(Signal, Duration); 2] = [
    (Signal::SIGTERM, STOP_WITHIN),
    (Signal::SIGKILL, KILL_WITHIN),
];
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const DOING: &str = "stop the stack that is kept";

/// This is what `down` found to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TakenDown {
    /// No stack was kept.
    Nothing,
    /// Its keeper was dead; what it had left was removed.
    Remains,
    /// The stack was stopped.
    Stack,
}

/// Ends the stack in this folder. One that a run uses is left alone, unless by `force`.
pub async fn down(folder: &KeptFolder, force: bool) -> Result<TakenDown, StackError> {
    let failed = |reason: String| folder.failed(DOING, reason);
    let deadline = Instant::now() + SETTLED_WITHIN;
    loop {
        match folder.look()? {
            Found::Nothing | Found::Ended { .. } => return Ok(TakenDown::Nothing),
            Found::Dead { .. } => {
                if clear(folder, None).map_err(failed)? {
                    return Ok(TakenDown::Remains);
                }
            }
            Found::Changing { keeper } if force && keeper.pid > 0 => {
                stop(folder, keeper, None).map_err(failed)?;
                return Ok(TakenDown::Stack);
            }
            Found::Changing { keeper } if Instant::now() > deadline => {
                return Err(failed(format!(
                    "process {} has been starting or stopping it for {SETTLED_WITHIN:?}; `stack \
                     down --force` ends that",
                    keeper.pid
                )));
            }
            Found::Changing { .. } => {}
            Found::Up { keeper, state } => {
                // Nobody begins to use it meanwhile.
                let _unused = unused(folder, force).await.map_err(failed)?;
                stop(folder, keeper, Some(&state)).map_err(failed)?;
                return Ok(TakenDown::Stack);
            }
            Found::Unreadable { keeper, .. } => {
                let _unused = unused(folder, force).await.map_err(failed)?;
                stop(folder, keeper, None).map_err(failed)?;
                return Ok(TakenDown::Stack);
            }
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Sees that nobody uses it; by `force` it does not matter.
async fn unused(folder: &KeptFolder, force: bool) -> Result<Option<Unused>, String> {
    if force {
        return Ok(None);
    }
    let asked = match kept_lock(folder) {
        Ok(lock) => lock.keep_unused().await,
        Err(reason) => Err(reason),
    };
    match asked {
        Ok(Ok(unused)) => Ok(Some(unused)),
        Ok(Err(user)) => Err(format!(
            "a run uses it ({user}); wait until that has ended, or end both with `stack down --force`"
        )),
        Err(reason) => Err(format!(
            "whether a run uses it cannot be told ({reason}); `stack down --force` ends it all the \
             same"
        )),
    }
}

/// Ends a keeper, with all that it keeps.
fn stop(folder: &KeptFolder, keeper: ProcessId, state: Option<&KeptState>) -> Result<(), String> {
    stop_by(&ENDING, folder, keeper, state)
}

fn stop_by(
    ending: &[(Signal, Duration)],
    folder: &KeptFolder,
    keeper: ProcessId,
    state: Option<&KeptState>,
) -> Result<(), String> {
    let lives = || tree::find(keeper.pid).is_some_and(|p| p.id == keeper && p.lives());
    let holds = || lock::holder(&folder.lock_file()).is_ok_and(|holder| holder == Some(keeper));
    for &(signal, within) in ending {
        if !tree::send(keeper, signal) && lives() {
            return Err(format!(
                "process {} may not be ended by this user: it is another's",
                keeper.pid
            ));
        }
        let deadline = Instant::now() + within;
        while (lives() || holds()) && Instant::now() < deadline {
            std::thread::sleep(LOOK_AGAIN);
        }
        if lives() {
            continue;
        }
        if holds() {
            return Err(format!(
                "its keeper, process {}, is not to be seen from here: run `outbox-harness stack \
                 down` where it lives (in another container, say)",
                keeper.pid
            ));
        }
        // One that was killed has left its files, and its reaper has something to do still. Where somebody keeps a
        // stack there again, that one has removed them.
        return clear(folder, state).map(drop);
    }
    Err(format!("process {} cannot be ended", keeper.pid))
}

/// Removes what a dead keeper left; false if somebody keeps a stack there again.
fn clear(folder: &KeptFolder, state: Option<&KeptState>) -> Result<bool, String> {
    let taken = KeeperLock::take(&folder.lock_file()).map_err(|e| e.to_string())?;
    if taken.is_none() {
        return Ok(false);
    }
    let left = match state {
        Some(state) => Some(Box::new(state.clone())),
        None => state::left(&folder.state_file())?,
    };
    clearing::clear(folder, left.as_deref())?;
    Ok(true)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// No process has this pid.
    const NOT_SEEN: ProcessId = ProcessId {
        pid: i32::MAX,
        start: 7,
    };
    const AT_ONCE: [(Signal, Duration); 1] = [(Signal::SIGTERM, Duration::ZERO)];

    #[test]
    fn given_a_keeper_that_cannot_be_seen_and_has_the_lock_when_stopped_then_it_is_an_error() {
        let home = tempfile::tempdir().unwrap();
        let folder = KeptFolder::at(home.path());
        let lock = KeeperLock::take(&folder.lock_file()).unwrap().unwrap();
        let named = serde_json::to_vec(&NOT_SEEN).unwrap();
        std::fs::write(folder.lock_file(), named).unwrap();

        let error = stop_by(&AT_ONCE, &folder, NOT_SEEN, None).unwrap_err();
        let said = "its keeper, process 2147483647, is not to be seen from here";
        assert!(error.starts_with(said), "{error}");

        // When it has given it back
        drop(lock);
        assert_eq!(stop_by(&AT_ONCE, &folder, NOT_SEEN, None), Ok(()));
    }

    #[test]
    fn given_another_keeper_by_now_when_the_first_is_stopped_then_what_is_the_others_stays() {
        let home = tempfile::tempdir().unwrap();
        let folder = KeptFolder::at(home.path());
        let _another = KeeperLock::take(&folder.lock_file()).unwrap().unwrap();
        std::fs::write(folder.state_file(), "").unwrap();
        assert_eq!(stop_by(&AT_ONCE, &folder, NOT_SEEN, None), Ok(()));
        assert!(folder.state_file().exists());
    }
}
