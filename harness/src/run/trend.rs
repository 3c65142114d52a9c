//! The folder in which comparisons are kept: a file each, and a page of all of them.

use super::deployment::failed;
use super::{RunError, folder};
use reports::compare::Compare;
use reports::trend::{self, TrendEntry};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The page shows so many comparisons at most: the newest.
const SHOWN: usize = 1_000;
/// No entry is larger than this, bytes.
const LARGEST: u64 = 1 << 20;
/// Files of the folder that are looked at by name.
const EXTENSION: &str = "json";

/// What became of a comparison that was to be kept.
#[derive(Debug)]
pub struct Kept {
    /// This file is the page of all of them.
    pub page: PathBuf,
    /// Files that the page does not show, each with the reason.
    pub unread: Vec<(String, String)>,
}

/// Where a folder of kept comparisons has the page of all of them.
pub fn page_in(kept_in: &Path) -> PathBuf {
    kept_in.join(trend::FILE_NAME)
}

/// Makes the folder, before anything is run; the error says why comparisons cannot be kept there.
pub fn prepare(kept_in: &Path) -> Result<(), String> {
    let wrong = |why: String| format!("--history {}: {why}", kept_in.display());
    std::fs::create_dir_all(kept_in).map_err(|e| wrong(format!("cannot be made: {e}")))?;
    let runs = folder::runs_in(kept_in).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    if !runs.is_empty() || folder::is_run(kept_in) {
        return Err(wrong(
            "this folder has runs, and their index; name a folder of its own".to_owned(),
        ));
    }
    let page = page_in(kept_in);
    match folder::is_of_another(&page) {
        Some(why) => Err(wrong(format!("{}: {why}", page.display()))),
        None => Ok(()),
    }
}

/// Keeps a comparison, and makes the page of all that are kept.
pub fn keep(kept_in: &Path, compare: &Compare) -> Result<Kept, RunError> {
    let now = jiff::Timestamp::now();
    let entry = TrendEntry::of(compare, &now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    let bytes = entry
        .json()
        .map_err(|e| failed("keeping the comparison", &e))?;
    // By their names the files are in the order of time.
    let name = format!("{}.{EXTENSION}", folder::unique_stamp(now));
    folder::write(&kept_in.join(name), &bytes)?;
    let (entries, unread) = read(kept_in)?;
    let page = trend::page(entries, &unread).map_err(|e| failed("drawing the trend", &e))?;
    let file = page_in(kept_in);
    folder::write_page(&file, &page)?;
    Ok(Kept { page: file, unread })
}

type Unread = Vec<(String, String)>;

/// The newest entries, and what is none. Nothing is taken away.
fn read(kept_in: &Path) -> Result<(Vec<TrendEntry>, Unread), RunError> {
    let doing = format!("reading {}", kept_in.display());
    let mut files: Vec<PathBuf> = Vec::new();
    for file in std::fs::read_dir(kept_in).map_err(|e| failed(&doing, &e))? {
        let path = file.map_err(|e| failed(&doing, &e))?.path();
        if path.extension().is_some_and(|ending| ending == EXTENSION) {
            files.push(path);
        }
    }
    files.sort();
    let older = files.len().saturating_sub(SHOWN);
    let mut unread = Unread::new();
    if older > 0 {
        let why = format!("the page has the newest {SHOWN} alone");
        unread.push((format!("{older} older files"), why));
    }
    let mut entries = Vec::new();
    for file in files.iter().skip(older) {
        match read_entry(file) {
            Ok(entry) => entries.push(entry),
            Err(why) => unread.push((folder::name(file), why)),
        }
    }
    Ok((entries, unread))
}

fn read_entry(file: &Path) -> Result<TrendEntry, String> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(|e| e.to_string())?;
    let read = opened.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(|e| e.to_string())?;
    if bytes.len() as u64 > LARGEST {
        return Err("too large for an entry of this history".to_owned());
    }
    TrendEntry::parse(&bytes).map_err(|e| format!("no entry of this history: {e}"))
}
