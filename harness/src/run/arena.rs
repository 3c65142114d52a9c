//! Everything one strategy owns while it runs: schema, roles, slot, topic, proxies, processes.
//! Planned without I/O, raised, and torn down on every way out.

use super::{Event, Reporter, RunError};
use crate::clock::RunClock;
use crate::fence::database;
use crate::history::ProcessEvent;
use crate::identity::{Identity, RunKey};
use crate::nemesis::{Announce, Battlefield};
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec, Ready};
use crate::scenario::{Link, Scenario, Strategy, StrategyKind, Victim};
use crate::stack::external::Leftover;
use crate::stack::run_lock::RunLock;
use crate::stack::{Route, Stack, StackInfo};
use crate::topic::Topic;
use crate::toxiproxy::Toxiproxy;
use relays::config::{
    AfterPublish, KafkaTarget, PostgresTarget, RelayConfig, ServiceConfig, SourceConfig,
    WritePathConfig,
};
use relays::schema::{self, Layout, OutboxKind};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(20);
const RELAY_STOP_WITHIN: Duration = Duration::from_secs(10);

/// The strategy's own part of the world.
pub struct Arena<'a> {
    stack: &'a Stack,
    scenario: &'a Scenario,
    strategy: &'a Strategy,
    reaper: Arc<Reaper>,
    folder: PathBuf,
    /// Run id and secret.
    pub key: RunKey,
    /// The same, ready for use.
    pub identity: Arc<Identity>,
    /// Names in the database.
    pub layout: Layout,
    /// Name of the topic.
    pub topic_name: String,
    /// The topic.
    pub topic: Topic,
    /// Proxied links with their proxies.
    pub proxies: BTreeMap<Link, (String, Route)>,
    /// Toxiproxy's admin API.
    pub toxiproxy: Toxiproxy,
    /// Where the order service listens.
    pub service_address: SocketAddr,
    /// The order service, once raised.
    pub service: Option<Child>,
    /// The relay, once raised, where the strategy has one.
    pub relay: Option<Child>,
    /// Folder of the Unix socket by which the relay reaches PostgreSQL, instead of TCP.
    pub relay_socket: Option<PathBuf>,
    /// Says on a stack that outlives us that this run is alive.
    lock: Option<RunLock>,
}

impl<'a> Arena<'a> {
    /// Decides every name and address; touches nothing.
    pub fn plan(
        stack: &'a Stack,
        scenario: &'a Scenario,
        strategy: &'a Strategy,
        reaper: &Arc<Reaper>,
        folder: &Path,
    ) -> Result<Self, RunError> {
        let info = stack.info();
        let key = RunKey::random();
        let identity = Arc::new(
            key.identity()
                .map_err(|e| failed("making the run's key", &e))?,
        );
        let plain: String = strategy
            .name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '_'
                }
            })
            .take(24)
            .collect();
        let topic_name = format!("oh.{}.{plain}", key.run);
        let layout = Layout {
            schema: format!("oh_{}_{plain}", key.run),
            outbox: outbox_kind(&strategy.kind),
            password: RunKey::random().run,
        };
        let proxies = proxied_links(scenario)
            .into_iter()
            .filter(|link| strategy.kind.uses(*link))
            .filter_map(|link| {
                let route = info.routes.get(&link)?.clone();
                Some((
                    link,
                    (
                        format!("{topic_name}.{}", link.name().replace("->", "-")),
                        route,
                    ),
                ))
            })
            .collect();
        let [port] = crate::stack::ports::choose()
            .map_err(|e| failed("finding a free port for the order service", &e))?;
        let service_address = SocketAddr::from(([127, 0, 0, 1], port));
        Ok(Self {
            stack,
            scenario,
            strategy,
            reaper: Arc::clone(reaper),
            folder: folder.to_owned(),
            key,
            identity,
            layout,
            topic: Topic::new(
                &info.kafka_bootstrap,
                &topic_name,
                scenario.workload.partitions,
            ),
            topic_name,
            proxies,
            toxiproxy: Toxiproxy::new(&info.toxiproxy_url)
                .map_err(|e| failed("reaching Toxiproxy", &e))?,
            service_address,
            service: None,
            relay: None,
            relay_socket: None,
            lock: None,
        })
    }

    /// Makes schema, topic and proxies; starts nothing.
    pub async fn prepare(&mut self) -> Result<(), RunError> {
        let info = self.stack.info();
        self.lock = Some(self.stack.hold_run(&self.key.run).await?);
        if let Some(note) = self.leftover() {
            self.reaper
                .note_external(&note)
                .map_err(|e| failed("noting what must be dropped", &e))?;
        }
        schema::create(&info.postgres, &self.layout)
            .await
            .map_err(|e| failed("setting up the schema", &e))?;
        self.topic
            .create()
            .await
            .map_err(|e| failed("setting up the topic", &e))?;
        for (name, route) in self.proxies.values() {
            self.toxiproxy
                .create(name, &route.listen, &route.upstream)
                .await
                .map_err(|e| failed("setting up a proxy", &e))?;
        }
        Ok(())
    }

    /// Starts the relay alone, on what [`Arena::prepare`] made.
    pub async fn start_relay(&mut self) -> Result<(), RunError> {
        if let Some(config) = self.relay_config() {
            let relay = self.start("relay", &config)?.await;
            self.relay = Some(relay.map_err(|e| failed("starting the relay", &e))?);
        }
        Ok(())
    }

    /// Starts the order service alone, on what [`Arena::prepare`] made.
    pub async fn start_service(&mut self) -> Result<(), RunError> {
        let service = self.start("order-service", &self.service_config())?.await;
        self.service = Some(service.map_err(|e| failed("starting the order service", &e))?);
        Ok(())
    }

    /// Makes and starts all of it; returns when order service and relay say that they are ready.
    pub async fn raise(&mut self) -> Result<(), RunError> {
        self.prepare().await?;
        let relay = self
            .relay_config()
            .map(|c| self.start("relay", &c))
            .transpose()?;
        let service = self.start("order-service", &self.service_config())?;
        let (service, relay) = futures::future::join(service, async {
            match relay {
                Some(relay) => Some(relay.await),
                None => None,
            }
        })
        .await;
        // Both are kept before either failure is reported, so that tear_down finds them.
        let mut failure = None;
        match service {
            Ok(child) => self.service = Some(child),
            Err(e) => failure = Some(e),
        }
        match relay {
            Some(Ok(child)) => self.relay = Some(child),
            Some(Err(e)) => failure = Some(e),
            None => {}
        }
        failure.map_or(Ok(()), |e| {
            Err(failed("starting the system under test", &e))
        })
    }

    /// What the nemesis may touch.
    pub fn battlefield(&self, clock: RunClock, announce: Announce) -> Battlefield {
        let mut processes = BTreeMap::new();
        let own = [
            (Victim::OrderService, &self.service),
            (Victim::Relay, &self.relay),
        ];
        for (victim, child) in own {
            if let Some(child) = child {
                processes.insert(victim, child.clone());
            }
        }
        for victim in [Victim::PostgresServer, Victim::KafkaServer] {
            if let Some(child) = self.stack.server(victim) {
                processes.insert(victim, child.clone());
            }
        }
        Battlefield {
            strategy: self.strategy.kind.clone(),
            toxiproxy: self.toxiproxy.clone(),
            toxiproxy_process: self.stack.toxiproxy().cloned(),
            proxies: self.proxies.clone(),
            processes,
            clock,
            announce,
        }
    }

    /// Names of the proxies in use.
    pub fn proxy_names(&self) -> Vec<String> {
        self.proxies
            .values()
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Lives and deaths of everything this run could have touched.
    pub fn process_events(&self, clock: &RunClock) -> Vec<ProcessEvent> {
        let servers = [
            self.stack.server(Victim::PostgresServer),
            self.stack.server(Victim::KafkaServer),
            self.stack.toxiproxy(),
        ];
        let mut events: Vec<ProcessEvent> = servers
            .into_iter()
            .flatten()
            .chain(&self.service)
            .chain(&self.relay)
            .flat_map(|child| child.events(clock))
            .collect();
        events.sort_by_key(|e| e.at_ns);
        events
    }

    /// Processes that should live and do not.
    pub fn dead(&self) -> Vec<String> {
        let servers = [
            self.stack.server(Victim::PostgresServer),
            self.stack.server(Victim::KafkaServer),
            self.stack.toxiproxy(),
        ];
        servers
            .into_iter()
            .flatten()
            .chain(&self.service)
            .chain(&self.relay)
            .filter(|child| !child.is_alive())
            .map(|child| child.name().to_owned())
            .collect()
    }

    /// Stops the relay, ends its sessions, removes its proxies.
    pub async fn stop_relay(&self) -> Result<(), String> {
        if let Some(relay) = &self.relay {
            relay
                .terminate(RELAY_STOP_WITHIN)
                .await
                .map_err(|e| e.to_string())?;
        }
        let deadline = Instant::now() + RELAY_STOP_WITHIN;
        let mut connection = database::connect(&self.stack.info().postgres, deadline).await?;
        database::end_sessions(&mut connection, &self.layout.relay_role(), deadline).await?;
        self.remove_proxies().await
    }

    /// What is left on a stack that outlives us if we die now.
    fn leftover(&self) -> Option<Leftover> {
        self.stack
            .leftover(&self.layout.schema, &self.topic_name, &self.proxy_names())
    }

    async fn remove_proxies(&self) -> Result<(), String> {
        for name in self.proxy_names() {
            self.toxiproxy
                .delete(&name)
                .await
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Undoes [`Arena::raise`], whatever state it is in. Problems are reported, not fatal. With
    /// `keep`, schema and topic stay.
    pub async fn tear_down(&mut self, keep: bool, reporter: &Arc<dyn Reporter>) {
        let mut problems = Vec::new();
        for child in [self.service.take(), self.relay.take()]
            .into_iter()
            .flatten()
        {
            if child.is_alive()
                && let Err(e) = child.kill().await
            {
                problems.push(e.to_string());
            }
        }
        problems.extend(self.remove_proxies().await.err());
        if keep {
            reporter.event(Event::Note {
                text: format!(
                    "kept: schema {}, topic {}",
                    self.layout.schema, self.topic_name
                ),
            });
        } else {
            let admin = &self.stack.info().postgres;
            problems.extend(
                schema::drop_all(admin, &self.layout)
                    .await
                    .err()
                    .map(|e| e.to_string()),
            );
            problems.extend(self.topic.delete().await.err());
        }
        if problems.is_empty()
            && let Some(note) = self.leftover()
        {
            problems.extend(
                self.reaper
                    .forget_external(&note)
                    .err()
                    .map(|e| e.to_string()),
            );
        }
        self.lock = None;
        for text in problems {
            reporter.event(Event::Note {
                text: format!("tearing down {}: {text}", self.strategy.name),
            });
        }
    }

    fn start<C: serde::Serialize>(
        &self,
        name: &str,
        config: &C,
    ) -> Result<
        impl Future<Output = Result<Child, crate::process::supervised::ChildError>> + use<C>,
        RunError,
    > {
        let path = self
            .folder
            .join("config")
            .join(format!("{}.{name}.json", self.strategy.name));
        write_json(&path, config)?;
        let spec = ChildSpec {
            name: name.to_owned(),
            program: std::env::current_exe()
                .map_err(|e| failed("finding this very program", &e))?,
            args: vec![
                name.to_owned(),
                "--config".to_owned(),
                path.display().to_string(),
            ],
            env: Vec::new(),
            user: None,
            folder: None,
            log: self
                .folder
                .join("logs")
                .join(format!("{}.{name}.log", self.strategy.name)),
            ready: Ready::Signal,
            ready_within: READY_WITHIN,
        };
        let reaper = Arc::clone(&self.reaper);
        Ok(async move { Child::start(spec, &reaper).await })
    }

    fn service_config(&self) -> ServiceConfig {
        let write_path = match &self.strategy.kind {
            StrategyKind::DualWrite {
                order,
                publish_timeout,
            } => WritePathConfig::DualWrite {
                order: *order,
                publish_timeout_ms: publish_timeout.map(|d| d.as_millis() as u64),
                kafka: self.kafka(Link::OrdersKafka),
            },
            StrategyKind::Polling { notify, .. } => WritePathConfig::Outbox { notify: *notify },
            StrategyKind::Cdc {} => WritePathConfig::Outbox { notify: false },
        };
        ServiceConfig {
            listen: self.service_address,
            run: self.key.run.clone(),
            postgres: self.postgres(Link::OrdersPostgres, self.layout.service_role()),
            postgres_connections: self.scenario.workload.postgres_connections,
            write_path,
        }
    }

    fn relay_config(&self) -> Option<RelayConfig> {
        let source = match &self.strategy.kind {
            StrategyKind::DualWrite { .. } => return None,
            StrategyKind::Polling {
                after_publish,
                interval,
                batch,
                notify,
            } => SourceConfig::Polling {
                after_publish: *after_publish,
                interval_ms: interval.as_millis() as u64,
                batch: *batch,
                notify: *notify,
            },
            StrategyKind::Cdc {} => SourceConfig::Cdc {
                slot: self.layout.slot(),
                publication: self.layout.publication(),
            },
        };
        Some(RelayConfig {
            postgres: self.postgres(Link::RelayPostgres, self.layout.relay_role()),
            kafka: self.kafka(Link::RelayKafka),
            source,
        })
    }

    /// How this link reaches PostgreSQL, as this role.
    pub fn postgres(&self, link: Link, user: String) -> PostgresTarget {
        let direct = &self.stack.info().postgres;
        let (host, port) = match self.proxies.get(&link).and_then(|(_, r)| split(&r.connect)) {
            Some(proxy) => proxy,
            None => match &self.relay_socket {
                Some(folder) if link == Link::RelayPostgres => {
                    (folder.display().to_string(), direct.port)
                }
                _ => (direct.host.clone(), direct.port),
            },
        };
        PostgresTarget {
            host,
            port,
            user,
            password: self.layout.password.clone(),
            database: direct.database.clone(),
            schema: self.layout.schema.clone(),
        }
    }

    fn kafka(&self, link: Link) -> KafkaTarget {
        let info: &StackInfo = self.stack.info();
        KafkaTarget {
            bootstrap: self.proxies.get(&link).map_or_else(
                || info.kafka_bootstrap.clone(),
                |(_, route)| route.connect.clone(),
            ),
            topic: self.topic_name.clone(),
            linger_ms: self.strategy.linger_ms,
        }
    }
}

/// Links that some fault of the scenario is on: they go through a proxy in every strategy alike.
fn proxied_links(scenario: &Scenario) -> Vec<Link> {
    let mut links: Vec<Link> = scenario
        .faults
        .iter()
        .flat_map(|f| f.target.links())
        .collect();
    links.sort_unstable();
    links.dedup();
    links
}

fn outbox_kind(kind: &StrategyKind) -> OutboxKind {
    match kind {
        StrategyKind::DualWrite { .. } => OutboxKind::None,
        StrategyKind::Polling {
            after_publish: AfterPublish::Delete,
            ..
        } => OutboxKind::Delete,
        StrategyKind::Polling {
            after_publish: AfterPublish::Mark,
            ..
        } => OutboxKind::Mark,
        StrategyKind::Cdc {} => OutboxKind::Cdc,
    }
}

fn split(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

fn write_json<C: serde::Serialize>(path: &Path, config: &C) -> Result<(), RunError> {
    let doing = || format!("writing {}", path.display());
    let text = serde_json::to_vec_pretty(config).map_err(|e| failed(&doing(), &e))?;
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|e| failed(&doing(), &e))?;
    }
    std::fs::write(path, text).map_err(|e| failed(&doing(), &e))
}

/// A [`RunError::Failed`].
pub fn failed(doing: &str, reason: &dyn std::fmt::Display) -> RunError {
    RunError::Failed {
        doing: doing.to_owned(),
        reason: reason.to_string(),
    }
}
