//! A local stack that is kept between runs: its folder, who keeps it, what is known of it there. Who
//! starts and stops it is another room's business.

pub mod clearing;
pub mod installed;
pub mod lock;
pub mod state;

use super::{StackError, data_folder};
use crate::process::tree::ProcessId;
use state::KeptState;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The name of a folder of data begins so.
const DATA: &str = "data-";

/// The folder of a kept stack. Everything of it but PostgreSQL's data, where these cannot be there, is below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFolder {
    path: PathBuf,
}

impl KeptFolder {
    /// The folder at this path, which need not be there.
    pub fn at(path: &Path) -> Self {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // A link in it must not give one folder two names.
        let path = std::fs::canonicalize(&whole).unwrap_or(whole);
        Self { path }
    }

    /// Returns its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the stack file, which has the password: it is readable by its owner only.
    pub fn stack_file(&self) -> PathBuf {
        self.path.join("external.toml")
    }

    /// Returns the path of what is known of the stack while it is up.
    pub fn state_file(&self) -> PathBuf {
        self.path.join("kept.json")
    }

    /// Returns the path of the file that its keeper has locked for as long as it lives.
    pub fn lock_file(&self) -> PathBuf {
        self.path.join("keeper.lock")
    }

    /// Returns the path of the file that says why the stack ended by itself.
    pub fn ended_file(&self) -> PathBuf {
        self.path.join("ended.txt")
    }

    /// Returns the path of the log of its keeper, and of the reaper beside that.
    pub fn keeper_log(&self) -> PathBuf {
        self.path.join("keeper.log")
    }

    /// Returns the folder of the servers' logs.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Returns the folder of the servers' data. It is another one for each keeper: what a dead one's reaper still
    /// removes is never a living one's.
    pub fn data_of(&self, keeper: ProcessId) -> PathBuf {
        let ProcessId { pid, start } = keeper;
        self.path.join(format!("{DATA}{pid}-{start}"))
    }

    /// Returns the folders of data that are there, whichever keeper's, inner ones first.
    fn data(&self) -> std::io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for (name, folder) in data_folders(&self.path)? {
            if name.starts_with(DATA) {
                found.extend(data_folders(&folder)?.into_iter().map(|(_, inner)| inner));
                found.push(folder);
            }
        }
        Ok(found)
    }

    /// Looks for a stack in it.
    pub fn look(&self) -> Result<Found, StackError> {
        let failed = |reason: String| self.failed("look for a kept stack", reason);
        let holder = lock::holder(&self.lock_file()).map_err(|e| failed(e.to_string()))?;
        let state = state::read(&self.state_file()).map_err(failed)?;
        Ok(match (holder, state) {
            (Some(keeper), Some(Ok(state))) if state.keeper == keeper => {
                Found::Up { keeper, state }
            }
            // A dead keeper's state tells nothing of this one, which is just removing it.
            (Some(keeper), Some(Ok(_)) | None) => Found::Changing { keeper },
            (Some(keeper), Some(Err(reason))) => Found::Unreadable { keeper, reason },
            (None, None) => self.without_state().map_err(|e| failed(e.to_string()))?,
            (None, Some(state)) => Found::Dead { state: state.ok() },
        })
    }

    /// What is found in it while it has neither a keeper nor a state.
    fn without_state(&self) -> std::io::Result<Found> {
        // A keeper that was killed before its stack was up has left no more than that.
        if !self.data()?.is_empty() {
            return Ok(Found::Dead { state: None });
        }
        Ok(match std::fs::read_to_string(self.ended_file()) {
            Ok(why) => Found::Ended { why },
            Err(_) => Found::Nothing,
        })
    }

    /// What is known of the stack that is up in it; an Err says why none can be used, and what to do.
    pub fn up(&self) -> Result<Box<KeptState>, StackError> {
        let reason = match self.look()? {
            Found::Up { state, .. } => return Ok(state),
            Found::Nothing | Found::Dead { .. } => {
                "none is up; `outbox-harness stack up` starts it".to_owned()
            }
            Found::Ended { why } => {
                format!("it has ended by itself ({why}); `outbox-harness stack up` starts another")
            }
            Found::Changing { .. } => {
                "it is just being started or stopped; `outbox-harness stack up` waits for it"
                    .to_owned()
            }
            Found::Unreadable { reason, .. } => format!(
                "another version of this program started it ({reason}); `outbox-harness stack \
                 down` and `outbox-harness stack up` give one of this version"
            ),
        };
        Err(self.failed("use the stack that is kept", reason))
    }

    /// What went wrong with it, with its path.
    pub fn failed(&self, doing: &str, reason: String) -> StackError {
        StackError {
            doing: format!("{doing} in {}", self.path.display()),
            reason,
        }
    }
}

/// The folders in this one that were made for data, and no other, with their names.
fn data_folders(within: &Path) -> std::io::Result<Vec<(String, PathBuf)>> {
    let entries = match std::fs::read_dir(within) {
        Ok(entries) => entries,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(e) => return Err(e),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.path().join(data_folder::MARKER).exists() {
            let name = entry.file_name().to_string_lossy().into_owned();
            found.push((name, entry.path()));
        }
    }
    Ok(found)
}

/// This is what is found in the folder of a kept stack.
#[derive(Debug)]
pub enum Found {
    /// No stack is kept there, and none was left.
    Nothing,
    /// It ended by itself, and its keeper has removed everything but the reason.
    Ended {
        /// This is the keeper's reason.
        why: String,
    },
    /// Its keeper was killed, with all that it kept; its files are still there.
    Dead {
        /// What is known of it, where that can be read.
        state: Option<Box<KeptState>>,
    },
    /// It is just being started or stopped.
    Changing {
        /// Who does that.
        keeper: ProcessId,
    },
    /// A living process keeps it, of another version of this program.
    Unreadable {
        /// Who keeps it.
        keeper: ProcessId,
        /// Why what is known of it cannot be read.
        reason: String,
    },
    /// It is up.
    Up {
        /// Who keeps it.
        keeper: ProcessId,
        /// What is known of it.
        state: Box<KeptState>,
    },
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::lock::KeeperLock;
    use super::*;

    #[test]
    fn given_each_state_of_a_folder_when_looked_at_then_it_is_told_from_the_others() {
        let home = tempfile::tempdir().unwrap();
        let folder = KeptFolder::at(&home.path().join("kept"));
        assert!(matches!(folder.look().unwrap(), Found::Nothing));
        std::fs::create_dir(folder.path()).unwrap();
        assert!(matches!(folder.look().unwrap(), Found::Nothing));

        let lock = KeeperLock::take(&folder.lock_file()).unwrap().unwrap();
        assert!(matches!(folder.look().unwrap(), Found::Changing { .. }));
        let mut known = state::tests::example();
        known.keeper = lock.holder();
        state::write(&folder.state_file(), &known).unwrap();
        let Found::Up { keeper, state } = folder.look().unwrap() else {
            panic!("it is up");
        };
        assert_eq!(keeper.pid, i32::try_from(std::process::id()).unwrap());
        assert_eq!(*state, known);
        std::fs::write(folder.state_file(), "{\"format\": 99}").unwrap();
        assert!(matches!(folder.look().unwrap(), Found::Unreadable { .. }));

        // When its keeper is gone
        drop(lock);
        let Found::Dead { state: None } = folder.look().unwrap() else {
            panic!("it is dead, and cannot be read");
        };
        state::write(&folder.state_file(), &state::tests::example()).unwrap();
        let dead = folder.look().unwrap();
        assert!(matches!(dead, Found::Dead { state: Some(_) }), "{dead:?}");
        // And when another has the lock while the dead one's state is still there
        let lock = KeeperLock::take(&folder.lock_file()).unwrap().unwrap();
        let Found::Changing { keeper } = folder.look().unwrap() else {
            panic!("what is known is of a dead one");
        };
        assert_eq!(keeper, lock.holder());
        drop(lock);
        std::fs::remove_file(folder.state_file()).unwrap();
        std::fs::write(folder.ended_file(), "the disk is full").unwrap();
        let Found::Ended { why } = folder.look().unwrap() else {
            panic!("it has ended");
        };
        assert_eq!(why, "the disk is full");
    }

    #[test]
    fn given_data_of_a_keeper_that_was_killed_before_its_stack_was_up_then_they_are_found() {
        let home = tempfile::tempdir().unwrap();
        let folder = KeptFolder::at(home.path());
        let data = folder.data_of(ProcessId { pid: 1, start: 2 });
        let inner = data.join("postgres");
        let others = [folder.path().join("data-mine"), folder.path().join("logs")];
        for made in [&inner, &others[0], &others[1]] {
            std::fs::create_dir_all(made).unwrap();
        }
        // Neither those without the marker nor those of another name
        std::fs::write(others[1].join(data_folder::MARKER), "").unwrap();
        assert!(matches!(folder.look().unwrap(), Found::Nothing));
        for made in [&inner, &data] {
            std::fs::write(made.join(data_folder::MARKER), "").unwrap();
        }
        assert_eq!(folder.data().unwrap(), [inner, data]);
        let dead = folder.look().unwrap();
        assert!(matches!(dead, Found::Dead { state: None }), "{dead:?}");
    }
}
