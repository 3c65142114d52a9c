//! Tests on the real stack, which is started once for all of them. Each test takes its own schema,
//! topic, slot and proxies. Tests that kill servers start a stack of their own.

// A failed expectation of a test is a panic.
#![allow(clippy::unwrap_used)]

#[path = "../shared/busy.rs"]
mod busy;
mod consumer;
mod docker;
mod eventbridge;
mod external;
mod fence;
mod hot_standby;
#[path = "../shared/installed.rs"]
mod installed;
mod kafka_brokers;
mod local;
mod mariadb;
mod nats;
mod nemesis;
#[path = "../shared/not_done.rs"]
mod not_done;
mod observer;
mod own_server;
#[path = "../shared/patience.rs"]
mod patience;
mod pending;
mod process;
mod rabbitmq;
mod relay;
mod service;
mod toxiproxy;
mod traces;

use harness::process::reaper::Reaper;
use harness::scenario::Server;
use harness::stack::data_folder::DataFolder;
use harness::stack::{Jit, Provider, ServerSettings, Stack, StackInfo};
use relays::config::PostgresTarget;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// What a test may know of the shared stack.
pub struct TestStack {
    /// Administrator, direct.
    pub postgres: PostgresTarget,
    /// Direct listener.
    pub kafka_bootstrap: String,
    /// Admin API.
    pub toxiproxy_url: String,
    /// All of it.
    pub info: StackInfo,
    /// Ends everything when the test program ends, in whatever way: statics are never dropped.
    pub reaper: Arc<Reaper>,
    _stack: Stack,
    _folder: DataFolder,
}

/// The harness's own binary.
pub const HARNESS: &str = env!("CARGO_BIN_EXE_outbox-harness");

/// Where the install script puts Kafka and Toxiproxy.
pub fn programs() -> PathBuf {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    checkout.join(".stack")
}

/// The reaper of this test program.
pub fn reaper() -> Arc<Reaper> {
    static REAPER: OnceLock<Arc<Reaper>> = OnceLock::new();
    Arc::clone(REAPER.get_or_init(|| Arc::new(Reaper::start_with(Path::new(HARNESS)).unwrap())))
}

/// A local stack below `folder`.
pub fn local(folder: &Path) -> Provider {
    Provider::Local {
        data: folder.join("data"),
        logs: folder.join("logs"),
        programs: programs(),
        jit: Jit::C1,
        settings: ServerSettings::usual(&programs()),
    }
}

/// The address of the shared stack's cache. Where Redis is not installed, the test that asks is named as not done.
pub async fn cache() -> Option<String> {
    if installed::lacks(Server::Redis) {
        return None;
    }
    let redis = stack().await.info.redis.as_ref();
    Some(redis.unwrap().address.clone())
}

/// The shared stack, started at the first call. Its servers are watched by threads of their own,
/// so it does not matter which test's runtime that call is made in.
pub async fn stack() -> &'static TestStack {
    static STACK: tokio::sync::OnceCell<TestStack> = tokio::sync::OnceCell::const_new();
    STACK
        .get_or_init(|| async {
            let reaper = reaper();
            let name = format!("outbox-harness-tests-{}", std::process::id());
            let folder = std::env::temp_dir().join(name);
            // The reaper removes it, since nothing here is ever dropped.
            let folder = DataFolder::make(&folder, None, &reaper).unwrap();
            let stack = Stack::start(local(folder.path()), &reaper).await.unwrap();
            let info = stack.info().clone();
            TestStack {
                postgres: info.postgres.clone(),
                kafka_bootstrap: info.kafka().unwrap().address.clone(),
                toxiproxy_url: info.toxiproxy_url.clone(),
                info,
                reaper,
                _stack: stack,
                _folder: folder,
            }
        })
        .await
}
