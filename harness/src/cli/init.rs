//! `init`: a scenario to begin with, which runs as it stands.

use super::args::InitArgs;
use super::exit::Outcome;
use super::terminal;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const HEAD: &str = include_str!("init/head.toml");

/// A part is a kind of strategy: what a scenario says of it, and the files that it needs beside.
struct Part {
    kind: &'static str,
    text: &'static str,
    files: &'static [File],
}

/// A file that is written has a name, a content, and permissions (Unix mode).
type File = (&'static str, &'static str, u32);

const PARTS: [Part; 8] = [
    part("dual-write", include_str!("init/dual-write.toml"), &[]),
    part("polling", include_str!("init/polling.toml"), &[]),
    part("cdc", include_str!("init/cdc.toml"), &[]),
    part(
        "logical-message",
        include_str!("init/logical-message.toml"),
        &[],
    ),
    part(
        "event-sourcing",
        include_str!("init/event-sourcing.toml"),
        &[],
    ),
    part("debezium", include_str!("init/debezium.toml"), &[]),
    part(
        "two-phase-commit",
        include_str!("init/two-phase-commit.toml"),
        &[],
    ),
    part("external", include_str!("init/external.toml"), &TEMPLATE),
];

const fn part(kind: &'static str, text: &'static str, files: &'static [File]) -> Part {
    Part { kind, text, files }
}

macro_rules! template {
    ($name:literal, $mode:literal) => {
        (
            $name,
            include_str!(concat!("../../../relays/external/python/", $name)),
            $mode,
        )
    };
}

/// The template in Python, as it is shipped and tested.
const TEMPLATE: [File; 5] = [
    template!("relay.toml", 0o644),
    template!("relay.py", 0o644),
    template!("outbox.sql", 0o644),
    template!("requirements.txt", 0o644),
    template!("install.sh", 0o755),
];

/// Writes the files; says on standard error what is in the way, and then writes none.
pub fn init(args: &InitArgs) -> Outcome {
    let parts: Vec<&Part> = PARTS
        .iter()
        .filter(|part| args.strategy.iter().any(|kind| kind == part.kind))
        .collect();
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let beside = parts.iter().flat_map(|part| part.files);
    let beside = beside.map(|(name, content, mode)| (folder.join(name), elsewhere(content), *mode));
    let scenario = (args.file.clone(), scenario(&parts, &args.file), 0o644);
    let files: Vec<(PathBuf, String, u32)> = std::iter::once(scenario).chain(beside).collect();
    let mut names: Vec<&PathBuf> = files.iter().map(|(path, _, _)| path).collect();
    names.sort();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        terminal::message(&format!(
            "{}: a file of the template has this name; name the scenario otherwise",
            twice[0].display()
        ));
        return Outcome::Usage;
    }
    let there = files.iter().filter(|(path, _, _)| path.exists());
    let there: Vec<String> = there
        .map(|(path, _, _)| path.display().to_string())
        .collect();
    if !there.is_empty() {
        terminal::message(&format!(
            "{}: there already, and nothing is written over; name another file, in a folder of its own",
            there.join(", ")
        ));
        return Outcome::Usage;
    }
    for (path, content, mode) in &files {
        if let Err(why) = write(path, content, *mode) {
            terminal::message(&format!("{}: cannot be written: {why}", path.display()));
            return Outcome::Failed;
        }
        terminal::results(&format!("wrote {}\n", path.display()));
    }
    terminal::results(&format!(
        "now: outbox-harness run {}\n",
        args.file.display()
    ));
    Outcome::Met
}

/// Returns a shipped file without the line that names its schema, which leads nowhere from another folder.
fn elsewhere(content: &str) -> String {
    match content.split_once('\n') {
        Some((first, rest)) if first.starts_with("#:schema ") => rest.to_owned(),
        Some(_) | None => content.to_owned(),
    }
}

fn scenario(parts: &[&Part], file: &Path) -> String {
    let head = HEAD.replace("FILE", &file.display().to_string());
    parts.iter().fold(head, |text, part| text + part.text)
}

fn write(path: &Path, content: &str, mode: u32) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content.as_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scenario::{explain, load};

    #[test]
    fn given_every_kind_of_strategy_then_there_is_a_part_of_it_which_is_read() {
        let kinds: Vec<&str> = explain::STRATEGIES.iter().map(|(kind, _)| *kind).collect();
        let parts: Vec<&str> = PARTS.iter().map(|part| part.kind).collect();
        assert_eq!(parts, kinds);
        for part in &PARTS {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("first.toml");
            let strategy = vec![part.kind.to_owned()];
            let args = InitArgs { file, strategy };
            assert_eq!(init(&args), Outcome::Met);
            let loaded = load(&args.file).unwrap();
            assert_eq!(loaded.scenario.strategies[0].kind.name(), part.kind);
            for entry in std::fs::read_dir(folder.path()).unwrap() {
                let written = std::fs::read_to_string(entry.unwrap().path()).unwrap();
                assert!(!written.contains("#:schema"), "{written}");
            }
        }
    }

    #[test]
    fn given_a_file_that_is_there_then_nothing_is_written_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("relay.toml"), "mine").unwrap();
        let args = InitArgs {
            file: at("first.toml"),
            strategy: vec!["external".to_owned()],
        };
        assert_eq!(init(&args), Outcome::Usage);
        assert_eq!(std::fs::read_to_string(at("relay.toml")).unwrap(), "mine");
        assert!(!at("first.toml").exists() && !at("relay.py").exists());
        // Nor where the scenario would have the name of a file beside it
        let inner = at("in");
        std::fs::create_dir(&inner).unwrap();
        let args = InitArgs {
            file: inner.join("relay.toml"),
            strategy: vec!["external".to_owned()],
        };
        assert_eq!(init(&args), Outcome::Usage);
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 0);
    }
}
