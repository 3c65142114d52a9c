//! Debezium as a relay: its PostgreSQL connector and its outbox event router in a Kafka Connect
//! worker (standalone), with the settings of a careful operator. Others' code from end to end: it
//! reports nothing on standard output, so its readiness is asked for.

mod install;
mod postgres;
mod ready;
mod settings;

use crate::broker;
use crate::disk;
use crate::process::{ChildSpec, Ready};
use crate::stack::{StackInfo, jvm};
use futures::FutureExt;
pub use install::Install;
use postgres::SlotSign;
use ready::Signs;
use relays::config::{BrokerKind, KafkaTarget, PostgresTarget};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The JVM has this heap. What Debezium reads ahead (`max.queue.size`) fits in it many times.
const HEAP: &str = "512m";
/// Readiness may take so long: it costs some seconds of CPU time, and after a kill the servers may be busy as well.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What one worker with its one connector is told.
#[derive(Debug, Clone)]
pub struct ConnectWorker {
    /// The connector reads from this database, with the relay's own role.
    pub database: PostgresTarget,
    /// The events go to this broker and topic.
    pub broker: KafkaTarget,
    /// Topic of the heartbeats, by which the slot moves on while there is no event; exists.
    pub heartbeat_topic: String,
    /// The connector reads from this replication slot, which exists already.
    pub slot: String,
    /// The connector reads the changes of this publication, which exists already.
    pub publication: String,
    /// Connect's REST interface listens here.
    pub rest: SocketAddr,
}

impl ConnectWorker {
    /// Writes its configuration to `folder`, where its offsets will be as well, and says how to
    /// start it. Whether it works is asked of the stack directly.
    pub fn child(
        self,
        name: &str,
        install: &Install,
        folder: &Path,
        log: &Path,
        stack: &StackInfo,
    ) -> Result<ChildSpec, String> {
        let doing = |e: std::io::Error| format!("write {}: {e}", folder.display());
        let temporary = folder.join("tmp");
        std::fs::create_dir_all(&temporary).map_err(doing)?;
        // What an earlier worker of this folder left is of another slot: benchmarks have several.
        match std::fs::remove_file(folder.join(OFFSETS)) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(doing(e)),
            _ => {}
        }
        let worker = settings::worker(&self, &install.plugins);
        let connector = postgres::connector(&self);
        for (file, all) in [(WORKER, worker), (CONNECTOR, connector)] {
            let text = settings::properties(&all);
            disk::write_secret(&folder.join(file), text.as_bytes()).map_err(doing)?;
        }
        let mut args = jvm::arguments(HEAP, &temporary, &log.with_extension("crash.log"));
        args.push("-cp".to_owned());
        args.push(jvm::class_path(&install.jars));
        args.extend([MAIN, WORKER, CONNECTOR].map(str::to_owned));
        let http = crate::http::direct()
            .timeout(ready::ANSWER_WITHIN)
            .build()
            .map_err(|e| format!("make an HTTP client: {e}"))?;
        let kafka = stack.kafka();
        let kafka = kafka.ok_or("Debezium publishes to Kafka, and the stack has none")?;
        let signs = Arc::new(Signs {
            http,
            rest: self.rest,
            slot: SlotSign {
                admin: stack.postgres.clone(),
                slot: self.slot,
            },
            heartbeats: broker::at(BrokerKind::Kafka, &kafka.address)
                .topic(&self.heartbeat_topic, 1),
        });
        Ok(ChildSpec {
            name: name.to_owned(),
            program: install.java.clone(),
            args,
            env: Vec::new(),
            user: None,
            folder: Some(folder.to_owned()),
            log: log.to_owned(),
            ready: Ready::Answers(Arc::new(move || {
                let signs = Arc::clone(&signs);
                async move { signs.are_there().await }.boxed()
            })),
            ready_within: READY_WITHIN,
        })
    }
}

const MAIN: &str = "org.apache.kafka.connect.cli.ConnectStandalone";
/// This file, like the two after it, is in the worker's folder.
const WORKER: &str = "worker.properties";
const CONNECTOR: &str = "connector.properties";
const OFFSETS: &str = "offsets";
/// The connector has this name in Connect.
const NAME: &str = "debezium";
