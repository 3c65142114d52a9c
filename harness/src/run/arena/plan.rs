//! Names and addresses of everything a strategy will own, decided before any of it is made.

use super::{Arena, failed, heartbeat_topic};
use crate::identity::RunKey;
use crate::process::reaper::Reaper;
use crate::run::RunError;
use crate::scenario::{Link, Scenario, Strategy, StrategyKind};
use crate::stack::Stack;
use crate::topic::Topic;
use crate::toxiproxy::Toxiproxy;
use relays::config::AfterPublish;
use relays::schema::{Layout, OutboxKind};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        let ports = crate::stack::ports::reserve::<2>()
            .map_err(|e| failed("finding free ports for the system under test", &e))?;
        let [service_address, connect_address] = ports
            .numbers
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
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
            _ports: ports,
            heartbeats,
            service: None,
            relay: None,
            relay_socket: None,
        })
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
