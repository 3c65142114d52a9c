//! A server that is not there yet, for tests.
#![allow(clippy::unwrap_used)]

use relays::config::PostgresTarget;
use std::time::Duration;
use tokio::net::TcpListener;

/// Bound on every condition that a test waits for.
pub const SOON: Duration = Duration::from_secs(20);

/// A server that is recovering: it takes connections and closes them.
pub async fn recovering() -> (TcpListener, PostgresTarget) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = PostgresTarget {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        user: "postgres".to_owned(),
        password: "secret".to_owned(),
        database: "postgres".to_owned(),
        schema: String::new(),
    };
    (listener, target)
}

/// Somebody connects to it again and again.
pub async fn tried_again(listener: &TcpListener) {
    for _ in 0..3 {
        let accepted = tokio::time::timeout(SOON, listener.accept()).await;
        drop(accepted.unwrap().unwrap());
    }
}
