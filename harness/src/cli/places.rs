//! Where the files of a checkout are, for a program that may be run from anywhere.

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

/// The same from the current folder.
pub fn find_here(name: &str) -> Result<PathBuf, Vec<PathBuf>> {
    find(name, &std::env::current_dir().unwrap_or_default())
}

/// A list of places for a message.
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
}
