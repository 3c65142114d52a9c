//! What consumers did, in every format: one row a consumer.

use crate::sample;
use reports::Exporter;
use reports::html::Html;
use reports::record::{Consumer, Expectation, Record};
use reports::summary::Summary;
use reports::terminal::Terminal;

fn consumer(name: &str, idempotency: &str, twice: Option<u64>) -> Consumer {
    Consumer {
        name: name.to_owned(),
        effect: "insert".to_owned(),
        idempotency: idempotency.to_owned(),
        commit: "after".to_owned(),
        effects: twice.map(|twice| 5880 + twice),
        unapplied: twice.map(|_| 0),
        applied_twice: twice,
        applied_unseen: twice.map(|_| 0),
        applied_out_of_order: None,
        copies: Some(312),
    }
}

/// One strategy whose first consumer charged 312 changes twice, as expected, and of whose third nothing is known.
fn record() -> Record {
    let mut record = sample::record();
    let mut strategy = sample::clean("polling", "polling");
    strategy.consumers = vec![
        consumer("consumer-payments", "none", Some(312)),
        consumer("consumer-payments-inbox", "inbox", Some(0)),
        consumer("consumer-shop", "key", None),
        Consumer {
            effects: Some(0),
            ..consumer("consumer-idle", "inbox", Some(0))
        },
    ];
    strategy.expectations.push(Expectation {
        metric: "consumer-payments.applied_twice".to_owned(),
        expected: ">= 1".to_owned(),
        observed: Some(312.0),
        met: Some(true),
        implicit: false,
        reason: String::new(),
    });
    record.strategies = vec![strategy];
    record
}

#[test]
fn given_consumers_when_the_record_is_shown_then_each_has_a_row_in_every_format() {
    let record = record();
    let colour = false;
    let text = Terminal { colour, width: 120 }.render(&record, None);
    let row = |label: &str| {
        let line = text.lines().find(|line| line.contains(label));
        let line = line.unwrap_or_else(|| panic!("no {label}:\n{text}"));
        line.replace(label, "").trim().to_owned()
    };
    assert!(
        text.contains("\nwhat consumers did with the events\n"),
        "{text}"
    );
    assert_eq!(row("payments (insert, none)"), "312 twice");
    assert_eq!(row("shop (insert, key)"), "–");
    // Nothing came to it, so it did nothing right
    assert_eq!(row("idle (insert, inbox)"), "–");
    let html = String::from_utf8(Html.export(&record).unwrap()).unwrap();
    let summary = String::from_utf8(Summary.export(&record).unwrap()).unwrap();
    for page in [&html, &summary] {
        assert!(
            page.contains("312 twice") && page.contains("once each"),
            "{page}"
        );
    }
    // Nobody who has none is shown an empty section.
    let none = Terminal { colour, width: 120 }.render(&sample::record(), None);
    assert!(!none.contains("consumers"), "{none}");
}

#[test]
fn given_consumers_that_applied_each_event_once_when_shown_then_what_that_shows_is_said() {
    let mut record = record();
    let inbox = |name: &str, effect: &str, copies, out_of_order| Consumer {
        effect: effect.to_owned(),
        copies,
        applied_out_of_order: out_of_order,
        ..consumer(name, "inbox", Some(0))
    };
    record.strategies[0].consumers = vec![
        inbox("consumer-tried", "insert", Some(312), None),
        inbox("consumer-untried", "insert", Some(0), None),
        inbox("consumer-older", "insert", None, None),
        inbox("consumer-called", "call", Some(312), None),
        inbox("consumer-kept", "state", Some(312), Some(0)),
        inbox("consumer-taken-back", "state", Some(312), Some(7)),
        inbox("consumer-unread", "state", Some(312), None),
    ];
    let colour = false;
    let text = Terminal { colour, width: 120 }.render(&record, None);
    for (label, said) in [
        ("tried (insert, inbox)", "once each"),
        ("untried (insert, inbox)", "once each, no copy on topic"),
        ("older (insert, inbox)", "once each"),
        ("called (call, inbox)", "once each this time"),
        ("kept (state, inbox)", "once each"),
        ("taken-back (state, inbox)", "7 out of order"),
        ("unread (state, inbox)", "–"),
    ] {
        let line = text.lines().find(|l| l.trim_start().starts_with(label));
        let line = line.unwrap_or_else(|| panic!("no {label}:\n{text}"));
        assert_eq!(line.trim_start()[label.len()..].trim(), said, "{label}");
    }
}

#[test]
fn given_consumers_that_did_the_same_when_concluded_then_it_is_said_once() {
    let mut record = record();
    let shipping = Consumer {
        effect: "state".to_owned(),
        applied_out_of_order: Some(98),
        ..consumer("consumer-shipping", "none", Some(312))
    };
    record.strategies[0].consumers.push(shipping);
    assert_eq!(
        reports::conclusion(&record),
        "polling lost none, its consumer-payments and consumer-shipping each applied 312 changes twice and its \
         consumer-shipping had 98 effects out of order."
    );
}

#[test]
fn given_a_consumer_that_applied_twice_when_concluded_then_the_sentence_says_so() {
    assert_eq!(
        reports::conclusion(&record()),
        "polling lost none and its consumer-payments applied 312 changes twice."
    );
}
