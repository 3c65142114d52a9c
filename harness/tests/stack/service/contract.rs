//! The contract that is published for order services of others, docs/order-service.openapi.json, held
//! against our own: every request that the load makes is one of it, every answer is one that it has, and
//! `service-check` finds nothing.

use super::committed;
use super::given::{Given, RUN, event_text, events, outbox, placing, transition};
use harness::service_check::{Fared, check};
use relays::order::{CONTENT_BYTES_MAX, ChangeRequest, ChangeType, Directive, Failure};
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::BTreeSet;
use uuid::Uuid;

fn contract() -> Value {
    let text = include_str!("../../../../docs/order-service.openapi.json");
    serde_json::from_str(text).unwrap()
}

/// What a reference leads to, and anything else as it is.
fn resolved<'c>(contract: &'c Value, part: &'c Value) -> &'c Value {
    match part["$ref"].as_str() {
        Some(reference) => contract.pointer(reference.trim_start_matches('#')).unwrap(),
        None => part,
    }
}

/// Whether a value is as a schema has it; of JSON Schema, as much as the contract uses.
fn fits(contract: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let schema = resolved(contract, schema);
    let wrong = |what: &str| Err(format!("{value} is not {what}: {schema}"));
    for key in schema.as_object().unwrap().keys() {
        let known = [
            "type",
            "format",
            "description",
            "required",
            "properties",
            "const",
            "enum",
            "oneOf",
            "minimum",
            "maximum",
            "maxLength",
            "default",
            "additionalProperties",
        ];
        assert!(known.contains(&key.as_str()), "{key} is not looked at");
    }
    let is_of_type = match schema["type"].as_str() {
        Some("object") => value.is_object(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64(),
        Some(other) => panic!("{other}"),
        None => true,
    };
    if !is_of_type {
        return wrong("of its type");
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        return wrong("what it must be");
    }
    if schema["enum"]
        .as_array()
        .is_some_and(|all| !all.contains(value))
    {
        return wrong("one of those that it may be");
    }
    if let Some(ways) = schema["oneOf"].as_array() {
        let fitting = ways.iter().filter(|way| fits(contract, way, value).is_ok());
        if fitting.count() != 1 {
            return wrong("in one of its ways");
        }
    }
    if let Some(text) = value.as_str() {
        let is_uuid = || Uuid::try_parse(text).is_ok_and(|id| id.to_string() == text);
        if schema["format"] == "uuid" && !is_uuid() {
            return wrong("a UUID");
        }
        if schema["maxLength"]
            .as_u64()
            .is_some_and(|most| text.len() as u64 > most)
        {
            return wrong("short enough");
        }
    }
    if let Some(number) = value.as_u64() {
        let least = schema["minimum"].as_u64().unwrap_or(0);
        let most = schema["maximum"].as_u64().unwrap_or(u64::MAX);
        if !(least..=most).contains(&number) {
            return wrong("within bounds");
        }
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        if value[name.as_str().unwrap()].is_null() {
            return wrong("complete");
        }
    }
    let (Some(fields), Some(properties)) = (value.as_object(), schema["properties"].as_object())
    else {
        return Ok(());
    };
    for (name, field) in fields {
        match properties.get(name) {
            Some(property) => fits(contract, property, field)?,
            // What the load sends, and what a service answers, is all there.
            None => return wrong("without a field of its own"),
        }
    }
    Ok(())
}

/// A request, as the contract names its operation.
struct Sent {
    path: &'static str,
    order: Uuid,
    body: Value,
}

impl Sent {
    fn of(order: Uuid, change: &ChangeRequest) -> Self {
        Self {
            path: match change.to {
                None => "/orders",
                Some(_) => "/orders/{order_id}/transitions",
            },
            order,
            body: serde_json::to_value(change).unwrap(),
        }
    }

    /// Sends it; its answer must be one of the contract's.
    async fn answered(&self, given: &Given, contract: &Value) -> (u16, Value) {
        let path = self.path.replace("{order_id}", &self.order.to_string());
        let (status, answer) = given.post(&path, self.body.to_string()).await;
        let status = status.as_u16();
        let response = &contract["paths"][self.path]["post"]["responses"][status.to_string()];
        assert!(
            response.is_object(),
            "{} has no {status}: {answer}",
            self.path
        );
        let response = resolved(contract, response);
        let schema = &response["content"]["application/json"]["schema"];
        fits(contract, schema, &answer).unwrap();
        (status, answer)
    }

    fn is_one_of_the_contract(&self, contract: &Value) -> Result<(), String> {
        let body = &contract["paths"][self.path]["post"]["requestBody"];
        let schema = &body["content"]["application/json"]["schema"];
        fits(contract, schema, &self.body)
    }
}

#[tokio::test]
async fn given_our_service_then_its_requests_and_answers_are_those_of_the_published_contract() {
    outbox()
        .run(|given| async move {
            let contract = contract();
            let order = Uuid::new_v4();
            let place = placing(order);
            let with = |directive| ChangeRequest {
                directive,
                ..transition(ChangeType::Amended)
            };
            // Whatever the load asks for
            for (change, status) in [
                (place.clone(), 201),
                (place, 201),
                (placing(order), 409),
                (transition(ChangeType::Shipped), 409),
                (transition(ChangeType::Paid), 200),
                (transition(ChangeType::Shipped), 200),
                (transition(ChangeType::Delivered), 200),
                (with(Directive::Commit), 200),
                (with(Directive::HoldMs(1)), 200),
                (with(Directive::Veto), 422),
            ] {
                let sent = Sent::of(order, &change);
                sent.is_one_of_the_contract(&contract).unwrap();
                let (found, answer) = sent.answered(&given, &contract).await;
                assert_eq!(found, status, "{change:?}: {answer}");
            }
            let nowhere = Sent::of(Uuid::new_v4(), &transition(ChangeType::Paid));
            assert_eq!(nowhere.answered(&given, &contract).await.0, 404);
            // And what is no request of it
            let good = Sent::of(order, &transition(ChangeType::Amended)).body;
            let wrong = |key: &str, value: Value| {
                let mut body = good.clone();
                body[key] = value;
                Sent {
                    path: "/orders/{order_id}/transitions",
                    order,
                    body,
                }
            };
            for (sent, status) in [
                (wrong("attempt", Value::Null), 400),
                (wrong("change_id", json!("7")), 400),
                (wrong("to", json!("eaten")), 400),
                (wrong("to", json!("placed")), 400),
                (wrong("directive", json!({"hold_ms": 10_001})), 400),
                (wrong("content", json!("x".repeat(1_000_000))), 413),
            ] {
                assert!(sent.is_one_of_the_contract(&contract).is_err(), "{status}");
                assert_eq!(sent.answered(&given, &contract).await.0, status);
            }
            // The event is the one that the contract describes
            let rows = given.rows("select payload from $S.outbox").await;
            let event: Value = serde_json::from_str(rows[0].get(0)).unwrap();
            assert_eq!(event["run"], RUN);
            fits(
                &contract,
                &contract["components"]["schemas"]["Event"],
                &event,
            )
            .unwrap();
        })
        .await;
}

#[tokio::test]
async fn given_our_service_when_checked_then_it_keeps_every_rule() {
    for wanted in [outbox(), events()] {
        wanted
            .run(|given| async move {
                let findings = check(&given.url, |_| {}).await.unwrap();
                let kept = findings.iter().all(|finding| finding.fared == Fared::Kept);
                assert!(kept, "{findings:#?}");
            })
            .await;
    }
}

#[test]
fn given_the_published_contract_then_its_words_and_bounds_are_the_codes() {
    let contract = contract();
    let schemas = &contract["components"]["schemas"];
    let words = |list: &Value| -> BTreeSet<String> {
        let all = list.as_array().unwrap().iter();
        all.map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let transitions = ChangeType::ALL
        .into_iter()
        .filter(|c| *c != ChangeType::Placed);
    let names: BTreeSet<String> = transitions.map(|c| c.name().to_owned()).collect();
    assert_eq!(
        words(&schemas["Transition"]["properties"]["to"]["enum"]),
        names
    );
    let events = ChangeType::ALL.map(|change| change.event_type().to_owned());
    let types = &schemas["Event"]["properties"]["type"]["enum"];
    assert_eq!(words(types), BTreeSet::from(events));
    assert_eq!(schemas["Content"]["maxLength"], CONTENT_BYTES_MAX);
    // What stands for "not known"
    let failure = Failure {
        error: "no".to_owned(),
    };
    let failure = serde_json::to_value(failure).unwrap();
    fits(&contract, &schemas["Failure"], &failure).unwrap();
    fits(&contract, &schemas["Committed"], &committed(1)).unwrap();
    fits(&contract, &schemas["Committed"], &committed(0)).unwrap_err();
    // Each field of the event is there, and none is beside them
    let text = event_text(Uuid::nil(), 1, &placing(Uuid::nil()));
    let mut event: Value = serde_json::from_str(&text).unwrap();
    fits(&contract, &schemas["Event"], &event).unwrap();
    event["more"] = json!(1);
    fits(&contract, &schemas["Event"], &event).unwrap_err();
}
