//! A RabbitMQ of our own: one node on loopback, with a port mapper (epmd) of its own, which outlives its restarts.
//!
//! Erlang is started without the scripts of a distribution: they change users, and start an epmd that nobody ends.

use super::beside::{BesideKind, StartedServer, StartingServer, libraries};
use super::listening::start_on;
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec, Ready, Stop};
use crate::scenario::Server;
use futures::FutureExt;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The node must be ready within this time (it takes 4 to 6 s here).
const READY_WITHIN: Duration = Duration::from_secs(90);
/// The port mapper must be ready within this time (it takes some milliseconds here).
const EPMD_READY_WITHIN: Duration = Duration::from_secs(20);
/// An orderly end may take at most this time (it takes 1 to 3 s here).
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Whether it answers is known within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Below `.stack`, the install script puts Erlang and the server into this folder.
const FOLDER: &str = "rabbitmq";
/// In the node's folder, which is its working folder.
const CONFIGURATION: &str = "rabbitmq.conf";
const PLUGINS: &str = "enabled_plugins";
const COOKIE: &str = ".erlang.cookie";

/// The row of RabbitMQ.
pub(super) const KIND: BesideKind = BesideKind {
    server: Server::RABBITMQ,
    ports: 3,
    stop,
    is_installed,
    start: |starting| start(starting).boxed(),
};

fn stop() -> Stop {
    Stop {
        within: STOP_WITHIN,
        ..Stop::default()
    }
}

/// Whether the install script brought it.
fn is_installed(programs: &Path) -> bool {
    let folder = programs.join(FOLDER);
    folder.join("erts/bin/erlexec").is_file() && folder.join("server/plugins").is_dir()
}

/// These are the ports of one node.
#[derive(Debug, Clone, Copy)]
struct RabbitMqPorts {
    clients: u16,
    /// Nodes of a cluster would connect to this one.
    nodes: u16,
    /// The port mapper listens on this one.
    epmd: u16,
}

/// Starts it with a folder of its own.
async fn start(starting: StartingServer<'_>) -> Result<StartedServer, String> {
    let [clients, nodes, epmd] = starting.ports()?;
    let StartingServer {
        data,
        logs,
        programs,
        reaper,
        ..
    } = starting;
    let ports = RabbitMqPorts {
        clients,
        nodes,
        epmd,
    };
    // Erlang looks for its own parts by full paths, whatever its working folder.
    let installed = std::fs::canonicalize(programs.join(FOLDER));
    let installed = installed.map_err(|e| format!("{}: {e}", programs.display()))?;
    let version = version(&installed)?;
    let folder = data.join("rabbitmq");
    let explain = |e: std::io::Error| format!("{}: {e}", data.display());
    make(&folder, ports).map_err(explain)?;
    let folder = std::fs::canonicalize(&folder).map_err(explain)?;
    let epmd = start_epmd(&installed, &folder, logs, epmd, reaper).await?;
    let spec = ChildSpec {
        name: "rabbitmq-server".into(),
        program: installed.join("erts/bin/erlexec"),
        args: arguments(),
        env: environment(&installed, &folder, ports),
        user: None,
        folder: Some(folder),
        log: logs.join("rabbitmq-server.log"),
        ready: Ready::Answers(Arc::new(move || answers(clients).boxed())),
        ready_within: READY_WITHIN,
    };
    let child = start_on(clients, spec, reaper).await?;
    remember_streams(&child, clients).await?;
    Ok(StartedServer {
        helpers: vec![epmd],
        ..StartedServer::of(child, version)
    })
}

/// Who keeps the streams of a node is noted on its disk some time after the first of them was made (3.10.8). A node that
/// is killed before that has none of its streams back, ever. One that ended in order has noted it, so it does that once.
async fn remember_streams(child: &Child, port: u16) -> Result<(), String> {
    let first = crate::broker::rabbitmq::at(&format!("127.0.0.1:{port}"));
    let first = first.topic("outbox-harness.first", 1);
    first.create().await?;
    drop(first);
    let ended = child.end_for_now(&stop()).await;
    ended.map_err(|e| e.to_string())?;
    child.restart().await.map_err(|e| e.to_string())
}

async fn start_epmd(
    installed: &Path,
    folder: &Path,
    logs: &Path,
    port: u16,
    reaper: &Arc<Reaper>,
) -> Result<Child, String> {
    let spec = ChildSpec {
        name: "epmd".into(),
        program: installed.join("erts/bin/epmd"),
        // In the foreground, so that it is a child like any other.
        args: ["-address", "127.0.0.1", "-port", &port.to_string()]
            .map(str::to_owned)
            .to_vec(),
        env: vec![("LD_LIBRARY_PATH".into(), libraries(installed))],
        user: None,
        folder: Some(folder.to_owned()),
        log: logs.join("epmd.log"),
        ready: Ready::Answers(Arc::new(move || {
            let connected = TcpStream::connect(("127.0.0.1", port));
            async move { connected.await.map(drop).map_err(|e| e.to_string()) }.boxed()
        })),
        ready_within: EPMD_READY_WITHIN,
    };
    start_on(port, spec, reaper).await
}

/// A broker answers the first words of AMQP: with a method, not with another version of the protocol; or an error says
/// what came instead.
async fn answers(port: u16) -> Result<(), String> {
    const METHOD: u8 = 1;
    let asked = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"AMQP\0\0\x09\x01").await?;
        stream.read_u8().await
    };
    match timeout(ANSWER_WITHIN, asked).await {
        Ok(Ok(METHOD)) => Ok(()),
        Ok(Ok(other)) => Err(format!("it began with {other}, which is no method of AMQP")),
        Ok(Err(e)) => Err(e.to_string()),
        Err(_) => Err(format!("no answer within {ANSWER_WITHIN:?}")),
    }
}

/// Returns the version from the name of the server's own application: `3.10.8` of `rabbit-3.10.8`.
fn version(installed: &Path) -> Result<String, String> {
    let plugins = installed.join("server/plugins");
    let explain = |e: std::io::Error| format!("{}: {e}", plugins.display());
    let entries = std::fs::read_dir(&plugins).map_err(explain)?;
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut versions = names.filter_map(|name| {
        let version = name.to_str()?.strip_prefix("rabbit-")?;
        Some(version.trim_end_matches(".ez").to_owned())
    });
    let found = versions.next();
    found.ok_or_else(|| format!("{}: no rabbit-VERSION in it", plugins.display()))
}

/// Makes the node's folder: its settings, and the secret that nodes and tools would have to share.
fn make(folder: &Path, ports: RabbitMqPorts) -> std::io::Result<()> {
    // One that could not be started on other ports has left its own.
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(CONFIGURATION), settings(ports))?;
    std::fs::write(
        folder.join(PLUGINS),
        "[rabbitmq_consistent_hash_exchange].\n",
    )?;
    // Erlang takes it from nobody but its owner.
    let mut cookie = std::fs::File::options();
    let mut cookie = cookie
        .write(true)
        .create_new(true)
        .mode(0o400)
        .open(folder.join(COOKIE))?;
    write!(cookie, "{}", uuid::Uuid::new_v4().simple())
}

fn settings(ports: RabbitMqPorts) -> String {
    let port = ports.clients;
    format!(
        "\
listeners.tcp.1 = 127.0.0.1:{port}
log.console = true
log.console.level = info
log.file = false
disk_free_limit.absolute = 200MB
vm_memory_high_watermark.absolute = 1GB
"
    )
}

/// What the distribution's script gives to Erlang, but for what it would start besides.
fn arguments() -> Vec<String> {
    let words = "-noinput -s rabbit boot -boot start_sasl \
         +W w +MBas ageffcbf +MHas ageffcbf +MBlmbcs 512 +MHlmbcs 512 +MMmcs 30 \
         +P 1048576 +t 5000000 +stbt db +zdbbl 128000 +sbwt none +sbwtdcpu none +sbwtdio none +B i \
         -start_epmd false -kernel inet_dist_use_interface {127,0,0,1} \
         -kernel prevent_overlapping_partitions false \
         -syslog logger [] -syslog syslog_error_logger false";
    words.split_whitespace().map(str::to_owned).collect()
}

/// Everything that would be looked for in a home or below /etc and /var is said.
fn environment(installed: &Path, folder: &Path, ports: RabbitMqPorts) -> Vec<(String, String)> {
    let path = |path: PathBuf| path.display().to_string();
    let of_node = |name: &str| path(folder.join(name));
    let of_server = |name: &str| path(installed.join(name));
    [
        ("LD_LIBRARY_PATH", libraries(installed)),
        ("HOME", path(folder.to_owned())),
        ("ROOTDIR", of_server("erlang")),
        ("BINDIR", of_server("erts/bin")),
        ("EMU", "beam".into()),
        ("PROGNAME", "erl".into()),
        ("ERL_LIBS", of_server("server/plugins")),
        ("ERL_EPMD_PORT", ports.epmd.to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
        ("ERL_MAX_ETS_TABLES", "50000".into()),
        ("ERL_MAX_PORTS", "65536".into()),
        // A node that was killed leaves none, and one that crashes has said why.
        ("ERL_CRASH_DUMP_SECONDS", "0".into()),
        ("RABBITMQ_HOME", of_server("server")),
        ("RABBITMQ_CONF_ENV_FILE", "/dev/null".into()),
        ("RABBITMQ_NODENAME", "outbox@localhost".into()),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
        ("RABBITMQ_NODE_PORT", ports.clients.to_string()),
        ("RABBITMQ_DIST_PORT", ports.nodes.to_string()),
        ("RABBITMQ_MNESIA_BASE", of_node("data")),
        ("RABBITMQ_LOG_BASE", of_node("log")),
        ("RABBITMQ_LOGS", "-".into()),
        ("RABBITMQ_CONFIG_FILE", of_node(CONFIGURATION)),
        ("RABBITMQ_GENERATED_CONFIG_DIR", of_node("generated")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", of_node(PLUGINS)),
        ("RABBITMQ_PLUGINS_DIR", of_server("server/plugins")),
        ("RABBITMQ_PLUGINS_EXPAND_DIR", of_node("plugins")),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const PORTS: RabbitMqPorts = RabbitMqPorts {
        clients: 4711,
        nodes: 4712,
        epmd: 4713,
    };

    #[test]
    fn given_a_node_when_it_is_made_then_it_listens_on_loopback_alone_and_starts_no_epmd() {
        assert!(settings(PORTS).contains("listeners.tcp.1 = 127.0.0.1:4711\n"));
        let said = arguments().join(" ");
        for words in [
            "-start_epmd false",
            "inet_dist_use_interface {127,0,0,1}",
            "-s rabbit boot",
        ] {
            assert!(said.contains(words), "{said}");
        }
        let all = environment(Path::new("/programs"), Path::new("/a b"), PORTS);
        let value = |name: &str| all.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        assert_eq!(value("ERL_EPMD_PORT"), Some("4713"));
        assert_eq!(value("RABBITMQ_MNESIA_BASE"), Some("/a b/data"));
        // An empty value of this one would turn streams off
        assert_eq!(value("RABBITMQ_FEATURE_FLAGS"), None);
    }

    #[test]
    fn given_a_folder_when_it_is_made_then_the_secret_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path(), PORTS).unwrap();
        let secret = std::fs::metadata(folder.path().join(COOKIE)).unwrap();
        assert_eq!(secret.permissions().mode() & 0o777, 0o400);
        assert_eq!(secret.len(), 32);
    }

    #[test]
    fn given_what_was_installed_when_it_is_asked_for_then_its_version_is_that_of_its_application() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_installed(folder.path()));
        let plugins = folder.path().join("server/plugins");
        for name in ["rabbit_common-3.10.8", "rabbit-3.10.8", "ra-2.2.0"] {
            std::fs::create_dir_all(plugins.join(name)).unwrap();
        }
        assert_eq!(version(folder.path()).as_deref(), Ok("3.10.8"));
    }
}
