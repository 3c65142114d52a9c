//! Provider `local`: PostgreSQL, Kafka (KRaft), Toxiproxy and, where it is wanted, Redis as child processes on free ports.

use super::beside::{self, BesideKind, BesideServer};
use super::data_folder::DataFolder;
use super::kafka_brokers::KafkaBrokers;
use super::kafka_server::{KafkaPorts, KafkaServer, LINKS};
use super::kept::state::{KeptServer, KeptState};
use super::listening::Tries;
use super::own::OwnStack;
use super::ports::Reserved;
use super::postgres_server::{
    OldestServer, PostgresServer, autovacuum, hot_standby, slot_limit, standby,
};
use super::toxiproxy_server::ToxiproxyServer;
use super::{
    HotStandby, Jit, MariaDbInfo, Route, ServerInfo, ServerSettings, StackError, StackInfo,
    environment, kafka_server, mariadb_server, ports, postgres_server,
};
use crate::process::reaper::Reaper;
use crate::process::{Child, Stop, tree};
use crate::scenario::{BrokerNode, Instance, KafkaCluster, Link, Server, Victim};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use nix::sys::signal::Signal;
use relays::config::{BrokerKind, DatabaseKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// PostgreSQL's immediate shutdown takes some milliseconds.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// So many ports are the servers' own: PostgreSQL, Toxiproxy, Kafka for the referee, Kafka's controller.
const OF_SERVERS: usize = 4;
/// One stack takes so many ports: those, Kafka's listeners for links, and the proxies' of all links.
const PORTS: usize = OF_SERVERS + LINKS + WAYS;
/// So many links have a proxy whose port is among those: all but those to one of several brokers, which have their own.
const WAYS: usize =
    (Server::ALL.len() - BrokerNode::MOST) * (1 + Instance::MOST) + Link::OF_CONSUMERS.len();

/// PostgreSQL and Toxiproxy, and Kafka, PostgreSQL's standby and other servers where there are any.
pub struct LocalStack {
    info: StackInfo,
    programs: PathBuf,
    // In this order: servers first, then their data.
    standby: Option<Child>,
    hot_standby: Option<Arc<HotStandby>>,
    postgres: PostgresServer,
    kafka: Option<KafkaServer>,
    brokers: Option<KafkaBrokers>,
    toxiproxy: ToxiproxyServer,
    beside: Vec<BesideServer>,
    hot_standby_data: Option<DataFolder>,
    data: DataFolder,
    // Also between a server's death and its restart, and while a fault has a proxy closed.
    ports: Reserved<PORTS>,
}

/// What is started first of a local stack.
#[derive(Debug, Clone, Copy)]
pub struct FirstServers<'a> {
    /// The install script's folder.
    pub programs: &'a Path,
    /// Whether PostgreSQL is to be one that can have a hot standby.
    pub hot_standby: bool,
    /// How much Kafka's JVM compiles; without it there is no Kafka.
    pub jit: Option<Jit>,
}

impl LocalStack {
    /// Starts all three at once; returns when all answer.
    pub async fn start(
        places: (&Path, &Path),
        servers: FirstServers<'_>,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        Self::start_on(places, servers, reaper, ports::reserve).await
    }

    /// Does as [`LocalStack::start`], with ports of the caller's own, which `reserve` gives for each try.
    pub async fn start_on(
        places: (&Path, &Path),
        servers: FirstServers<'_>,
        reaper: &Arc<Reaper>,
        reserve: impl Fn() -> Result<Reserved<PORTS>, String>,
    ) -> Result<Self, StackError> {
        let mut tries = Tries::first();
        loop {
            let ports = reserve().map_err(|reason| StackError {
                doing: "choose ports".into(),
                reason,
            })?;
            let numbers = ports.numbers;
            match Self::try_start(places, servers, reaper, ports).await {
                Err(e) if tries.once_more(&e, &numbers) => {}
                result => return result,
            }
        }
    }

    async fn try_start(
        (data, logs): (&Path, &Path),
        FirstServers {
            programs,
            hot_standby,
            jit,
        }: FirstServers<'_>,
        reaper: &Arc<Reaper>,
        ports: Reserved<PORTS>,
    ) -> Result<Self, StackError> {
        // Kafka's class archive is bound to the jars' full paths.
        let programs = &std::fs::canonicalize(programs).unwrap_or_else(|_| programs.to_owned());
        let folder = DataFolder::make(data, None, reaper).map_err(|reason| StackError {
            doing: "start the local stack".into(),
            reason,
        })?;
        let [postgres, admin, direct, controller, of_links @ ..] = ports.numbers;
        let (listeners, proxies) = of_links.split_at(LINKS);
        // Each link with its proxy's port and the server's behind it.
        let mut free = listeners.iter();
        let ways: Vec<(Link, u16, u16)> = ways()
            .zip(proxies)
            .filter_map(|(link, proxy)| match link.server() {
                Server::POSTGRES => Some((link, *proxy, postgres)),
                Server::KAFKA => Some((link, *proxy, *free.next()?)),
                // Theirs lead nowhere before they are there.
                _ => None,
            })
            .collect();
        let mut links = [(0, 0); LINKS];
        let to_kafka = ways
            .iter()
            .filter(|(link, ..)| link.server() == Server::KAFKA);
        for (place, (_, proxy, listener)) in links.iter_mut().zip(to_kafka) {
            *place = (*listener, *proxy);
        }
        let kafka = KafkaPorts {
            direct,
            controller,
            links,
        };
        let oldest = OldestServer {
            wanted: hot_standby.then_some(hot_standby::WANTED),
            brought: programs,
        };
        let started = futures::join!(
            PostgresServer::start((folder.path(), logs), &oldest, postgres, reaper),
            KafkaServer::start_if(jit, folder.path(), logs, programs, kafka, reaper),
            ToxiproxyServer::start(logs, programs, admin, reaper),
        );
        // Were one failure returned at once, the others' starts would be cut off half way.
        let (postgres_server, kafka_server, toxiproxy_server) =
            (started.0?, started.1?, started.2?);
        let mut info = StackInfo {
            provider: "local".into(),
            postgres: postgres_server.target.clone(),
            postgres_socket: postgres_server.socket.clone(),
            postgres_version: String::new(),
            brokers: kafka_server
                .iter()
                .map(|kafka| (BrokerKind::Kafka, kafka.info(direct)))
                .collect(),
            broker_nodes: BTreeMap::new(),
            topic_replicas: 1,
            toxiproxy_url: toxiproxy_server.url.clone(),
            toxiproxy_version: toxiproxy_server.version.clone(),
            redis: None,
            mariadb: None,
            routes: ways
                .into_iter()
                .map(|(link, l, u)| (link, route(l, u)))
                .collect(),
            environment: environment::of_this_machine(),
        };
        if let Some(kafka) = &kafka_server {
            info.environment.insert("jvm".into(), kafka.jvm.clone());
        } else {
            info.routes.retain(|link, _| link.server() != Server::KAFKA);
        }
        environment::of_the_servers(&mut info).await?;
        Ok(Self {
            info,
            programs: programs.clone(),
            standby: None,
            hot_standby: None,
            postgres: postgres_server,
            kafka: kafka_server,
            brokers: None,
            toxiproxy: toxiproxy_server,
            beside: Vec::new(),
            hot_standby_data: None,
            data: folder,
            ports,
        })
    }

    /// Has every commit of its PostgreSQL wait for a standby from now on.
    pub async fn add_standby(
        &mut self,
        logs: &Path,
        reaper: &Arc<Reaper>,
    ) -> Result<(), StackError> {
        self.standby = Some(standby::start(&self.postgres, logs, reaper).await?);
        let mode = standby::COMMIT_MODE.to_owned();
        let environment = &mut self.info.environment;
        environment.insert("synchronous_commit".into(), mode);
        Ok(())
    }

    /// Has a second PostgreSQL follow the first, which is told all that it is to be told before.
    pub async fn add_hot_standby(
        &mut self,
        logs: &Path,
        reaper: &Arc<Reaper>,
    ) -> Result<(), StackError> {
        let places = (self.data.path(), logs);
        let (standby, folder) = HotStandby::start(&self.postgres, places, reaper).await?;
        self.hot_standby = Some(Arc::new(standby));
        self.hot_standby_data = Some(folder);
        let mode = hot_standby::COMMIT_MODE.to_owned();
        let environment = &mut self.info.environment;
        environment.insert("synchronous_commit".into(), mode);
        Ok(())
    }

    /// Has PostgreSQL keep no more log than this for a slot, in bytes; the record says so.
    pub async fn limit_slots(&mut self, bytes: u64) -> Result<(), StackError> {
        slot_limit::set(&mut self.info, bytes).await
    }

    /// Starts a Kafka of several brokers beside the others, with the routes of the links to each.
    pub(super) async fn add_kafka(
        &mut self,
        settings: KafkaCluster,
        jit: Jit,
        logs: &Path,
        reaper: &Arc<Reaper>,
    ) -> Result<(), StackError> {
        let places = (self.data.path(), logs, self.programs.as_path());
        let brokers = KafkaBrokers::start(settings, places, jit, reaper).await?;
        let info = &mut self.info;
        info.broker_nodes = brokers.addresses();
        info.topic_replicas = i32::from(settings.replication);
        let addresses: Vec<String> = info.broker_nodes.values().cloned().collect();
        let (version, jvm) = brokers.versions();
        let known = ServerInfo {
            address: addresses.join(","),
            version,
        };
        info.brokers.insert(BrokerKind::Kafka, known);
        let routes = brokers.ways();
        let routes = routes.map(|(link, proxy, listener)| (link, route(proxy, listener)));
        info.routes.extend(routes);
        for (name, value) in [
            ("jvm", jvm),
            ("kafka_acks", "all".to_owned()),
            ("kafka_brokers", settings.brokers.to_string()),
            ("replication_factor", settings.replication.to_string()),
            (
                "min_insync_replicas",
                settings.min_insync_replicas.to_string(),
            ),
        ] {
            info.environment.insert(name.to_owned(), value);
        }
        self.brokers = Some(brokers);
        Ok(())
    }

    /// Starts another server beside the others, with the routes of the links to it.
    pub(super) async fn add(
        &mut self,
        kind: &BesideKind,
        logs: &Path,
        settings: &ServerSettings,
        reaper: &Arc<Reaper>,
    ) -> Result<(), StackError> {
        let places = (self.data.path(), logs, self.programs.as_path());
        let beside = BesideServer::start(kind, places, settings, reaper).await?;
        let [_, _, _, _, of_links @ ..] = self.ports.numbers;
        let (_, proxies) = of_links.split_at(LINKS);
        let ways = ways().zip(proxies);
        let ways = ways.filter(|(link, _)| link.server() == kind.server);
        let routes = ways.map(|(link, proxy)| (link, route(*proxy, beside.port)));
        self.info.routes.extend(routes);
        let info = ServerInfo {
            address: beside.address.clone(),
            version: beside.started.version.clone(),
        };
        match kind.server {
            Server::Broker(broker) => {
                self.info.brokers.insert(broker, info);
            }
            Server::Redis => self.info.redis = Some(info),
            Server::Database(DatabaseKind::MariaDb) => {
                let password = beside.started.password.clone().unwrap_or_default();
                let admin = mariadb_server::administrator(beside.port, password);
                self.info.mariadb = Some(MariaDbInfo {
                    server: info,
                    admin,
                });
            }
            // They are there already.
            Server::Database(DatabaseKind::Postgres) | Server::BrokerNode(_) => {}
        }
        let settings = beside.started.settings.clone();
        self.info.environment.extend(settings);
        self.beside.push(beside);
        Ok(())
    }

    /// Has PostgreSQL look for tables to vacuum so often, in seconds; the record says so.
    pub async fn vacuum_every(&mut self, naptime_s: u64) -> Result<(), StackError> {
        autovacuum::every(&mut self.info, naptime_s).await
    }

    /// Returns every process of it, in the order in which they are named where they are kept.
    fn processes(&self) -> impl Iterator<Item = &Child> {
        let kafka = self.kafka.iter().map(|kafka| &kafka.child);
        let brokers = self.brokers.iter().flat_map(KafkaBrokers::children);
        let first = std::iter::once(&self.postgres.child).chain(kafka);
        let first = first.chain(brokers);
        let beside = self.beside.iter().flat_map(BesideServer::children);
        let hot_standby = self.hot_standby.iter().map(|standby| standby.child());
        first
            .chain([&self.toxiproxy.child])
            .chain(beside)
            .chain(&self.standby)
            .chain(hot_standby)
    }

    /// Whether a process of it is a PostgreSQL server, which holds shared memory.
    fn is_postgres(&self, child: &Child) -> bool {
        let standby = self.hot_standby.iter().map(|standby| standby.child());
        let mut servers = std::iter::once(&self.postgres.child).chain(standby);
        servers.any(|server| std::ptr::eq(server, child))
    }

    /// Stops the servers and removes their data; the logs stay.
    pub async fn stop(self) -> Result<(), StackError> {
        // PostgreSQL gives its shared memory back on an immediate shutdown; the others hold
        // nothing outside the data folder.
        let (databases, others): (Vec<&Child>, Vec<&Child>) =
            self.processes().partition(|child| self.is_postgres(child));
        let databases = databases.into_iter();
        let databases = databases.map(|c| c.terminate_with(Signal::SIGQUIT, STOP_WITHIN));
        let (databases, others) = futures::join!(
            futures::future::join_all(databases),
            futures::future::join_all(others.into_iter().map(Child::kill)),
        );
        let standbys = self.hot_standby_data.map(DataFolder::remove);
        let standbys = standbys.unwrap_or(Ok(()));
        let removed = [standbys, self.postgres.folder.remove(), self.data.remove()];
        let failures: Vec<String> = others
            .into_iter()
            .chain(databases.into_iter().map(|ended| ended.map(drop)))
            .filter_map(|r| r.err().map(|e| e.to_string()))
            .chain(
                removed
                    .into_iter()
                    .filter_map(|r| r.err().map(|e| e.to_string())),
            )
            .collect();
        if failures.is_empty() {
            return Ok(());
        }
        Err(StackError {
            doing: "stop the local stack".into(),
            reason: failures.join("; "),
        })
    }

    /// Adds to what is known of a kept stack what is known of this one, while all its servers live.
    pub fn describe(&self, state: &mut KeptState) {
        let p = &self.info.postgres;
        let postgres = format!("{}:{}", p.host, p.port);
        let info = &self.info;
        let beside = self.beside.iter().map(|beside| {
            let version = &beside.started.version;
            (
                &beside.started.child,
                beside.server.title(),
                version,
                &beside.address,
            )
        });
        let kafka = self.kafka.as_ref().zip(info.kafka());
        let kafka =
            kafka.map(|(kafka, known)| (&kafka.child, "Kafka", &known.version, &known.address));
        let database = (
            &self.postgres.child,
            "PostgreSQL",
            &info.postgres_version,
            &postgres,
        );
        let proxy = (
            &self.toxiproxy.child,
            "Toxiproxy",
            &info.toxiproxy_version,
            &info.toxiproxy_url,
        );
        let servers = std::iter::once(database)
            .chain(kafka)
            .chain([proxy])
            .chain(beside);
        let of = |(child, name, version, address): (&Child, &str, &String, &String)| {
            let process = tree::find(i32::try_from(child.pid()?).ok()?)?;
            Some(KeptServer {
                name: name.to_owned(),
                version: version.clone(),
                address: address.clone(),
                process: process.id,
            })
        };
        state.servers = servers.filter_map(of).collect();
        if let Some(kafka) = &self.kafka {
            state.jvm.clone_from(&kafka.jvm);
        }
        state.database_socket.clone_from(&info.postgres_socket);
        let folders = [self.postgres.folder.path(), self.data.path()];
        state.data = folders.map(Path::to_owned).to_vec();
    }
}

impl OwnStack for LocalStack {
    fn info(&self) -> &StackInfo {
        &self.info
    }

    fn programs(&self) -> Option<&Path> {
        Some(&self.programs)
    }

    fn server(&self, victim: Victim) -> Option<&Child> {
        match victim {
            Victim::POSTGRES => Some(&self.postgres.child),
            Victim::KAFKA => self.kafka.as_ref().map(|kafka| &kafka.child),
            Victim::Server(Server::BrokerNode(node)) => self.brokers.as_ref()?.node(node),
            Victim::Server(server) => {
                let found = self.beside.iter().find(|beside| beside.server == server);
                found.map(|beside| &beside.started.child)
            }
            Victim::OrderService | Victim::Relay(_) | Victim::Consumer(_) => None,
        }
    }

    fn stop_of_server(&self, victim: Victim) -> Option<Stop> {
        match victim {
            Victim::POSTGRES => Some(postgres_server::stop()),
            Victim::Server(Server::KAFKA | Server::BrokerNode(_)) => Some(kafka_server::stop()),
            Victim::Server(server) => beside::kind(server).map(|kind| (kind.stop)()),
            Victim::OrderService | Victim::Relay(_) | Victim::Consumer(_) => None,
        }
    }

    fn hot_standby(&self) -> Option<&Arc<HotStandby>> {
        self.hot_standby.as_ref()
    }

    fn toxiproxy(&self) -> &Child {
        &self.toxiproxy.child
    }

    fn children(&self) -> Vec<&Child> {
        self.processes().collect()
    }

    fn stop(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StackError>> {
        Self::stop(*self).boxed_local()
    }

    fn as_local(&self) -> Option<&LocalStack> {
        Some(self)
    }

    fn keep(mut self: Box<Self>) -> Result<Vec<String>, StackError> {
        let mut kept = self.processes().try_for_each(Child::let_go);
        kept = kept.and_then(|()| self.postgres.folder.keep());
        if let Some(folder) = &mut self.hot_standby_data {
            kept = kept.and_then(|()| folder.keep());
        }
        kept = kept.and_then(|()| self.data.keep());
        kept.map_err(|e| StackError {
            doing: "keep the local stack".into(),
            reason: e.to_string(),
        })?;
        // One that took PostgreSQL's place is not there any more.
        let (databases, others): (Vec<&Child>, Vec<&Child>) =
            self.processes().partition(|child| self.is_postgres(child));
        let [databases, others] = [databases, others].map(|children| {
            let pids = children.iter().filter_map(|c| Some(c.pid()?.to_string()));
            pids.collect::<Vec<_>>().join(" ")
        });
        let brokers = self
            .info
            .brokers
            .iter()
            .map(|(kind, known)| format!("  {:<11} {}", kind.title(), known.address));
        let p = &self.info.postgres;
        let database = format!(
            "  PostgreSQL  psql postgres://{}:{}@{}:{}/{}",
            p.user, p.password, p.host, p.port, p.database
        );
        let mariadb = self.info.mariadb.as_ref().map(|known| {
            let m = &known.admin;
            format!(
                "  MariaDB     mariadb -h {} -P {} -u {} -p{}",
                m.host, m.port, m.user, m.password
            )
        });
        let toxiproxy = format!("  Toxiproxy   {}", self.info.toxiproxy_url);
        let folders = [self.postgres.folder.path(), self.data.path()].into_iter();
        let folders = folders.chain(self.hot_standby_data.iter().map(DataFolder::path));
        let folders = folders.map(super::shell_word);
        // As in `stop`. To a JVM, the signal that PostgreSQL gets would only mean to show its
        // threads.
        let stop = format!(
            "  stop it     kill -QUIT {databases}; kill -KILL {others}; rm -rf {}",
            folders.collect::<Vec<_>>().join(" ")
        );
        let up = ["the stack stays up:".to_owned(), database];
        Ok(up
            .into_iter()
            .chain(mariadb)
            .chain(brokers)
            .chain([toxiproxy, stop])
            .collect())
    }
}

/// Returns the links that have a proxy of the stack's own.
fn ways() -> impl Iterator<Item = Link> {
    let all = Link::ALL.into_iter();
    all.filter(|link| !link.server().is_node())
}

/// Returns the route through the proxy's port, `listen`, which is in front of the server's, `upstream`.
fn route(listen: u16, upstream: u16) -> Route {
    Route {
        listen: format!("127.0.0.1:{listen}"),
        upstream: format!("127.0.0.1:{upstream}"),
        connect: format!("127.0.0.1:{listen}"),
    }
}
