//! Everything one strategy owns while it runs: schema, roles, slot, topic, proxies, processes.
//! Planned without I/O, raised, and torn down on every way out.

use super::{Event, Reporter, RunError, folder, trace};
use crate::clock::RunClock;
use crate::debezium::{Install, Worker};
use crate::fence::database;
use crate::history::{ProcessEvent, Tracer};
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
    TraceTarget, WritePathConfig,
};
use relays::schema::{self, Layout, OutboxKind};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const READY_WITHIN: Duration = Duration::from_secs(20);
/// Name of the relay's process.
const RELAY: &str = "relay";
const RELAY_STOP_WITHIN: Duration = Duration::from_secs(10);

/// What a run leaves behind on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// As it was found.
    Nothing,
    /// `--keep-stack`.
    SchemaAndTopic,
    /// The stack failed and is stopped next: whatever is on it goes with it.
    ToTheStack,
}

/// The strategy's own part of the world.
pub struct Arena<'a> {
    stack: &'a Stack,
    scenario: &'a Scenario,
    strategy: &'a Strategy,
    reaper: Arc<Reaper>,
    folder: PathBuf,
    /// Where order service and relay write their traces; `None`: nowhere.
    pub trace: Option<PathBuf>,
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
    /// Where Kafka Connect listens (Debezium).
    connect_address: SocketAddr,
    /// Topic of Debezium's heartbeats.
    heartbeats: Option<Topic>,
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
        trace: Option<PathBuf>,
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
        let addresses = crate::stack::ports::choose::<2>()
            .map_err(|e| failed("finding free ports for the system under test", &e))?;
        let [service_address, connect_address] =
            addresses.map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let heartbeats = (strategy.kind == StrategyKind::Debezium {})
            .then(|| Topic::new(&info.kafka_bootstrap, &heartbeat_topic(&topic_name), 1));
        Ok(Self {
            stack,
            scenario,
            strategy,
            reaper: Arc::clone(reaper),
            folder: folder.to_owned(),
            trace,
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
            connect_address,
            heartbeats,
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
        if let Some(heartbeats) = &self.heartbeats {
            heartbeats
                .create()
                .await
                .map_err(|e| failed("setting up the topic of the heartbeats", &e))?;
        }
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
        if let Some(spec) = self.relay()? {
            let relay = self.start(spec).await;
            self.relay = Some(relay.map_err(|e| failed("starting the relay", &e))?);
        }
        Ok(())
    }

    /// Starts the order service alone, on what [`Arena::prepare`] made.
    pub async fn start_service(&mut self) -> Result<(), RunError> {
        let spec = self.own_child("order-service", &self.service_config())?;
        let service = self.start(spec).await;
        self.service = Some(service.map_err(|e| failed("starting the order service", &e))?);
        Ok(())
    }

    /// Makes and starts all of it; returns when order service and relay say that they are ready.
    pub async fn raise(&mut self) -> Result<(), RunError> {
        self.prepare().await?;
        let relay = self.relay()?.map(|spec| self.start(spec));
        let service = self.start(self.own_child("order-service", &self.service_config())?);
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

    /// Processes that should live and do not, each with the reason.
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
            .filter_map(Child::death)
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

    /// Undoes [`Arena::raise`], whatever state it is in. Problems are reported, not fatal.
    pub async fn tear_down(&mut self, leave: Leave, reporter: &Arc<dyn Reporter>) {
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
        if leave != Leave::ToTheStack {
            problems.extend(self.remove_proxies().await.err());
        }
        if leave == Leave::SchemaAndTopic {
            reporter.event(Event::Note {
                text: format!(
                    "kept until the next run on this stack: schema {}, topic {}",
                    self.layout.schema, self.topic_name
                ),
            });
        } else if leave == Leave::Nothing {
            let admin = &self.stack.info().postgres;
            problems.extend(
                schema::drop_all(admin, &self.layout)
                    .await
                    .err()
                    .map(|e| e.to_string()),
            );
            problems.extend(self.topic.delete().await.err());
            if let Some(heartbeats) = &self.heartbeats {
                problems.extend(heartbeats.delete().await.err());
            }
        }
        problems.extend(self.remove_trace().err());
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

    /// What was worth keeping of it is in the history.
    fn remove_trace(&self) -> Result<(), String> {
        let Some(folder) = self.trace.as_ref().filter(|folder| folder.exists()) else {
            return Ok(());
        };
        let removed = std::fs::remove_dir_all(folder);
        if let Some(parent) = folder.parent() {
            // Not while another strategy's is in it.
            let _ = std::fs::remove_dir(parent);
        }
        removed.map_err(|e| format!("removing {}: {e}", folder.display()))
    }

    fn start(
        &self,
        spec: ChildSpec,
    ) -> impl Future<Output = Result<Child, crate::process::supervised::ChildError>> + use<> {
        let reaper = Arc::clone(&self.reaper);
        async move { Child::start(spec, &reaper).await }
    }

    /// A subcommand of this very program.
    fn own_child<C: serde::Serialize>(
        &self,
        name: &str,
        config: &C,
    ) -> Result<ChildSpec, RunError> {
        let path = self
            .folder
            .join("config")
            .join(format!("{}.{name}.json", self.strategy.name));
        write_json(&path, config)?;
        Ok(ChildSpec {
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
            log: self.log(name),
            ready: Ready::Signal,
            ready_within: READY_WITHIN,
        })
    }

    fn log(&self, name: &str) -> PathBuf {
        let file = format!("{}.{name}.log", self.strategy.name);
        self.folder.join("logs").join(file)
    }

    /// The relay's process, where the strategy has one.
    fn relay(&self) -> Result<Option<ChildSpec>, RunError> {
        if self.strategy.kind == (StrategyKind::Debezium {}) {
            return self.debezium_child().map(Some);
        }
        self.relay_config()
            .map(|config| self.own_child(RELAY, &config))
            .transpose()
    }

    fn debezium_child(&self) -> Result<ChildSpec, RunError> {
        let worker = Worker {
            postgres: self.postgres(Link::RelayPostgres, self.layout.relay_role()),
            kafka: self.kafka(Link::RelayKafka),
            heartbeat_topic: heartbeat_topic(&self.topic_name),
            slot: self.layout.slot(),
            publication: self.layout.publication(),
            rest: self.connect_address,
        };
        let folder = self.folder.join("connect").join(&self.strategy.name);
        let install = debezium(self.stack)?;
        worker
            .child(
                RELAY,
                &install,
                &folder,
                &self.log(RELAY),
                self.stack.info(),
            )
            .map_err(|e| failed("configuring Debezium", &e))
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
            StrategyKind::Cdc {} | StrategyKind::Debezium {} => {
                WritePathConfig::Outbox { notify: false }
            }
        };
        ServiceConfig {
            listen: self.service_address,
            run: self.key.run.clone(),
            postgres: self.postgres(Link::OrdersPostgres, self.layout.service_role()),
            postgres_connections: self.scenario.workload.postgres_connections,
            write_path,
            trace: self.trace_target(Tracer::OrderService),
        }
    }

    /// Of a relay of our own.
    fn relay_config(&self) -> Option<RelayConfig> {
        let source = match &self.strategy.kind {
            StrategyKind::DualWrite { .. } | StrategyKind::Debezium {} => return None,
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
            trace: self.trace_target(Tracer::Relay),
        })
    }

    fn trace_target(&self, tracer: Tracer) -> Option<TraceTarget> {
        let folder = self.trace.as_ref()?;
        Some(trace::target(folder, tracer))
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
        StrategyKind::Debezium {} => OutboxKind::Fleeting,
    }
}

/// Below the name of the run, so that what dead runs leave is found by it.
fn heartbeat_topic(topic: &str) -> String {
    format!("{topic}.heartbeat")
}

/// Kafka Connect and Debezium, as the install script put them.
pub fn debezium(stack: &Stack) -> Result<Install, RunError> {
    let doing = "looking for Kafka Connect and Debezium";
    let programs = stack.programs().ok_or_else(|| {
        failed(
            doing,
            &"no `.stack` folder here: run stack/install.sh in the checkout, or name its `.stack` \
              folder with --programs",
        )
    })?;
    Install::find(programs).map_err(|e| failed(doing, &e))
}

fn split(address: &str) -> Option<(String, u16)> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

fn write_json<C: serde::Serialize>(path: &Path, config: &C) -> Result<(), RunError> {
    let text = serde_json::to_vec_pretty(config)
        .map_err(|e| failed(&format!("writing {}", path.display()), &e))?;
    folder::write(path, &text)
}

/// A [`RunError::Failed`].
pub fn failed(doing: &str, reason: &dyn std::fmt::Display) -> RunError {
    RunError::Failed {
        doing: doing.to_owned(),
        reason: reason.to_string(),
    }
}
