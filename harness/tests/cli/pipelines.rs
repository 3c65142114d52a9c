//! What the action and the pipelines of docs/ci.md call, as it stands: in a checkout whose set-up does nothing and whose
//! program only lists what it would run.

use super::scripts::top;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// Lines that are indented deeper than the one that begins with this, without their indentation.
fn block(text: &str, begins: &str) -> String {
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let mut lines = text.lines();
    let head = lines.find(|line| line.trim_start().starts_with(begins));
    let outer = indentation(head.unwrap_or_else(|| panic!("no line begins with `{begins}`")));
    let inside = lines.take_while(|line| line.trim().is_empty() || indentation(line) > outer);
    let lines: Vec<&str> = inside.collect();
    let own = lines.iter().filter(|line| !line.trim().is_empty());
    let own = own.map(|line| indentation(line)).min().unwrap_or_default();
    let lines = lines.iter().map(|line| line.get(own..).unwrap_or_default());
    lines.map(|line| format!("{line}\n")).collect()
}

fn script(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

/// A checkout with the scenarios of this one.
struct PipelineCheckout(TempDir);

impl PipelineCheckout {
    fn new() -> Self {
        let checkout = Self(tempfile::tempdir().unwrap());
        let at = |name: &str| checkout.0.path().join(name);
        std::os::unix::fs::symlink(top().join("scenarios"), at("scenarios")).unwrap();
        script(&at("stack/install.sh"), "#!/bin/sh\necho \"install $*\"\n");
        for folder in ["docs", "harness", "relays", "reports"] {
            std::fs::create_dir(at(folder)).unwrap();
        }
        for file in ["Cargo.lock", "Cargo.toml", "harness/main.rs"] {
            std::fs::write(at(file), "").unwrap();
        }
        let program = env!("CARGO_BIN_EXE_outbox-harness");
        script(
            &at("target/release/outbox-harness"),
            &format!(
                "#!/bin/sh\n[ -z \"$CODE\" ] || exit \"$CODE\"\nexec {program} \"$@\" --list\n"
            ),
        );
        script(
            &at("bin/cargo"),
            "#!/bin/sh\necho \"cargo $1\"\n[ \"$1\" = run ] || exit 0\n\
             while [ \"$1\" != -- ]; do shift; done; shift\n\
             exec target/release/outbox-harness \"$@\"\n",
        );
        checkout
    }

    /// Has bash run it as the runners of these services do, with these variables.
    fn run(&self, commands: &str, variables: &[(&str, &str)]) -> Output {
        let path = std::env::var("PATH").unwrap();
        let folder = self.0.path();
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", commands])
            .current_dir(folder)
            .env("PATH", format!("{}:{path}", folder.join("bin").display()))
            .env("CARGO_HOME", folder)
            .env("GITHUB_ACTION_PATH", folder)
            .env("GITHUB_OUTPUT", folder.join("output"));
        bash.envs(variables.iter().copied()).output().unwrap()
    }
}

/// What was said on standard output, by what ended well.
fn said(output: &Output) -> String {
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{err}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn given_the_action_when_its_steps_are_run_then_the_program_takes_what_it_is_told_and_its_code_is_the_jobs()
 {
    let action = std::fs::read_to_string(top().join("action.yml")).unwrap();
    let (_, cache) = action.split_once("name: Name the cache").unwrap();
    let (cache, set_up) = cache.split_once("name: Set up").unwrap();
    let cache = block(cache, "run: |");
    let (set_up, run) = set_up.split_once("name: Run").unwrap();
    let (set_up, run) = (block(set_up, "run: |"), block(run, "run: |"));
    let checkout = PipelineCheckout::new();
    let root = checkout.run("id -u", &[]);
    // Who may not install packages would call sudo, which a machine of ours may not have.
    let sudo = "#!/bin/sh\nexec \"$@\"\n";
    script(&checkout.0.path().join("bin/sudo"), sudo);

    // What was built of the same sources is taken as it is; that of others is older than all of them.
    let keys = || {
        said(&checkout.run(&cache, &[]));
        let outputs = checkout.0.path().join("output");
        let keys = std::fs::read_to_string(&outputs).unwrap();
        std::fs::remove_file(outputs).unwrap();
        keys.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let source = checkout.0.path().join("harness/main.rs");
    let touched = || std::fs::metadata(&source).unwrap().modified().unwrap();
    let before = keys();
    std::fs::write(&source, "fn main() {}").unwrap();
    let after = keys();
    assert_eq!((before.len(), &before[0]), (2, &after[0]));
    assert_ne!(before[1], after[1]);
    let long_ago = std::time::UNIX_EPOCH;
    let file = std::fs::File::options().write(true).open(&source).unwrap();
    file.set_modified(long_ago).unwrap();
    said(&checkout.run(&set_up, &[("SAME_SOURCES", "true")]));
    assert_eq!(touched(), long_ago);

    let set_up = said(&checkout.run(&set_up, &[("SAME_SOURCES", "")]));
    assert!(touched() > long_ago);
    let packages = set_up.contains("install packages");
    assert_eq!(packages, said(&root).trim() != "0", "{set_up}");
    assert!(set_up.ends_with("install \ncargo build\n"), "{set_up}");

    let inputs = [("SCENARIOS", "scenarios"), ("OPTIONS", "--shard 1/3")];
    let listed = said(&checkout.run(&run, &inputs));
    assert!(listed.contains("scenarios/"), "{listed}");
    for code in [0, 1, 4] {
        let text = code.to_string();
        let output = checkout.run(&run, &[inputs[0], inputs[1], ("CODE", &text)]);
        assert_eq!(output.status.code(), Some(code));
    }
    let outputs = std::fs::read_to_string(checkout.0.path().join("output")).unwrap();
    assert_eq!(
        outputs,
        "exit-code=0\nexit-code=0\nexit-code=1\nexit-code=4\n"
    );
}

#[test]
fn given_the_pipelines_of_the_docs_when_their_commands_are_run_then_the_program_takes_what_it_is_told()
 {
    let docs = std::fs::read_to_string(top().join("docs/ci.md")).unwrap();
    let of_gitlab: String = block(&docs, "script:")
        .lines()
        .map(|line| format!("{}\n", line.trim_start_matches("- ")))
        .collect();
    let steps = docs.lines().filter_map(|line| {
        let step = line.trim().strip_prefix("sh '")?;
        Some(format!("{}\n", step.strip_suffix('\'').unwrap()))
    });
    let of_jenkins: String = steps.collect();
    let checkout = PipelineCheckout::new();

    let part = |index| [("CI_NODE_INDEX", index), ("CI_NODE_TOTAL", "3")];
    let parts = ["1", "2", "3"].map(|index| said(&checkout.run(&of_gitlab, &part(index))));
    let all = said(&checkout.run(&of_jenkins, &[]));

    let files = |listed: &str| {
        assert!(listed.starts_with("install \ncargo run\n"), "{listed}");
        let lines = listed.lines().filter_map(|line| line.split_once(".toml:"));
        lines.map(|(file, _)| file.to_owned()).collect::<Vec<_>>()
    };
    let mut of_parts: Vec<String> = parts.iter().flat_map(|listed| files(listed)).collect();
    let mut all = files(&all);
    of_parts.sort();
    all.sort();
    assert!(all.len() > 30, "{all:?}");
    // Each of them once.
    assert_eq!(of_parts, all);
}
