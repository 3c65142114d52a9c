//! Files that are whole or absent: written under a temporary name, hashed on the way, fsynced,
//! then renamed.

use super::HistoryError;
use crate::disk;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// This is a file being written; nothing carries its final name until [`DurableFile::commit`].
pub(super) struct DurableFile {
    writer: BufWriter<File>,
    hasher: Sha256,
    temporary: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl DurableFile {
    pub fn create(path: PathBuf) -> Result<Self, HistoryError> {
        let temporary = disk::temporary(&path);
        let file = File::create(&temporary)
            .map_err(|e| failed("creating", &temporary, disk::explain(&e)))?;
        Ok(Self {
            writer: BufWriter::with_capacity(1 << 18, file),
            hasher: Sha256::new(),
            temporary,
            path,
            committed: false,
        })
    }

    /// Makes the file durable under its final name; gives its SHA-256.
    pub fn commit(mut self) -> Result<String, HistoryError> {
        let path = self.path.clone();
        let wrong = |e: std::io::Error| failed("writing", &path, disk::explain(&e));
        self.writer.flush().map_err(wrong)?;
        self.writer.get_ref().sync_all().map_err(wrong)?;
        std::fs::rename(&self.temporary, &self.path)
            .map_err(|e| failed("renaming into place", &self.path, e))?;
        self.committed = true;
        Ok(hex(&self.hasher.finalize_reset()))
    }
}

/// A disk that is full needs the room.
impl Drop for DurableFile {
    fn drop(&mut self) {
        if !self.committed {
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

impl Write for DurableFile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        Ok(written)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.writer.flush()
    }
}

/// Makes the folder's entries durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), HistoryError> {
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(|e| failed("syncing", folder, e))
}

/// SHA-256 of a file as it is now.
pub(super) fn sha256_of(path: &Path) -> Result<String, HistoryError> {
    let wrong = |e| failed("reading", path, e);
    let mut file = File::open(path).map_err(wrong)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0u8; 1 << 18];
    loop {
        let length = file.read(&mut block).map_err(wrong)?;
        if length == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&block[..length]);
    }
}

pub(super) fn sha256_of_bytes(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn failed(
    doing: &'static str,
    path: &Path,
    reason: impl std::fmt::Display,
) -> HistoryError {
    HistoryError {
        doing,
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
