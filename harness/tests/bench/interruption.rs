//! Ctrl-C: what was measured by then is kept, and said to be cut short.

use super::turn::beside_another;
use super::{left_in, measured, program};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reports::record::Verdict;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{ChildStderr, Output, Stdio};

/// Starts a benchmark, and presses Ctrl-C when it has said `moment`. (Once more would end it at once,
/// with nothing kept.)
fn interrupted_at(moment: &str, home: &Path, args: &[&str]) -> Output {
    let _turn = beside_another();
    let mut harness = program(home, args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(harness.id() as i32);
    let mut said = Said {
        from: BufReader::new(harness.stderr.take().unwrap()),
        so_far: String::new(),
    };
    said.wait_for(moment);
    kill(pid, Signal::SIGINT).unwrap();
    said.from.read_to_string(&mut said.so_far).unwrap();
    let mut output = harness.wait_with_output().unwrap();
    output.stderr = said.so_far.into_bytes();
    output
}

/// Standard error.
struct Said {
    from: BufReader<ChildStderr>,
    so_far: String,
}

impl Said {
    fn wait_for(&mut self, text: &str) {
        loop {
            let begin = self.so_far.len();
            let read = self.from.read_line(&mut self.so_far).unwrap();
            assert_ne!(read, 0, "it ended without `{text}`: {}", self.so_far);
            if self.so_far[begin..].contains(text) {
                return;
            }
        }
    }
}

#[test]
fn given_a_row_that_was_measured_when_interrupted_then_it_is_kept_and_marked_as_cut_short() {
    // Given a benchmark of many rounds
    let home = tempfile::tempdir().unwrap();
    let args = ["orders", "--connections", "2", "--seconds", "1"];
    let args = [&args[..], &["--repetitions", "100"]].concat();
    // When it is interrupted with the first row of the first round measured
    let output = interrupted_at(
        "round 1 of 100, 2 connections, order path",
        home.path(),
        &args,
    );
    // Then there is a record of it, a table and a page, and each says how far it came
    let text = String::from_utf8(output.stdout).unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{text}{said}");
    let (bench, page) = left_in(home.path());
    assert_eq!((bench.repetitions, bench.verdict), (100, Verdict::Unknown));
    assert!(bench.complete < 100);
    assert!(measured(&bench.tables[0], "order path", "orders"), "{text}");
    let cut_short = format!("CUT SHORT after {} of 100 rounds", bench.complete);
    assert!(text.contains(&cut_short), "{text}");
    assert!(page.contains(&cut_short), "{page}");
    let reason = format!("cut short after {} of 100 rounds", bench.complete);
    assert!(bench.reasons[0].contains(&reason), "{:?}", bench.reasons);
}

#[test]
fn given_nothing_measured_when_interrupted_then_it_says_so_and_leaves_no_record() {
    // Given a benchmark whose first row takes longer than any test
    let home = tempfile::tempdir().unwrap();
    let args = ["orders", "--connections", "2", "--seconds", "600"];
    // When it is interrupted on a stack that is up
    let output = interrupted_at("stack up", home.path(), &args);
    // Then there is nothing to show
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("bench orders: interrupted; what was recorded is in"),
        "{said}"
    );
    assert_eq!(output.stdout, b"");
    assert!(!home.path().join("copy.json").exists());
}
