//! Where the files of a checkout are, for a program that may be run from anywhere.

use crate::stack::kept::KeptFolder;
use std::path::{Path, PathBuf};

/// A folder of this name in `from` or one above it, else in the checkout that the program was
/// built from; the error lists where it was looked for.
pub fn find(name: &str, from: &Path) -> Result<PathBuf, Vec<PathBuf>> {
    let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let candidates: Vec<PathBuf> = from
        .ancestors()
        .chain(built_from)
        .map(|folder| folder.join(name))
        .collect();
    match candidates.iter().find(|c| c.is_dir()) {
        Some(found) => Ok(found.clone()),
        None => Err(candidates),
    }
}

/// Looks for a folder as [`find`] does, from the current folder on.
pub fn find_here(name: &str) -> Result<PathBuf, Vec<PathBuf>> {
    find(name, &std::env::current_dir().unwrap_or_default())
}

/// Returns the folder of Kafka's jars and Toxiproxy: the one that was named, else the nearest; an Err says what to do
/// where there is none.
pub fn programs(named: Option<&Path>) -> Result<PathBuf, String> {
    let found = named
        .map(Path::to_owned)
        .map_or_else(|| find_here(".stack"), Ok);
    found.map_err(|tried| {
        format!(
            "the stack failed: Kafka's jars and Toxiproxy are not installed ({}); run stack/install.sh in the checkout (`make run` does), name their folder with --programs DIR, or use --stack external",
            show(&tried)
        )
    })
}

/// Returns the folder in which a stack is kept: the one that was named, else `kept` beside the programs.
pub fn kept(named: Option<&Path>, programs_named: Option<&Path>) -> Result<KeptFolder, String> {
    Ok(match named {
        Some(folder) => KeptFolder::at(folder),
        None => KeptFolder::at(&programs(programs_named)?.join("kept")),
    })
}

/// Why files of ours cannot be below this folder, if so: their names go into configurations and
/// command lines as text.
pub fn unusable(option: &str, folder: &Path) -> Option<String> {
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    if whole.to_str().is_some() {
        return None;
    }
    Some(format!(
        "{option} {}: this name is not UTF-8, and the servers' configurations cannot have it: \
         choose another folder",
        whole.display()
    ))
}

/// Returns a list of places for a message.
pub fn show(places: &[PathBuf]) -> String {
    let places: Vec<String> = places.iter().map(|p| p.display().to_string()).collect();
    places.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_nearest_folder_above_is_found() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::create_dir_all(root.path().join("a/wanted")).unwrap();
        assert_eq!(find("wanted", &deep), Ok(root.path().join("a/wanted")));
        let tried = find("unheard-of", &deep).unwrap_err();
        assert!(tried.contains(&deep.join("unheard-of")));
    }

    #[test]
    fn a_folder_whose_name_is_no_text_is_refused_by_name() {
        use std::os::unix::ffi::OsStrExt;
        assert_eq!(unusable("--out", Path::new("prüf ung/a,b/a\\tb")), None);
        let latin = Path::new(std::ffi::OsStr::from_bytes(b"pr\xfcfung"));
        let message = unusable("--out", latin).unwrap();
        assert!(message.starts_with("--out /"), "{message}");
        assert!(message.contains("not UTF-8"), "{message}");
    }
}
