//! The scripts around the program, held to what nothing else would notice: what they build is what the
//! lock file says, every check that they have is made, and each of them is looked at itself.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What has cargo build something.
const SCRIPTS: [&str; 6] = [
    ".ci/run",
    ".ci/again",
    ".ci/lint",
    "Makefile",
    "stack/postgres-matrix.sh",
    "action.yml",
];

/// Commands of cargo that would choose other versions where the lock file is out of date.
const RESOLVING: [&str; 9] = [
    "build", "run", "test", "check", "clippy", "doc", "tree", "fetch", "deny",
];

/// The checkout.
pub fn top() -> PathBuf {
    let harness = Path::new(env!("CARGO_MANIFEST_DIR"));
    harness.join("..").canonicalize().unwrap()
}

fn read(script: &str) -> String {
    std::fs::read_to_string(top().join(script)).unwrap()
}

/// The lines of a script that are no comment.
pub fn code(script: &str) -> Vec<String> {
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
                ".ci/again ",
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
            &[
                "shellcheck ",
                "cargo fetch ",
                "cargo deny ",
                "rustup run ",
                "cargo tree ",
            ],
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
    for script in [".ci/run", ".ci/again", ".ci/lint", ".ci/all"] {
        let code = code(script);
        let functions = code.iter().filter_map(|line| line.split_once("() {"));
        for (function, _) in functions {
            let calls = code.iter().filter(|line| !line.contains("() {"));
            let mut words =
                calls.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
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

/// What `make test` printed, in short, where these tests failed in the suite of this target.
fn printed(running: &str, target: &str, failed: &[&str]) -> String {
    let failed: String = failed
        .iter()
        .map(|name| format!("test {name} ... FAILED\n"))
        .collect();
    format!(
        "     Running unittests src/lib.rs (target/debug/deps/harness-1)\ntest fine ... ok\n\
         \x20    Running {running} (target/debug/deps/it-2)\ntest good ... ok\n{failed}\
         error: test failed, to rerun pass `{target}`\n   Doc-tests harness\n\
         error: 1 target failed:\n    `{target}`\nmake: *** [Makefile:30: test] Error 101\n"
    )
}

/// Has `.ci/again` read that, with a cargo that says that all is well; what it asked cargo for, if it
/// ended well.
fn made_again(log: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let (cargo, log_file) = (folder.path().join("cargo"), folder.path().join("log"));
    let asked = folder.path().join("asked");
    // A test that runs alone is named first, and what it logs comes before its result.
    let script = "#!/bin/sh\necho \"$@\" >>\"$ASKED\"\n\
        while [ \"$1\" != --exact ]; do shift; done; passed=0\n\
        for test in $PASSING; do [ \"$2\" != $test ] || passed=1; done\n\
        printf 'test %s ... WARN a server is away\\nok\\n\\n' \"$2\"\n\
        echo \"test result: ok. $passed passed; 0 failed; 0 ignored\"\n";
    std::fs::write(&cargo, script).unwrap();
    std::fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).unwrap();
    std::fs::write(&log_file, log).unwrap();
    let path = std::env::var("PATH").unwrap();
    let output = Command::new(top().join(".ci/again"))
        .arg(&log_file)
        .env("PATH", format!("{}:{path}", folder.path().display()))
        .env("ASKED", &asked)
        .env("PASSING", "a::one b::two")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        Ok(std::fs::read_to_string(asked).unwrap())
    } else {
        assert!(!asked.exists() || said.contains("did not run"), "{said}");
        Err(said)
    }
}

#[test]
fn given_few_tests_of_servers_that_failed_when_ci_makes_them_again_then_it_is_those_and_alone() {
    let log = printed(
        "tests/zoo/main.rs",
        "-p zoo --test zoo",
        &["a::one", "b::two"],
    );
    let asked = made_again(&log).unwrap();
    assert_eq!(
        asked,
        "test --workspace --locked --test zoo -- --exact a::one\n\
         test --workspace --locked --test zoo -- --exact b::two\n"
    );
}

#[test]
fn given_any_other_failure_when_ci_could_make_it_again_then_it_stands() {
    let zoo = |failed: &[&str]| printed("tests/zoo/main.rs", "-p zoo --test zoo", failed);
    let cases = [
        // No server is in it
        (
            printed("unittests src/lib.rs", "-p harness --lib", &["a::one"]),
            "needs no servers",
        ),
        (
            printed(
                "tests/cli/main.rs",
                "-p outbox-harness --test cli",
                &["a::one"],
            ),
            "needs no servers",
        ),
        // It crashed
        (zoo(&[]), "ended without a failed test"),
        // No machine makes the referee count wrongly
        (
            zoo(&["a::one"]) + "wrong counts: Counts { offered: 600 }\n",
            "wrong counts",
        ),
        // Too many for an accident
        (zoo(&["a", "b", "c", "d", "e", "f"]), "more than 5"),
        // It was not compiled
        (
            "error: could not compile `zoo`\n".to_owned(),
            "no target failed",
        ),
        // It fails again
        (zoo(&["a::three"]), "did not run"),
    ];
    for (log, told) in cases {
        let said = made_again(&log).unwrap_err();
        assert!(said.contains(told), "{told}: {said}");
    }
}
