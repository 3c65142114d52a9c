//! GitHub's annotations, read back as its runner reads them.

use crate::{arbitrary, sample};
use proptest::prelude::*;
use reports::github::{Places, annotations};
use reports::record::{NotRun, Record, Verdict};

/// A file whose lines are known: the strategies from line 10 on, their metrics from line 100 on.
struct File;

impl Places for File {
    fn file(&self) -> &str {
        "scenarios/a, b: 100%.toml"
    }

    fn line(&self, _: &str, metric: Option<&str>) -> usize {
        if metric.is_some() { 100 } else { 10 }
    }
}

/// The properties and the message of each command, unescaped as actions/runner does it.
fn commands(text: &str) -> Vec<(Vec<(String, String)>, String)> {
    let data = |text: &str| {
        let lines = text.replace("%0D", "\r").replace("%0A", "\n");
        lines.replace("%25", "%")
    };
    let value = |text: &str| data(&text.replace("%3A", ":").replace("%2C", ","));
    text.lines()
        .map(|line| {
            let command = line.strip_prefix("::error ").unwrap();
            let (properties, message) = command.split_once("::").unwrap();
            let properties = properties.split(',').map(|property| {
                let (name, text) = property.split_once('=').unwrap();
                (name.to_owned(), value(text))
            });
            (properties.collect(), data(message))
        })
        .collect()
}

#[test]
fn given_a_pass_then_nothing_is_annotated() {
    assert_eq!(annotations(&sample::record(), &File), "");
}

#[test]
fn given_a_missed_expectation_then_its_line_says_what_was_seen() {
    let text = annotations(&sample::failed(), &File);
    let commands = commands(&text);
    let [(properties, message)] = commands.as_slice() else {
        panic!("{text}");
    };
    let of = |name: &str| {
        let mut values = properties.iter().filter(|(n, _)| n == name);
        values.next().unwrap().1.as_str()
    };
    assert_eq!(of("file"), "scenarios/a, b: 100%.toml");
    assert_eq!(of("line"), "100");
    assert_eq!(of("title"), "broker-outage: cdc");
    assert!(message.starts_with("expected lost = 0, saw "), "{message}");
}

#[test]
fn given_a_strategy_of_which_nothing_can_be_said_then_its_reasons_stand_at_its_header() {
    let mut record = sample::record();
    record.strategies[1].verdict = Verdict::Unknown;
    record.strategies[1].reasons = vec!["too little\nwas committed".to_owned()];
    record.not_run = vec![NotRun {
        strategy: "later".to_owned(),
        why: "the stack failed".to_owned(),
    }];
    let told = commands(&annotations(&record, &File));
    let messages: Vec<&str> = told.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "unknown: too little\nwas committed",
            "was not run: the stack failed"
        ]
    );
    assert!(
        told.iter()
            .all(|(p, _)| p[1] == ("line".to_owned(), "10".to_owned()))
    );
}

#[test]
fn given_a_run_that_was_ended_after_everything_was_judged_then_that_is_annotated() {
    let mut record = sample::record();
    record.failure = Some("the stack failed: stop Kafka".to_owned());
    let told = commands(&annotations(&record, &File));
    assert_eq!(told[0].1, "the stack failed: stop Kafka");
}

/// Whether anything in it is red.
fn is_red(record: &Record) -> bool {
    let red = |s: &reports::record::Strategy| {
        s.verdict != Verdict::Pass || s.expectations.iter().any(|e| e.met == Some(false))
    };
    record.strategies.iter().any(red) || !record.not_run.is_empty() || record.failure.is_some()
}

proptest! {
    #[test]
    fn whatever_is_red_is_annotated_one_line_each(record in arbitrary::record()) {
        let text = annotations(&record, &File);
        prop_assert_eq!(!text.is_empty(), is_red(&record));
        prop_assert!(commands(&text).iter().all(|(properties, _)| properties.len() == 3));
    }
}
