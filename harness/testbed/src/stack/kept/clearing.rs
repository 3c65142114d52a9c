//! What a keeper that was killed left: its reaper ends the servers and removes their data within
//! moments; whatever that had no time for, or was killed too, is ended and removed here.

use super::KeptFolder;
use super::state::KeptState;
use crate::process::tree::{self, ProcessId, Snapshot};
use crate::stack::data_folder;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A dead keeper's reaper has so much time to do it all.
const REAPER_WITHIN: Duration = Duration::from_secs(15);
/// Ending what it left may take at most this time.
const END_WITHIN: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Returns when nothing of the stack is left but its logs, or with what is left. To be called while nobody keeps it.
pub fn clear(folder: &KeptFolder, state: Option<&KeptState>) -> Result<(), String> {
    clear_after(folder, state, REAPER_WITHIN)
}

fn clear_after(
    folder: &KeptFolder,
    state: Option<&KeptState>,
    reaper_within: Duration,
) -> Result<(), String> {
    let known = state.map(|state| (state.servers.as_slice(), state.data.clone()));
    let (servers, mut data) = known.unwrap_or_default();
    let servers: Vec<ProcessId> = servers.iter().map(|s| s.process).collect();
    // A keeper that was killed before its stack was up has told of none.
    let found = folder.data();
    data.extend(found.map_err(|e| format!("look for its data: {e}"))?);
    let deadline = Instant::now() + reaper_within;
    while is_anything_left(&servers, &data) && Instant::now() < deadline {
        std::thread::sleep(LOOK_AGAIN);
    }
    tree::kill(|snapshot| snapshot.below(&servers), None, END_WITHIN).map_err(|e| e.to_string())?;
    for data in &data {
        // The reaper may be at it.
        data_folder::remove(data)
            .or_else(|e| gone(&e).ok_or(e))
            .map_err(|e| format!("remove {}: {e}", data.display()))?;
    }
    forget(folder).map_err(|e| format!("remove its files: {e}"))
}

fn is_anything_left(servers: &[ProcessId], data: &[PathBuf]) -> bool {
    !Snapshot::take().below(servers).is_empty() || data.iter().any(|folder| folder.exists())
}

fn gone(error: &std::io::Error) -> Option<()> {
    (error.kind() == ErrorKind::NotFound).then_some(())
}

/// Removes the files that lead to the stack; those that tell of it stay.
pub fn forget(folder: &KeptFolder) -> std::io::Result<()> {
    // This one says that it is up, so it goes first.
    remove_file(&folder.state_file())?;
    remove_file(&folder.stack_file())
}

/// Removes what tells of the last stack: its logs, and why it ended. The keeper's log is emptied, since the next
/// one writes to it already.
pub fn forget_the_last(folder: &KeptFolder) -> std::io::Result<()> {
    remove_file(&folder.ended_file())?;
    std::fs::File::create(folder.keeper_log())?;
    match std::fs::remove_dir_all(folder.logs()) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn remove_file(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::state::{self, tests::example};
    use super::*;
    use std::process::Command;

    #[test]
    fn given_a_server_and_data_that_outlived_keeper_and_reaper_when_cleared_then_both_are_gone() {
        let home = tempfile::tempdir().unwrap();
        let folder = KeptFolder::at(home.path());
        let mut server = Command::new("sleep").arg("600").spawn().unwrap();
        let pid = i32::try_from(server.id()).unwrap();
        let data = folder.path().join("data-1-2");
        std::fs::create_dir(&data).unwrap();
        let mut left = example();
        left.servers[0].process = tree::find(pid).unwrap().id;
        left.data = vec![data.clone()];
        state::write(&folder.state_file(), &left).unwrap();

        // There is no reaper to wait for
        std::fs::write(data.join(data_folder::MARKER), "").unwrap();
        clear_after(&folder, Some(&left), Duration::ZERO).unwrap();

        // It has been reaped as well.
        assert!(server.wait().is_err());
        assert!(!data.exists());
        assert!(!folder.state_file().exists());
    }

    #[test]
    fn given_data_of_which_no_state_tells_when_cleared_then_they_are_gone_and_no_other_folder_is() {
        let home = tempfile::tempdir().unwrap();
        let folder = KeptFolder::at(home.path());
        let data = folder.data_of(ProcessId { pid: 1, start: 2 });
        let inner = data.join("postgres");
        let mine = folder.path().join("data-mine");
        for made in [&inner, &mine] {
            std::fs::create_dir_all(made).unwrap();
        }
        for made in [&inner, &data] {
            std::fs::write(made.join(data_folder::MARKER), "").unwrap();
        }

        clear_after(&folder, None, Duration::ZERO).unwrap();

        assert!(!data.exists());
        assert!(mine.exists());
    }
}
