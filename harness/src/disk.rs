//! What to do when something cannot be written: in the words of whoever has to do it.

use std::error::Error;
use std::io::ErrorKind;

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
    fn any_other_error_speaks_for_itself() {
        let other = IoError::other("it rained");
        assert_eq!(explain(&other), "it rained");
    }
}
