//! `stack status`: what is kept, where, since when, who uses it, and what it costs.

use crate::process::tree::{ProcessId, Snapshot};
use crate::run::sampler::usage;
use crate::stack::StackError;
use crate::stack::external::{ask_kept, kept_lock};
use crate::stack::kept::installed::Installed;
use crate::stack::kept::state::KeptState;
use crate::stack::kept::{Found, KeptFolder};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// PostgreSQL says within this time who uses it.
const USER_WITHIN: Duration = Duration::from_secs(10);

/// What is known of a kept stack from outside.
#[derive(Debug, Serialize)]
pub struct StackStatus {
    /// Whether it can be used.
    pub condition: Condition,
    /// This is its folder.
    pub at: PathBuf,
    /// This is what stands in the way of its use, or did.
    pub why: Option<String>,
    /// It is up since then (RFC 3339, UTC).
    pub since: Option<String>,
    /// This is the pid of its keeper.
    pub keeper_pid: Option<i32>,
    /// PostgreSQL, Kafka and Toxiproxy; there are none unless it is up.
    pub servers: Vec<ServerStatus>,
    /// The memory of all its processes, where it can be read.
    pub memory_bytes: Option<u64>,
    /// The run that uses it, where one does.
    pub used_by: Option<String>,
    /// This stack file leads to it, also with --stack external.
    pub stack_file: Option<PathBuf>,
    /// What was upgraded since it was started.
    pub changes: Vec<String>,
}

/// Whether a kept stack can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// It is up.
    Up,
    /// There is none.
    Down,
    /// It is just being started or stopped.
    Changing,
    /// There is one, and it cannot be used.
    Unusable,
}

/// One server of a kept stack that is up.
#[derive(Debug, Serialize)]
pub struct ServerStatus {
    /// Its name, as people write it.
    pub name: String,
    /// The version that runs.
    pub version: String,
    /// Its address, as `host:port`, or the URL of an admin API.
    pub address: String,
    /// This is the pid of its process.
    pub pid: i32,
    /// The memory of that and of all below it, where it can be read.
    pub memory_bytes: Option<u64>,
}

/// Looks at the stack in this folder.
pub async fn status(folder: &KeptFolder) -> Result<StackStatus, StackError> {
    let without = |condition, why: Option<String>| StackStatus {
        condition,
        at: folder.path().to_owned(),
        why,
        since: None,
        keeper_pid: None,
        servers: Vec::new(),
        memory_bytes: None,
        used_by: None,
        stack_file: None,
        changes: Vec::new(),
    };
    Ok(match folder.look()? {
        Found::Nothing => without(Condition::Down, None),
        Found::Ended { why } => {
            without(Condition::Down, Some(format!("it ended by itself: {why}")))
        }
        Found::Dead { .. } => without(
            Condition::Down,
            Some("its keeper was killed, and its servers ended with it".to_owned()),
        ),
        Found::Changing { keeper } => StackStatus {
            keeper_pid: Some(keeper.pid),
            ..without(Condition::Changing, None)
        },
        Found::Unreadable { keeper, reason } => StackStatus {
            keeper_pid: Some(keeper.pid),
            ..without(
                Condition::Unusable,
                Some(format!(
                    "another version of this program started it: {reason}"
                )),
            )
        },
        Found::Up { keeper, state } => of_one_that_is_up(folder, keeper, *state).await,
    })
}

async fn of_one_that_is_up(
    folder: &KeptFolder,
    keeper: ProcessId,
    state: KeptState,
) -> StackStatus {
    let (condition, used_by, why) = match user(folder).await {
        Ok(user) => (Condition::Up, user, None),
        Err(reason) => (Condition::Unusable, None, Some(reason)),
    };
    let changes = Installed::look(&state.programs).await.changes(&state);
    let snapshot = Snapshot::take();
    let memory = |of| memory_bytes(&snapshot, of);
    let server = |server: crate::stack::kept::state::KeptServer| ServerStatus {
        memory_bytes: memory(server.process),
        pid: server.process.pid,
        name: server.name,
        version: server.version,
        address: server.address,
    };
    StackStatus {
        condition,
        at: folder.path().to_owned(),
        why,
        since: Some(state.since),
        keeper_pid: Some(keeper.pid),
        memory_bytes: memory(keeper),
        servers: state.servers.into_iter().map(server).collect(),
        used_by,
        stack_file: Some(folder.stack_file()),
        changes,
    }
}

/// Sees that all three servers answer, and asks who uses them; an Err says what stands in the way.
async fn user(folder: &KeptFolder) -> Result<Option<String>, String> {
    ask_kept(folder).await?;
    let lock = kept_lock(folder)?;
    match tokio::time::timeout(USER_WITHIN, lock.user()).await {
        Ok(asked) => asked.map_err(|e| format!("PostgreSQL does not answer: {e}")),
        Err(_) => Err(format!(
            "PostgreSQL does not say within {USER_WITHIN:?} who uses it"
        )),
    }
}

/// The memory of a process and of all below it. What several of them share counts once where the kernel tells
/// (another user's process it may not tell of), else with each.
fn memory_bytes(snapshot: &Snapshot, root: ProcessId) -> Option<u64> {
    let each = snapshot.below(&[root]).into_iter().map(|process| {
        let pid = u32::try_from(process.id.pid).ok()?;
        proportional_bytes(pid).or_else(|| Some(usage(pid)?.rss_bytes as u64))
    });
    // One that has ended since is none.
    each.flatten().reduce(|all, one| all + one)
}

fn proportional_bytes(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    pss_bytes(&text)
}

fn pss_bytes(smaps_rollup: &str) -> Option<u64> {
    let line = smaps_rollup.lines().find_map(|l| l.strip_prefix("Pss:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_a_process_in_memory_is_read() {
        let text =
            "00400000-7ffd r--p 00 00:00 0 [rollup]\nRss: 900 kB\nPss:  512 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(pss_bytes(text), Some(512 * 1024));
        assert_eq!(pss_bytes("Rss: 900 kB\n"), None);
    }
}
