//! The end of a log file, for errors that show why a process died.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// An error shows at most so many lines of a log.
const TAIL_LINES: usize = 20;
/// A line within a sentence is cut to so many characters.
const LINE_CHARS_MAX: usize = 200;
/// At most so much of a log is read for them.
const TAIL_BYTES_MAX: u64 = 16 * 1024;

/// Returns `\n--- last lines of LOG ---\n...` with at most 20 lines written after `from` (bytes), or an empty text.
pub fn tail(log: &Path, from: u64) -> String {
    let Some(text) = read_end(log, from) else {
        return String::new();
    };
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    if last.iter().all(|line| line.trim().is_empty()) {
        return String::new();
    }
    format!(
        "\n--- last lines of {} ---\n{}",
        log.display(),
        last.join("\n")
    )
}

/// Returns the last line written after `from` (bytes), cut to a length that fits a sentence; it is empty without one.
pub fn last_line(log: &Path, from: u64) -> String {
    let text = read_end(log, from).unwrap_or_default();
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.unwrap_or_default()
        .trim()
        .chars()
        .take(LINE_CHARS_MAX)
        .collect()
}

/// Length of a log, 0 where there is none yet.
pub fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |m| m.len())
}

fn read_end(log: &Path, from: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    let start = from.max(length.saturating_sub(TAIL_BYTES_MAX)).min(length);
    file.seek(SeekFrom::Start(start)).ok()?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_the_last_twenty_lines_of_this_life() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.log");
        std::fs::write(&log, "an earlier life\n").unwrap();
        let from = length(&log);
        let lines: String = (0..30).map(|i| format!("line {i}\n")).collect();
        std::fs::write(&log, format!("an earlier life\n{lines}")).unwrap();

        let text = tail(&log, from);

        assert!(text.starts_with("\n--- last lines of "), "{text}");
        assert!(text.contains("line 10\n") && text.ends_with("line 29"));
        assert!(!text.contains("line 9\n") && !text.contains("earlier"));
        assert_eq!(last_line(&log, from), "line 29");
    }

    #[test]
    fn no_log_and_an_empty_log_have_no_tail() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("server.log");
        assert_eq!(tail(&log, 0), "");
        assert_eq!(last_line(&log, 0), "");
        std::fs::write(&log, "\n").unwrap();
        assert_eq!(tail(&log, 0), "");
    }
}
