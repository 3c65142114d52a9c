//! What others are given of a deployment: who injects faults, who watches, who loads it, who counts its dead.

use super::Deployment;
use crate::clock::RunClock;
use crate::database::{Database, DatabaseClient, OwnSchema};
use crate::history::ProcessEvent;
use crate::nemesis::{Announce, FaultTargets};
use crate::observer::Watch;
use crate::process::{Child, Stop};
use crate::scenario::{ConsumerName, Instance, Link, Server, Victim};
use crate::workload::{Load, Progress};
use relays::config::{BrokerTarget, DatabaseTarget};
use std::collections::BTreeMap;
use std::sync::Arc;

impl Deployment<'_> {
    /// Returns what of its database is its own.
    pub(crate) fn database(&self) -> &dyn Database {
        &*self.database
    }

    /// Returns its schema in the stack's own database, for what only strategies there are asked.
    pub(crate) fn own_schema(&self) -> &OwnSchema {
        &self.own_schema
    }

    /// Returns how its first relay reaches its database.
    pub(crate) fn relay_database(&self) -> DatabaseTarget {
        let link = Link::Relay(Instance::FIRST, Server::Database(self.strategy.database));
        self.database
            .target(DatabaseClient::Relay, self.database_at(link))
    }

    /// Returns how its first relay reaches its broker.
    pub(crate) fn relay_broker(&self) -> BrokerTarget {
        self.broker_target(Link::Relay(Instance::FIRST, self.broker_server()))
    }

    /// What the nemesis may touch.
    pub fn fault_targets(&self, clock: RunClock, announce: Announce) -> FaultTargets {
        let mut processes = BTreeMap::new();
        let mut stops = BTreeMap::new();
        let relays = Instance::ALL.into_iter().map(Victim::Relay);
        let own = self
            .service
            .iter()
            .map(|child| (Victim::OrderService, child));
        let consumers = self.consumers.iter().filter_map(|child| {
            let name = ConsumerName::of_process(child.name())?;
            Some((Victim::Consumer(name), child))
        });
        for (victim, child) in own.chain(relays.zip(&self.relays)).chain(consumers) {
            processes.insert(victim, child.clone());
            stops.insert(victim, self.stop_of(victim));
        }
        for victim in Server::ALL.map(Victim::Server) {
            if let Some(child) = self.stack.server(victim) {
                processes.insert(victim, child.clone());
            }
            if let Some(stop) = self.stack.stop_of_server(victim) {
                stops.insert(victim, stop);
            }
        }
        FaultTargets {
            strategy: self.strategy.topology(),
            toxiproxy: self.toxiproxy.clone(),
            toxiproxy_process: self.stack.toxiproxy().cloned(),
            proxies: self.proxies.clone(),
            databases: self.databases(),
            processes,
            stops,
            brokers: self.stack.info().broker_nodes.clone(),
            topic: self.first_topic().to_owned(),
            reader: self.reader(),
            admin: Some(self.own_schema.admin()),
            hot_standby: self.stack.hot_standby().cloned(),
            clock,
            announce,
        }
    }

    /// How a process of its own is told to end.
    fn stop_of(&self, victim: Victim) -> Stop {
        match victim {
            Victim::Relay(_) => self.parts.stop(),
            Victim::OrderService => self.stop_of_service(),
            Victim::Consumer(_) | Victim::Server(_) => Stop::default(),
        }
    }

    /// Returns where its relays find their database, as `HOST:PORT` by link.
    fn databases(&self) -> BTreeMap<Link, String> {
        let relays = Instance::first(self.strategy.topology().relays);
        let server = Server::Database(self.strategy.database);
        let links = relays.map(|relay| Link::Relay(relay, server));
        links
            .map(|link| {
                let (host, port) = self.database_at(link);
                let host = match host.contains(':') {
                    true => format!("[{host}]"),
                    false => host,
                };
                (link, format!("{host}:{port}"))
            })
            .collect()
    }

    /// Returns what the live observer of its topic watches.
    pub fn watch(&self, clock: RunClock) -> Watch {
        Watch {
            broker: self.broker(),
            topic: self.topics.name(),
            partitions: self.topics.partitions(),
            place: self.strategy.kind.event_place(),
            identity: Arc::clone(&self.identity),
            payload_bytes: self.scenario.workload.payload_bytes,
            clock,
            keeps_recent: false,
        }
    }

    /// Returns the scenario's load on its order service; it reads where there is a cache to be read.
    pub fn load(&self, clock: RunClock, progress: Arc<Progress>) -> Load {
        let mut workload = self.scenario.workload.clone();
        if !self.strategy.topology().has_cache {
            workload.read_share = 0.0;
        }
        Load {
            service: self.service_address,
            workload,
            seed: self.scenario.seed,
            identity: Arc::clone(&self.identity),
            clock,
            progress,
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
        let mut events: Vec<ProcessEvent> = self
            .children()
            .flat_map(|child| child.events(clock))
            .collect();
        events.sort_by_key(|e| e.at_ns);
        events
    }

    /// Servers that should live and do not, each with the reason. (What is under test may die: that is
    /// a finding, and no failure to heal.)
    pub fn dead_servers(&self) -> Vec<String> {
        self.servers().filter_map(Child::death).collect()
    }

    /// Everything this run could have touched.
    fn children(&self) -> impl Iterator<Item = &Child> {
        let under_test = self.service.iter().chain(&self.relays);
        self.servers().chain(under_test).chain(&self.consumers)
    }

    fn servers(&self) -> impl Iterator<Item = &Child> {
        let servers = Server::ALL.into_iter();
        let servers = servers.filter_map(|server| self.stack.server(Victim::Server(server)));
        servers.chain(self.stack.toxiproxy())
    }
}
