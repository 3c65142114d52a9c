//! Everything one strategy owns while it runs: schema, roles, slot, topic, proxies, processes.
//! Planned without I/O, raised, and torn down on every way out.

mod keeper;
mod plan;
mod told;

use super::strategies::StrategyParts;
use super::{Event, Reporter, RunError};
use crate::clock::RunClock;
use crate::fence::database;
use crate::history::{Death, ProcessEvent};
use crate::identity::{Identity, RunKey};
use crate::nemesis::{Announce, Battlefield};
use crate::observer::Watch;
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec};
use crate::scenario::{Link, Scenario, Strategy, Victim};
use crate::stack::leftovers::Leftover;
use crate::stack::ports::Reserved;
use crate::stack::{Route, Stack};
use crate::topic::Topic;
use crate::toxiproxy::Toxiproxy;
use crate::workload::{Load, Progress};
use keeper::Keeper;
use relays::config::PostgresTarget;
use relays::schema::{self, Layout};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
pub(crate) use told::RELAY;

/// Bound on the end of the relay's sessions.
const SESSIONS_END_WITHIN: Duration = Duration::from_secs(10);

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

/// The end of a relay that was told to end.
struct LastEnd {
    /// Whether it was there to be told.
    was_up: bool,
    /// What is to be said of it.
    remark: Option<String>,
}

/// The strategy's own part of the world.
pub struct Arena<'a> {
    pub(super) stack: &'a Stack,
    scenario: &'a Scenario,
    pub(super) strategy: &'a Strategy,
    reaper: Arc<Reaper>,
    pub(super) folder: PathBuf,
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
    /// Where the relay listens, if it does.
    pub(super) relay_address: SocketAddr,
    /// Both addresses' ports.
    _ports: Reserved<2>,
    /// Topics that the relay needs beside that of the events.
    topics_beside: Vec<Topic>,
    /// What the kind of strategy brings.
    pub(super) parts: Box<dyn StrategyParts>,
    /// The order service, once raised.
    pub service: Option<Child>,
    /// The relay, once raised, where the strategy has one.
    pub relay: Option<Child>,
    /// Starts the relay again when it ends by itself, where that is wanted.
    keeper: Option<Keeper>,
    /// How the relay ended when it was told to.
    last_end: OnceLock<LastEnd>,
    /// Folder of the Unix socket by which the relay reaches PostgreSQL, instead of TCP.
    pub relay_socket: Option<PathBuf>,
}

impl Arena<'_> {
    /// Makes schema, topic and proxies; starts nothing.
    pub async fn prepare(&mut self) -> Result<(), RunError> {
        let info = self.stack.info();
        if let Some(note) = self.leftover() {
            self.reaper
                .note(&note)
                .map_err(|e| failed("noting what must be dropped", &e))?;
        }
        schema::create(&info.postgres, &self.layout)
            .await
            .map_err(|e| failed("setting up the schema", &e))?;
        self.topic
            .create()
            .await
            .map_err(|e| failed("setting up the topic", &e))?;
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

    /// Starts the relay alone, on what [`Arena::prepare`] made.
    pub async fn start_relay(&mut self) -> Result<(), RunError> {
        if let Some(spec) = self.relay_spec()? {
            let relay = self.start(spec).await;
            self.relay = Some(relay.map_err(|e| failed("starting the relay", &e))?);
        }
        self.keep_relay();
        Ok(())
    }

    /// Starts the order service alone, on what [`Arena::prepare`] made.
    pub async fn start_service(&mut self) -> Result<(), RunError> {
        let spec = self.service_spec()?;
        let service = self.start(spec).await;
        self.service = Some(service.map_err(|e| failed("starting the order service", &e))?);
        Ok(())
    }

    /// Makes and starts all of it; returns when order service and relay say that they are ready.
    pub async fn raise(&mut self) -> Result<(), RunError> {
        self.prepare().await?;
        let relay = self.relay_spec()?.map(|spec| self.start(spec));
        let service = self.start(self.service_spec()?);
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
        self.keep_relay();
        failure.map_or(Ok(()), |e| {
            Err(failed("starting the system under test", &e))
        })
    }

    /// From now on the relay is started again when it ends by itself, where its strategy wants that.
    fn keep_relay(&mut self) {
        if self.parts.restarts() {
            self.keeper = self.relay.as_ref().map(Keeper::start);
        }
    }

    /// Whether the relay lives, or is started again.
    pub fn relay_goes_on(&self) -> bool {
        self.keeper.is_some() || self.relay.as_ref().is_some_and(Child::is_alive)
    }

    /// What is worth knowing of the relay, once it is stopped: that it ended by itself and was started
    /// again, and how it ended at last.
    pub fn remarks(&self) -> Vec<String> {
        let restarts = match self.relay.as_ref().map_or(0, Child::own_end_count) {
            ends if self.keeper.is_none() || ends == 0 => None,
            1 => Some("the relay ended by itself once, and was started again".to_owned()),
            ends => Some(format!(
                "the relay ended by itself {ends} times, and was started again"
            )),
        };
        let last = self.last_end.get().and_then(|end| end.remark.clone());
        restarts.into_iter().chain(last).collect()
    }

    /// The administrator's way to the database, around all proxies.
    pub fn admin(&self) -> &PostgresTarget {
        &self.stack.info().postgres
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

    /// What the live observer of its topic watches.
    pub fn watch(&self, clock: RunClock) -> Watch {
        Watch {
            bootstrap: self.stack.info().kafka_bootstrap.clone(),
            topic: self.topic_name.clone(),
            partitions: self.scenario.workload.partitions,
            place: self.strategy.kind.event_place(),
            identity: Arc::clone(&self.identity),
            payload_bytes: self.scenario.workload.payload_bytes,
            clock,
        }
    }

    /// The scenario's load on its order service.
    pub fn load(&self, clock: RunClock, progress: Arc<Progress>) -> Load {
        Load {
            service: self.service_address,
            workload: self.scenario.workload.clone(),
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

    /// Deaths of order service and relay that nobody here ordered.
    pub fn deaths(&self, clock: &RunClock) -> Vec<Death> {
        // One that was started again, and was up at the end, did no more than its file says of it.
        let came_back = self.last_end.get().is_some_and(|end| end.was_up);
        let restarted = self.keeper.is_some() && came_back;
        let relay = self.relay.iter().filter(|_| !restarted);
        let under_test = self.service.iter().chain(relay);
        under_test
            .filter_map(|child| child.own_death(clock))
            .collect()
    }

    /// Everything this run could have touched.
    fn children(&self) -> impl Iterator<Item = &Child> {
        self.servers().chain(&self.service).chain(&self.relay)
    }

    fn servers(&self) -> impl Iterator<Item = &Child> {
        let servers = [
            self.stack.server(Victim::PostgresServer),
            self.stack.server(Victim::KafkaServer),
            self.stack.toxiproxy(),
        ];
        servers.into_iter().flatten()
    }

    /// Stops the relay, ends its sessions, removes its proxies.
    pub async fn stop_relay(&self) -> Result<(), String> {
        if let Some(keeper) = &self.keeper {
            keeper.end().await;
        }
        if let Some(relay) = &self.relay {
            let was_up = relay.is_alive();
            let stop = self.parts.stop();
            // Of one that is dead already, what it left behind is ended.
            let by_itself = relay.terminate_with(stop.signal, stop.within).await;
            let by_itself = by_itself.map_err(|e| e.to_string())?;
            let remark = self.parts.unusual_end(by_itself, relay.exit_code());
            let _ = self.last_end.set(LastEnd {
                was_up,
                remark: remark.filter(|_| was_up),
            });
        }
        let deadline = Instant::now() + SESSIONS_END_WITHIN;
        let mut connection = database::connect(self.admin(), deadline).await?;
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
        if let Some(keeper) = self.keeper.take() {
            keeper.end().await;
        }
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
            for topic in &self.topics_beside {
                problems.extend(topic.delete().await.err());
            }
        }
        problems.extend(self.remove_trace().err());
        if problems.is_empty()
            && let Some(note) = self.leftover()
        {
            problems.extend(self.reaper.forget(&note).err().map(|e| e.to_string()));
        }
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
}

/// A [`RunError::Failed`].
pub fn failed(doing: &str, reason: &dyn std::fmt::Display) -> RunError {
    RunError::Failed {
        doing: doing.to_owned(),
        reason: reason.to_string(),
    }
}
