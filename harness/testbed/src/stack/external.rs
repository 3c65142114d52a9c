//! Providers `external` and `kept`: a PostgreSQL, Kafka, Toxiproxy and perhaps Redis that run already, described by a file.

use super::description::{Description, Redis};
use super::kafka_client::{self, Topics};
use super::kept::KeptFolder;
use super::kept::installed::Installed;
use super::kept::state::KeptState;
use super::leftovers::{self, Leftover};
use super::tenancy::{self, Tenancy};
use super::{KeptLock, Route, ServerInfo, StackError, StackInfo, environment, redis_client};
use crate::identity::RunKey;
use crate::process::reaper::Reaper;
use crate::scenario::{Link, Server};
use crate::toxiproxy::ToxiproxyClient;
use relays::config::{BrokerKind, DatabaseKind};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The three servers of a kept stack are asked within this time, or do not answer.
const KEPT_ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// This is a stack of servers that were running already: it is found by its stack file, not started.
pub struct ExternalStack {
    info: StackInfo,
    description: Description,
    programs: Option<PathBuf>,
    is_kept: bool,
    notes: Vec<String>,
    reaper: Arc<Reaper>,
    tenancy: Tenancy,
}

/// Returns the stack file (see `external.toml`) that leads to this stack, passwords included: a kept local
/// stack is somebody's stack from then on.
pub fn stack_file(info: &StackInfo) -> String {
    Description::of(info).to_text()
}

impl ExternalStack {
    /// Reads the file, drops what dead runs left, and checks that everything answers, is set as it
    /// must be, and can be reached through a proxy.
    pub async fn find(
        file: &Path,
        programs: Option<PathBuf>,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        let shown = file.display();
        let description = Description::read(file)
            .map_err(|reason| failed(&format!("read the stack file {shown}"), reason))?;
        let info = ask_servers(&description).await?;
        Self::take((description, info, programs), None, reaper).await
    }

    /// Does the same with a stack that is kept in this folder. More is known of it: its JVM, its socket, and that
    /// it was warmed.
    pub async fn find_kept(folder: &KeptFolder, reaper: &Arc<Reaper>) -> Result<Self, StackError> {
        let state = folder.up()?;
        // A password in the environment is that of somebody's server.
        let description = kept_description(folder)
            .map_err(|reason| folder.failed("use the stack that is kept", reason))?;
        let mut info = ask_servers(&description).await?;
        info.provider = "kept".into();
        info.set_database_socket(state.database_socket.clone());
        info.environment.insert("jvm".into(), state.jvm.clone());
        let programs = Some(state.programs.clone());
        Self::take((description, info, programs), Some(&state), reaper).await
    }

    async fn take(
        (description, mut info, programs): (Description, StackInfo, Option<PathBuf>),
        kept: Option<&KeptState>,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        environment::of_the_servers(&mut info).await?;
        let id = Tenancy::new_id();
        let mark = leftover_mark(&description, &id);
        let noted = reaper.note(&mark);
        noted.map_err(|e| failed("take the stack for this run", e.to_string()))?;
        let bootstrap = info.kafka().map_or("", |kafka| kafka.address.as_str());
        let tenancy = Tenancy::begin(&description.database.target(), bootstrap, id).await?;
        let mut stack = Self {
            info,
            description,
            programs,
            is_kept: kept.is_some(),
            notes: Vec::new(),
            reaper: Arc::clone(reaper),
            tenancy,
        };
        // First of all: a dead run's proxies would hold the ports that the next check needs.
        stack.notes = leftovers::sweep(&stack.info, stack.tenant()).await?;
        stack.check_routes(reaper).await?;
        if let Some(state) = kept {
            let installed = Installed::look(&state.programs).await;
            let renew = |change| format!("{change}: `stack down` and `stack up` start that one");
            stack
                .notes
                .extend(installed.changes(state).into_iter().map(renew));
        }
        Ok(stack)
    }

    /// Returns what the rest of the harness may know of it: addresses, versions, routes, settings.
    pub fn info(&self) -> &StackInfo {
        &self.info
    }

    /// Whether it is a local stack that is kept: it was warmed when it was started.
    pub fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// The install script's folder, if it is known.
    pub fn programs(&self) -> Option<&Path> {
        self.programs.as_deref()
    }

    /// What was found and dropped of runs that are dead.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The note that the reaper needs before these things are made.
    pub fn leftover(&self, layout: &str, topics: &[String], proxies: &[String]) -> Leftover {
        Leftover {
            stack: self.description.to_text(),
            layout: layout.to_owned(),
            topics: topics.to_owned(),
            proxies: proxies.to_owned(),
        }
    }

    /// With what the ids of the runs on it begin.
    pub fn tenant(&self) -> &str {
        self.tenancy.id()
    }

    /// Waits until this harness cannot say any more that it is alive.
    pub async fn is_lost(&self) -> StackError {
        failed("keep the stack for this run", self.tenancy.lost().await)
    }

    /// Whether it is lost, or one of the three does not answer any more.
    pub async fn failure(&self) -> Option<StackError> {
        tokio::select! {
            biased;
            lost = self.is_lost() => Some(lost),
            answered = ask_servers(&self.description) => answered.err(),
        }
    }

    /// Leaves it to others.
    pub async fn leave(self) -> Result<(), StackError> {
        let note = leftover_mark(&self.description, self.tenancy.id());
        let left = async {
            self.tenancy.end().await?;
            let forgotten = self.reaper.forget(&note);
            forgotten.map_err(|e| e.to_string())
        };
        left.await
            .map_err(|reason| failed("leave the stack", reason))
    }

    /// Makes each link's proxy for a moment and asks what is behind it.
    async fn check_routes(&self, reaper: &Arc<Reaper>) -> Result<(), StackError> {
        let run = RunKey::below(self.tenancy.id()).run;
        let toxiproxy = ToxiproxyClient::new(&self.info.toxiproxy_url)
            .map_err(|e| failed("check the routes", e.to_string()))?;
        for (link, route) in &self.info.routes {
            let proxy = format!("oh.{run}.check.{}", link.name());
            let note = self.leftover("", &[], std::slice::from_ref(&proxy));
            let doing = format!("check the route of {}", link.name());
            let noted = reaper.note(&note);
            noted.map_err(|e| failed(&doing, e.to_string()))?;
            let checked = self.check_route(&toxiproxy, &proxy, *link, route).await;
            let deleted = toxiproxy.delete(&proxy).await.map_err(|e| e.to_string());
            if deleted.is_ok() {
                let forgotten = reaper.forget(&note);
                forgotten.map_err(|e| failed(&doing, e.to_string()))?;
            }
            checked
                .and(deleted)
                .map_err(|reason| failed(&doing, reason))?;
        }
        Ok(())
    }

    async fn check_route(
        &self,
        toxiproxy: &ToxiproxyClient,
        proxy: &str,
        link: Link,
        route: &Route,
    ) -> Result<(), String> {
        let created = toxiproxy.create(proxy, &route.listen, &route.upstream);
        created
            .await
            .map_err(|e| format!("{e}\nis `listen` free, and an address of Toxiproxy's host?"))?;
        match link.server() {
            Server::Broker(BrokerKind::Kafka) => self.check_kafka_route(link, route).await,
            Server::Database(kind) if kind == DatabaseKind::USUAL => {
                let asked = self.info.ask_database_by(split_address(&route.connect)?);
                asked.await.map_err(|e| unreachable_route(route, &e))
            }
            // It names no such server, so nothing could be published there.
            Server::Broker(BrokerKind::RabbitMq | BrokerKind::Nats | BrokerKind::EventBridge)
            | Server::Database(_) => Err(format!(
                "a stack that runs already has no {}: remove [link.\"{}\"]",
                link.server().title(),
                link.name()
            )),
            // It is one Kafka, however many brokers that is.
            Server::BrokerNode(_) => Err(format!(
                "a stack that runs already has one way to all brokers of Kafka: name it [link.\"{}\"]",
                Link::to(Server::KAFKA)
                    .into_iter()
                    .find(|way| way.client() == link.client())
                    .map_or("relay->kafka", Link::name)
            )),
            Server::Redis => {
                let version = redis_client::version(&route.connect).await;
                version.map(drop).map_err(|e| unreachable_route(route, &e))
            }
        }
    }

    async fn check_kafka_route(&self, link: Link, route: &Route) -> Result<(), String> {
        let said = kafka_client::describe(&route.connect, Topics::None)
            .await
            .map_err(|e| unreachable_route(route, &e))?;
        if said.advertised == [route.connect.as_str()] {
            return Ok(());
        }
        Err(format!(
            "the listener behind {} advertises {}, not {}: clients would leave the proxy after \
             the first answer. Give the broker a listener of its own for this link whose \
             advertised.listeners entry is {}, and name that listener's address as `upstream` of \
             [link.\"{}\"]",
            route.upstream,
            said.advertised.join(", "),
            route.connect,
            route.connect,
            link.name()
        ))
    }
}

/// Returns the lock of a kept stack; an Err says why it is not known where that is.
pub fn kept_lock(folder: &KeptFolder) -> Result<KeptLock, String> {
    let description = kept_description(folder)?;
    Ok(KeptLock::on(description.database.target()))
}

/// Asks the three servers of a kept stack, each directly; an Err says which cannot be used, and why.
pub async fn ask_kept(folder: &KeptFolder) -> Result<(), String> {
    let description = kept_description(folder)?;
    let asked = tokio::time::timeout(KEPT_ANSWER_WITHIN, ask_servers(&description));
    match asked.await {
        Ok(answered) => answered
            .map(drop)
            .map_err(|e| format!("{}: {}", e.doing, e.reason)),
        Err(_) => Err(format!(
            "its servers have not all answered within {KEPT_ANSWER_WITHIN:?}"
        )),
    }
}

fn kept_description(folder: &KeptFolder) -> Result<Description, String> {
    let file = folder.stack_file();
    let text = std::fs::read_to_string(&file).map_err(|e| e.to_string());
    let description = text.and_then(|text| Description::parse(&text));
    description.map_err(|e| {
        let file = file.display();
        format!("{file}: {e}; only the user who started the stack may read it")
    })
}

/// What must be dropped if the harness dies, as long as it uses the stack.
fn leftover_mark(description: &Description, id: &str) -> Leftover {
    Leftover {
        stack: description.to_text(),
        layout: String::new(),
        topics: vec![tenancy::mark_of(id)],
        proxies: Vec::new(),
    }
}

fn unreachable_route(route: &Route, reason: &str) -> String {
    format!(
        "{reason}\nis `connect` ({}) where this machine reaches Toxiproxy's `listen` ({}), and \
         `upstream` ({}) an address that Toxiproxy reaches?",
        route.connect, route.listen, route.upstream
    )
}

fn split_address(address: &str) -> Result<(String, u16), String> {
    let split = address.rsplit_once(':');
    let parsed = split.and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    parsed.ok_or_else(|| format!("`{address}` is not host:port"))
}

fn failed(doing: &str, reason: String) -> StackError {
    StackError {
        doing: doing.to_owned(),
        reason,
    }
}

/// Asks all three for versions and settings, each directly; an Err says which cannot be used, and why.
async fn ask_servers(description: &Description) -> Result<StackInfo, StackError> {
    let database = &description.database;
    database
        .check()
        .await
        .map_err(|reason| failed(&format!("use PostgreSQL at {}", database.address()), reason))?;
    let bootstrap = &description.broker.bootstrap;
    check_kafka(bootstrap)
        .await
        .map_err(|reason| failed(&format!("use Kafka at {bootstrap}"), reason))?;
    let kafka = ServerInfo {
        address: bootstrap.clone(),
        version: description.broker.version.clone(),
    };
    let url = &description.toxiproxy.url;
    let toxiproxy_failed = |e: crate::toxiproxy::ToxiproxyError| {
        failed(&format!("use Toxiproxy at {url}"), e.to_string())
    };
    let toxiproxy = ToxiproxyClient::new(url).map_err(toxiproxy_failed)?;
    let redis = match &description.redis {
        Some(Redis { address }) => {
            let version = redis_client::version(address).await;
            let version =
                version.map_err(|reason| failed(&format!("use Redis at {address}"), reason))?;
            let keeps = redis_client::keeps_everything(address).await;
            keeps.map_err(|reason| failed(&format!("use Redis at {address}"), reason))?;
            Some(ServerInfo {
                address: address.clone(),
                version,
            })
        }
        None => None,
    };
    Ok(StackInfo {
        provider: "external".into(),
        brokers: BTreeMap::from([(BrokerKind::Kafka, kafka)]),
        toxiproxy_url: url.clone(),
        toxiproxy_version: toxiproxy.version().await.map_err(toxiproxy_failed)?,
        redis,
        routes: description.routes(),
        environment: environment::of_this_machine(),
        // The folder of its socket is not in the description, and may not be on this machine.
        ..StackInfo::with_database(database.target(), None)
    })
}

async fn check_kafka(bootstrap: &str) -> Result<(), String> {
    let said = kafka_client::describe(bootstrap, Topics::None).await?;
    let Some(broker) = said.advertised.first() else {
        return Err("it knows no living broker yet; try again when it is up".into());
    };
    // What a client does next is to go where it is told.
    kafka_client::describe(broker, Topics::None)
        .await
        .map(drop)
        .map_err(|e| {
            format!(
                "its listener advertises {broker}, and from here that is no address of it ({e}): \
                 set advertised.listeners to what this machine reaches, e.g. {bootstrap}"
            )
        })
}
