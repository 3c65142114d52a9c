//! What to do when something cannot be written: in the words of whoever has to do it.

use std::error::Error;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file of this mode is readable by its owner only.
const SECRET: u32 = 0o600;
/// As the umask has it.
const ORDINARY: u32 = 0o666;

/// Writes a file that is then whole, or not there.
pub fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_as(path, bytes, ORDINARY)
}

/// As [`write()`], for whatever has a password in it: from its first byte on it is readable by its
/// owner only.
pub fn write_secret(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_as(path, bytes, SECRET)
}

/// Opens a file that is written bit by bit, empty, for whatever may have a password in it.
pub fn create_secret(path: &Path) -> std::io::Result<File> {
    let mut options = File::options();
    let options = options.write(true).create(true).truncate(true);
    options.mode(SECRET).open(path)
}

/// Returns where a file is until it is whole: beside it, by a name that nobody gives a file of their own.
pub(crate) fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.outbox-harness-half"))
}

fn write_as(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let temporary = temporary(path);
    std::fs::create_dir_all(path.parent().unwrap_or(path))?;
    // One that is there already has a mode of its own.
    match std::fs::remove_file(&temporary) {
        Err(e) if e.kind() != ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = File::options();
    let written = options
        .create_new(true)
        .write(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// The error's own words, and the remedy where the disk is the reason.
pub fn explain(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(e) = cause {
        let io = e.downcast_ref::<std::io::Error>();
        if let Some(remedy) = io.and_then(|io| remedy(io.kind())) {
            return format!("{error}: {remedy}");
        }
        cause = e.source();
    }
    error.to_string()
}

fn remedy(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::StorageFull => {
            Some("make room on that file system, or choose a folder on another one (--out DIR)")
        }
        ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Some(
            "raise this user's limit (quota, `ulimit -f`), or choose a folder without one (--out DIR)",
        ),
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            Some("choose a folder that this user may write to (--out DIR)")
        }
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use parquet::errors::ParquetError;
    use std::io::Error as IoError;

    #[test]
    fn a_full_disk_is_recognised_behind_another_error() {
        let full = IoError::from_raw_os_error(libc::ENOSPC);
        let wrapped = ParquetError::External(Box::new(full));
        let text = explain(&wrapped);
        assert!(text.contains("No space left"), "{text}");
        assert!(text.contains("--out DIR"), "{text}");
    }

    #[test]
    fn a_secret_is_its_owners_alone_whatever_was_there_before() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a/secret.properties");
        let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        write(&file, b"no password yet").unwrap();
        assert_ne!(mode() & 0o044, 0, "the umask of this test hides everything");
        // What an earlier process left half written, and a file of somebody else.
        std::fs::write(temporary(&file), "half").unwrap();
        std::fs::write(file.with_extension("tmp"), "theirs").unwrap();
        write_secret(&file, b"password").unwrap();
        assert_eq!(mode(), 0o600);
        assert_eq!(std::fs::read(&file).unwrap(), b"password");
        assert!(!temporary(&file).exists());
        let theirs = std::fs::read(file.with_extension("tmp")).unwrap();
        assert_eq!(theirs, b"theirs");
    }

    #[test]
    fn any_other_error_speaks_for_itself() {
        let other = IoError::other("it rained");
        assert_eq!(explain(&other), "it rained");
    }
}
