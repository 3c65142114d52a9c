//! The lines that most readers read and no others, whole: what was missed, or why nothing was proved,
//! comes first in every format.

use crate::sample;
use reports::Exporter;
use reports::html::Html;
use reports::record::{Record, Verdict};
use reports::summary::Summary;
use reports::terminal::Terminal;

/// The sentence and the line below it, as every format has them.
#[track_caller]
fn says(record: &Record, sentence: &str, expectations: &str) {
    assert_eq!(reports::conclusion(record), sentence);
    let colour = false;
    let width = 1_000;
    let text = Terminal { colour, width }.render(record, None);
    let verdict = match record.verdict {
        Verdict::Pass => "PASS",
        Verdict::Fail => "FAIL",
        Verdict::Unknown => "UNKNOWN",
    };
    let hanging = " ".repeat(verdict.len() + 2);
    let closing = format!("\n{verdict}  {sentence}\n{hanging}{expectations}\n");
    assert!(text.ends_with(&closing), "{text}");
    let summary = String::from_utf8(Summary.export(record).unwrap()).unwrap();
    let lines: Vec<&str> = summary.lines().collect();
    let escaped = |text: &str| {
        text.replace('>', "&gt;")
            .replace('<', "&lt;")
            .replace('_', "\\_")
    };
    assert_eq!(
        lines[2].replace('\\', ""),
        format!("**{}**", escaped(sentence)).replace('\\', "")
    );
    assert_eq!(
        lines[4].replace('\\', ""),
        escaped(expectations).replace('\\', "")
    );
    let html = String::from_utf8(Html.export(record).unwrap()).unwrap();
    let escaped = |text: &str| text.replace('>', "&gt;").replace('<', "&lt;");
    assert!(
        html.contains(&format!(">{}</h1>", escaped(sentence))),
        "{sentence}"
    );
    assert!(html.contains(&format!("\"expected\">{}</p>", escaped(expectations))));
}

#[test]
fn a_pass_says_what_became_of_the_changes() {
    says(
        &sample::record(),
        "naive lost 453 of 4,404 committed changes, as expected; polling and cdc lost none.",
        "14 of 14 expectations met.",
    );
}

#[test]
fn a_fail_begins_with_what_was_missed() {
    says(
        &sample::failed(),
        "cdc missed lost = 0 (saw 3); naive lost 453 of 4,404 committed changes, as expected; \
         polling lost none.",
        "13 of 14 expectations met. Missed: cdc: lost = 0 (saw 3).",
    );
}

#[test]
fn a_loss_that_was_to_be_and_was_not_is_a_miss_and_no_praise() {
    let mut record = sample::record();
    record.verdict = Verdict::Fail;
    record.strategies.truncate(1);
    let naive = &mut record.strategies[0];
    naive.verdict = Verdict::Fail;
    naive.counts.lost = Some(0);
    naive.expectations[0].met = Some(false);
    naive.expectations[0].observed = Some(0.0);
    naive.expectations[0].reason = "expected >= 1, saw 0".to_owned();
    naive.reasons = vec!["lost: expected >= 1, saw 0".to_owned()];
    says(
        &record,
        "naive missed lost >= 1 (saw 0).",
        "0 of 1 expectation met. Missed: naive: lost >= 1 (saw 0).",
    );
}

#[test]
fn a_fail_for_another_reason_than_an_expectation_begins_with_it() {
    let mut record = sample::failed();
    record.strategies.remove(0);
    let death = "the relay died at 21.900 s: OutOfMemoryError";
    record.strategies[1].reasons.insert(0, death.to_owned());
    record.strategies[1].expectations[3].met = Some(false);
    record.strategies[1].expectations[3].observed = None;
    says(
        &record,
        "cdc failed: the relay died at 21.900 s: OutOfMemoryError; it missed lost = 0 (saw 3) and \
         undrained = 0 (saw ∞); polling lost none.",
        "11 of 13 expectations met. Missed: cdc: lost = 0 (saw 3); cdc: undrained = 0 (saw ∞).",
    );
}

#[test]
fn what_proved_nothing_begins_with_the_reason_and_its_expectations_are_not_called_met() {
    let mut record = sample::unknown();
    says(
        &record,
        "polling proved nothing: down kafka did not bite: the relay kept 2 sockets to Kafka \
         throughout (and 1 more); naive lost 453 of 4,404 committed changes, as expected; cdc lost \
         none.",
        "7 of 14 expectations met, 6 more without proof. Cannot be told: polling: lost = 0 (saw –).",
    );
    record.strategies.remove(2);
    record.strategies.remove(0);
    record.strategies[0].expectations[0].met = Some(true);
    record.strategies[0].reasons.truncate(1);
    says(
        &record,
        "polling proved nothing: down kafka did not bite: the relay kept 2 sockets to Kafka \
         throughout.",
        "0 of 7 expectations met, 7 more without proof.",
    );
}

#[test]
fn what_is_undecided_is_never_left_out_beside_none_lost() {
    let mut record = sample::record();
    record.strategies.truncate(1);
    let counts = &mut record.strategies[0].counts;
    (counts.undecided, counts.lost) = (Some(96), Some(0));
    says(
        &record,
        "naive lost none and left 96 of 4,404 committed changes undecided.",
        "1 of 1 expectation met.",
    );
}

#[test]
fn what_could_not_be_run_comes_before_all_but_a_miss_with_why() {
    let mut record = sample::broken_off();
    let why = "the stack failed: kafka-server ended";
    record
        .not_run
        .iter_mut()
        .for_each(|s| s.why = why.to_owned());
    says(
        &record,
        "polling and cdc could not be run: the stack failed: kafka-server ended; naive lost 453 of \
         4,404 committed changes, as expected.",
        "1 of 1 expectation met. Those of polling and cdc were not looked at.",
    );
    // A log that comes with it is not for the headline, and a miss comes before it.
    let with_log = format!("{why}\n--- last lines of kafka-server.log ---\nFATAL.");
    record
        .not_run
        .iter_mut()
        .for_each(|s| s.why = with_log.clone());
    let naive = &mut record.strategies[0];
    naive.verdict = Verdict::Fail;
    naive.expectations[0].met = Some(false);
    naive.expectations[0].observed = Some(0.0);
    naive.expectations[0].reason = "expected >= 1, saw 0".to_owned();
    naive.reasons = vec!["lost: expected >= 1, saw 0".to_owned()];
    says(
        &record,
        "naive missed lost >= 1 (saw 0); polling and cdc could not be run: the stack failed: \
         kafka-server ended.",
        "0 of 1 expectation met. Missed: naive: lost >= 1 (saw 0). Those of polling and cdc were not \
         looked at.",
    );
    record.strategies.clear();
    says(
        &record,
        "polling and cdc could not be run: the stack failed: kafka-server ended.",
        "No expectation was looked at.",
    );
}

#[test]
fn no_format_says_twice_that_it_cannot_be_told() {
    let mut record = sample::unknown();
    let reason = "this run cannot tell: nothing was measured";
    record.strategies[1].expectations[0].reason = reason.to_owned();
    record.strategies[1].reasons = vec![format!("lost: {reason}")];
    for exporter in super::every_format() {
        let text = String::from_utf8(exporter.export(&record).unwrap()).unwrap();
        let name = exporter.file_name();
        assert!(
            !text.contains("cannot tell: this run cannot tell"),
            "{name}"
        );
    }
    let junit = reports::junit::Junit.export(&record).unwrap();
    let junit = String::from_utf8(junit).unwrap();
    // The skipped case, the error's message and its text
    assert_eq!(junit.matches(reason).count(), 3, "{junit}");
}

#[test]
fn a_record_of_before_has_its_headline_too() {
    let mut json: serde_json::Value =
        serde_json::from_slice(&reports::json::Json.export(&sample::record()).unwrap()).unwrap();
    for new in ["run", "not_run", "failure"] {
        json.as_object_mut().unwrap().remove(new);
    }
    for strategy in json["strategies"].as_array_mut().unwrap() {
        strategy.as_object_mut().unwrap().remove("recovery_s");
        for phase in strategy["phases"].as_array_mut().unwrap() {
            phase.as_object_mut().unwrap().remove("spans_s");
        }
    }
    let record = reports::json::parse(json.to_string().as_bytes()).unwrap();
    says(
        &record,
        "naive lost 453 of 4,404 committed changes, as expected; polling and cdc lost none.",
        "14 of 14 expectations met.",
    );
}
