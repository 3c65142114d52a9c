//! `run.json`, and the seal that shows whether it was changed: its own SHA-256 with the seal's
//! digits taken as zeros. Without it the one file that vouches for the others would be the one
//! file that anybody can edit unseen.

use super::durable::{DurableFile, failed, sha256_of_bytes};
use super::{HistoryError, RunMeta};
use crate::disk;
use std::io::{Read, Write};
use std::path::Path;

/// A run's own file has this name in the folder of its history.
pub(super) const FILE: &str = "run.json";
/// More than this is not a run's file.
const MAX_BYTES: u64 = 64 << 20;
const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Writes `run.json` into `folder`, with its own SHA-256 in it; an Err says why it could not be written.
pub(super) fn write(folder: &Path, mut meta: RunMeta) -> Result<(), HistoryError> {
    let path = folder.join(FILE);
    meta.sha256.insert(FILE.to_owned(), BLANK.to_owned());
    let blank =
        serde_json::to_string_pretty(&meta).map_err(|e| failed("writing", &path, e))? + "\n";
    let sealed = match seal_of(&blank) {
        Some((digest, at)) => format!("{}{digest}{}", &blank[..at], &blank[at + BLANK.len()..]),
        None => return Err(failed("writing", &path, "no place for its own SHA-256")),
    };
    let mut file = DurableFile::create(path.clone())?;
    file.write_all(sealed.as_bytes())
        .map_err(|e| failed("writing", &path, disk::explain(&e)))?;
    file.commit().map(|_| ())
}

/// Reads `run.json`; the flag says whether it still is as it was written.
pub(super) fn read(folder: &Path) -> Result<(RunMeta, bool), HistoryError> {
    let path = folder.join(FILE);
    let file = std::fs::File::open(&path).map_err(|e| {
        failed(
            "opening",
            &path,
            format!("{e}: this folder holds no complete history"),
        )
    })?;
    let mut text = String::new();
    let length = file
        .take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|e| failed("reading", &path, e))?;
    if length as u64 > MAX_BYTES {
        return Err(failed("reading", &path, "it is absurdly large"));
    }
    let mut meta: RunMeta = serde_json::from_str(&text)
        .map_err(|e| failed("reading", &path, format!("not the file of a run: {e}")))?;
    let written = meta.sha256.remove(FILE);
    let whole = seal_of(&text).is_some_and(|(digest, _)| Some(digest) == written);
    Ok((meta, whole))
}

/// The digest of the text with its seal blanked, and where the seal is.
fn seal_of(text: &str) -> Option<(String, usize)> {
    const MARK: &str = "\"run.json\": \"";
    let at = text.rfind(MARK)? + MARK.len();
    let end = at.checked_add(BLANK.len())?;
    text.get(at..end)?;
    let blank = format!("{}{BLANK}{}", text.get(..at)?, text.get(end..)?);
    Some((sha256_of_bytes(blank.as_bytes()), at))
}
