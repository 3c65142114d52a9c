//! An emulator of EventBridge, and of SQS beside it: moto, behind a small program of ours. Its buses and queues are in
//! memory, and end with it.

use super::beside::{BesideKind, StartedServer, StartingServer};
use super::listening::start_on;
use crate::http;
use crate::process::{ChildSpec, Ready, Stop};
use crate::scenario::Server;
use futures::FutureExt;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The server must be ready within this time (it takes a second here).
const READY_WITHIN: Duration = Duration::from_secs(60);
/// It says who it is within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Below `.stack`, the install script makes a virtual environment in this folder, with moto in it.
const FOLDER: &str = "eventbridge";
const PYTHON: &str = "bin/python";
/// The program that has moto serve; it is written to the server's folder.
const EMULATOR: &str = include_str!("eventbridge_emulator.py");
const EMULATOR_FILE: &str = "eventbridge_emulator.py";
/// A record has it under this name.
const THROTTLE: &str = "eventbridge_throttle";

/// The row of EventBridge.
pub(super) const KIND: BesideKind = BesideKind {
    server: Server::EVENTBRIDGE,
    ports: 1,
    stop: Stop::default,
    is_installed: |programs| python(programs).is_file(),
    start: |starting| start(starting).boxed(),
};

fn python(programs: &Path) -> PathBuf {
    programs.join(FOLDER).join(PYTHON)
}

/// What it says of itself.
#[derive(Debug, Deserialize)]
struct Hello {
    name: String,
    version: String,
}

async fn hello(address: &str) -> Result<Hello, String> {
    let client = http::direct().timeout(ANSWER_WITHIN).build();
    let client = client.map_err(|e| e.to_string())?;
    let asked = client.get(format!("http://{address}/outbox-harness"));
    let answer = asked.send().await.map_err(|e| e.to_string())?;
    answer.json().await.map_err(|e| e.to_string())
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
    let one_in = settings.eventbridge_throttle;
    let name = format!("outbox-harness-{}", uuid::Uuid::new_v4().simple());
    let folder = data.join(FOLDER);
    std::fs::create_dir_all(&folder)
        .and_then(|()| std::fs::write(folder.join(EMULATOR_FILE), EMULATOR))
        .map_err(|e| format!("{}: {e}", folder.display()))?;
    let address = format!("127.0.0.1:{port}");
    let (asked, asked_name) = (address.clone(), name.clone());
    let spec = ChildSpec {
        name: Server::EVENTBRIDGE.process().into(),
        program: python(programs),
        args: vec![
            EMULATOR_FILE.into(),
            port.to_string(),
            name,
            one_in.unwrap_or(0).to_string(),
        ],
        env: Vec::new(),
        user: None,
        folder: Some(folder),
        log: logs.join("eventbridge-server.log"),
        ready: Ready::Answers(Arc::new(move || {
            let (address, name) = (asked.clone(), asked_name.clone());
            // Any other one of these would answer alike; ours must be the one.
            async move {
                let told = hello(&address).await?;
                match told.name == name {
                    true => Ok(()),
                    false => Err(format!("at {address} is another server, {}", told.name)),
                }
            }
            .boxed()
        })),
        ready_within: READY_WITHIN,
    };
    let child = start_on(port, spec, reaper).await?;
    let version = hello(&address).await?.version;
    let throttle = one_in.map(|one_in| (THROTTLE.to_owned(), format!("one event in {one_in}")));
    Ok(StartedServer {
        settings: BTreeMap::from_iter(throttle),
        ..StartedServer::of(child, version)
    })
}
