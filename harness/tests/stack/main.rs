//! Tests on the real stack, which is started once for all of them. Each test takes its own schema,
//! topic, slot and proxies.

use relays::config::PostgresTarget;

/// What a test may know of the shared stack.
pub struct TestStack {
    /// Administrator, direct.
    pub postgres: PostgresTarget,
    /// Direct listener.
    pub kafka_bootstrap: String,
    /// Admin API.
    pub toxiproxy_url: String,
}

/// The shared stack, started at the first call.
pub async fn stack() -> &'static TestStack {
    static STACK: tokio::sync::OnceCell<TestStack> = tokio::sync::OnceCell::const_new();
    STACK
        .get_or_init(|| async {
            TestStack {
                postgres: PostgresTarget {
                    host: "127.0.0.1".into(),
                    port: 15999,
                    user: "postgres".into(),
                    password: String::new(),
                    database: "postgres".into(),
                    schema: String::new(),
                },
                kafka_bootstrap: "127.0.0.1:19999".into(),
                toxiproxy_url: "http://127.0.0.1:18474".into(),
            }
        })
        .await
}
