//! What each child is told: its configuration, with the addresses of its links.

use super::{Arena, failed, heartbeat_topic};
use crate::debezium::{Install, Worker};
use crate::history::Tracer;
use crate::process::{ChildSpec, Ready};
use crate::run::{RunError, folder, trace};
use crate::scenario::{Link, StrategyKind};
use crate::stack::{Stack, StackInfo};
use relays::config::{
    KafkaTarget, PostgresTarget, RelayConfig, ServiceConfig, SourceConfig, TraceTarget,
    WritePathConfig,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(20);
/// Names of the processes, and of this program's subcommands that they are.
const ORDER_SERVICE: &str = "order-service";
const RELAY: &str = "relay";

impl Arena<'_> {
    /// The order service's process.
    pub(super) fn service_spec(&self) -> Result<ChildSpec, RunError> {
        self.own_child(ORDER_SERVICE, &self.service_config())
    }

    /// The relay's process, where the strategy has one.
    pub(super) fn relay_spec(&self) -> Result<Option<ChildSpec>, RunError> {
        if self.strategy.kind == (StrategyKind::Debezium {}) {
            return self.debezium_child().map(Some);
        }
        self.relay_config()
            .map(|config| self.own_child(RELAY, &config))
            .transpose()
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
            synchronous_commit: self.strategy.relay_commit,
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
    folder::write_secret(path, &text)
}
