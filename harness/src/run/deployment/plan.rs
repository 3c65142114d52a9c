//! Names and addresses of everything a strategy will own, decided before any of it is made.

use super::{Deployment, PORTS, failed};
use crate::broker::several;
use crate::database::{Layout, OwnSchema};
use crate::identity::RunKey;
use crate::process::reaper::Reaper;
use crate::run::{RunError, strategies};
use crate::scenario::{Link, Scenario, Strategy};
use crate::stack::Stack;
use crate::toxiproxy::ToxiproxyClient;
use referee::topics::Topics;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

impl<'a> Deployment<'a> {
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
        let key = stack.run_key();
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
        let parts = strategies::of(strategy);
        let layout = Layout {
            name: format!("oh_{}_{plain}", key.run),
            isolation: parts.isolation(),
            outbox: parts.outbox(),
            failover_slot: strategy.failover_slot,
            password: RunKey::random().run,
        };
        let topology = strategy.topology();
        let proxies = proxied_links(scenario)
            .into_iter()
            .filter(|link| topology.uses(*link))
            .map(|link| {
                let name = format!("{topic_name}.{}", link.name().replace("->", "-"));
                let route = info.routes.get(&link).cloned();
                let route = route.ok_or_else(|| no_route(link))?;
                Ok((link, (name, route)))
            })
            .collect::<Result<_, RunError>>()?;
        let ports = crate::stack::ports::reserve::<PORTS>()
            .map_err(|e| failed("finding free ports for the system under test", &e))?;
        let [service_address, relay_addresses @ ..] = ports
            .numbers
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        let kind = strategy.broker.kind();
        let broker_address = stack.broker_info(kind)?.address.clone();
        let broker = crate::broker::chosen(&strategy.broker, &broker_address, info.topic_replicas);
        let partitions = kind.partitions(scenario.workload.partitions);
        let topics = Topics::new(strategy.kind.topics(&topic_name), partitions);
        let beside = parts.topics_beside(&topic_name);
        let topics_beside = beside.iter().map(|name| broker.topic(name, 1)).collect();
        Ok(Self {
            stack,
            scenario,
            strategy,
            reaper: Arc::clone(reaper),
            folder: folder.to_owned(),
            trace,
            key,
            identity,
            database: crate::database::of(strategy.database, stack, &layout)?,
            own_schema: OwnSchema::on(info, &layout),
            layout,
            topic: several::topic(&broker, &topic_name, &topics),
            broker: several::joined(&broker, &topics),
            topics,
            broker_address,
            topic_name,
            proxies,
            toxiproxy: ToxiproxyClient::new(&info.toxiproxy_url)
                .map_err(|e| failed("reaching Toxiproxy", &e))?,
            service_address,
            relay_addresses,
            _ports: ports,
            _ports_beside: None,
            topics_beside,
            parts,
            service: None,
            relays: Vec::new(),
            consumers: Vec::new(),
            sinks: Mutex::default(),
            keepers: Vec::new(),
            last_end: OnceLock::new(),
            cache_before: OnceLock::new(),
            service_end: OnceLock::new(),
            relay_socket: None,
        })
    }
}

pub(super) fn no_route(link: Link) -> RunError {
    let name = link.name();
    let reason = format!(
        "the stack has none: add [link.\"{name}\"] with listen, upstream and connect to its description \
         (external.toml), or run on a local stack"
    );
    failed(&format!("finding the route of {name}"), &reason)
}

/// Links that some fault of the scenario is on: they go through a proxy in every strategy alike, and with one to a broker of
/// several those to all.
fn proxied_links(scenario: &Scenario) -> Vec<Link> {
    let mut links: Vec<Link> = scenario
        .faults
        .iter()
        .flat_map(|f| f.target.links())
        .flat_map(Link::and_siblings)
        .collect();
    links.sort_unstable();
    links.dedup();
    links
}
