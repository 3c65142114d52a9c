//! What a broken system did wrong, in its own words: a line a misdeed, written before or right after
//! it, in a file that outlives a SIGKILL. Tests compare the referee's counts with it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

/// This appends to the file that [`crate::CONFESSION`] names; without one, it says nothing.
pub struct Confession(Option<File>);

impl Confession {
    /// Opens it; lines of an earlier life stay.
    pub fn open() -> Self {
        let path = std::env::var_os(crate::CONFESSION).map(PathBuf::from);
        Self(path.and_then(|path| OpenOptions::new().create(true).append(true).open(path).ok()))
    }

    /// Admits one misdeed; `what` is one word, `which` says to what it was done.
    pub fn admit(&self, what: &str, which: &str) {
        if let Some(mut file) = self.0.as_ref() {
            let _ = file.write_all(format!("{what} {which}\n").as_bytes());
        }
    }
}
