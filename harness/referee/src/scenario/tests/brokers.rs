//! `broker` of a strategy, and the settings that only one system has.

use super::*;
use crate::scenario::{BrokerChoice, NatsSettings, NatsSync};

/// A cdc strategy that has these lines.
fn with(lines: &str) -> String {
    file(&[HEAD, LOAD, CDC, lines])
}

fn broker(lines: &str) -> BrokerChoice {
    parse("s.toml", &with(lines)).unwrap().strategies[0]
        .broker
        .clone()
}

#[test]
fn given_nats_with_its_settings_or_without_when_read_then_what_is_left_out_is_the_servers_own() {
    assert_eq!(broker(""), BrokerChoice::Kafka);
    let usual = NatsSettings {
        message_id: true,
        duplicate_window_ms: 120_000,
    };
    assert_eq!(broker("broker = \"nats\"\n"), BrokerChoice::Nats(usual));
    let said = "broker = \"nats\"\nnats = { message_id = false, duplicate_window = \"500ms\" }\n";
    let said = broker(said);
    assert_eq!(
        said,
        BrokerChoice::Nats(NatsSettings {
            message_id: false,
            duplicate_window_ms: 500,
        })
    );
    let stack = "broker = \"nats\"\n[stack]\nnats_sync_interval = \"always\"\n";
    let stack = parse("s.toml", &with(stack)).unwrap().stack;
    assert_eq!(stack.nats_sync, NatsSync::Always);
    assert_eq!(stack.own_server_key(), Some("nats_sync_interval"));
}

#[test]
fn given_a_mistake_about_nats_when_read_then_the_error_says_what_would_be_right() {
    refused(
        &with("nats = { message_id = true }\n"),
        "{ message_id",
        &["its events go to Kafka", "broker = \"nats\""],
    );
    refused(
        &with("broker = \"nats\"\nnats = { duplicate_window = \"10ms\" }\n"),
        "\"10ms\"",
        &["100ms"],
    );
    refused(
        &with("broker = \"nats\"\nnats = { window = \"2m\" }\n"),
        "window",
        &["duplicate_window"],
    );
    refused(
        &with("broker = \"nats\"\nlinger = \"5ms\"\n"),
        "linger",
        &["of Kafka's producer", "go to NATS"],
    );
    refused(
        &with("broker = \"nats\"\n[consumer.a]\neffect = \"insert\"\n"),
        "consumer",
        &["do not know NATS"],
    );
}

#[test]
fn given_a_fault_on_nats_when_a_strategy_publishes_there_then_it_is_one_of_its_links_and_else_nobodys()
 {
    for target in ["nats", "relay->nats", "broker"] {
        let cut = fault(&format!("target = \"{target}\"\n"));
        let text = file(&[HEAD, LOAD, &cut, CDC, "broker = \"nats\"\n"]);
        assert!(parse("s.toml", &text).is_ok(), "{target}");
    }
    let cut = fault("target = \"nats\"\n");
    refused(
        &file(&[HEAD, LOAD, &cut, CDC]),
        "\"nats\"",
        &["no strategy of this file publishes to NATS"],
    );
}
