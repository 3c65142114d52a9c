//! A broker of an Apache Kafka of our own, alone or one of several: KRaft, a client listener for the referee and one for
//! each link.

use super::kafka_client::{self, Topics};
use super::{Jit, ServerInfo, StackError, jvm};
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec, Ready, Stop};
use crate::scenario::{BrokerNode, Instance, KafkaCluster};
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
/// These ids name each node's only log folder, in KRaft's own form: 16 bytes in base64.
const DIRECTORY_IDS: [&str; BrokerNode::MOST] = [
    "b3V0Ym94LWhhcm5lc3M0Mg",
    "b3V0Ym94LWhhcm5lc3M0Mw",
    "b3V0Ym94LWhhcm5lc3M0NA",
];
/// The heap of one that is alone, and of one of several.
const HEAPS: [&str; 2] = ["512m", "256m"];

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    pub(super) fn listeners(&self) -> impl Iterator<Item = (&'static str, u16, u16)> {
        let direct = ("DIRECT", self.direct, self.direct);
        let of_links = LISTENERS.into_iter().zip(self.links);
        let of_links = of_links.map(|(name, (port, advertised))| (name, port, advertised));
        std::iter::once(direct).chain(of_links)
    }
}

/// Which node of which Kafka one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// It is this one of them.
    pub(super) node: BrokerNode,
    /// All of them share this id.
    pub(super) cluster: String,
    /// These are the controllers' ports of all nodes, in their order.
    pub(super) controllers: Vec<u16>,
    /// So its topics are replicated.
    pub(super) settings: KafkaCluster,
}

impl Member {
    /// One that is alone, whose controller is on this port.
    fn alone(controller: u16) -> Self {
        Self {
            node: BrokerNode::ALL[0],
            cluster: new_cluster(),
            controllers: vec![controller],
            settings: KafkaCluster::default(),
        }
    }

    fn is_alone(&self) -> bool {
        self.settings.brokers == 1
    }

    /// Returns what is put behind the names of its folder, its log and its process.
    fn suffix(&self) -> String {
        match self.is_alone() {
            true => String::new(),
            false => format!("-{}", self.node.id()),
        }
    }

    /// Returns the name of its process.
    fn process(&self) -> String {
        format!("kafka-server{}", self.suffix())
    }

    fn heap(&self) -> &'static str {
        HEAPS[usize::from(!self.is_alone())]
    }

    /// Writes what several have to say beside what one alone says: when one that is silent counts as gone, and how topics
    /// are replicated that do not say it themselves.
    fn properties(&self) -> String {
        if self.is_alone() {
            return String::new();
        }
        let KafkaCluster {
            replication,
            min_insync_replicas,
            ..
        } = self.settings;
        format!(
            "\
controller.quorum.fetch.timeout.ms=2000
default.replication.factor={replication}
min.insync.replicas={min_insync_replicas}
"
        )
    }
}

/// Returns an id for a Kafka that is made anew.
pub(super) fn new_cluster() -> String {
    let cluster = uuid::Uuid::new_v4().simple().to_string();
    cluster[..22].to_owned()
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
            Some(jit) => {
                let member = Member::alone(ports.controller);
                let started = Self::start(&member, (data, logs, programs), ports, jit, reaper);
                started.await.map(Some)
            }
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
        member: &Member,
        (data, logs, programs): (&Path, &Path, &Path),
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
        let folder = data.join(format!("kafka{}", member.suffix()));
        format(&folder, member, ports).map_err(|e| failed(e.to_string()))?;
        let (process, cluster) = (member.process(), member.cluster.clone());
        let spec = ChildSpec {
            name: process.clone(),
            program: java.clone(),
            args: arguments(
                member,
                &jars,
                &programs.join(CLASS_ARCHIVE),
                jit,
                (&folder, logs),
            ),
            env: Vec::new(),
            user: None,
            folder: Some(folder),
            log: logs.join(format!("{process}.log")),
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

/// Each listener knows this cluster and advertises what it is to advertise: itself, among others that are there; or an
/// error says which does not.
pub(super) async fn all_listeners_answer(ports: KafkaPorts, cluster: &str) -> Result<(), String> {
    let address = |port: u16| format!("127.0.0.1:{port}");
    for (_, port, advertised) in ports.listeners() {
        let said = kafka_client::describe(&address(port), Topics::None).await?;
        if said.id != cluster || !said.advertised.contains(&address(advertised)) {
            return Err(format!(
                "at {} cluster {} advertises {}",
                address(port),
                said.id,
                said.advertised.join(", ")
            ));
        }
    }
    Ok(())
}

/// What `kafka-storage.sh format` would write, without a JVM of its own for it: the log folder's
/// identity. The cluster's features are then the broker version's defaults.
fn format(folder: &Path, member: &Member, ports: KafkaPorts) -> std::io::Result<()> {
    let log = folder.join(LOG);
    std::fs::create_dir_all(&log)?;
    std::fs::create_dir_all(folder.join("tmp"))?;
    let (cluster, id) = (&member.cluster, member.node.id());
    let directory = DIRECTORY_IDS[member.node.index()];
    std::fs::write(
        log.join("meta.properties"),
        format!("version=1\ncluster.id={cluster}\nnode.id={id}\ndirectory.id={directory}\n"),
    )?;
    std::fs::write(folder.join(CONFIGURATION), properties(member, ports))
}

/// Writes the node's configuration. Kafka hands each client the advertised address of the listener it came
/// in by: hence one listener for each proxied link, which advertises that proxy's port. After a kill, a
/// node may register again only when its earlier life's session is over: with Kafka's default of 9 s, a
/// restart would take 12.
fn properties(member: &Member, ports: KafkaPorts) -> String {
    let (controller, id) = (ports.controller, member.node.id());
    let voters = (1..).zip(&member.controllers);
    let voters = voters.map(|(id, port)| format!("{id}@127.0.0.1:{port}"));
    let voters = voters.collect::<Vec<_>>().join(",");
    let KafkaCluster {
        replication,
        min_insync_replicas,
        ..
    } = member.settings;
    let of_several = member.properties();
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
node.id={id}
controller.quorum.voters={voters}
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
offsets.topic.replication.factor={replication}
offsets.topic.num.partitions=1
transaction.state.log.replication.factor={replication}
transaction.state.log.num.partitions=1
transaction.state.log.min.isr={min_insync_replicas}
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor={replication}
share.coordinator.state.topic.min.isr={min_insync_replicas}
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.network.threads=2
num.io.threads=4
{of_several}"
    )
}

fn arguments(
    member: &Member,
    jars: &[PathBuf],
    archive: &Path,
    jit: Jit,
    (folder, logs): (&Path, &Path),
) -> Vec<String> {
    let crash_log = logs.join(format!("{}.crash.log", member.process()));
    let mut arguments = jvm::arguments(member.heap(), &folder.join("tmp"), &crash_log);
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

/// Returns the version that is installed in the install script's folder, by the name of a jar; `None` where that cannot be
/// told.
pub(super) fn installed(programs: &Path) -> Option<String> {
    let jars = jvm::jars(&programs.join(JARS)).ok()?;
    version(&jars).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(first: u16) -> KafkaPorts {
        KafkaPorts {
            direct: first,
            controller: first + 1,
            links: [(first + 2, first + 3); LINKS],
        }
    }

    #[test]
    fn given_a_node_that_is_alone_or_one_of_three_then_its_settings_are_those() {
        let alone = properties(&Member::alone(21_001), ports(21_000));
        for line in [
            "node.id=1",
            "controller.quorum.voters=1@127.0.0.1:21001",
            "offsets.topic.replication.factor=1",
            "transaction.state.log.min.isr=1",
        ] {
            assert!(alone.lines().any(|l| l == line), "{line}\n{alone}");
        }
        assert!(!alone.contains("min.insync.replicas"), "{alone}");
        let third = Member {
            node: BrokerNode::ALL[2],
            cluster: new_cluster(),
            controllers: vec![21_001, 22_001, 23_001],
            settings: KafkaCluster {
                brokers: 3,
                replication: 3,
                min_insync_replicas: 2,
            },
        };
        let of_three = properties(&third, ports(23_000));
        for line in [
            "node.id=3",
            "controller.quorum.voters=1@127.0.0.1:21001,2@127.0.0.1:22001,3@127.0.0.1:23001",
            "default.replication.factor=3",
            "min.insync.replicas=2",
            "offsets.topic.replication.factor=3",
            "transaction.state.log.min.isr=2",
        ] {
            assert!(of_three.lines().any(|l| l == line), "{line}\n{of_three}");
        }
        assert_eq!(third.process(), "kafka-server-3");
    }

    #[test]
    fn given_the_image_then_its_kafka_has_every_setting_of_a_local_one() {
        let script = include_str!("../../../../stack/serve.sh");
        let own = properties(&Member::alone(21_001), ports(21_000));
        for line in own.lines() {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            // Those with ports in them are made of what the image is told.
            let expected = match value.contains("21001") || value.contains("DIRECT:") {
                true => format!("{key}="),
                false => line.to_owned(),
            };
            let is_there = script.lines().any(|l| match expected.ends_with('=') {
                true => l.starts_with(&expected),
                false => l == expected,
            });
            assert!(is_there, "{line}");
        }
        let jvm = jvm::arguments(HEAPS[0], Path::new("t"), Path::new("c"));
        let of_folders = |argument: &&String| argument.ends_with("=t") || argument.ends_with("=c");
        for argument in jvm.iter().filter(|argument| !of_folders(argument)) {
            let plain = argument.replace("yyyy-MM-dd'T'HH:mm:ss.SSS", "");
            assert!(script.contains(&plain), "{argument}");
        }
    }

    #[test]
    fn the_version_is_read_from_the_servers_jar() {
        let jars = ["kafka-clients-9.9.9.jar", "kafka_2.13-4.3.1.jar"].map(PathBuf::from);
        assert_eq!(version(&jars).as_deref(), Ok("4.3.1"));
        assert!(version(&jars[..1]).is_err());
    }
}
