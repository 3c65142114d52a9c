//! `[consumer.NAME]`, and what is expected of consumers.

use super::*;
use contract::consumer::{EffectKind, Idempotency, OffsetCommit};

fn named(name: &str, keys: &str) -> String {
    format!("[consumer.{name}]\neffect = \"insert\"\n{keys}\n")
}

/// An expectation: its metric, its text, and whether it is implicit.
type Told = (String, String, bool);

/// What is expected of each consumer of the first strategy.
fn expected(text: &str) -> Vec<(String, Vec<Told>)> {
    let scenario = parse("s.toml", text).unwrap();
    let all = scenario.strategies[0].of_consumers.iter().map(|of_it| {
        let expectations = of_it.expectations.iter();
        let expectations = expectations.map(|e| (e.metric.name(), e.text.clone(), e.implicit));
        (of_it.consumer.clone(), expectations.collect())
    });
    all.collect()
}

#[test]
fn given_a_consumer_with_nothing_but_its_effect_then_it_is_not_idempotent_and_commits_afterwards() {
    let text = file(&[HEAD, LOAD, CDC, CONSUMER]);
    let consumer = parse("s.toml", &text).unwrap().consumers.remove(0);
    assert_eq!(
        (consumer.effect, consumer.idempotency, consumer.commit),
        (EffectKind::Insert, Idempotency::None, OffsetCommit::After)
    );
    assert_eq!(consumer.process(), "consumer-a");
}

#[test]
fn given_consumers_then_those_that_apply_each_event_once_by_design_are_held_to_it() {
    let text = file(&[
        HEAD,
        LOAD,
        CDC,
        &named("none", ""),
        &named("inbox", "idempotency = \"inbox\""),
        &named("key", "idempotency = \"key\""),
        &named("first", "idempotency = \"key\"\ncommit = \"before\""),
        "[expect.cdc]\nconsumer-inbox.unapplied = \"<= 5\"\nconsumer-none.applied_twice = \">= 1\"\n",
    ]);
    let zero = |metric: &str| (metric.to_owned(), "0".to_owned(), true);
    let said = |metric: &str, text: &str| (metric.to_owned(), text.to_owned(), false);
    let all = [
        zero("unapplied"),
        zero("applied_twice"),
        zero("applied_unseen"),
    ];
    let of = |name: &str, expectations: &[Told]| (name.to_owned(), expectations.to_vec());
    assert_eq!(
        expected(&text),
        [
            of("none", &[said("applied_twice", ">= 1")]),
            of(
                "inbox",
                &[said("unapplied", "<= 5"), all[1].clone(), all[2].clone()]
            ),
            of("key", &all),
            of("first", &[all[1].clone(), all[2].clone()]),
        ]
    );
}

#[test]
fn given_a_mistake_about_consumers_then_the_error_says_what_would_be_right() {
    let with = |consumer: &str| file(&[HEAD, LOAD, CDC, consumer]);
    refused(
        &with("[consumer.a]\n"),
        "[consumer.a]",
        &["has no `effect`"],
    );
    refused(
        &with("[consumer.a]\neffect = \"increment\"\nidempotency = \"key\"\n"),
        "\"key\"",
        &["no key of its own", "inbox"],
    );
    refused(
        &with("[consumer.a]\neffect = \"inset\"\n"),
        "\"inset\"",
        &["insert"],
    );
    refused(
        &with("[consumer]\neffect = \"insert\"\n"),
        "effect",
        &["[consumer.NAME]"],
    );
    refused(
        &with(&(named("a-b", "") + &named("a_b", ""))),
        "a_b",
        &["too much alike"],
    );
    refused(
        &with("[consumer.a]\neffect = \"call\"\nidempotency = \"key\"\n"),
        "\"key\"",
        &["no key of its own", "inbox"],
    );
    let nine: String = (0..9).map(|n| named(&format!("c{n}"), "")).collect();
    refused(&with(&nine), "", &["there are 9 consumers", "at most 8"]);
    refused(
        &with_consumer("consumer-a.applied_out_of_order = 0"),
        "applied_out_of_order",
        &[
            "`consumer-a` has no order",
            "`insert`",
            "effect = \"state\"",
        ],
    );
    refused(
        &with_expect("consumer-a.unapplied = 0"),
        "consumer-a",
        &["there is no `consumer-a`", "[consumer.payments]"],
    );
    refused(
        &with_consumer("consumer-b.unapplied = 0"),
        "consumer-b",
        &["consumer-a"],
    );
    refused(
        &with_consumer("consumer-a.lost = 0"),
        "lost",
        &["no metric `lost` of consumers", "unapplied"],
    );
    refused(&with_consumer("consumer-a = 0"), "0", &["not a table"]);
    refused(
        &with_consumer("consumer-a.applied_twice = \">= 0\""),
        "\">= 0\"",
        &["proves nothing"],
    );
}

#[test]
fn given_a_fault_on_a_consumer_then_the_file_must_have_it_and_the_kind_must_fit() {
    let on = |target: &str, kind: &str| {
        let fault = fault(&format!("target = \"{target}\"\nkind = \"{kind}\""));
        file(&[HEAD, LOAD, CDC, CONSUMER, &fault])
    };
    for kind in ["kill", "restart", "pause"] {
        let text = on("consumer-a", kind);
        let scenario = parse("s.toml", &text).unwrap();
        assert_eq!(scenario.faults[0].target.name(), "consumer-a");
        assert_eq!(super::schema::takes_scenario(&text), Ok(()));
        let kept = serde_json::to_string(&scenario.faults[0]).unwrap();
        assert_eq!(
            serde_json::from_str::<Fault>(&kept).unwrap(),
            scenario.faults[0]
        );
    }
    refused(
        &on("consumer-b", "kill"),
        "\"consumer-b\"",
        &["there is no `consumer-b`", "consumer-a"],
    );
    refused(
        &on("consumer-a", "down"),
        "\"down\"",
        &["does not work on a process"],
    );
    refused(
        &on("consumer-", "kill"),
        "\"consumer-\"",
        &["not a possible `target`"],
    );
}

#[test]
fn given_what_is_expected_of_a_consumer_then_its_line_in_the_file_is_found() {
    let text = with_consumer("lost = 0\nconsumer-a.applied_twice = \">= 1\"\n");
    let loaded = super::super::parse::parse_loaded(std::path::Path::new("s.toml"), &text).unwrap();
    let line = loaded.line_of("cdc", Some("consumer-a.applied_twice"));
    let wanted = text
        .lines()
        .position(|l| l.starts_with("consumer-a."))
        .unwrap()
        + 1;
    assert_eq!(line, wanted);
}

#[test]
fn given_a_strategy_that_may_have_phantoms_when_read_then_its_consumers_are_not_held_to_what_follows_from_one()
 {
    let held_to = |strategy: &str, idempotency: &str| {
        let consumer =
            format!("[consumer.a]\neffect = \"insert\"\nidempotency = \"{idempotency}\"\n");
        let s = parse("s.toml", &file(&[HEAD, LOAD, strategy, &consumer])).unwrap();
        let all = s.strategies[0].of_consumers[0].expectations.clone();
        all.iter().map(|e| e.metric.name()).collect::<Vec<_>>()
    };
    let all = ["unapplied", "applied_twice", "applied_unseen"];
    assert_eq!(held_to(CDC, "inbox"), all);
    assert_eq!(held_to(CDC, "key"), all);
    assert_eq!(held_to(NAIVE, "inbox"), all[..2]);
    assert_eq!(held_to(NAIVE, "key"), all[1..2]);
    assert!(held_to(CDC, "none").is_empty());
}

#[test]
fn given_each_way_of_working_when_read_then_a_consumer_is_held_to_what_that_promises_and_no_more() {
    let held_to = |strategy: &str, keys: &str| {
        let consumer = format!("[consumer.a]\n{keys}\n");
        let s = parse("s.toml", &file(&[HEAD, LOAD, strategy, &consumer])).unwrap();
        let all = s.strategies[0].of_consumers[0].expectations.clone();
        all.iter().map(|e| e.metric.name()).collect::<Vec<_>>()
    };
    let (twice, unseen) = ("applied_twice", "applied_unseen");
    let (never, back) = ("unapplied", "applied_out_of_order");
    for (keys, of_relay, of_dual_write) in [
        ("effect = \"call\"", vec![], vec![]),
        // Between a call and the inbox behind it a crash makes it twice; between the inbox and the call behind it, never.
        (
            "effect = \"call\"\nidempotency = \"inbox\"",
            vec![never, unseen],
            vec![never],
        ),
        (
            "effect = \"call\"\nidempotency = \"inbox\"\ncommit = \"before\"",
            vec![twice, unseen],
            vec![twice],
        ),
        ("effect = \"state\"", vec![], vec![]),
        // A dual write may have phantoms, and events out of order.
        (
            "effect = \"state\"\nidempotency = \"key\"",
            vec![never, twice, unseen, back],
            vec![twice, back],
        ),
        (
            "effect = \"state\"\nidempotency = \"inbox\"",
            vec![never, twice, unseen, back],
            vec![never, twice],
        ),
    ] {
        assert_eq!(held_to(CDC, keys), of_relay, "{keys}");
        assert_eq!(held_to(NAIVE, keys), of_dual_write, "{keys}, dual write");
    }
}

#[test]
fn given_what_the_file_says_of_the_strategy_when_read_then_its_consumers_are_held_to_what_follows_from_that()
 {
    let held_to = |strategy: &str, name: &str, said: &str, keys: &str| {
        let consumer = format!("[consumer.a]\n{keys}\n[expect.{name}]\n{said}\n");
        let s = parse("s.toml", &file(&[HEAD, LOAD, strategy, &consumer])).unwrap();
        let all = s.strategies[0].of_consumers[0].expectations.clone();
        all.iter().map(|e| e.metric.name()).collect::<Vec<_>>()
    };
    let (twice, unseen) = ("applied_twice", "applied_unseen");
    let (never, back) = ("unapplied", "applied_out_of_order");
    let key = "effect = \"state\"\nidempotency = \"key\"";
    let inbox = "effect = \"state\"\nidempotency = \"inbox\"";
    // A relay that is to reorder, or may: what comes late is left out, or takes the order back.
    for said in ["reordered = \">= 1\"", "reordered = \"<= 5\""] {
        assert_eq!(held_to(CDC, "cdc", said, key), [twice, unseen, back]);
        assert_eq!(held_to(CDC, "cdc", said, inbox), [never, twice, unseen]);
    }
    assert_eq!(
        held_to(CDC, "cdc", "phantom = \">= 1\"", inbox),
        [never, twice, back]
    );
    // And a dual write of which the file wants none of that.
    let none = "phantom = 0\nreordered = \"<= 0\"";
    assert_eq!(
        held_to(NAIVE, "naive", none, key),
        [never, twice, unseen, back]
    );
}
