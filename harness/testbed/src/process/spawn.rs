//! The processes that this one spawned itself. All its other children are orphans that it adopted,
//! and only this list tells them apart.

use super::tree::{self, ProcessId};
use std::collections::HashSet;
use std::io;
use std::process::{Child, Command};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

static SPAWNED: LazyLock<Mutex<HashSet<ProcessId>>> = LazyLock::new(Mutex::default);

/// Spawns. Whoever sees the process in /proc and then asks [`is_own`] is answered rightly: the
/// list is locked from before the process exists.
pub(super) fn spawn(command: &mut Command) -> io::Result<(Child, ProcessId)> {
    let mut spawned = lock();
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    // Not waited for yet, so its pid is still its own, dead or alive.
    let Some(process) = tree::find(pid) else {
        let _ = child.kill();
        let _ = child.wait();
        return Err(io::Error::other("it is not in /proc; is that mounted?"));
    };
    spawned.insert(process.id);
    Ok((child, process.id))
}

/// Takes a process off the list once it was waited for.
pub(super) fn forget(id: ProcessId) {
    lock().remove(&id);
}

/// Returns whether this process spawned it itself.
pub(super) fn is_own(id: ProcessId) -> bool {
    lock().contains(&id)
}

fn lock() -> MutexGuard<'static, HashSet<ProcessId>> {
    SPAWNED.lock().unwrap_or_else(PoisonError::into_inner)
}
