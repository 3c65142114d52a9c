//! What may not be is refused, in so many words, and nothing comes of it.

use super::or_broken;
use crate::history::Outcome;
use crate::service_check::client::{AskedChange, Client, ServiceAnswer};
use crate::service_check::{CheckedService, Fault};
use relays::order::ChangeType;
use serde_json::json;
use uuid::Uuid;

fn refused(told: &ServiceAnswer, what: &str) -> Result<(), Fault> {
    or_broken(told.is_refused(), || format!("{what}: it {}", told.how))
}

/// A change of an order that is not there.
async fn of_nothing(client: &mut Client) -> ServiceAnswer {
    client
        .ask(&AskedChange::of(Uuid::new_v4(), ChangeType::Paid))
        .await
}

pub(super) async fn unknown_order(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    client.placed().await?;
    refused(
        &of_nothing(&mut client).await,
        "paid, of an order that was never placed",
    )
}

pub(super) async fn says_no(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    client.placed().await?;
    let told = of_nothing(&mut client).await;
    if !told.is_refused() {
        let why = format!(
            "a change of an order that is not there was not refused: it {}",
            told.how
        );
        return Err(Fault::Untried(why));
    }
    or_broken(told.outcome == Outcome::Rejected, || {
        format!("it {}", told.how)
    })
}

pub(super) async fn wrong_state(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    let order = client.placed().await?;
    client.amended(order, 2).await?;
    let told = client
        .ask(&AskedChange::of(order, ChangeType::Shipped))
        .await;
    refused(&told, "shipped, of an order that is placed and not paid")?;
    not_made(&mut client, order).await
}

/// Nothing came of it: an order with two versions gets its third next.
async fn not_made(client: &mut Client, order: Uuid) -> Result<(), Fault> {
    let next = client.next_version(order).await?;
    or_broken(next == 3, || {
        format!("after that, the order's next change is version {next}, where 3 is left")
    })
}

pub(super) async fn placed_twice(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    let order = client.placed().await?;
    let told = client
        .ask(&AskedChange::of(order, ChangeType::Placed))
        .await;
    refused(&told, "placed, of an order that another change had placed")
}

pub(super) async fn malformed(subject: &CheckedService) -> Result<(), Fault> {
    let mut client = subject.client();
    let order = client.placed().await?;
    client.amended(order, 2).await?;
    let id = || Uuid::new_v4().to_string();
    let good = json!({
        "order_id": id(), "change_id": id(), "attempt": id(), "content": "0", "directive": "commit",
    });
    let without = |key: &str| {
        let mut body = good.clone();
        body.as_object_mut().map(|fields| fields.remove(key));
        body.to_string()
    };
    let with = |key: &str, value: serde_json::Value| {
        let mut body = good.clone();
        body[key] = value;
        body.to_string()
    };
    let transitions = format!("/orders/{order}/transitions");
    let cases = [
        ("an empty body", "/orders", String::new()),
        (
            "a body that is no JSON",
            "/orders",
            "{\"order_id\":".to_owned(),
        ),
        ("a list", "/orders", "[]".to_owned()),
        ("no `order_id`", "/orders", without("order_id")),
        ("no `change_id`", "/orders", without("change_id")),
        ("no `attempt`", "/orders", without("attempt")),
        (
            "a `change_id` that is no UUID",
            "/orders",
            with("change_id", json!("7")),
        ),
        (
            "an `attempt` that is a number",
            "/orders",
            with("attempt", json!(7)),
        ),
        (
            "a path without a UUID",
            "/orders/7/transitions",
            with("to", json!("paid")),
        ),
        (
            "a transition without `to`",
            &transitions,
            without("order_id"),
        ),
        (
            "a transition to nowhere",
            &transitions,
            with("to", json!("eaten")),
        ),
    ];
    for (what, path, body) in cases {
        let told = client.post(path, body.into_bytes()).await;
        refused(&told, what)?;
    }
    not_made(&mut client, order).await
}
