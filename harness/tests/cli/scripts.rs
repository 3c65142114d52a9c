//! The scripts around the program, held to what nothing else would notice: what they build is what the
//! lock file says, every check that they have is made, and each of them is looked at itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What has cargo build something.
const SCRIPTS: [&str; 5] = [
    ".ci/run",
    ".ci/lint",
    "Makefile",
    "stack/postgres-matrix.sh",
    "action.yml",
];

/// Commands of cargo that would choose other versions where the lock file is out of date.
const RESOLVING: [&str; 8] = [
    "build", "run", "test", "check", "clippy", "doc", "tree", "deny",
];

fn top() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.join("..").canonicalize().unwrap()
}

fn read(script: &str) -> String {
    std::fs::read_to_string(top().join(script)).unwrap()
}

/// The lines of a script that are no comment.
fn code(script: &str) -> Vec<String> {
    let text = read(script);
    let lines = text.lines();
    let code = lines.filter(|line| !line.trim_start().starts_with('#'));
    code.map(str::to_owned).collect()
}

/// Whether a line has cargo resolve versions.
fn resolves(line: &str) -> bool {
    let words: Vec<&str> = line
        .split(|c: char| c.is_whitespace() || "'\"(".contains(c))
        .filter(|word| !word.is_empty() && !word.starts_with('+'))
        .collect();
    words
        .windows(2)
        .any(|pair| pair[0] == "cargo" && RESOLVING.contains(&pair[1]))
}

#[test]
fn given_a_script_that_has_cargo_resolve_versions_then_it_keeps_to_the_lock_file() {
    let mut found = 0;
    for script in SCRIPTS {
        for line in code(script).iter().filter(|line| resolves(line)) {
            assert!(line.contains("--locked"), "{script}: {line}");
            found += 1;
        }
    }
    assert!(found >= 12, "only {found} were found");
}

#[test]
fn given_the_checks_of_ci_when_it_runs_then_none_is_left_out() {
    for (script, commands) in [
        (
            ".ci/run",
            &[
                "make test",
                "make lint",
                "cargo build --release",
                "make run",
            ][..],
        ),
        (
            "Makefile",
            &["RUSTDOCFLAGS=\"-D warnings", "cargo clippy", ".ci/lint"],
        ),
        (
            ".ci/lint",
            &["shellcheck ", "cargo deny ", "rustup run ", "cargo tree "],
        ),
    ] {
        let code = code(script);
        for command in commands {
            let is_there = code.iter().any(|line| line.contains(command));
            assert!(is_there, "{script}: {command}");
        }
    }
}

#[test]
fn given_a_check_of_ci_then_its_script_calls_it() {
    for script in [".ci/run", ".ci/lint"] {
        let code = code(script);
        let functions = code.iter().filter_map(|line| line.split_once("() {"));
        for (function, _) in functions {
            let mut words = code.iter().flat_map(|line| line.split_whitespace());
            assert!(
                words.any(|word| word == function),
                "{script}: {function} is never called"
            );
        }
    }
}

#[test]
fn given_a_shell_script_of_this_repository_then_shellcheck_looks_at_it() {
    let code = code(".ci/lint");
    let mut lines = code.iter().map(|line| line.trim_start());
    let line = lines.find(|line| line.starts_with("shellcheck ")).unwrap();
    let patterns = line.split_whitespace().skip(1);
    let looked_at: BTreeSet<PathBuf> = patterns
        .flat_map(|pattern| glob::glob(&top().join(pattern).display().to_string()).unwrap())
        .map(Result::unwrap)
        .collect();
    let mut there = BTreeSet::new();
    scripts_below(&top(), &mut there);
    let left_out: Vec<_> = there.difference(&looked_at).collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    assert!(there.len() >= 4, "{there:?}");
}

/// What is built, downloaded or recorded here is nobody's script.
fn is_of_others(name: &str) -> bool {
    matches!(name, "target" | "runs" | "node_modules" | "venv")
        || (name.starts_with('.') && name != ".ci")
}

fn scripts_below(folder: &Path, found: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        let path = entry.path();
        let name = entry.file_name();
        if kind.is_dir() && !is_of_others(&name.to_string_lossy()) {
            scripts_below(&path, found);
        } else if kind.is_file() && is_shell_script(&path) {
            found.insert(path);
        }
    }
}

fn is_shell_script(path: &Path) -> bool {
    let bytes = std::fs::read(path).unwrap();
    let first = bytes.split(|byte| *byte == b'\n').next().unwrap();
    first.starts_with(b"#!") && first.ends_with(b"sh")
}
