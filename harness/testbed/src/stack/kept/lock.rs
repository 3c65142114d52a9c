//! Whoever keeps a stack has a file locked for as long as it lives: the kernel gives the lock back
//! however it ends. Others ask who has it without taking it, so that asking is in nobody's way.

use crate::process::tree::{self, ProcessId};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use std::fs::File;
use std::io::{Error, ErrorKind, Write};
use std::path::Path;

/// The lock, for as long as this lives.
#[derive(Debug)]
pub struct KeeperLock {
    _file: File,
    holder: ProcessId,
}

impl KeeperLock {
    /// Takes it for this process, and says in the file whose it is; `None` while another process has it.
    pub fn take(path: &Path) -> std::io::Result<Option<Self>> {
        let pid = i32::try_from(std::process::id()).map_err(Error::other)?;
        let holder = tree::find(pid).map(|process| process.id);
        let holder = holder.ok_or_else(|| Error::other("/proc is not mounted"))?;
        // It is cut only when it is ours. Children do not inherit it.
        let mut options = File::options();
        let mut file = options
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        let asked = whole_file();
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&asked)) {
            Ok(_) => {}
            Err(Errno::EAGAIN | Errno::EACCES) => return Ok(None),
            Err(e) => return Err(e.into()),
        }
        // At once: until then it names the last holder.
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(&holder)?)?;
        Ok(Some(Self {
            _file: file,
            holder,
        }))
    }

    /// Returns the process that has it, this one.
    pub fn holder(&self) -> ProcessId {
        self.holder
    }
}

/// Who has the lock of this file; `None` if nobody has.
pub fn holder(path: &Path) -> std::io::Result<Option<ProcessId>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(e),
    };
    let mut asked = whole_file();
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut asked))?;
    if i32::from(asked.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    // Between the lock and its name, a new holder is not known yet: it is there all the same.
    let named = std::fs::read(path)?;
    Ok(Some(serde_json::from_slice(&named).unwrap_or(NOT_NAMED)))
}

/// A holder that has not said who it is. No process has this pid.
const NOT_NAMED: ProcessId = ProcessId { pid: 0, start: 0 };

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_a_lock_that_is_held_when_another_wants_it_then_it_is_told_who_has_it_until_it_is_free()
    {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        assert_eq!(holder(&path).unwrap(), None);
        let lock = KeeperLock::take(&path).unwrap().unwrap();
        // Asking takes nothing away
        for _ in 0..2 {
            assert_eq!(holder(&path).unwrap(), Some(lock.holder()));
        }
        assert!(KeeperLock::take(&path).unwrap().is_none());
        assert_eq!(holder(&path).unwrap(), Some(lock.holder()));
        drop(lock);
        assert_eq!(holder(&path).unwrap(), None);
        assert!(KeeperLock::take(&path).unwrap().is_some());
    }

    #[test]
    fn given_a_holder_without_a_name_then_it_is_there_all_the_same() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("lock");
        let _lock = KeeperLock::take(&path).unwrap().unwrap();
        std::fs::write(&path, "{\"pid\":").unwrap();
        assert_eq!(holder(&path).unwrap(), Some(NOT_NAMED));
    }
}
