//! Whether what a run leaves keeps its passwords to its owner.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// What stands before a password in a configuration of ours (JSON, TOML).
const BEFORE: [&str; 2] = ["\"password\": \"", "password = \""];

/// The files below a run's folder that have a password in them, by name, each looked at: nobody but
/// its owner may read it.
#[track_caller]
pub fn files_with_passwords(run: &Path) -> Vec<String> {
    let files = below(run);
    let mut passwords: Vec<String> = files.iter().flat_map(|file| passwords_in(file)).collect();
    passwords.sort();
    passwords.dedup();
    assert!(!passwords.is_empty(), "no password in {files:?}");
    let has_one = |file: &&PathBuf| {
        let bytes = std::fs::read(file).unwrap();
        passwords
            .iter()
            .any(|p| bytes.windows(p.len()).any(|w| w == p.as_bytes()))
    };
    let with: Vec<&PathBuf> = files.iter().filter(has_one).collect();
    for file in &with {
        assert_eq!(mode(file) & 0o077, 0, "{} is not secret", file.display());
    }
    // An umask that hid everything would prove nothing.
    let report = run.join("report.html");
    assert_ne!(mode(&report) & 0o044, 0, "{}", report.display());
    let name = |file: &&PathBuf| file.strip_prefix(run).unwrap().display().to_string();
    let mut names: Vec<String> = with.iter().map(name).collect();
    names.sort();
    names
}

fn passwords_in(file: &Path) -> Vec<String> {
    let text = String::from_utf8_lossy(&std::fs::read(file).unwrap()).into_owned();
    let after = |before: &str| {
        let parts = text.split(before).skip(1);
        let found = parts.filter_map(|rest| rest.split('"').next().map(str::to_owned));
        found.filter(|p| !p.is_empty()).collect::<Vec<_>>()
    };
    BEFORE.iter().flat_map(|before| after(before)).collect()
}

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).unwrap().permissions().mode()
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // What the servers of a kept stack have there is theirs, and large.
        if path.file_name().is_some_and(|name| name == "stack") {
            continue;
        }
        if path.is_dir() {
            found.extend(below(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}
