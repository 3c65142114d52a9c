//! A folder that is removed with all its content: on drop, or by the reaper after a kill -9.

use crate::process::reaper::{Cleanup, Reaper};
use nix::unistd::{Gid, Uid, chown};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Says that a folder was made here: no other is ever removed.
pub(super) const MARKER: &str = ".outbox-harness-data";
/// [`super::postgres_server`] keeps its cluster in this folder below its own.
pub(super) const CLUSTER: &str = "cluster";

/// A folder of ours that holds servers' data.
pub struct DataFolder {
    path: PathBuf,
    reaper: Arc<Reaper>,
    kept: bool,
}

impl DataFolder {
    /// Makes it, with its parents; the reaper knows of it before it exists.
    pub fn make(
        path: &Path,
        owner: Option<(u32, u32)>,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, String> {
        let explain = |e: io::Error| format!("make the folder {}: {e}", path.display());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(explain)?;
        }
        reaper.note(&Abandoned(path.to_owned())).map_err(explain)?;
        let mode = if owner.is_some() { 0o700 } else { 0o755 };
        fs::DirBuilder::new()
            .mode(mode)
            .create(path)
            .map_err(explain)?;
        let folder = Self {
            path: path.to_owned(),
            reaper: Arc::clone(reaper),
            kept: false,
        };
        fs::write(path.join(MARKER), "").map_err(explain)?;
        if let Some((uid, gid)) = owner {
            let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            chown(path, owner.0, owner.1).map_err(|e| explain(e.into()))?;
        }
        Ok(folder)
    }

    /// Returns the path at which the folder was made.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves it where it is (`--keep-stack`).
    pub fn keep(&mut self) -> io::Result<()> {
        self.kept = true;
        self.reaper.forget(&Abandoned(self.path.clone()))
    }

    /// Removes the folder with all its content now, unless it is to be kept.
    pub fn remove(mut self) -> io::Result<()> {
        self.remove_once()
    }

    fn remove_once(&mut self) -> io::Result<()> {
        if self.kept {
            return Ok(());
        }
        remove(&self.path)?;
        self.kept = true;
        self.reaper.forget(&Abandoned(self.path.clone()))
    }
}

/// A folder that was made by [`DataFolder::make`], once it is nobody's any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Abandoned(PathBuf);

impl Cleanup for Abandoned {
    const KIND: &'static str = "folder";

    fn clean_up(left: Vec<Self>) -> Result<Vec<String>, String> {
        // The inner ones were noted last.
        let removed = left.iter().rev().map(|Abandoned(folder)| {
            remove(folder).map_err(|reason| format!("remove {}: {reason}", folder.display()))
        });
        let failures: Vec<String> = removed.filter_map(Result::err).collect();
        match failures.is_empty() {
            true => Ok(Vec::new()),
            false => Err(failures.join("; ")),
        }
    }
}

/// Removes a folder with its content; one that is not there, or was not made here, is left alone.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    if !folder.join(MARKER).exists() {
        return Ok(());
    }
    release_shared_memory(&folder.join(CLUSTER));
    fs::remove_dir_all(folder)
}

/// Removes a cluster whose server was killed; one that is not there is no error.
pub(super) fn remove_cluster(cluster: &Path) -> io::Result<()> {
    release_shared_memory(cluster);
    match fs::remove_dir_all(cluster) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Moves a cluster whose server was killed out of the way; no server is started on it again.
pub(super) fn set_aside(cluster: &Path, aside: &Path) -> io::Result<()> {
    release_shared_memory(cluster);
    fs::rename(cluster, aside)
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        if let Err(reason) = self.remove_once() {
            tracing::warn!(folder = %self.path.display(), %reason, "could not remove");
        }
    }
}

/// A PostgreSQL that was killed leaves a System V segment behind, whose id is the last number of
/// the 7th line of postmaster.pid; only a restart on the same data would remove it.
fn release_shared_memory(cluster: &Path) {
    let file = cluster.join("postmaster.pid");
    let Ok(text) = fs::read_to_string(&file) else {
        return;
    };
    let id = text
        .lines()
        .nth(6)
        .and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok());
    if let Some(id) = id {
        // SAFETY: IPC_RMID takes no buffer; a segment that is gone or not ours is an error, and
        // one still in use goes when its last user does.
        unsafe { libc::shmctl(id, libc::IPC_RMID, std::ptr::null_mut()) };
        // Nobody asks twice: another server may have a segment of this id by then.
        let _ = fs::remove_file(&file);
    }
}

/// Whether any user can reach a folder, that is, pass through it and all its parents.
pub fn reachable_by_all(path: &Path) -> bool {
    let anyone_may_pass = 0o001;
    path.ancestors().all(|folder| {
        fs::metadata(folder).is_ok_and(|m| m.permissions().mode() & anyone_may_pass != 0)
    })
}
