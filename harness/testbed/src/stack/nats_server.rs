//! A NATS server of our own, with JetStream: what it has acknowledged is in files, and survives its being killed.

use super::beside::{BesideKind, StartedServer, StartingServer};
use super::{StackError, nats_client, ports};
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec, Ready, Stop};
use crate::scenario::{NatsSync, Server};
use futures::FutureExt;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The server must be ready within this time (it takes a tenth of a second here).
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Below `.stack`, the install script puts the program into this folder.
const FOLDER: &str = "nats";
const PROGRAM: &str = "bin/nats-server";
/// In the server's folder, which is its working folder; its streams are beside it.
const CONFIGURATION: &str = "nats.conf";
const STORE: &str = "store";
/// A record has it under this name.
const SYNC_INTERVAL: &str = "nats_sync_interval";
/// An event may have so many bytes, headers included: more than any workload makes.
const MESSAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Whether the install script brought it.
pub fn nats_is_installed(programs: &Path) -> bool {
    program(programs).is_file()
}

fn program(programs: &Path) -> PathBuf {
    programs.join(FOLDER).join(PROGRAM)
}

/// The row of NATS.
pub(super) const KIND: BesideKind = BesideKind {
    server: Server::NATS,
    ports: 1,
    stop: Stop::default,
    is_installed: nats_is_installed,
    start: |starting| start(starting).boxed(),
};

async fn start(starting: StartingServer<'_>) -> Result<StartedServer, StackError> {
    let StartingServer {
        data,
        logs,
        programs,
        ports,
        settings,
        reaper,
    } = starting;
    let port = ports.first().copied().ok_or_else(|| StackError {
        doing: "start NATS".into(),
        reason: "no port was reserved for it".into(),
    })?;
    let sync = settings.nats_sync;
    let started = NatsServer::start(data, logs, programs, port, sync, reaper).await?;
    Ok(StartedServer {
        child: started.child,
        helpers: Vec::new(),
        version: started.version,
        settings: BTreeMap::from([(SYNC_INTERVAL.to_owned(), sync.name().to_owned())]),
    })
}

/// This is a NATS server that runs, with its address and its version.
pub struct NatsServer {
    /// It is killed and started again by this.
    pub child: Child,
    /// This is its `host:port`, around all proxies.
    pub address: String,
    /// This is its version, as it says it.
    pub version: String,
}

impl NatsServer {
    /// Starts it on `port`, with a folder of its own under `data`; an error says why it did not start.
    pub async fn start(
        data: &Path,
        logs: &Path,
        programs: &Path,
        port: u16,
        sync: NatsSync,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        let failed = |reason: String| StackError {
            doing: "start NATS".into(),
            reason,
        };
        let name = format!("outbox-harness-{}", uuid::Uuid::new_v4().simple());
        let folder = data.join("nats");
        std::fs::create_dir_all(&folder)
            .and_then(|()| {
                std::fs::write(folder.join(CONFIGURATION), configuration(&name, port, sync))
            })
            .map_err(|e| failed(format!("{}: {e}", folder.display())))?;
        let address = format!("127.0.0.1:{port}");
        let asked = address.clone();
        let spec = ChildSpec {
            name: "nats-server".into(),
            program: program(programs),
            args: vec!["--config".into(), CONFIGURATION.into()],
            env: Vec::new(),
            user: None,
            folder: Some(folder),
            log: logs.join("nats-server.log"),
            ready: Ready::Answers(Arc::new(move || {
                let (address, name) = (asked.clone(), name.clone());
                // Any server of NATS says something alike; ours must be the one.
                async move {
                    let told = nats_client::info(&address).await;
                    told.is_ok_and(|told| told.name == name && told.jetstream)
                }
                .boxed()
            })),
            ready_within: READY_WITHIN,
        };
        let child = Child::start(spec, reaper)
            .await
            .map_err(|e| failed(e.to_string()))?;
        if !child.pid().is_some_and(|pid| ports::is_held_by(port, pid)) {
            return Err(failed(format!("port {port} is held by another process")));
        }
        let version = nats_client::info(&address).await.map_err(failed)?.version;
        Ok(Self {
            child,
            address,
            version,
        })
    }
}

fn configuration(name: &str, port: u16, sync: NatsSync) -> String {
    format!(
        "\
server_name: {name}
host: 127.0.0.1
port: {port}
max_payload: {MESSAGE_BYTES_MAX}
jetstream {{
  store_dir: {STORE}
  sync_interval: {}
}}
",
        sync.name()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_server_when_it_is_configured_then_it_is_on_loopback_and_syncs_as_it_is_told() {
        for (sync, line) in [
            (NatsSync::EveryTwoMinutes, "sync_interval: 2m"),
            (NatsSync::Always, "sync_interval: always"),
        ] {
            let text = configuration("n", 4711, sync);
            for setting in ["host: 127.0.0.1", "port: 4711", "store_dir: store", line] {
                assert!(text.lines().any(|l| l.trim() == setting), "{text}");
            }
        }
    }
}
