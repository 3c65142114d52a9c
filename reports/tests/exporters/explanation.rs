use crate::sample;
use reports::explanation::{Explanation, Offences, Order};
use reports::record::{Step, Verdict};

fn naive() -> Offences {
    Offences {
        strategy: "naive".to_owned(),
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        counts: vec![("lost".to_owned(), 1453)],
        offences: sample::record().strategies.remove(0).offences,
    }
}

fn written(width: usize) -> Explanation {
    Explanation {
        colour: false,
        width,
    }
}

#[test]
fn offences_fit_into_80_columns_with_sentence_and_steps() {
    let text = written(80).offences(&[naive()]);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(
        text.starts_with("naive: 1,453 lost, the first 4\n\n"),
        "{text}"
    );
    let first = text.split("\n\n").nth(1).unwrap();
    let lines: Vec<&str> = first.lines().collect();
    assert_eq!(
        lines[0],
        "  lost: order 00000000-77c1-8a31-9d02-51f00c0a6b10 version 2"
    );
    assert!(lines[1].starts_with("  committed at 4.011 s; handed to the producer at"));
    assert!(lines.contains(&"     4.011 s  order service  handed to the producer"));
}

#[test]
fn a_strategy_without_offences_is_named_as_such() {
    let clean = Offences {
        strategy: "cdc".to_owned(),
        verdict: Verdict::Pass,
        reasons: Vec::new(),
        counts: Vec::new(),
        offences: Vec::new(),
    };
    assert_eq!(
        written(80).offences(&[clean]),
        "cdc: no offending events\n\n"
    );
}

#[test]
fn given_a_red_without_offending_events_then_it_says_why_it_is_red() {
    let red = |verdict, reason: &str| Offences {
        strategy: "cdc".to_owned(),
        verdict,
        reasons: vec![reason.to_owned()],
        counts: Vec::new(),
        offences: Vec::new(),
    };
    let missed = red(Verdict::Fail, "drain: expected <= 20ms, saw 0.132 s");
    assert_eq!(
        written(80).offences(&[missed]),
        "cdc: fail, without an offending event\n  drain: expected <= 20ms, saw 0.132 s\n\n"
    );
    let unproved = red(Verdict::Unknown, "fault `down kafka` did not bite: nothing");
    assert_eq!(
        written(80).offences(&[unproved]),
        "cdc: unknown, without an offending event\n  fault `down kafka` did not bite: nothing\n\n"
    );
    // And one with offending events says it too, before them
    let mut lost = naive();
    lost.verdict = Verdict::Fail;
    lost.reasons = vec!["lost: expected 0, saw 1453".to_owned()];
    let text = written(80).offences(&[lost]);
    let head = "naive: fail\n  lost: expected 0, saw 1453\n\nnaive: 1,453 lost, the first 4\n";
    assert!(text.starts_with(head), "{text}");
}

#[test]
fn an_order_has_its_figures_its_offences_and_every_step() {
    let mut offences = naive().offences;
    offences.truncate(1);
    let timeline = std::mem::take(&mut offences[0].timeline);
    let order = Order {
        strategy: "naive".to_owned(),
        order_id: "id".to_owned(),
        summary: "3 attempts".to_owned(),
        offences,
        timeline,
    };
    let text = written(80).orders(&[order]);
    assert!(
        text.starts_with("naive: order id\n  3 attempts\n\n  lost: order "),
        "{text}"
    );
    assert_eq!(text.matches(" s  ").count(), 12, "{text}");
}

#[test]
fn long_steps_hang_and_control_characters_never_reach_the_terminal() {
    let order = Order {
        strategy: "\x1b[31mred".to_owned(),
        order_id: "id".to_owned(),
        summary: String::new(),
        offences: Vec::new(),
        timeline: vec![Step {
            at_s: -1.5,
            who: "cl\x07ient".to_owned(),
            what: "word ".repeat(40),
        }],
    };
    let text = written(60).orders(&[order]);
    assert!(!text.contains(['\x1b', '\x07']));
    assert!(text.contains("    -1.500 s  cl ient  word word"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 60),
        "{text}"
    );
}
