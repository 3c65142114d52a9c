//! An Apache Kafka of our own: one node, KRaft, a client listener for the referee and one for each link.

use super::kafka_client::{self, Topics};
use super::{Jit, ServerInfo, StackError, jvm};
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec, Ready, Stop};
use crate::scenario::Instance;
use futures::FutureExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The node must be ready within this time (it takes 1 to 3 s here).
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A controlled shutdown may take at most this time.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Below `.stack`, the install script puts Kafka's jars into this folder, and the class archive beside it.
pub(super) const JARS: &str = "kafka";
const CLASS_ARCHIVE: &str = "kafka.jsa";
/// In the node's folder, which is its working folder. Relative, since `log.dirs` is a list, in which
/// a comma cannot be escaped.
const LOG: &str = "log";
const CONFIGURATION: &str = "server.properties";
/// This id names the node's only log folder, in KRaft's own form: 16 bytes in base64.
const DIRECTORY_ID: &str = "b3V0Ym94LWhhcm5lc3M0Mg";

/// Names of the listeners of proxied links, in the order of the links.
const LISTENERS: [&str; LINKS] = ["ORDERS", "RELAY", "RELAY2", "RELAY3", "RELAY4", "CONSUMERS"];
/// So many links lead to a broker: the order service's, one of each relay, and that of the consumers.
pub(super) const LINKS: usize = 1 + Instance::MOST + 1;

/// Returns how the node is told to end.
pub(super) fn stop() -> Stop {
    Stop {
        within: STOP_WITHIN,
        ..Stop::default()
    }
}

/// These are the ports of one node.
#[derive(Debug, Clone, Copy)]
pub(super) struct KafkaPorts {
    /// The referee uses this port, around the proxies.
    pub(super) direct: u16,
    /// The listener of KRaft's controller, which only the node itself uses, is on this port.
    pub(super) controller: u16,
    /// These are the ports of `orders->kafka`, `relay->kafka`, `relay-2->kafka`, ...: of each its upstream, and
    /// the proxy's port that it advertises.
    pub(super) links: [(u16, u16); LINKS],
}

impl KafkaPorts {
    /// Each client listener's name, its port, and the one that it must advertise.
    fn listeners(&self) -> impl Iterator<Item = (&'static str, u16, u16)> {
        let direct = ("DIRECT", self.direct, self.direct);
        let of_links = LISTENERS.into_iter().zip(self.links);
        let of_links = of_links.map(|(name, (port, advertised))| (name, port, advertised));
        std::iter::once(direct).chain(of_links)
    }
}

/// This is a Kafka node that runs, with its version and its JVM's.
pub(super) struct KafkaServer {
    pub(super) child: Child,
    pub(super) version: String,
    pub(super) jvm: String,
}

impl KafkaServer {
    /// Does as [`KafkaServer::start`] where a `jit` says that there is to be one.
    pub(super) async fn start_if(
        jit: Option<Jit>,
        data: &Path,
        logs: &Path,
        programs: &Path,
        ports: KafkaPorts,
        reaper: &Arc<Reaper>,
    ) -> Result<Option<Self>, StackError> {
        match jit {
            Some(jit) => Self::start(data, logs, programs, ports, jit, reaper)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    /// Returns what may be known of it, where the referee's port is this one.
    pub(super) fn info(&self, direct: u16) -> ServerInfo {
        ServerInfo {
            address: format!("127.0.0.1:{direct}"),
            version: self.version.clone(),
        }
    }

    /// Formats a log folder under `data` and starts the node.
    pub(super) async fn start(
        data: &Path,
        logs: &Path,
        programs: &Path,
        ports: KafkaPorts,
        jit: Jit,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        let failed = |reason: String| StackError {
            doing: "start Kafka".into(),
            reason,
        };
        let jars = jvm::jars(&programs.join(JARS)).map_err(failed)?;
        let version = version(&jars).map_err(failed)?;
        let java = jvm::find_java().map_err(failed)?;
        let folder = data.join("kafka");
        let cluster = format(&folder, ports).map_err(|e| failed(e.to_string()))?;
        let spec = ChildSpec {
            name: "kafka-server".into(),
            program: java.clone(),
            args: arguments(&jars, &programs.join(CLASS_ARCHIVE), jit, &folder, logs),
            env: Vec::new(),
            user: None,
            folder: Some(folder),
            log: logs.join("kafka-server.log"),
            ready: Ready::Answers(Arc::new(move || {
                let cluster = cluster.clone();
                async move { all_listeners_answer(ports, &cluster).await }.boxed()
            })),
            ready_within: READY_WITHIN,
        };
        let child = Child::start(spec, reaper)
            .await
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self {
            child,
            version,
            jvm: format!("{}, {}", jvm::version(&java), jit.describe()),
        })
    }
}

/// Whether each listener knows this cluster and advertises what it is to advertise.
async fn all_listeners_answer(ports: KafkaPorts, cluster: &str) -> bool {
    let address = |port: u16| format!("127.0.0.1:{port}");
    for (_, port, advertised) in ports.listeners() {
        match kafka_client::describe(&address(port), Topics::None).await {
            Ok(said) if said.id == cluster && said.advertised == [address(advertised)] => {}
            _ => return false,
        }
    }
    true
}

/// What `kafka-storage.sh format` would write, without a JVM of its own for it: the log folder's
/// identity. The cluster's features are then the broker version's defaults. Returns the cluster id.
fn format(folder: &Path, ports: KafkaPorts) -> std::io::Result<String> {
    let log = folder.join(LOG);
    std::fs::create_dir_all(&log)?;
    std::fs::create_dir_all(folder.join("tmp"))?;
    let cluster = uuid::Uuid::new_v4().simple().to_string();
    let cluster = cluster[..22].to_owned();
    std::fs::write(
        log.join("meta.properties"),
        format!("version=1\ncluster.id={cluster}\nnode.id=1\ndirectory.id={DIRECTORY_ID}\n"),
    )?;
    std::fs::write(folder.join(CONFIGURATION), properties(ports))?;
    Ok(cluster)
}

/// Writes the node's configuration. Kafka hands each client the advertised address of the listener it came
/// in by: hence one listener for each proxied link, which advertises that proxy's port. After a kill, a
/// node may register again only when its earlier life's session is over: with Kafka's default of 9 s, a
/// restart would take 12.
fn properties(ports: KafkaPorts) -> String {
    let controller = ports.controller;
    let list = |of: fn((&str, u16, u16)) -> String| -> String {
        let all: Vec<String> = ports.listeners().map(of).collect();
        all.join(",")
    };
    let listeners = list(|(name, port, _)| format!("{name}://127.0.0.1:{port}"));
    let advertised = list(|(name, _, port)| format!("{name}://127.0.0.1:{port}"));
    let protocols = list(|(name, _, _)| format!("{name}:PLAINTEXT"));
    format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={advertised}
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
inter.broker.listener.name=DIRECT
controller.listener.names=CONTROLLER
log.dirs={LOG}
auto.create.topics.enable=false
log.message.timestamp.type=LogAppendTime
log.retention.ms=-1
log.retention.bytes=-1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.min.isr=1
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
"
    )
}

fn arguments(
    jars: &[PathBuf],
    archive: &Path,
    jit: Jit,
    folder: &Path,
    logs: &Path,
) -> Vec<String> {
    let crash_log = logs.join("kafka-server.crash.log");
    let mut arguments = jvm::arguments("512m", &folder.join("tmp"), &crash_log);
    arguments.extend(jit.arguments());
    if archive.is_file() {
        // It halves the start. Where it does not fit the JVM or the jars, the JVM goes on without it.
        arguments.push(format!("-XX:SharedArchiveFile={}", archive.display()));
        arguments.push("-Xlog:cds=off".to_owned());
        arguments.push("-Xlog:cds+dynamic=off".to_owned());
    }
    arguments.extend(["-cp".to_owned(), jvm::class_path(jars)]);
    arguments.push("kafka.Kafka".to_owned());
    arguments.push(CONFIGURATION.to_owned());
    arguments
}

/// Returns Kafka's version from the name of the server's jar: `4.3.1` of `kafka_2.13-4.3.1.jar`. An Err says that
/// there is no such jar.
pub(super) fn version(jars: &[PathBuf]) -> Result<String, String> {
    let names = jars.iter().filter_map(|j| j.file_name()?.to_str());
    let server = names.filter_map(|name| name.strip_prefix("kafka_")?.strip_suffix(".jar"));
    server
        .filter_map(|rest| rest.split_once('-'))
        .map(|(_, version)| version.to_owned())
        .next()
        .ok_or_else(|| "no jar of the server (kafka_2.13-...) among Kafka's jars".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_the_servers_jar() {
        let jars = ["kafka-clients-9.9.9.jar", "kafka_2.13-4.3.1.jar"].map(PathBuf::from);
        assert_eq!(version(&jars).as_deref(), Ok("4.3.1"));
        assert!(version(&jars[..1]).is_err());
    }
}
