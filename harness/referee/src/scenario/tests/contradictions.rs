//! Keys that are right by themselves and wrong together.

use super::*;

#[test]
fn faults_fit_the_run_and_their_targets() {
    refused(
        &with_fault("for = \"5s\""),
        "\"5s\"",
        &["ends at 7s", "lasts 6s"],
    );
    refused(&with_fault("at = \"6s\""), "\"6s\"", &["outside the run"]);
    refused(
        &with_fault("target = \"kafka\"\nkind = \"kill\""),
        "\"kafka\"",
        &["is a link", "kafka-server"],
    );
    refused(
        &with_fault("target = \"relay\"\nkind = \"down\""),
        "\"down\"",
        &["relay is one", "kill, restart or pause"],
    );
    refused(
        &with_fault("target = \"rely\""),
        "\"rely\"",
        &["did you mean `relay`?"],
    );
    let on_relay = fault("target = \"relay->kafka\"");
    refused(
        &file(&[HEAD, LOAD, &on_relay, NAIVE]),
        "\"relay->kafka\"",
        &["no strategy of this file has a relay"],
    );
    let kill = fault("target = \"relay\"\nkind = \"kill\"");
    refused(
        &file(&[HEAD, LOAD, &kill, NAIVE]),
        "\"relay\"",
        &["has a relay"],
    );
    let on_orders = fault("target = \"orders->kafka\"");
    refused(
        &file(&[HEAD, LOAD, &on_orders, CDC]),
        "\"orders->kafka\"",
        &["only a dual write"],
    );
    // A side is felt by whoever has one of its links.
    for strategy in [NAIVE, CDC] {
        parse(
            "s.toml",
            &file(&[HEAD, LOAD, &fault("target = \"kafka\""), strategy]),
        )
        .unwrap();
    }
}

#[test]
fn faults_that_cannot_be_in_force_together_are_refused() {
    let two = |a: &str, b: &str| file(&[HEAD, LOAD, &fault(a), &fault(b), NAIVE, CDC]);
    let latency = "kind = \"latency\"\nlatency = \"10ms\"";
    for (process, link) in [
        ("relay", "relay->kafka"),
        ("relay", "postgres"),
        ("order-service", "orders->postgres"),
        ("order-service", "kafka"),
        ("postgres-server", "relay->postgres"),
        ("kafka-server", "orders->kafka"),
    ] {
        let pause = format!("target = \"{process}\"\nkind = \"pause\"");
        let toxic = format!("target = \"{link}\"\n{latency}");
        let down = format!("target = \"{link}\"");
        for other in [&toxic, &down] {
            for text in [two(&pause, other), two(other, &pause)] {
                refused(&text, "[[fault]]", &["wedge Toxiproxy", process]);
            }
        }
        // Touching is too close, a gap is enough.
        let after = |at: &str| two(&pause, &format!("{toxic}\nat = \"{at}\""));
        refused(&after("3s"), "[[fault]]", &["wedge"]);
        parse("s.toml", &after("3100ms")).unwrap();
    }
    parse(
        "s.toml",
        &two(
            "target = \"relay\"\nkind = \"pause\"",
            "target = \"orders->kafka\"",
        ),
    )
    .unwrap();

    let kill = "target = \"relay\"\nkind = \"kill\"";
    let pause = "target = \"relay\"\nkind = \"pause\"";
    for (a, b) in [(kill, pause), (kill, kill), (pause, pause)] {
        refused(&two(a, b), "[[fault]]", &["one fault at a time"]);
    }
    parse("s.toml", &two(kill, &format!("{kill}\nat = \"4s\""))).unwrap();
    let other = "target = \"order-service\"\nkind = \"kill\"";
    parse("s.toml", &two(kill, other)).unwrap();

    refused(
        &two(
            "target = \"kafka\"",
            "target = \"relay->kafka\"\nat = \"2500ms\"",
        ),
        "[[fault]]",
        &["one fault at a time"],
    );
    refused(
        &two("target = \"kafka\"", latency),
        "[[fault]]",
        &["cannot bite"],
    );
    parse("s.toml", &two("", &format!("{latency}\nat = \"2500ms\""))).unwrap();
}

#[test]
fn expectations_are_of_strategies_that_are_there_and_can_be_met() {
    refused(
        &file(&[HEAD, LOAD, CDC, "[expect.cdcc]\nlost = 0"]),
        "cdcc",
        &["did you mean `cdc`?"],
    );
    refused(
        &with_expect("propagation_p99 = 0"),
        "0",
        &["without a unit", "\"<= 10s\""],
    );
    refused(
        &with_expect("propagation_p99 = \"1s\""),
        "\"1s\"",
        &["no time is exactly"],
    );
    refused(
        &with_expect("propagation_p99 = \"<= 0s\""),
        "\"<= 0s\"",
        &["cannot be"],
    );
    refused(
        &with_expect("drain = \"<= 10\""),
        "\"<= 10\"",
        &["without a unit"],
    );
    refused(
        &with_expect("lost = \">= 0\""),
        "\">= 0\"",
        &["proves nothing"],
    );
    refused(
        &with_expect("lost = \"> 0\""),
        "\"> 0\"",
        &["is no comparison"],
    );
    refused(&with_expect("lost = \"1s\""), "\"1s\"", &["no count"]);
    refused(&with_expect("lost = -1"), "-1", &["no count"]);
    refused(&with_expect("lost = 0.5"), "0.5", &["a count such as 0"]);
    refused(
        &with_expect("lost = \">= 3001\""),
        "\">= 3001\"",
        &["3000 changes"],
    );
    let undrained = file(&[HEAD, LOAD, NAIVE, "[expect.naive]\nundrained = \">= 1\""]);
    refused(&undrained, "\">= 1\"", &["no outbox"]);
    // A strategy that is broken itself is there all the same.
    let broken = file(&[
        HEAD,
        LOAD,
        "[strategy.a]\nkind = \"cdcc\"\n[expect.a]\nlost = 0",
    ]);
    assert_eq!(parse("s.toml", &broken).unwrap_err().problems().len(), 1);
}

#[test]
fn a_phase_too_short_to_prove_anything_is_refused() {
    refused(
        &with_fault("at = \"100ms\""),
        "\"100ms\"",
        &["before the first fault", "about 49", "100"],
    );
    refused(
        &with_fault("at = \"4900ms\""),
        "\"4900ms\"",
        &["after the last fault"],
    );
    refused(
        &with_fault("for = \"100ms\""),
        "[[fault]]",
        &["during down on relay->kafka"],
    );
    let declared = "[workload]\nduration = \"6s\"\nmin_committed_per_phase = 40\n";
    parse(
        "s.toml",
        &file(&[HEAD, declared, &fault("at = \"100ms\""), CDC]),
    )
    .unwrap();
    // A fault from the first moment on leaves no phase before it.
    parse("s.toml", &with_fault("at = \"0s\"")).unwrap();
}

#[test]
fn who_does_not_test_the_order_expects_nothing_of_it() {
    let not_tested = HEAD.replacen('\n', "\norder = \"not-tested\"\n", 1);
    let file_with = |expect: &str| file(&[&not_tested, LOAD, CDC, expect]);
    let scenario = parse("s.toml", &file_with("")).unwrap();
    assert_eq!(scenario.order, OrderTest::NotTested);
    refused(
        &file_with("[expect.cdc]\nreordered = 0\n"),
        "\"not-tested\"",
        &["[expect.cdc] expects", "`reordered`"],
    );
    refused(
        &file_with("[expect.cdc]\novertaken = 0\n"),
        "\"not-tested\"",
        &["[expect.cdc] expects", "take `overtaken` out"],
    );
    refused(
        &file_with("").replace("not-tested", "untested"),
        "\"untested\"",
        &["not-tested"],
    );
    let tested = file_with("[expect.cdc]\nreordered = 0\n").replace("not-tested", "tested");
    assert_eq!(parse("s.toml", &tested).unwrap().order, OrderTest::Tested);
}
