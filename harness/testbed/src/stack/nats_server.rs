//! A NATS server of our own, with JetStream: what it has acknowledged is in files, and survives its being killed.

use super::beside::{BesideKind, StartedServer, StartingServer};
use super::listening::start_on;
use super::nats_client;
use crate::process::{ChildSpec, Ready, Stop};
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

/// The row of NATS.
pub(super) const KIND: BesideKind = BesideKind {
    server: Server::NATS,
    ports: 1,
    stop: Stop::default,
    is_installed: |programs| program(programs).is_file(),
    start: |starting| start(starting).boxed(),
};

fn program(programs: &Path) -> PathBuf {
    programs.join(FOLDER).join(PROGRAM)
}

/// Starts it with a folder of its own.
async fn start(starting: StartingServer<'_>) -> Result<StartedServer, String> {
    let [port] = starting.ports()?;
    let StartingServer {
        data,
        logs,
        programs,
        settings,
        reaper,
        ..
    } = starting;
    let sync = settings.nats_sync;
    let name = format!("outbox-harness-{}", uuid::Uuid::new_v4().simple());
    let folder = data.join("nats");
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join(CONFIGURATION), configuration(&name, port, sync)))
        .map_err(|e| format!("{}: {e}", folder.display()))?;
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
                let told = nats_client::info(&address).await?;
                match told.name == name && told.jetstream {
                    true => Ok(()),
                    false => Err(format!("at {address} is another server, {}", told.name)),
                }
            }
            .boxed()
        })),
        ready_within: READY_WITHIN,
    };
    let child = start_on(port, spec, reaper).await?;
    let version = nats_client::info(&address).await?.version;
    Ok(StartedServer {
        settings: BTreeMap::from([(SYNC_INTERVAL.to_owned(), sync.name().to_owned())]),
        ..StartedServer::of(child, version)
    })
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
