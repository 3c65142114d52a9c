//! PostgreSQL, Kafka, Toxiproxy and, where they are wanted, others: started (or found), described, stopped. A stack knows no scenario.

mod beside;
pub mod data_folder;
mod description;
mod docker;
mod environment;
mod eventbridge_server;
pub mod external;
pub mod jvm;
mod kafka_brokers;
mod kafka_client;
mod kafka_description;
mod kafka_leftovers;
mod kafka_mark;
mod kafka_server;
mod kafka_warm_up;
pub mod kept;
pub mod leftovers;
mod listening;
pub mod local;
mod mariadb_client;
mod mariadb_server;
mod nats_client;
mod nats_server;
mod own;
pub mod ports;
mod postgres_client;
mod postgres_description;
mod postgres_leftovers;
mod postgres_lock;
mod postgres_server;
mod postgres_version;
mod rabbitmq_server;
mod redis_client;
mod redis_server;
pub mod tenancy;
mod toxiproxy_server;

use crate::broker::{self, Broker};
use crate::identity::RunKey;
use crate::process::reaper::Duty;
use crate::process::{Child, Stop};
use crate::scenario::{BrokerNode, KafkaCluster, Link, NatsSync, Server, Victim};
pub use docker::{can_be as docker_can_be, is_usable as docker_is_usable};
use futures::FutureExt;
pub use jvm::Jit;
pub use kafka_brokers::leader_of;
use kafka_description::DescribedBroker;
use kafka_leftovers::LeftTopics;
use kafka_mark::GrowingTopic;
use kafka_server::installed as installed_broker;
pub use kafka_warm_up::BRIEF as BRIEF_WARM_UP;
use kept::KeptFolder;
use local::{FirstServers, LocalStack};
pub use own::OwnStack;
use postgres_description::DescribedDatabase;
use postgres_leftovers::{SchemaLook, Schemas};
use postgres_lock::StackLock;
pub use postgres_lock::{KeptLock, Unused};
pub use postgres_server::hot_standby::{HotStandby, Promotion};
use postgres_server::settings::installed as installed_database;
use relays::config::{BrokerKind, DatabaseKind, MariaDbTarget, PostgresTarget};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

/// What the reaper cleans up after a harness that is gone, in this order.
pub const DUTIES: &[Duty] = &[
    Duty::of::<docker::Project>(),
    Duty::of::<data_folder::Abandoned>(),
    Duty::of::<leftovers::Leftover>(),
];

/// A server's clients may notice its end so much sooner than we do.
const END_SEEN_WITHIN: Duration = Duration::from_secs(1);

/// This is the way of one link through Toxiproxy. Addresses are `host:port`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Route {
    /// Where the proxy listens, as Toxiproxy is told.
    pub listen: String,
    /// The proxy forwards to this, as Toxiproxy sees it. For Kafka, it is the listener that advertises `connect`.
    pub upstream: String,
    /// The system under test connects to this.
    pub connect: String,
}

/// What the rest of the harness may know of a stack.
#[derive(Debug, Clone)]
pub struct StackInfo {
    /// This is `local` or `docker` for a stack that was started, `kept` for one that `stack up` started, or `external` for
    /// one that was found.
    pub provider: String,
    /// This leads to PostgreSQL directly, as an administrator.
    pub postgres: PostgresTarget,
    /// Folder of PostgreSQL's Unix socket, where the server is on this machine and has one.
    pub postgres_socket: Option<PathBuf>,
    /// This is PostgreSQL's version without the packager's addition: `15.18`.
    pub postgres_version: String,
    /// These are the brokers that it has.
    pub brokers: BTreeMap<BrokerKind, ServerInfo>,
    /// Where its Kafka is several brokers, each has its `host:port` here, around all proxies.
    pub broker_nodes: BTreeMap<BrokerNode, String>,
    /// A topic that is made on its Kafka has so many replicas.
    pub topic_replicas: i32,
    /// This is the address of Toxiproxy's admin API, as `http://host:port`.
    pub toxiproxy_url: String,
    /// This is Toxiproxy's version, as its admin API says it.
    pub toxiproxy_version: String,
    /// This is the Redis that is the cache, where the stack has one.
    pub redis: Option<ServerInfo>,
    /// This is MariaDB, where some strategy has it.
    pub mariadb: Option<MariaDbInfo>,
    /// Each link has its route here; those to a cache only where there is one.
    pub routes: BTreeMap<Link, Route>,
    /// These settings say how durable the servers are, and the like (`fsync`, `synchronous_commit`, replication
    /// factor, cores, ...).
    pub environment: BTreeMap<String, String>,
}

impl StackInfo {
    /// Returns Kafka, where the stack has one.
    pub fn kafka(&self) -> Option<&ServerInfo> {
        self.brokers.get(&BrokerKind::Kafka)
    }

    /// Returns a broker, to be asked around all proxies; `None` where the stack has none of that kind.
    pub fn broker(&self, kind: BrokerKind) -> Option<Arc<dyn Broker>> {
        let address = &self.brokers.get(&kind)?.address;
        Some(broker::at(kind, address))
    }

    /// Returns a server that it has; `None` for PostgreSQL, which is described by itself.
    pub fn server(&self, server: Server) -> Option<&ServerInfo> {
        match server {
            Server::Database(DatabaseKind::Postgres) => None,
            Server::Database(DatabaseKind::MariaDb) => {
                self.mariadb.as_ref().map(|known| &known.server)
            }
            Server::Broker(kind) => self.brokers.get(&kind),
            Server::Redis => self.redis.as_ref(),
            // They are described together, as Kafka.
            Server::BrokerNode(_) => None,
        }
    }
}

/// What may be known of MariaDB.
#[derive(Debug, Clone)]
pub struct MariaDbInfo {
    /// This is the server.
    pub server: ServerInfo,
    /// This leads to it directly, as an administrator.
    pub admin: MariaDbTarget,
}

/// What may be known of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerInfo {
    /// This is its `host:port`, around all proxies; of Kafka, that of its direct listener.
    pub address: String,
    /// This is its version: as it says it, as the stack file gives it, or that of a local stack's jars.
    pub version: String,
}

/// This is a failure of the stack, for which the harness ends with exit code 4.
#[derive(Debug, Error)]
#[error("the stack failed: {doing}: {reason}")]
pub struct StackError {
    /// What was being done.
    pub doing: String,
    /// Why it failed and what to do about it.
    pub reason: String,
}

/// What servers of our own can be asked to be, beyond their usual settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Whether every commit waits for a standby that flushes the log.
    pub synchronous_standby: bool,
    /// Whether a second PostgreSQL follows the first, and can take its place.
    pub hot_standby: bool,
    /// So much log, in bytes, is kept for a slot at most; `None`: however much it takes.
    pub max_slot_wal_keep_bytes: Option<u64>,
    /// These are there, PostgreSQL and Toxiproxy aside, which always are.
    pub servers: BTreeSet<Server>,
    /// So often, in seconds, it looks for tables to vacuum; `None`: as often as it does by itself.
    pub autovacuum_naptime_s: Option<u64>,
    /// When what a NATS server acknowledges is on its disk.
    pub nats_sync: NatsSync,
    /// Of so many events the emulator of EventBridge refuses one for now; `None`: it refuses none.
    pub eventbridge_throttle: Option<u32>,
    /// Of how many brokers its Kafka is, where it has one.
    pub kafka: KafkaCluster,
}

impl ServerSettings {
    /// What a stack has on which anything may be run that needs no other broker: Kafka, and a cache where one can be.
    pub fn usual(programs: &Path) -> Self {
        let cache = is_installed(Server::Redis, programs).then_some(Server::Redis);
        Self {
            servers: [Server::KAFKA].into_iter().chain(cache).collect(),
            ..Self::default()
        }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            synchronous_standby: false,
            hot_standby: false,
            max_slot_wal_keep_bytes: None,
            servers: BTreeSet::from([Server::KAFKA]),
            autovacuum_naptime_s: None,
            nats_sync: NatsSync::default(),
            eventbridge_throttle: None,
            kafka: KafkaCluster::default(),
        }
    }
}

/// This says which stack is started, or found, and with what.
#[derive(Debug, Clone)]
pub enum Provider {
    /// The servers are child processes on free ports, with their data under this folder.
    Local {
        /// This is the run's data folder (made, and removed when the stack stops).
        data: PathBuf,
        /// The servers' logs go to this folder (kept).
        logs: PathBuf,
        /// The install script put Kafka's jars, Toxiproxy and Debezium here (`.stack` of the checkout).
        programs: PathBuf,
        /// The broker's JVM compiles with this.
        jit: Jit,
        /// The servers are to be like this.
        settings: ServerSettings,
    },
    /// The servers are containers on free ports, of the image that `make images` builds.
    Docker {
        /// This is the run's data folder (made, and removed when the stack stops).
        data: PathBuf,
        /// The servers' logs go to this folder (kept).
        logs: PathBuf,
        /// The same folder as for `Local`, where it is known: Debezium is a process of ours on any stack.
        programs: Option<PathBuf>,
        /// The broker's JVM compiles with this.
        jit: Jit,
        /// The servers are to be like this, as far as the image can.
        settings: ServerSettings,
    },
    /// The servers run already, and this TOML file describes them (see `external.toml`).
    External {
        /// This is the path of the stack file.
        file: PathBuf,
        /// The same folder as for `Local`, where it is known: Debezium is a process of ours on any
        /// stack.
        programs: Option<PathBuf>,
    },
    /// The servers were started by `stack up`, and are kept in this folder.
    Kept {
        /// This is the folder, and what is in it.
        folder: KeptFolder,
    },
}

/// A path as one word of a shell's command line, for lines that are there to be copied.
pub fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,@%=".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Whether the install script was asked for what this server needs, into this folder.
pub fn is_installed(server: Server, programs: &Path) -> bool {
    beside::is_installed(server, programs)
}

/// Says what is lacking of PostgreSQL, Kafka and Toxiproxy for a local stack, with the install script's folder.
pub fn local_is_installed(programs: &Path) -> Result<(), String> {
    postgres_server::are_installed()?;
    jvm::jars(&programs.join(kafka_server::JARS)).map(drop)?;
    jvm::find_java().map(drop)?;
    toxiproxy_server::program(programs).map(drop)
}

/// Whether the install script was asked for what a cache needs, into this folder.
pub fn cache_is_installed(programs: &Path) -> bool {
    is_installed(Server::Redis, programs)
}

/// Says what is lacking of PostgreSQL for a hot standby, with the install script's folder: it may have brought a newer one.
pub async fn hot_standby_can_be(programs: &Path) -> Result<(), String> {
    let oldest = postgres_server::OldestServer {
        wanted: Some(postgres_server::hot_standby::WANTED),
        brought: programs,
    };
    postgres_server::find_server(&oldest).await.map(drop)
}

/// Where a program of the PostgreSQL installation is, e.g. `pgbench`.
pub async fn postgres_program(name: &str) -> Result<PathBuf, StackError> {
    let folder = postgres_server::find_programs(&[name]).await;
    folder
        .map(|folder| folder.join(name))
        .map_err(|reason| StackError {
            doing: format!("find {name}"),
            reason,
        })
}

/// A stack that is up.
pub enum Stack {
    /// Its servers are the harness's own.
    Own(Box<dyn OwnStack>),
    /// Its servers are not this process's, and were running already: somebody else's, or those of a kept stack.
    External(Box<external::ExternalStack>),
}

impl Stack {
    /// Starts or finds it; returns when all servers answer.
    pub async fn start(
        provider: Provider,
        reaper: &std::sync::Arc<crate::process::reaper::Reaper>,
    ) -> Result<Self, StackError> {
        match provider {
            Provider::Local {
                data,
                logs,
                programs,
                jit,
                settings,
            } => {
                for server in &settings.servers {
                    beside::must_be_installed(*server, &programs)?;
                }
                if settings.hot_standby {
                    let can_be = hot_standby_can_be(&programs).await;
                    can_be.map_err(|reason| StackError {
                        doing: "start PostgreSQL".into(),
                        reason,
                    })?;
                }
                let kafka = settings.servers.contains(&Server::KAFKA).then_some(jit);
                let alone = kafka.filter(|_| settings.kafka.brokers == 1);
                let first = FirstServers {
                    programs: &programs,
                    hot_standby: settings.hot_standby,
                    jit: alone,
                };
                let mut local = LocalStack::start((&data, &logs), first, reaper).await?;
                if let (Some(jit), None) = (kafka, alone) {
                    local.add_kafka(settings.kafka, jit, &logs, reaper).await?;
                }
                if settings.synchronous_standby {
                    local.add_standby(&logs, reaper).await?;
                }
                if let Some(bytes) = settings.max_slot_wal_keep_bytes {
                    local.limit_slots(bytes).await?;
                }
                for kind in settings
                    .servers
                    .iter()
                    .filter_map(|server| beside::kind(*server))
                {
                    local.add(kind, &logs, &settings, reaper).await?;
                }
                if let Some(naptime_s) = settings.autovacuum_naptime_s {
                    local.vacuum_every(naptime_s).await?;
                }
                // With all that PostgreSQL was told.
                if settings.hot_standby {
                    local.add_hot_standby(&logs, reaper).await?;
                }
                Ok(Self::Own(Box::new(local)))
            }
            Provider::Docker {
                data,
                logs,
                programs,
                jit,
                settings,
            } => {
                let places = (data.as_path(), logs.as_path(), programs);
                let docker = docker::DockerStack::start(places, jit, &settings, reaper).await?;
                Ok(Self::Own(Box::new(docker)))
            }
            Provider::External { file, programs } => {
                let external = external::ExternalStack::find(&file, programs, reaper).await?;
                Ok(Self::External(Box::new(external)))
            }
            Provider::Kept { folder } => {
                let kept = external::ExternalStack::find_kept(&folder, reaper).await?;
                Ok(Self::External(Box::new(kept)))
            }
        }
    }

    /// Returns what the rest of the harness may know of it: addresses, versions, routes, settings.
    pub fn info(&self) -> &StackInfo {
        match self {
            Self::Own(own) => own.info(),
            Self::External(external) => external.info(),
        }
    }

    /// Where the install script put what a strategy may need beyond the servers, if it is known.
    pub fn programs(&self) -> Option<&Path> {
        match self {
            Self::Own(own) => own.programs(),
            Self::External(external) => external.programs(),
        }
    }

    /// What was cleaned up to get here: leftovers of dead runs on an external stack.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Own(_) => &[],
            Self::External(external) => external.notes(),
        }
    }

    /// Returns a key for a run on it. Where others may meet what is made with its name, the name says whose it
    /// is, so that no other harness sweeps it away.
    pub fn run_key(&self) -> RunKey {
        match self {
            Self::Own(_) => RunKey::random(),
            Self::External(external) => RunKey::below(external.tenant()),
        }
    }

    /// The note for [`Reaper::note`](crate::process::reaper::Reaper::note),
    /// given before these things are made; `None` on a stack that is stopped with the run.
    pub fn leftover(
        &self,
        layout: &str,
        topics: &[String],
        proxies: &[String],
    ) -> Option<leftovers::Leftover> {
        match self {
            Self::Own(_) => None,
            Self::External(external) => Some(external.leftover(layout, topics, proxies)),
        }
    }

    /// The server process, where it is ours to kill (`None` on an external stack).
    pub fn server(&self, victim: Victim) -> Option<&Child> {
        match self {
            Self::Own(own) => own.server(victim),
            Self::External(_) => None,
        }
    }

    /// How that server is told to end; `None` where [`Stack::server`] is.
    pub fn stop_of_server(&self, victim: Victim) -> Option<Stop> {
        match self {
            Self::Own(own) => own.stop_of_server(victim),
            Self::External(_) => None,
        }
    }

    /// Returns the server that can take PostgreSQL's place, where there is one.
    pub fn hot_standby(&self) -> Option<&Arc<HotStandby>> {
        match self {
            Self::Own(own) => own.hot_standby(),
            Self::External(_) => None,
        }
    }

    /// Has every server again that a strategy begins with: what took another one's place is missing at its own.
    pub async fn make_whole(&self) -> Result<(), StackError> {
        match self.hot_standby() {
            Some(standby) => standby.follow_again().await,
            None => Ok(()),
        }
    }

    /// Returns the cache; an Err says why this stack has none.
    pub fn cache(&self) -> Result<&ServerInfo, StackError> {
        let reason = match self {
            Self::Own(_) => "it was started without",
            Self::External(external) if external.is_kept() => {
                "it was started without: `stack/install.sh redis`, then `stack down` and `stack up`"
            }
            Self::External(_) => {
                "the stack file names none: it takes [redis] address = \"HOST:PORT\", and \
                 [link.\"orders->redis\"] and [link.\"relay->redis\"] as the other links have them"
            }
        };
        self.info().redis.as_ref().ok_or_else(|| StackError {
            doing: "find the Redis that the scenario's cache needs".into(),
            reason: reason.into(),
        })
    }

    /// Returns a broker; an Err says why this stack has none of that kind.
    pub fn broker_info(&self, kind: BrokerKind) -> Result<&ServerInfo, StackError> {
        let known = self.info().brokers.get(&kind);
        known.ok_or_else(|| self.lacks(kind.title(), BrokerKind::Kafka.title()))
    }

    /// Says that it has no such server; one that is not started for the scenario has another one alone.
    fn lacks(&self, title: &str, alone: &str) -> StackError {
        StackError {
            doing: format!("find the {title} that the scenario needs"),
            reason: match self {
                Self::Own(_) => "it was started without".to_owned(),
                Self::External(_) => format!(
                    "a stack that is kept, or that runs already, has {alone} alone: run this scenario on a stack \
                     of its own, which is started without `--stack`"
                ),
            },
        }
    }

    /// Returns MariaDB, as its administrator reaches it around all proxies; an Err says that the stack has none.
    pub fn mariadb(&self) -> Result<&MariaDbTarget, StackError> {
        let (own, usual) = (DatabaseKind::MariaDb, DatabaseKind::USUAL);
        let known = self.info().mariadb.as_ref();
        let known = known.ok_or_else(|| self.lacks(own.title(), usual.title()))?;
        Ok(&known.admin)
    }

    /// Returns Toxiproxy's process, where it is ours to restart (`None` on an external stack).
    pub fn toxiproxy(&self) -> Option<&Child> {
        match self {
            Self::Own(own) => Some(own.toxiproxy()),
            Self::External(_) => None,
        }
    }

    /// Waits until a server of ours ends that nobody told to; on an external stack, whose servers are
    /// not ours to watch, until it is not ours alone any more.
    pub async fn ends_by_itself(&self) -> StackError {
        match self {
            Self::Own(own) => {
                let children = own.children().into_iter();
                let ends = children.map(|child| child.ends_by_itself().boxed_local());
                let (end, ..) = futures::future::select_all(ends).await;
                StackError {
                    doing: format!("{} was to {}", end.name, end.doing),
                    reason: format!("{}{}", end.reason, end.tail),
                }
            }
            Self::External(external) => external.is_lost().await,
        }
    }

    /// Tells, asked when something failed, whether the stack is the reason; `None` where it is not.
    pub async fn failure(&self) -> Option<StackError> {
        match self {
            Self::Own(_) => tokio::time::timeout(END_SEEN_WITHIN, self.ends_by_itself())
                .await
                .ok(),
            Self::External(external) => external.failure().await,
        }
    }

    /// Stops everything of ours and removes its data folder.
    pub async fn stop(self) -> Result<(), StackError> {
        match self {
            Self::Own(own) => own.stop().await,
            Self::External(external) => external.leave().await,
        }
    }

    /// Leaves it running after this process ends (`--keep-stack`); returns the lines that say how
    /// to connect and how to stop it.
    pub async fn keep(self) -> Result<Vec<String>, StackError> {
        match self {
            Self::Own(own) => own.keep(),
            // It was running before; there is nothing to keep.
            Self::External(external) => external.leave().await.map(|()| Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell_whatever_is_in_it() {
        let shown = |text: &str| shell_word(Path::new(text));
        assert_eq!(shown("/tmp/a,b-1.2"), "/tmp/a,b-1.2");
        assert_eq!(shown("/tmp/prüf ung"), "'/tmp/prüf ung'");
        assert_eq!(shown("/it's; rm -rf $HOME"), r"'/it'\''s; rm -rf $HOME'");
        assert_eq!(shown(""), "''");
    }
}
