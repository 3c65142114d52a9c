//! Everything one strategy owns while it runs: schema, roles, slot, topic, proxies, processes.
//! Planned without I/O, raised, and torn down on every way out.

mod child_configs;
mod consumers;
mod ending;
mod handed_out;
mod keeper;
mod plan;

use super::RunError;
use super::strategies::StrategyParts;
use crate::broker::{Broker, Topic, claim};
use crate::call_sink::CallSink;
use crate::database::{Database, DirectLogin, Layout, OwnSchema};
use crate::identity::{Identity, RunKey};
use crate::nemesis::{self, BadQuery};
use crate::process::reaper::Reaper;
use crate::process::supervised::ChildError;
use crate::process::{Child, ChildSpec};
use crate::scenario::{Instance, Link, Scenario, Server, Strategy};
use crate::stack::leftovers::Leftover;
use crate::stack::ports::Reserved;
use crate::stack::{Route, Stack};
use crate::toxiproxy::ToxiproxyClient;
pub(crate) use child_configs::{ORDER_SERVICE, RELAY};
pub use consumers::{DeployedConsumer, StoppedConsumer};
use ending::LastEnd;
pub use ending::Leave;
use keeper::Keeper;
use referee::topics::Topics;
use relays::cache::CacheLosses;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

/// So many ports are reserved: that of the order service and those of the relays.
const PORTS: usize = 1 + Instance::MOST;

/// The relay whose ways those are.
fn way_of(index: usize) -> Result<Instance, RunError> {
    let all = Instance::ALL.get(index).copied();
    all.ok_or_else(|| {
        let reason = format!("a stack has ways for {} relays at a time", Instance::MOST);
        failed("finding a way of its own for a relay", &reason)
    })
}

/// This is a strategy deployed on a stack: schema, topic, proxies, order service and relay.
pub struct Deployment<'a> {
    pub(super) stack: &'a Stack,
    pub(super) scenario: &'a Scenario,
    pub(super) strategy: &'a Strategy,
    reaper: Arc<Reaper>,
    pub(super) folder: PathBuf,
    /// Order service and relay write their traces into this folder; with `None`, nowhere.
    pub trace: Option<PathBuf>,
    /// This is the run's id and its secret.
    pub key: RunKey,
    /// This is the same key, ready for use.
    pub identity: Arc<Identity>,
    /// Names on the server.
    pub layout: Layout,
    /// What of the database is its own.
    pub(super) database: Box<dyn Database>,
    /// The same for what only strategies in the stack's own database are asked.
    pub(super) own_schema: OwnSchema,
    /// This is the name of the run's own topic, with which the names of all that is on the broker begin.
    pub topic_name: String,
    /// These are the topics of the events: mostly the run's own.
    pub topics: Topics,
    /// The broker of its events, to be asked around all proxies; its readers know these topics as one.
    pub(super) broker: Arc<dyn Broker>,
    /// Its `host:port`, around all proxies.
    broker_address: String,
    /// By this the topics of the events are made, closed and deleted.
    pub topic: Box<dyn Topic>,
    /// These are the proxied links, each with its proxy's name and its route.
    pub proxies: BTreeMap<Link, (String, Route)>,
    /// This is the client of Toxiproxy's admin API, by which the proxies are made and removed.
    pub toxiproxy: ToxiproxyClient,
    /// The order service listens at this address.
    pub service_address: SocketAddr,
    /// Where each relay listens, if it does.
    pub(super) relay_addresses: [SocketAddr; Instance::MOST],
    /// These are the ports of all these addresses, reserved while this lives.
    _ports: Reserved<PORTS>,
    /// Those of its order service's proxies, where it runs beside others.
    _ports_beside: Option<Reserved<2>>,
    /// Topics that the relay needs beside that of the events.
    topics_beside: Vec<Box<dyn Topic>>,
    /// This is what the kind of strategy brings.
    pub(super) parts: Box<dyn StrategyParts>,
    /// This is the order service, once raised.
    pub service: Option<Child>,
    /// The relays, once raised, where the strategy has any.
    pub relays: Vec<Child>,
    /// The consumers, once raised, in the scenario's order.
    pub(super) consumers: Vec<Child>,
    /// Whom those of them call that call somebody, by their index in the scenario, until what came there is read.
    sinks: Mutex<BTreeMap<usize, CallSink>>,
    /// Start relays again that end by themselves, where that is wanted.
    keepers: Vec<Keeper>,
    /// How each relay ended when it was told to.
    last_end: OnceLock<Vec<LastEnd>>,
    /// What is to be said of the order service's end, once it was told to end.
    service_end: OnceLock<Option<String>>,
    /// What the server of its cache had lost before the run, for want of memory.
    pub(super) cache_before: OnceLock<CacheLosses>,
    /// This is the folder of the Unix socket by which the relay reaches PostgreSQL, instead of TCP.
    pub relay_socket: Option<PathBuf>,
}

impl Deployment<'_> {
    /// Makes schema, topic and proxies; starts nothing.
    pub async fn prepare(&mut self) -> Result<(), RunError> {
        if let Some(note) = self.leftover() {
            self.reaper
                .note(&note)
                .map_err(|e| failed("noting what must be dropped", &e))?;
        }
        if self.strategy.topology().has_cache {
            let before = relays::cache::losses(&self.cache_around_proxies()?).await;
            let before = before.map_err(|e| failed("looking at the cache", &e))?;
            self.cache_before.get_or_init(|| before);
        }
        let title = self.strategy.database.title();
        self.database
            .create()
            .await
            .map_err(|e| failed(&format!("setting up what is its own in {title}"), &e))?;
        if self.reader().is_some() {
            let created = self.own_schema.create_reader().await;
            created.map_err(|e| failed("setting up who may read", &e))?;
        }
        self.topic
            .create()
            .await
            .map_err(|e| failed("setting up the topic", &e))?;
        self.prepare_consumers().await?;
        self.parts.lay_out(self).await?;
        for topic in &self.topics_beside {
            let created = topic.create().await;
            created.map_err(|e| failed("setting up another topic of the relay's", &e))?;
        }
        for (name, route) in self.proxies.values() {
            self.toxiproxy
                .create(name, &route.listen, &route.upstream)
                .await
                .map_err(|e| failed("setting up a proxy", &e))?;
        }
        Ok(())
    }

    /// Has it run beside others on a local stack: of each way of a stack there is one proxy at a time. Its first
    /// relay goes the ways of the one of this index, its order service ways of its own to PostgreSQL and Redis, whose
    /// clients may come by any port.
    pub fn run_beside_others(&mut self, index: usize) -> Result<(), RunError> {
        let beside = crate::stack::ports::reserve::<2>()
            .map_err(|e| failed("finding free ports for proxies", &e))?;
        let [to_database, to_redis] = beside.numbers.map(|port| format!("127.0.0.1:{port}"));
        self._ports_beside = Some(beside);
        for (link, (_, route)) in &mut self.proxies {
            let way = match link {
                Link::Orders(server @ (Server::Database(_) | Server::Redis)) => {
                    let own = match server {
                        Server::Redis => &to_redis,
                        Server::Database(_) | Server::Broker(_) | Server::BrokerNode(_) => {
                            &to_database
                        }
                    };
                    route.listen.clone_from(own);
                    route.connect.clone_from(own);
                    continue;
                }
                Link::Orders(Server::Broker(_) | Server::BrokerNode(_)) | Link::Consumer(_) => {
                    *link
                }
                Link::Relay(_, server) => Link::Relay(way_of(index)?, *server),
            };
            let found = self.stack.info().routes.get(&way);
            *route = found.cloned().ok_or_else(|| plan::no_route(way))?;
        }
        Ok(())
    }

    /// Starts the relays alone, on what [`Deployment::prepare`] made.
    pub async fn start_relays(&mut self) -> Result<(), RunError> {
        let specs = self.relay_specs()?;
        let (relays, failure) = one_after_the_other(specs, Arc::clone(&self.reaper)).await;
        self.relays = relays;
        self.keep_relays();
        failure.map_or(Ok(()), |e| Err(failed("starting the relay", &e)))
    }

    /// Starts the order service alone, on what [`Deployment::prepare`] made.
    pub async fn start_service(&mut self) -> Result<(), RunError> {
        let spec = self.service_spec()?;
        let service = self.start(spec).await;
        self.service = Some(service.map_err(|e| failed("starting the order service", &e))?);
        Ok(())
    }

    /// Makes and starts all of it; returns when order service and relays say that they are ready.
    pub async fn raise(&mut self) -> Result<(), RunError> {
        self.prepare().await?;
        self.standby_has_slot().await?;
        self.start_consumers().await?;
        if self.strategy.kind.brings_service() {
            // One that is not ours may have to make the tables that its relay reads.
            self.start_service().await?;
            self.start_relays().await?;
            self.parts.try_out(self).await?;
            return self.try_queries().await;
        }
        let relays = one_after_the_other(self.relay_specs()?, Arc::clone(&self.reaper));
        let service = self.start(self.service_spec()?);
        let (service, (relays, mut failure)) = futures::future::join(service, relays).await;
        // All are kept before any failure is reported, so that tear_down finds them.
        self.relays = relays;
        match service {
            Ok(child) => self.service = Some(child),
            Err(e) => failure = failure.or(Some(e)),
        }
        self.keep_relays();
        match failure {
            // Tables that the relay makes are there now.
            None => self.try_queries().await,
            Some(e) => Err(failed("starting the system under test", &e)),
        }
    }

    /// Waits until the hot standby has the slot too, where it is to have it.
    async fn standby_has_slot(&self) -> Result<(), RunError> {
        let Some(standby) = self.stack.hot_standby() else {
            return Ok(());
        };
        if !self.layout.failover_slot {
            return Ok(());
        }
        let has_slot = standby.has_slot(&self.layout.slot()).await;
        has_slot.map_err(|e| failed("waiting for the slot on the standby", &e))
    }

    /// Who may read the database directly, where a fault waits for something there.
    fn reader(&self) -> Option<DirectLogin> {
        let topology = self.strategy.topology();
        let mut faults = self.scenario.faults.iter();
        let waits = faults.any(|fault| {
            let asks = fault.trigger().is_some_and(|t| t.query().is_some());
            asks && fault.concerns(topology)
        });
        waits.then(|| self.own_schema.reader().into())
    }

    /// What faults wait for in the database can be asked.
    async fn try_queries(&self) -> Result<(), RunError> {
        let Some(reader) = self.reader() else {
            return Ok(());
        };
        let tried =
            nemesis::try_queries(&self.scenario.faults, self.strategy.topology(), &reader).await;
        tried.map_err(|bad| {
            let line = line_of(&self.scenario.text, &bad);
            let doing =
                format!("trying what a fault waits for (`sql`, line {line} of the scenario)");
            failed(&doing, &bad.words)
        })
    }

    /// From now on relays are started again when they end by themselves, where their strategy wants that.
    fn keep_relays(&mut self) {
        if self.parts.restarts() {
            self.keepers = self.relays.iter().map(Keeper::start).collect();
        }
    }

    /// What is left on a stack that outlives us if we die now.
    fn leftover(&self) -> Option<Leftover> {
        let names = self.topics.names().iter();
        let found_by = |name: &String| claim::found_by(&self.topic_name, name);
        let topics: Vec<String> = names.map(found_by).collect();
        self.stack
            .leftover(&self.layout.name, &topics, &self.proxy_names())
    }

    fn start(&self, spec: ChildSpec) -> impl Future<Output = Result<Child, ChildError>> + use<> {
        let reaper = Arc::clone(&self.reaper);
        async move { Child::start(spec, &reaper).await }
    }
}

/// The line of a scenario's text, from 1, that a query is wrong in. TOML leaves out a line's end right after
/// three quotes.
fn line_of(text: &str, bad: &BadQuery) -> usize {
    let (before, from) = text.split_at_checked(bad.at).unwrap_or((text, ""));
    let first = before.matches('\n').count() + 1;
    let begins_below = ["\"\"\"", "'''"].iter().any(|quotes| {
        let rest = from.strip_prefix(quotes);
        rest.is_some_and(|rest| rest.starts_with(['\n', '\r']))
    });
    match bad.line {
        Some(line) => first + usize::from(begins_below) + line - 1,
        None => first,
    }
}

/// Starts relays in their order, each when the one before is ready, so that the first one leads; the first
/// failure ends it.
async fn one_after_the_other(
    specs: Vec<ChildSpec>,
    reaper: Arc<Reaper>,
) -> (Vec<Child>, Option<ChildError>) {
    let mut relays = Vec::new();
    for spec in specs {
        match Child::start(spec, &reaper).await {
            Ok(relay) => relays.push(relay),
            Err(e) => return (relays, Some(e)),
        }
    }
    (relays, None)
}

/// Returns a [`RunError::Failed`] that says what was being done and why it failed.
pub fn failed(doing: &str, reason: &dyn std::fmt::Display) -> RunError {
    RunError::Failed {
        doing: doing.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_query_that_is_wrong_in_one_of_its_lines_then_that_is_a_line_of_the_scenario() {
        let text = "name = \"x\"\nwhen = { sql = \"\"\"\nselect\n  tru\"\"\" }\n";
        let bad = |line| BadQuery {
            at: text.find("\"\"\"").unwrap_or_default(),
            line,
            words: String::new(),
        };
        assert_eq!(line_of(text, &bad(None)), 2);
        assert_eq!(line_of(text, &bad(Some(1))), 3);
        assert_eq!(line_of(text, &bad(Some(2))), 4);
        let short = "when = { sql = \"select tru\" }";
        let bad = BadQuery {
            at: 15,
            ..bad(Some(1))
        };
        assert_eq!(line_of(short, &bad), 1);
    }
}
