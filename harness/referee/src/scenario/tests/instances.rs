//! Several relays of one strategy, and faults on one of them.

use super::*;

fn several(kind: &str, instances: &str) -> String {
    format!("[strategy.{kind}]\nkind = \"{kind}\"\ninstances = {instances}\n")
}

/// A file with a fault on this target, and one strategy that has so many relays.
fn with_target(target: &str, kind: &str, strategies: &str) -> String {
    let fault = fault(&format!("target = \"{target}\"\nkind = \"{kind}\""));
    file(&[HEAD, LOAD, &fault, strategies])
}

#[test]
fn given_several_instances_when_read_then_the_strategy_has_so_many_relays_with_their_links() {
    for kind in ["polling", "cdc", "logical-message"] {
        let text = file(&[HEAD, LOAD, &several(kind, "3"), NAIVE]);
        let s = parse("s.toml", &text).unwrap();
        let [relays, naive] = [&s.strategies[0], &s.strategies[1]].map(Strategy::topology);
        assert_eq!((relays.relays, naive.relays), (3, 0));
        let links = Link::ALL.into_iter().filter(|link| relays.uses(*link));
        let names: Vec<&str> = links.map(Link::name).collect();
        assert_eq!(
            names,
            [
                "orders->postgres",
                "relay->postgres",
                "relay->kafka",
                "relay-2->postgres",
                "relay-2->kafka",
                "relay-3->postgres",
                "relay-3->kafka",
                "consumer->postgres",
                "consumer->kafka"
            ]
        );
    }
    // And one where nothing is said
    let s = parse("s.toml", &file(&[HEAD, LOAD, CDC])).unwrap();
    assert_eq!(
        (s.strategies[0].instances, s.strategies[0].topology().relays),
        (1, 1)
    );
}

#[test]
fn given_a_fault_on_the_second_relay_when_read_then_it_concerns_those_who_have_one() {
    for (target, kind) in [
        ("relay-2", "kill"),
        ("relay-2", "restart"),
        ("relay-2", "pause"),
        ("relay-2->kafka", "down"),
        ("relay-2->postgres", "down"),
    ] {
        let strategies = file(&[CDC, &several("polling", "2"), NAIVE]);
        let s = parse("s.toml", &with_target(target, kind, &strategies)).unwrap();
        let fault = &s.faults[0];
        assert_eq!(fault.target.name(), target);
        let concerned: Vec<&str> = s
            .strategies
            .iter()
            .filter(|s| fault.concerns(s.topology()))
            .map(|s| s.name.as_str())
            .collect();
        assert_eq!(concerned, ["polling"]);
    }
    // A fault on a side is one on the links of all of them
    let s = parse(
        "s.toml",
        &with_target("kafka", "down", &several("cdc", "2")),
    )
    .unwrap();
    let links = s.faults[0].target.links();
    let links: Vec<&str> = links
        .into_iter()
        .filter(|link| s.strategies[0].topology().uses(*link))
        .map(Link::name)
        .collect();
    assert_eq!(links, ["relay->kafka", "relay-2->kafka"]);
}

#[test]
fn a_number_of_instances_that_cannot_be_is_refused_with_what_can() {
    let refuse = |value: &str, said: &[&str]| {
        for kind in ["polling", "cdc", "logical-message"] {
            let text = file(&[HEAD, LOAD, &several(kind, value)]);
            refused(&text, value, said);
        }
    };
    for value in ["0", "5", "-1", "99999999999999999999999999"] {
        refuse(value, &["out of bounds", "must be from 1 to 4"]);
    }
    refuse(
        "\"2\"",
        &["is a text", "an integer from 1 to 4, without quotes"],
    );
    refuse("2.0", &["is a number", "an integer from 1 to 4"]);
    refuse("[2]", &["is a list", "an integer from 1 to 4"]);
}

#[test]
fn instances_belong_to_relays_of_our_own() {
    let naive = format!("{NAIVE}instances = 2\n");
    for (strategy, name) in [
        (naive.as_str(), "dual-write"),
        (&format!("{DEBEZIUM}instances = 2\n"), "debezium"),
    ] {
        let text = file(&[HEAD, LOAD, strategy]);
        refused(&text, "instances", &["belongs to polling and cdc", name]);
    }
    let text = file(&[HEAD, LOAD, CDC, "instance = 2\n"]);
    refused(&text, "instance", &["did you mean `instances`?"]);
}

#[test]
fn a_fault_on_a_relay_that_nobody_has_is_refused_with_what_to_do() {
    for (target, kind, plain) in [
        ("relay-2", "kill", "`relay`"),
        ("relay-2->kafka", "down", "`relay->kafka`"),
        ("relay-2->postgres", "down", "`relay->postgres`"),
    ] {
        let text = with_target(target, kind, CDC);
        let quoted = format!("\"{target}\"");
        refused(
            &text,
            &quoted,
            &[
                "no strategy of this file has 2 relays",
                "instances = 2",
                plain,
            ],
        );
    }
    let two = several("polling", "2");
    let text = with_target("relay-3", "kill", &two);
    refused(&text, "\"relay-3\"", &["has 3 relays", "instances = 3"]);
    // Where nobody has a relay at all, that is what is missing
    let text = with_target("relay-2", "kill", NAIVE);
    refused(
        &text,
        "\"relay-2\"",
        &["no strategy of this file has a relay"],
    );
}

#[test]
fn a_relay_beyond_the_last_one_is_refused_with_the_names_that_there_are() {
    for target in [
        "relay-1",
        "relay-5",
        "relay-0",
        "relay-22",
        "relay-9->kafka",
        "relay-2->mongo",
    ] {
        let text = with_target(target, "kill", &several("cdc", "4"));
        let quoted = format!("\"{target}\"");
        refused(
            &text,
            &quoted,
            &["`relay-2` to `relay-4`", "`relay-2->kafka`"],
        );
    }
    // And a word that is mistyped finds its like
    for mistyped in ["relay-", "relay-x", "realy"] {
        let text = with_target(mistyped, "kill", &several("cdc", "2"));
        refused(
            &text,
            &format!("\"{mistyped}\""),
            &["is not a possible `target`", "relay"],
        );
    }
}

#[test]
fn faults_on_two_relays_may_meet_and_those_on_one_may_not() {
    let kill = |target: &str, at: &str| {
        fault(&format!(
            "target = \"{target}\"\nkind = \"kill\"\nat = \"{at}\""
        ))
    };
    let both = |other: &str| {
        file(&[
            HEAD,
            LOAD,
            &kill("relay", "2s"),
            &kill(other, "2500ms"),
            &several("cdc", "2"),
        ])
    };
    parse("s.toml", &both("relay-2")).unwrap();
    refused(&both("relay"), "[[fault]]", &["meets", "leave a gap"]);
    // A pause, and a toxic on a link of the same relay
    let paused = |link: &str| {
        let pause = fault("target = \"relay-2\"\nkind = \"pause\"\nat = \"2s\"");
        let down = fault(&format!("target = \"{link}\"\nat = \"2500ms\""));
        file(&[HEAD, LOAD, &pause, &down, &several("cdc", "2")])
    };
    parse("s.toml", &paused("relay->kafka")).unwrap();
    refused(
        &paused("relay-2->kafka"),
        "[[fault]]",
        &["relay-2->kafka ends at relay-2"],
    );
    refused(
        &paused("kafka"),
        "[[fault]]",
        &["relay-2->kafka ends at relay-2"],
    );
}

#[test]
fn given_a_history_of_before_there_could_be_several_then_it_is_read_as_it_was() {
    let text = with_target("relay", "kill", CDC);
    let s = parse("s.toml", &text).unwrap();
    let mut json = serde_json::to_value(&s).unwrap();
    assert_eq!(json["faults"][0]["target"]["Process"], "relay");
    let strategy = json["strategies"][0].as_object_mut().unwrap();
    assert!(strategy.remove("instances").is_some());
    let back: Scenario = serde_json::from_value(json).unwrap();
    assert_eq!(back.strategies[0].topology().relays, 1);
    assert_eq!(back.faults, s.faults);
    // And every link and process comes back by its name
    for link in Link::ALL {
        let name = serde_json::to_string(&link).unwrap();
        assert_eq!(name, format!("{:?}", link.name()));
        assert_eq!(serde_json::from_str::<Link>(&name).unwrap(), link);
    }
    for instance in Instance::ALL {
        let name = serde_json::to_string(&Victim::Relay(instance)).unwrap();
        assert_eq!(
            serde_json::from_str::<Victim>(&name).unwrap(),
            Victim::Relay(instance)
        );
    }
    assert!(serde_json::from_str::<Link>("\"relay-5->kafka\"").is_err());
    assert!(serde_json::from_str::<Victim>("\"relay-5\"").is_err());
}

#[test]
fn given_a_history_that_was_altered_to_have_many_relays_then_there_are_no_more_than_can_be() {
    let s = parse("s.toml", &file(&[HEAD, LOAD, CDC])).unwrap();
    let mut json = serde_json::to_value(&s).unwrap();
    json["strategies"][0]["instances"] = 255.into();
    let back: Scenario = serde_json::from_value(json).unwrap();
    assert_eq!(
        usize::from(back.strategies[0].topology().relays),
        Instance::MOST
    );
}
