//! Provider `local`: PostgreSQL, Kafka (KRaft), Toxiproxy and, where it is wanted, Redis as child processes on free ports.

use super::data_folder::DataFolder;
use super::kafka_server::{KafkaPorts, KafkaServer, LINKS};
use super::kept::state::{KeptServer, KeptState};
use super::ports::Reserved;
use super::postgres_client;
use super::postgres_server::PostgresServer;
use super::redis_server::RedisServer;
use super::slot_limit;
use super::toxiproxy_server::ToxiproxyServer;
use super::{
    Jit, RedisInfo, Route, StackError, StackInfo, environment, kafka_server, ports,
    postgres_server, redis_server, standby,
};
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildError, Stop, tree};
use crate::scenario::{Link, Server, Victim};
use nix::sys::signal::Signal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Starts with new ports when another server took one all the same.
const TRIES_MAX: u32 = 3;
/// PostgreSQL's immediate shutdown takes some milliseconds.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// So many ports are the servers' own: PostgreSQL, Toxiproxy, Kafka for the referee, Kafka's controller, Redis.
const OF_SERVERS: usize = 5;
/// One stack takes so many ports: those, Kafka's listeners for links, and the proxies' of all links.
const PORTS: usize = OF_SERVERS + LINKS + Link::ALL.len();

/// The three servers, and PostgreSQL's standby and the cache where there are any.
pub struct LocalStack {
    info: StackInfo,
    programs: PathBuf,
    // In this order: servers first, then their data.
    standby: Option<Child>,
    postgres: PostgresServer,
    kafka: KafkaServer,
    toxiproxy: ToxiproxyServer,
    redis: Option<RedisServer>,
    data: DataFolder,
    // Also between a server's death and its restart, and while a fault has a proxy closed.
    ports: Reserved<PORTS>,
}

impl LocalStack {
    /// Starts all three at once; returns when all answer.
    pub async fn start(
        data: &Path,
        logs: &Path,
        programs: &Path,
        jit: Jit,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        Self::start_on(data, logs, programs, jit, reaper, ports::reserve).await
    }

    /// Does as [`LocalStack::start`], with ports of the caller's own, which `reserve` gives for each try.
    pub async fn start_on(
        data: &Path,
        logs: &Path,
        programs: &Path,
        jit: Jit,
        reaper: &Arc<Reaper>,
        reserve: impl Fn() -> Result<Reserved<PORTS>, String>,
    ) -> Result<Self, StackError> {
        let mut tries = 1;
        loop {
            let ports = reserve().map_err(|reason| StackError {
                doing: "choose ports".into(),
                reason,
            })?;
            let numbers = ports.numbers;
            match Self::try_start(data, logs, programs, jit, reaper, ports).await {
                Err(e) if tries < TRIES_MAX && ports::any_taken(&numbers) => {
                    tracing::info!(reason = %e, "a port was taken meanwhile; trying others");
                    tries += 1;
                }
                result => return result,
            }
        }
    }

    async fn try_start(
        data: &Path,
        logs: &Path,
        programs: &Path,
        jit: Jit,
        reaper: &Arc<Reaper>,
        ports: Reserved<PORTS>,
    ) -> Result<Self, StackError> {
        // Kafka's class archive is bound to the jars' full paths.
        let programs = &std::fs::canonicalize(programs).unwrap_or_else(|_| programs.to_owned());
        let folder = DataFolder::make(data, None, reaper).map_err(|reason| StackError {
            doing: "start the local stack".into(),
            reason,
        })?;
        let [postgres, admin, direct, controller, _redis, of_links @ ..] = ports.numbers;
        let (listeners, proxies) = of_links.split_at(LINKS);
        // Each link with its proxy's port and the server's behind it.
        let mut free = listeners.iter().peekable();
        let ways: Vec<(Link, u16, u16)> = Link::ALL
            .into_iter()
            .zip(proxies)
            .filter(|(link, _)| link.server() != Server::Redis)
            .map(|(link, proxy)| {
                let listener = free.next_if(|_| link.server() == Server::Kafka);
                (link, *proxy, listener.copied().unwrap_or(postgres))
            })
            .collect();
        let mut links = [(0, 0); LINKS];
        let to_kafka = ways
            .iter()
            .filter(|(link, ..)| link.server() == Server::Kafka);
        for (place, (_, proxy, listener)) in links.iter_mut().zip(to_kafka) {
            *place = (*listener, *proxy);
        }
        let kafka = KafkaPorts {
            direct,
            controller,
            links,
        };
        let started = futures::join!(
            PostgresServer::start(folder.path(), logs, postgres, reaper),
            KafkaServer::start(folder.path(), logs, programs, kafka, jit, reaper),
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
            kafka_bootstrap: format!("127.0.0.1:{direct}"),
            kafka_version: kafka_server.version.clone(),
            toxiproxy_url: toxiproxy_server.url.clone(),
            toxiproxy_version: toxiproxy_server.version.clone(),
            redis: None,
            routes: ways
                .into_iter()
                .map(|(link, l, u)| (link, route(l, u)))
                .collect(),
            environment: environment::of_this_machine(),
        };
        info.environment
            .insert("jvm".into(), kafka_server.jvm.clone());
        environment::of_the_servers(&mut info).await?;
        Ok(Self {
            info,
            programs: programs.clone(),
            standby: None,
            postgres: postgres_server,
            kafka: kafka_server,
            toxiproxy: toxiproxy_server,
            redis: None,
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

    /// Has PostgreSQL keep no more log than this for a slot, in bytes; the record says so.
    pub async fn limit_slots(&mut self, bytes: u64) -> Result<(), StackError> {
        slot_limit::set(&self.postgres.target, bytes).await?;
        let environment = &mut self.info.environment;
        environment.insert("max_slot_wal_keep_bytes".into(), bytes.to_string());
        Ok(())
    }

    /// Starts a Redis beside the others, as a cache, with the routes of the links to it.
    pub async fn add_cache(&mut self, logs: &Path, reaper: &Arc<Reaper>) -> Result<(), StackError> {
        let [_, _, _, _, port, of_links @ ..] = self.ports.numbers;
        let (_, proxies) = of_links.split_at(LINKS);
        let started = RedisServer::start(self.data.path(), logs, &self.programs, port, reaper);
        let redis = started.await?;
        let to_redis = Link::ALL.into_iter().zip(proxies);
        let to_redis = to_redis.filter(|(link, _)| link.server() == Server::Redis);
        let routes = to_redis.map(|(link, proxy)| (link, route(*proxy, port)));
        self.info.routes.extend(routes);
        self.info.redis = Some(RedisInfo {
            address: redis.address.clone(),
            version: redis.version.clone(),
        });
        self.redis = Some(redis);
        Ok(())
    }

    /// Has PostgreSQL look for tables to vacuum so often, in seconds; the record says so.
    pub async fn vacuum_every(&mut self, naptime_s: u64) -> Result<(), StackError> {
        let set = format!("alter system set autovacuum_naptime = '{naptime_s}s'");
        postgres_client::say(&self.postgres.target, &[&set, "select pg_reload_conf()"])
            .await
            .map_err(|reason| StackError {
                doing: "have PostgreSQL vacuum more often".into(),
                reason,
            })?;
        let environment = &mut self.info.environment;
        environment.insert("autovacuum_naptime_s".into(), naptime_s.to_string());
        Ok(())
    }

    /// Returns what the rest of the harness may know of it: addresses, versions, routes, settings.
    pub fn info(&self) -> &StackInfo {
        &self.info
    }

    /// Returns the install script's folder.
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// Returns the process of a server; `None` for a victim that is none, and where there is no cache.
    pub fn server(&self, victim: Victim) -> Option<&Child> {
        match victim {
            Victim::PostgresServer => Some(&self.postgres.child),
            Victim::KafkaServer => Some(&self.kafka.child),
            Victim::RedisServer => self.redis.as_ref().map(|redis| &redis.child),
            Victim::OrderService | Victim::Relay(_) | Victim::Consumer(_) => None,
        }
    }

    /// Returns how that server is told to end.
    pub fn stop_of_server(victim: Victim) -> Option<Stop> {
        match victim {
            Victim::PostgresServer => Some(postgres_server::stop()),
            Victim::KafkaServer => Some(kafka_server::stop()),
            Victim::RedisServer => Some(redis_server::stop()),
            Victim::OrderService | Victim::Relay(_) | Victim::Consumer(_) => None,
        }
    }

    /// Returns Toxiproxy's process.
    pub fn toxiproxy(&self) -> &Child {
        &self.toxiproxy.child
    }

    /// Waits until a server ends that nobody told to.
    pub async fn ends_by_itself(&self) -> ChildError {
        let standby = async {
            match &self.standby {
                Some(standby) => standby.ends_by_itself().await,
                None => std::future::pending().await,
            }
        };
        let redis = async {
            match &self.redis {
                Some(redis) => redis.child.ends_by_itself().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            end = standby => end,
            end = redis => end,
            end = self.postgres.child.ends_by_itself() => end,
            end = self.kafka.child.ends_by_itself() => end,
            end = self.toxiproxy.child.ends_by_itself() => end,
        }
    }

    /// Stops the servers and removes their data; the logs stay.
    pub async fn stop(self) -> Result<(), StackError> {
        // PostgreSQL gives its shared memory back on an immediate shutdown; the others hold
        // nothing outside the data folder.
        let (standby, redis, postgres, kafka, toxiproxy) = futures::join!(
            kill(self.standby.as_ref()),
            kill(self.redis.as_ref().map(|redis| &redis.child)),
            self.postgres
                .child
                .terminate_with(Signal::SIGQUIT, STOP_WITHIN),
            self.kafka.child.kill(),
            self.toxiproxy.child.kill(),
        );
        let removed = [self.postgres.folder.remove(), self.data.remove()];
        let failures: Vec<String> = [standby, redis, postgres.map(drop), kafka, toxiproxy]
            .into_iter()
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
        let servers = [
            (
                &self.postgres.child,
                "PostgreSQL",
                &info.postgres_version,
                &postgres,
            ),
            (
                &self.kafka.child,
                "Kafka",
                &info.kafka_version,
                &info.kafka_bootstrap,
            ),
            (
                &self.toxiproxy.child,
                "Toxiproxy",
                &info.toxiproxy_version,
                &info.toxiproxy_url,
            ),
        ];
        let of = |(child, name, version, address): (&Child, &str, &String, &String)| {
            let process = tree::find(i32::try_from(child.pid()?).ok()?)?;
            Some(KeptServer {
                name: name.to_owned(),
                version: version.clone(),
                address: address.clone(),
                process: process.id,
            })
        };
        state.servers = servers.into_iter().filter_map(of).collect();
        if let (Some(redis), Some(known)) = (&self.redis, &info.redis) {
            let server = of((&redis.child, "Redis", &known.version, &known.address));
            state.servers.extend(server);
        }
        state.jvm.clone_from(&self.kafka.jvm);
        state.postgres_socket.clone_from(&info.postgres_socket);
        let folders = [self.postgres.folder.path(), self.data.path()];
        state.data = folders.map(Path::to_owned).to_vec();
    }

    /// Leaves it running; returns how to connect and how to stop it.
    pub fn keep(mut self) -> Result<Vec<String>, StackError> {
        let children = [
            &self.postgres.child,
            &self.kafka.child,
            &self.toxiproxy.child,
        ];
        let redis = self.redis.as_ref().map(|redis| &redis.child);
        let mut all = children.into_iter().chain(&self.standby).chain(redis);
        let mut kept = all.try_for_each(Child::let_go);
        kept = kept.and_then(|()| self.postgres.folder.keep());
        kept = kept.and_then(|()| self.data.keep());
        kept.map_err(|e| StackError {
            doing: "keep the local stack".into(),
            reason: e.to_string(),
        })?;
        let pid = |child: &Child| child.pid().unwrap_or_default();
        let [postgres, kafka, toxiproxy] = children.map(pid);
        // Nothing commits without it, so it comes last.
        let standby = self.standby.as_ref().map(pid);
        let standby = standby.map_or_else(String::new, |pid| format!(" {pid}"));
        let redis = redis.map_or_else(String::new, |child| format!(" {}", pid(child)));
        let p = &self.info.postgres;
        Ok(vec![
            "the stack stays up:".to_owned(),
            format!(
                "  PostgreSQL  psql postgres://{}:{}@{}:{}/{}",
                p.user, p.password, p.host, p.port, p.database
            ),
            format!("  Kafka       {}", self.info.kafka_bootstrap),
            format!("  Toxiproxy   {}", self.info.toxiproxy_url),
            // As in `stop`. To a JVM, the signal that PostgreSQL gets would only mean to show its
            // threads.
            format!(
                "  stop it     kill -QUIT {postgres}; kill -KILL {kafka} {toxiproxy}{redis}{standby}; rm -rf {} {}",
                super::shell_word(self.postgres.folder.path()),
                super::shell_word(self.data.path())
            ),
        ])
    }
}

async fn kill(child: Option<&Child>) -> Result<(), ChildError> {
    match child {
        Some(child) => child.kill().await,
        None => Ok(()),
    }
}

/// Returns the route through the proxy's port, `listen`, which is in front of the server's, `upstream`.
fn route(listen: u16, upstream: u16) -> Route {
    Route {
        listen: format!("127.0.0.1:{listen}"),
        upstream: format!("127.0.0.1:{upstream}"),
        connect: format!("127.0.0.1:{listen}"),
    }
}
