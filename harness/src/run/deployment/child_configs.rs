//! The configuration of each child, with the addresses of its links.

use super::{Deployment, failed};
use crate::database::DatabaseClient;
use crate::history::Tracer;
use crate::process::{ChildSpec, Ready};
use crate::run::{RunError, folder, trace};
use crate::scenario::{BrokerChoice, Instance, Link, Server};
use crate::stack::leftovers::cache_prefix;
use relays::config::{
    Acks, BrokerTarget, CacheTarget, CommitMode, DatabaseTarget, EventBridgeTarget, KafkaTarget,
    NatsTarget, RabbitMqTarget, RelayCache, RelayConfig, ServiceCache, ServiceConfig, SourceConfig,
    TraceTarget,
};
use std::path::{Path, PathBuf};
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(20);
/// Names of this program's subcommands, and of the processes that they are; further relays have names of
/// their own.
pub(crate) const ORDER_SERVICE: &str = "order-service";
pub(crate) const RELAY: &str = "relay";

impl Deployment<'_> {
    /// Returns how the order service's process is started: the strategy's own, where it brings one, else ours.
    pub(super) fn service_spec(&self) -> Result<ChildSpec, RunError> {
        match self.parts.service(self)? {
            Some(theirs) => Ok(theirs),
            None => self.own_child(ORDER_SERVICE, ORDER_SERVICE, &self.service_config()?),
        }
    }

    /// Returns how the relays' processes are started, the first one first.
    pub(super) fn relay_specs(&self) -> Result<Vec<ChildSpec>, RunError> {
        let relays = Instance::first(self.strategy.topology().relays);
        let specs = relays.filter_map(|instance| self.parts.relay(self, instance).transpose());
        specs.collect()
    }

    /// Returns how the process of a relay of our own is started, and writes its configuration.
    pub(in crate::run) fn own_relay(
        &self,
        instance: Instance,
        source: SourceConfig,
        commit: CommitMode,
    ) -> Result<ChildSpec, RunError> {
        let invalidates = self.strategy.topology().relay_invalidates;
        let cache = self.strategy.cache.filter(|_| invalidates);
        let cache = cache.map(|cache| {
            let target = self.cache(Link::Relay(instance, Server::Redis))?;
            Ok::<_, RunError>(RelayCache {
                target,
                fill: cache.fill,
            })
        });
        let config = RelayConfig {
            database: self.database_target(
                DatabaseClient::Relay,
                Link::Relay(instance, self.database_server()),
            ),
            broker: self.broker_target(Link::Relay(instance, self.broker_server())),
            source,
            cache: cache.transpose()?,
            synchronous_commit: commit,
            one_of_several: self.strategy.topology().relays > 1,
            trace: self.trace_target(Tracer::Relay),
        };
        self.own_child(RELAY, instance.name(), &config)
    }

    /// Returns how a subcommand of this very program is started, and writes its configuration.
    pub(in crate::run) fn own_child<C: serde::Serialize>(
        &self,
        subcommand: &str,
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
                subcommand.to_owned(),
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

    /// Where what this process says goes.
    pub(in crate::run) fn log(&self, name: &str) -> PathBuf {
        folder::log(&self.folder, &self.strategy.name, name)
    }

    fn service_config(&self) -> Result<ServiceConfig, RunError> {
        let cache = self.strategy.cache.map(|cache| {
            Ok::<_, RunError>(ServiceCache {
                target: self.cache(Link::ORDERS_REDIS)?,
                mode: cache.mode,
                fill: cache.fill,
                fill_hold_ms: cache.fill_hold.as_millis() as u64,
            })
        });
        Ok(ServiceConfig {
            listen: self.service_address,
            run: self.key.run.clone(),
            database: self.database_target(
                DatabaseClient::OrderService,
                Link::Orders(self.database_server()),
            ),
            database_connections: self.scenario.workload.database_connections,
            write_path: self.parts.write_path(self),
            cache: cache.transpose()?,
            trace: self.trace_target(Tracer::OrderService),
        })
    }

    fn trace_target(&self, tracer: Tracer) -> Option<TraceTarget> {
        let folder = self.trace.as_ref()?;
        Some(trace::target(folder, tracer))
    }

    /// Returns the `host` and port by which its order service reaches its database.
    pub(crate) fn database_of_service(&self) -> (String, u16) {
        self.database_at(Link::Orders(self.database_server()))
    }

    /// Returns the `host` and port by which one of its relays reaches its database.
    pub(crate) fn database_of_relay(&self, relay: Instance) -> (String, u16) {
        self.database_at(Link::Relay(relay, self.database_server()))
    }

    /// Returns the server that its orders are in.
    fn database_server(&self) -> Server {
        Server::Database(self.strategy.database)
    }

    /// Returns how this link reaches the database, as this client.
    fn database_target(&self, client: DatabaseClient, link: Link) -> DatabaseTarget {
        self.database.target(client, self.database_at(link))
    }

    /// Returns the `host` and port by which this link reaches the database.
    pub(super) fn database_at(&self, link: Link) -> (String, u16) {
        let direct = self.database.direct();
        match self.proxied_address(link) {
            Some(proxy) => proxy,
            None => match &self.relay_socket {
                Some(folder) if matches!(link, Link::Relay(_, Server::Database(_))) => {
                    (folder.display().to_string(), direct.1)
                }
                _ => direct,
            },
        }
    }

    /// Returns host and port of the proxy of a link; `None` where it has none.
    pub(super) fn proxied_address(&self, link: Link) -> Option<(String, u16)> {
        let (_, route) = self.proxies.get(&link)?;
        split(&route.connect)
    }

    /// Returns how this link reaches the cache; an Err says that the stack has none.
    fn cache(&self, link: Link) -> Result<CacheTarget, RunError> {
        let direct = self.cache_around_proxies()?;
        Ok(match self.proxies.get(&link) {
            Some((_, route)) => CacheTarget {
                address: route.connect.clone(),
                ..direct
            },
            None => direct,
        })
    }

    /// Returns the referee's way to the strategy's keys in the cache.
    pub(in crate::run) fn cache_around_proxies(&self) -> Result<CacheTarget, RunError> {
        Ok(CacheTarget {
            address: self.stack.cache()?.address.clone(),
            prefix: cache_prefix(&self.topic_name),
        })
    }

    /// Returns the server that its events go to.
    pub(in crate::run) fn broker_server(&self) -> Server {
        Server::Broker(self.strategy.broker.kind())
    }

    /// Returns how this link reaches the broker.
    pub(in crate::run) fn broker_target(&self, link: Link) -> BrokerTarget {
        self.broker_at(self.broker_address(link))
    }

    fn broker_at(&self, address: String) -> BrokerTarget {
        match &self.strategy.broker {
            BrokerChoice::Kafka(_) => BrokerTarget::Kafka(self.kafka_at(address)),
            BrokerChoice::RabbitMq {
                queue,
                confirms,
                mandatory,
            } => BrokerTarget::RabbitMq(RabbitMqTarget {
                address,
                topic: self.first_topic().to_owned(),
                confirms: *confirms,
                mandatory: *mandatory,
                queue: *queue,
                groups: self.queues_of_groups(),
            }),
            BrokerChoice::Nats(settings) => BrokerTarget::Nats(NatsTarget {
                address,
                topic: self.first_topic().to_owned(),
                message_id: settings.message_id,
            }),
            BrokerChoice::EventBridge(settings) => BrokerTarget::EventBridge(EventBridgeTarget {
                address,
                topic: self.first_topic().to_owned(),
                looks_at: settings.looks_at,
            }),
        }
    }

    /// Returns how its order service reaches Kafka, for strategies that know no other broker.
    pub(in crate::run) fn usual_broker_of_service(&self) -> KafkaTarget {
        self.kafka_at(self.broker_address(Link::Orders(self.broker_server())))
    }

    /// Returns how one of its relays reaches Kafka, for strategies that know no other broker.
    pub(in crate::run) fn usual_broker_of_relay(&self, relay: Instance) -> KafkaTarget {
        self.kafka_at(self.broker_address(Link::Relay(relay, self.broker_server())))
    }

    fn kafka_at(&self, bootstrap: String) -> KafkaTarget {
        KafkaTarget {
            bootstrap,
            topic: self.first_topic().to_owned(),
            linger_ms: self.strategy.linger_ms,
            acks: match &self.strategy.broker {
                BrokerChoice::Kafka(settings) => settings.acks,
                BrokerChoice::RabbitMq { .. }
                | BrokerChoice::Nats(_)
                | BrokerChoice::EventBridge(_) => Acks::default(),
            },
        }
    }

    /// Returns where a link finds its broker; of several brokers, where it finds each.
    fn broker_address(&self, link: Link) -> String {
        let ways = link.and_nodes().into_iter();
        let proxied = ways.filter_map(|way| Some(self.proxies.get(&way)?.1.connect.clone()));
        let proxied: Vec<String> = proxied.collect();
        match proxied.is_empty() {
            true => self.broker_address.clone(),
            false => proxied.join(","),
        }
    }
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
