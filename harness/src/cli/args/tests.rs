//! What the docs show is what the program takes.
#![allow(clippy::unwrap_used)]

use super::bench::BENCH_EXAMPLES;
use super::claims::CLAIMS_EXAMPLES;
use super::compare::{COMPARE_EXAMPLES, Regression};
use super::demo::DEMO_EXAMPLES;
use super::run::EXAMPLES;
use super::saved::{EXPLAIN_EXAMPLES, REPLAY_EXAMPLES};
use super::service_check::SERVICE_CHECK_EXAMPLES;
use super::stack::STACK_EXAMPLES;
use super::{BenchKind, Cli, Command};
use clap::Parser;
use clap::error::ErrorKind;
use std::path::{Path, PathBuf};

/// What `--help` shows beside the docs, by the command that shows it.
const HELP: [(&str, &str); 9] = [
    ("--help", EXAMPLES),
    ("bench --help", BENCH_EXAMPLES),
    ("claims --help", CLAIMS_EXAMPLES),
    ("compare --help", COMPARE_EXAMPLES),
    ("demo --help", DEMO_EXAMPLES),
    ("explain --help", EXPLAIN_EXAMPLES),
    ("replay --help", REPLAY_EXAMPLES),
    ("service-check --help", SERVICE_CHECK_EXAMPLES),
    ("stack --help", STACK_EXAMPLES),
];
const README: &str = include_str!("../../../../README.md");
const MAKEFILE: &str = include_str!("../../../../Makefile");
/// What stands before the arguments of a command that is there to be copied.
const PROGRAM: [&str; 3] = [
    "outbox-harness ",
    "cargo run --release -- ",
    "cargo run --release --locked -- ",
];

/// Each file that is written for users, and each text of examples.
fn docs() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "docker-compose.yml"]
        .map(|name| root.join(name))
        .into();
    let pages = std::fs::read_dir(root.join("docs")).unwrap();
    let pages = pages.map(|entry| entry.unwrap().path());
    files.extend(pages.filter(|path| path.extension().is_some_and(|e| e == "md")));
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read_to_string(&path).unwrap())
    };
    let help = HELP.map(|(command, text)| (command.to_owned(), text.to_owned()));
    files.into_iter().map(read).chain(help).collect()
}

/// Commands in code: those at the beginning of an indented or a YAML line, and in backquotes.
fn commands(text: &str) -> Vec<&str> {
    let begins = |line: &&str| ["  ", "- run: ", "#  "].iter().any(|b| line.starts_with(b));
    let lines = text.lines().filter(begins).map(|line| {
        let line = line.trim_start_matches("- run:").trim_start_matches('#');
        line.trim_start().trim_start_matches("$ ")
    });
    let quoted = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    lines.chain(quoted).collect()
}

/// Its arguments, if it is a command of this program. The head of the demo's view, which begins like one, is none.
fn of_this_program(command: &str) -> Option<Vec<&str>> {
    if command.contains(" · ") {
        return None;
    }
    let mut arguments = PROGRAM
        .iter()
        .filter_map(|start| command.strip_prefix(start));
    Some(arguments.next()?.split_ascii_whitespace().collect())
}

#[test]
fn every_command_of_the_docs_is_one() {
    let mut found = 0;
    for (file, text) in docs() {
        for arguments in commands(&text).into_iter().filter_map(of_this_program) {
            let parsed = Cli::try_parse_from(["outbox-harness"].iter().chain(&arguments));
            let kind = parsed.err().map(|e| e.kind());
            // Prose names a command without what it needs; `bench` alone shows what it can do.
            let named = arguments.len() == 1 && kind == Some(ErrorKind::MissingRequiredArgument);
            let fine = [
                None,
                Some(ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
            ];
            assert!(
                named || fine.contains(&kind),
                "{file}: {arguments:?}: {kind:?}"
            );
            found += 1;
        }
    }
    assert!(found >= 20, "only {found} commands were found");
}

#[test]
fn every_make_target_of_the_docs_is_one() {
    let mut found = 0;
    for (file, text) in docs() {
        for command in commands(&text) {
            let Some(rest) = command.strip_prefix("make ") else {
                continue;
            };
            let target = rest.split_ascii_whitespace().next().unwrap();
            assert!(
                MAKEFILE.contains(&format!("\n{target}:")),
                "{file}: make {target}"
            );
            found += 1;
        }
    }
    assert!(found >= 4, "only {found} were found");
}

#[test]
fn given_no_number_of_rounds_when_a_benchmark_is_asked_for_then_it_has_five() {
    for kind in ["drain", "latency", "capacity", "orders"] {
        let cli = Cli::try_parse_from(["outbox-harness", "bench", kind]).unwrap();
        let Command::Bench(bench) = cli.command else {
            panic!("{kind} is a benchmark");
        };
        let rounds = match bench.kind {
            BenchKind::Drain(args) => args.repetitions,
            BenchKind::Latency(args) => args.repetitions,
            BenchKind::Capacity(args) => args.repetitions,
            BenchKind::Orders(args) => args.repetitions,
        };
        assert_eq!(rounds, 5, "{kind}");
    }
}

#[test]
fn a_regression_is_a_share_in_percent() {
    assert_eq!("10%".parse(), Ok(Regression(0.1)));
    for bad in ["10", "0%", "100%", "-5%", "%", "a%", "NaN%"] {
        let error = bad.parse::<Regression>().unwrap_err();
        assert!(error.contains("10%"), "{error}");
    }
}

/// Wherever CARGO_TARGET_DIR has what is built put, cargo knows it.
#[test]
fn make_run_has_cargo_find_the_program() {
    let (_, recipe) = MAKEFILE.split_once("\nrun: install").unwrap();
    let recipe = recipe.lines().nth(1).unwrap().trim_start();
    let arguments = of_this_program(recipe).unwrap_or_default();
    assert_eq!(arguments, ["run", "$(SCENARIO)", "--out", "runs"]);
    assert!(!MAKEFILE.contains("target/"), "{MAKEFILE}");
}

#[test]
fn what_the_docs_show_for_ci_keeps_the_programs_exit_code() {
    let yaml = README.split("```yaml").nth(1).unwrap();
    let yaml = yaml.split("```").next().unwrap();
    assert!(
        yaml.contains("cargo run --release --locked -- run "),
        "{yaml}"
    );
    assert!(!yaml.contains("run: make"), "{yaml}");
}
