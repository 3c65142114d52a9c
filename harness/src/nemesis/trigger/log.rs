//! Follows the log of a process for a line that matches, from where it ends when it is first looked at:
//! what was said is read once.

use crate::process::{Child, LOG_BYTES_MAX};
use regex::Regex;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

/// At most so much is read at a time; what is more comes with the next look.
const BLOCK_BYTES: usize = 64 * 1024;
/// A longer line is looked at in parts.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// Characters of a line that are kept.
const LINE_CHARS_MAX: usize = 200;

/// A log, and how far it was read.
pub(super) struct Follower {
    of: String,
    log: File,
    at: u64,
    wanted: Regex,
    /// What was read last.
    block: Vec<u8>,
    /// A line whose end is not there yet.
    line: Vec<u8>,
    matched: Option<String>,
    trouble: Option<String>,
}

impl Follower {
    /// Begins to follow the log of `child` from its present end, for a line that the regular expression `wanted`
    /// matches; an Err says that the expression is invalid, or that the log cannot be read.
    pub fn of(child: &Child, wanted: &str) -> Result<Self, String> {
        let of = child.name().to_owned();
        let wanted = Regex::new(wanted).map_err(|e| e.to_string())?;
        let open = || -> std::io::Result<(File, u64)> {
            let mut log = File::open(child.log())?;
            let at = log.seek(SeekFrom::End(0))?;
            Ok((log, at))
        };
        let (log, at) = open().map_err(|e| format!("the log of the {of} cannot be read: {e}"))?;
        Ok(Self::new(of, log, at, wanted))
    }

    fn new(of: String, log: File, at: u64, wanted: Regex) -> Self {
        Self {
            of,
            log,
            at,
            wanted,
            block: vec![0; BLOCK_BYTES],
            line: Vec::new(),
            matched: None,
            trouble: None,
        }
    }

    /// Whether a line has matched by now.
    pub fn has_matched(&mut self) -> bool {
        if self.matched.is_none() {
            let mut block = std::mem::take(&mut self.block);
            match self.log.read(&mut block) {
                Ok(length) => self.hear(&block[..length]),
                Err(e) => {
                    self.trouble = Some(format!("the log of the {} cannot be read: {e}", self.of));
                }
            }
            self.block = block;
        }
        self.matched.is_some()
    }

    /// Returns the line that matched; else what kept it from being seen, if anything did.
    pub fn note(&self) -> Option<String> {
        let full = || {
            (self.at >= LOG_BYTES_MAX).then(|| {
                format!(
                    "the log of the {} is full ({} MiB): what it says later is not kept",
                    self.of,
                    LOG_BYTES_MAX >> 20
                )
            })
        };
        let matched = self.matched.clone();
        matched.or_else(|| self.trouble.clone()).or_else(full)
    }

    fn hear(&mut self, said: &[u8]) {
        self.at += said.len() as u64;
        for part in said.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") || self.line.len() >= LINE_BYTES_MAX {
                let line = String::from_utf8_lossy(&self.line);
                let line = line.trim_end();
                if self.wanted.is_match(line) {
                    self.matched = Some(line.chars().take(LINE_CHARS_MAX).collect());
                    return;
                }
                self.line.clear();
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::Write;

    /// Follows a log that has been said this before.
    fn following(before: &str, wanted: &str) -> (Follower, File) {
        let mut log = tempfile::NamedTempFile::new().unwrap();
        log.write_all(before.as_bytes()).unwrap();
        let mut read = log.reopen().unwrap();
        let at = read.seek(SeekFrom::End(0)).unwrap();
        let wanted = Regex::new(wanted).unwrap();
        let follower = Follower::new("relay".to_owned(), read, at, wanted);
        (follower, log.into_file())
    }

    #[test]
    fn given_a_log_when_a_line_that_matches_is_added_then_it_is_seen_once_it_is_whole() {
        let (mut follower, mut log) = following("caught up\n", "^caught up( again)?$");
        assert!(
            !follower.has_matched(),
            "what was said before does not count"
        );
        log.write_all(b"not caught up\ncaught ").unwrap();
        assert!(!follower.has_matched());
        log.write_all(b"up again").unwrap();
        assert!(!follower.has_matched());
        assert_eq!(follower.note(), None);
        log.write_all(b"\r\nmore\n").unwrap();
        assert!(follower.has_matched());
        assert_eq!(follower.note().unwrap(), "caught up again");
    }

    #[test]
    fn given_more_than_is_read_at_a_time_then_it_is_read_on_and_an_endless_line_is_not_kept() {
        let (mut follower, mut log) = following("", "here");
        let endless = vec![b'x'; 5 * BLOCK_BYTES + 7];
        log.write_all(&endless).unwrap();
        log.write_all(b"\nhere\n").unwrap();
        let mut looks = 0;
        while !follower.has_matched() {
            assert!(follower.line.len() <= LINE_BYTES_MAX);
            looks += 1;
            assert!(looks < 10);
        }
        assert!(looks >= 5, "{looks}");
        assert_eq!(follower.note().unwrap(), "here");
    }

    #[test]
    fn given_a_log_that_takes_no_more_then_that_is_why_nothing_matched() {
        let (mut follower, _log) = following("", "here");
        follower.at = LOG_BYTES_MAX;
        assert!(!follower.has_matched());
        let note = follower.note().unwrap();
        assert!(note.contains("the relay is full (8 MiB)"), "{note}");
    }
}
