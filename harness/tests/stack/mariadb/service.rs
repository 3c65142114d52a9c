//! The order service over HTTP, with its orders in MariaDB.

use super::server::{TestDatabase, database};
use crate::patience::PATIENCE;
use mysql_async::prelude::Queryable;
use relays::config::{DatabaseTarget, ServiceConfig, WritePathConfig};
use relays::mariadb::schema::{MariaDbOutbox, close_accounts, connect_admin};
use relays::order::{ChangeRequest, ChangeType, Directive};
use serde_json::{Value, json};
use std::net::TcpListener;
use tokio::time::Instant;
use uuid::Uuid;

const RUN: &str = "00c0ffee00c0ffee";

fn config(database: &TestDatabase, write_path: WritePathConfig) -> ServiceConfig {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    ServiceConfig {
        listen: listener.local_addr().unwrap(),
        run: RUN.into(),
        database: DatabaseTarget::MariaDb(database.service()),
        database_connections: 3,
        write_path,
        cache: None,
        trace: None,
    }
}

fn request(directive: Directive) -> ChangeRequest {
    ChangeRequest {
        order_id: None,
        to: None,
        change_id: Uuid::new_v4(),
        attempt: Uuid::new_v4(),
        content: "it's \"so\" \\ \n \u{0} ü 🦀".into(),
        directive,
    }
}

struct Client {
    url: String,
    http: reqwest::Client,
}

impl Client {
    async fn send(&self, path: &str, request: &ChangeRequest) -> Option<(u16, Value)> {
        let body = serde_json::to_string(request).unwrap();
        let sent = self
            .http
            .post(format!("{}{path}", self.url))
            .body(body)
            .send()
            .await;
        let answer = sent.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.json().await.unwrap_or(Value::Null)))
    }

    async fn place(&self, order: Uuid, request: &ChangeRequest) -> Option<(u16, Value)> {
        let placing = ChangeRequest {
            order_id: Some(order),
            ..request.clone()
        };
        self.send("/orders", &placing).await
    }

    async fn transition(
        &self,
        order: Uuid,
        to: ChangeType,
        request: &ChangeRequest,
    ) -> Option<(u16, Value)> {
        let transition = ChangeRequest {
            to: Some(to),
            ..request.clone()
        };
        self.send(&format!("/orders/{order}/transitions"), &transition)
            .await
    }

    /// Tries again until it is committed.
    async fn at_last(&self, order: Uuid, request: &ChangeRequest) {
        let deadline = Instant::now() + PATIENCE;
        while self.place(order, request).await != Some((201, committed(1))) {
            assert!(Instant::now() < deadline, "it is not committed");
        }
    }
}

fn committed(version: u32) -> Value {
    json!({"outcome": "committed", "version": version})
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_service_on_mariadb_when_orders_are_changed_then_it_answers_as_on_any_database_and_finds_it_again()
 {
    let Some(database) = database(MariaDbOutbox::Delete).await else {
        return;
    };
    let config = config(&database, WritePathConfig::Outbox { notify: false });
    let client = Client {
        url: format!("http://{}", config.listen),
        http: harness::http::direct().build().unwrap(),
    };
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = tokio::spawn(relays::service::serve_until(config, async move {
        let _ = stopped.await;
    }));
    // Given an order
    let (order, placed) = (Uuid::new_v4(), request(Directive::Commit));
    client.at_last(order, &placed).await;
    // When it is changed: at once, held open, vetoed, by mistake, again
    let held = request(Directive::HoldMs(20));
    let paid = client.transition(order, ChangeType::Paid, &held).await;
    assert_eq!(paid, Some((200, committed(2))));
    let again = client.transition(order, ChangeType::Paid, &held).await;
    assert_eq!(again, Some((200, committed(2))));
    let vetoed = client
        .transition(order, ChangeType::Shipped, &request(Directive::Veto))
        .await;
    assert_eq!(vetoed.unwrap().0, 422);
    let forbidden = client
        .transition(order, ChangeType::Delivered, &request(Directive::Commit))
        .await;
    assert_eq!(forbidden.unwrap().0, 409);
    let unknown = client
        .transition(
            Uuid::new_v4(),
            ChangeType::Paid,
            &request(Directive::Commit),
        )
        .await;
    assert_eq!(unknown.unwrap().0, 404);
    let elsewhere = client.place(order, &request(Directive::Commit)).await;
    assert_eq!(elsewhere.unwrap().0, 409);
    // Then what was committed is there, with its events, and nothing else
    let text = |version: u32, change: &ChangeRequest, kind: &str| {
        let content = Value::from(change.content.as_str());
        format!(
            "{{\"run\":\"{RUN}\",\"order_id\":\"{order}\",\"version\":{version},\
             \"attempt\":\"{}\",\"type\":\"{kind}\",\"content\":{content}}}",
            change.attempt
        )
    };
    let events = database
        .rows("SELECT payload FROM outbox ORDER BY seq")
        .await
        .concat();
    assert_eq!(
        events,
        [text(1, &placed, "OrderPlaced"), text(2, &held, "OrderPaid")]
    );
    let rows = database
        .rows("SELECT version, state FROM orders")
        .await
        .concat();
    assert_eq!(rows, ["2", "paid"]);
    // And when all its sessions are ended, it finds the database again
    let mut admin = connect_admin(&database.admin, None).await.unwrap();
    let user = database.layout.service_user();
    close_accounts(&mut admin, std::slice::from_ref(&user))
        .await
        .unwrap();
    let away = client
        .place(Uuid::new_v4(), &request(Directive::Commit))
        .await;
    assert_eq!(away.unwrap().0, 503);
    admin
        .query_drop(format!("ALTER USER '{user}'@'%' ACCOUNT UNLOCK"))
        .await
        .unwrap();
    client
        .at_last(Uuid::new_v4(), &request(Directive::Commit))
        .await;
    let _ = stop.send(());
    served.await.unwrap().unwrap();
    drop(admin);
    database.drop().await;
}

#[tokio::test]
async fn given_what_only_postgresql_has_when_a_service_of_mariadb_is_told_to_use_it_then_it_refuses()
 {
    let Some(database) = database(MariaDbOutbox::Delete).await else {
        return;
    };
    for write_path in [
        WritePathConfig::Message,
        WritePathConfig::Events,
        WritePathConfig::Outbox { notify: true },
    ] {
        let config = config(&database, write_path);
        let refused = relays::service::serve_until(config, std::future::pending()).await;
        let reason = "`write_path`: this needs PostgreSQL, and the database is MariaDB";
        assert_eq!(refused, Err(reason.to_owned()));
    }
    // And a wrong password is no reason to wait
    let mut config = config(&database, WritePathConfig::Outbox { notify: false });
    if let DatabaseTarget::MariaDb(target) = &mut config.database {
        target.password = "another".into();
    }
    let refused = relays::service::serve_until(config, std::future::pending())
        .await
        .unwrap_err();
    assert!(
        refused.contains("Access denied") && refused.contains("check user, password"),
        "{refused}"
    );
    database.drop().await;
}
