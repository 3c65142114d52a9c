//! A Redis of our own, as a cache: all in memory, nothing is written to a disk, so a kill empties it.

use super::beside::{BesideKind, StartedServer, StartingServer, libraries};
use super::listening::start_on;
use super::redis_client;
use crate::process::{ChildSpec, Ready, Stop};
use crate::scenario::Server;
use futures::FutureExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The server must be ready within this time (it takes some milliseconds here).
const READY_WITHIN: Duration = Duration::from_secs(20);
/// Below `.stack`, the install script puts the program and its libraries into this folder.
const FOLDER: &str = "redis";
/// Entries may take so much memory. Beyond it nothing is written: what went silently, a marker that keeps an old fill
/// away, say, would be a fault of the stack that looks like one of the system.
const MEMORY_MAX: &str = "512mb";

/// The row of Redis.
pub(super) const KIND: BesideKind = BesideKind {
    server: Server::Redis,
    ports: 1,
    stop: Stop::default,
    is_installed,
    start: |starting| start(starting).boxed(),
};

/// Whether the install script brought it.
fn is_installed(programs: &Path) -> bool {
    programs.join(FOLDER).join("bin/redis-server").is_file()
}

/// Starts it with a folder of its own.
async fn start(starting: StartingServer<'_>) -> Result<StartedServer, String> {
    let [port] = starting.ports()?;
    let StartingServer {
        data,
        logs,
        programs,
        reaper,
        ..
    } = starting;
    let folder = data.join("redis");
    std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let address = format!("127.0.0.1:{port}");
    let asked = address.clone();
    let spec = ChildSpec {
        name: "redis-server".into(),
        program: programs.join(FOLDER).join("bin/redis-server"),
        args: arguments(port),
        env: vec![("LD_LIBRARY_PATH".into(), libraries(&programs.join(FOLDER)))],
        user: None,
        folder: Some(folder),
        log: logs.join("redis-server.log"),
        ready: Ready::Answers(Arc::new(move || {
            let address = asked.clone();
            async move { redis_client::answers(&address).await }.boxed()
        })),
        ready_within: READY_WITHIN,
    };
    let child = start_on(port, spec, reaper).await?;
    let version = redis_client::version(&address).await?;
    Ok(StartedServer::of(child, version))
}

fn arguments(port: u16) -> Vec<String> {
    let port = port.to_string();
    let settings = [
        ["--port", &port],
        ["--bind", "127.0.0.1"],
        ["--daemonize", "no"],
        // In its own folder, relative: a path with blanks is no argument of its.
        ["--dir", "."],
        ["--save", ""],
        ["--appendonly", "no"],
        ["--maxmemory", MEMORY_MAX],
        ["--maxmemory-policy", "noeviction"],
    ];
    settings.concat().into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_cache_when_it_is_started_then_it_forgets_everything_with_its_process_and_nothing_before()
     {
        let said = arguments(4711).join(" ");
        for setting in [
            "--port 4711",
            "--bind 127.0.0.1",
            "--save ",
            "--appendonly no",
            "noeviction",
        ] {
            assert!(said.contains(setting), "{said}");
        }
    }
}
