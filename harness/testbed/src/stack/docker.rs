//! Provider `docker`: PostgreSQL, Kafka and Toxiproxy as the containers of docker-compose.yml, on free ports of this
//! machine's loopback.

use super::data_folder::DataFolder;
use super::kafka_server::{self, KafkaPorts, LINKS};
use super::listening::Tries;
use super::own::OwnStack;
use super::ports::{self, Reserved};
use super::postgres_server::{self, autovacuum, slot_limit};
use super::{
    Jit, Route, ServerInfo, ServerSettings, StackError, StackInfo, environment, postgres_client,
    toxiproxy_server,
};
use crate::process::container::{self, Container};
use crate::process::reaper::{Cleanup, Reaper};
use crate::process::{Child, ChildSpec, Ready, Stop};
use crate::scenario::{Link, Server, Victim};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use relays::config::{BrokerKind, PostgresTarget};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Its services are started from here, whatever folder the harness is run in.
const COMPOSE: &str = include_str!("../../../../docker-compose.yml");
/// The image of all of them, as `make images` calls it.
const IMAGE: &str = "outbox-harness-stack";
/// The engine must say within this time that it is there.
const ENGINE_WITHIN: Duration = Duration::from_secs(20);
/// Containers must be made, and removed, within this time.
const COMPOSED_WITHIN: Duration = Duration::from_secs(60);
/// A server must be ready within this time; after a kill, recovery is part of it.
const READY_WITHIN: Duration = Duration::from_secs(90);
/// What was being made when the harness died shows up within this time.
const LATE: Duration = Duration::from_millis(500);
/// So many ports are the servers' own: PostgreSQL, Toxiproxy, Kafka for the referee, Kafka's controller.
const OF_SERVERS: usize = 4;
/// One stack takes so many ports: those, Kafka's listeners for links, and the proxies' of all links to both.
const PORTS: usize = OF_SERVERS + LINKS + 2 * LINKS;

/// The containers, and what they are known by.
pub(super) struct DockerStack {
    info: StackInfo,
    programs: Option<PathBuf>,
    // In this order: servers first, then what they were made of.
    postgres: Child,
    kafka: Option<Child>,
    toxiproxy: Child,
    project: MadeProject,
    folder: DataFolder,
    _ports: Reserved<PORTS>,
}

/// Says why no stack of containers can be started here; to be asked before it is chosen.
pub fn is_usable() -> Result<(), String> {
    let client = container::client()?;
    engine(&client)?;
    versions(&client).map(drop)
}

impl DockerStack {
    /// Starts all servers at once; returns when all answer.
    pub(super) async fn start(
        (data, logs, programs): (&Path, &Path, Option<PathBuf>),
        jit: Jit,
        settings: &ServerSettings,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        can_be(settings).map_err(failed)?;
        let client = container::client().map_err(failed)?;
        let asked = client.clone();
        let known = blocking(move || Ok((engine(&asked)?, versions(&asked)?))).await;
        let (engine, versions) = known.map_err(failed)?;
        let jit = settings.servers.contains(&Server::KAFKA).then_some(jit);
        let mut tries = Tries::first();
        let mut stack = loop {
            let ports = ports::reserve().map_err(failed)?;
            let numbers = ports.numbers;
            let starting = Starting {
                client: &client,
                data,
                logs,
                jit,
                versions: &versions,
                reaper,
            };
            match starting.on(ports).await {
                Err(e) if tries.once_more(&e, &numbers) => {}
                result => break result?,
            }
        };
        stack.programs = programs;
        stack.info.environment.insert("docker".into(), engine);
        if let Some(bytes) = settings.max_slot_wal_keep_bytes {
            slot_limit::set(&mut stack.info, bytes).await?;
        }
        if let Some(naptime_s) = settings.autovacuum_naptime_s {
            autovacuum::every(&mut stack.info, naptime_s).await?;
        }
        Ok(stack)
    }

    async fn end(self: Box<Self>) -> Result<(), StackError> {
        let Self {
            postgres,
            kafka,
            toxiproxy,
            project,
            folder,
            ..
        } = *self;
        let servers = [&postgres, &toxiproxy].into_iter().chain(&kafka);
        let killed = futures::future::join_all(servers.map(Child::kill)).await;
        let removed = blocking(move || project.remove()).await;
        let killed = killed
            .into_iter()
            .filter_map(|r| r.err().map(|e| e.to_string()));
        let failures: Vec<String> = killed
            .chain(removed.err())
            .chain(folder.remove().err().map(|e| e.to_string()))
            .collect();
        match failures.is_empty() {
            true => Ok(()),
            false => Err(StackError {
                doing: "stop the stack of containers".into(),
                reason: failures.join("; "),
            }),
        }
    }
}

impl OwnStack for DockerStack {
    fn info(&self) -> &StackInfo {
        &self.info
    }

    fn programs(&self) -> Option<&Path> {
        self.programs.as_deref()
    }

    fn server(&self, victim: Victim) -> Option<&Child> {
        match victim {
            Victim::POSTGRES => Some(&self.postgres),
            Victim::KAFKA => self.kafka.as_ref(),
            _ => None,
        }
    }

    fn stop_of_server(&self, victim: Victim) -> Option<Stop> {
        match victim {
            Victim::POSTGRES => Some(postgres_server::stop()),
            Victim::KAFKA => Some(kafka_server::stop()),
            _ => None,
        }
    }

    fn toxiproxy(&self) -> &Child {
        &self.toxiproxy
    }

    fn children(&self) -> Vec<&Child> {
        let servers = [&self.postgres, &self.toxiproxy];
        servers.into_iter().chain(&self.kafka).collect()
    }

    fn stop(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StackError>> {
        self.end().boxed_local()
    }

    fn keep(mut self: Box<Self>) -> Result<Vec<String>, StackError> {
        let by_hand = self.project.of.by_hand();
        let mut kept = self.children().into_iter().try_for_each(Child::let_go);
        kept = kept.and_then(|()| self.project.keep());
        kept = kept.and_then(|()| self.folder.keep());
        kept.map_err(|e| failed(format!("keep it: {e}")))?;
        let p = &self.info.postgres;
        Ok(vec![
            "the stack stays up:".to_owned(),
            format!(
                "  PostgreSQL  psql postgres://{}:{}@{}:{}/{}",
                p.user, p.password, p.host, p.port, p.database
            ),
            format!("  Toxiproxy   {}", self.info.toxiproxy_url),
            format!(
                "  stop it     {by_hand}; rm -rf {}",
                super::shell_word(self.folder.path())
            ),
        ])
    }
}

/// One attempt to start it.
struct Starting<'a> {
    client: &'a Path,
    data: &'a Path,
    logs: &'a Path,
    /// With what Kafka's JVM compiles; without it there is no Kafka.
    jit: Option<Jit>,
    versions: &'a Versions,
    reaper: &'a Arc<Reaper>,
}

impl Starting<'_> {
    async fn on(&self, ports: Reserved<PORTS>) -> Result<DockerStack, StackError> {
        let folder = DataFolder::make(self.data, None, self.reaper).map_err(failed)?;
        let layout = Layout::of(ports.numbers);
        let project = self.create(folder.path(), &layout).await.map_err(failed)?;
        let name = &project.of.name;
        let target = layout.target.clone();
        let postgres = self.run(name, ("postgres", "postgres-server"), move || {
            let target = target.clone();
            async move { postgres_client::answers(&target).await }.boxed()
        });
        let (of_kafka, cluster) = (layout.kafka, layout.cluster.clone());
        let kafka = self.run(name, ("kafka", "kafka-server"), move || {
            let cluster = cluster.clone();
            async move { kafka_server::all_listeners_answer(of_kafka, &cluster).await }.boxed()
        });
        let kafka = async {
            match self.jit {
                Some(_) => kafka.await.map(Some),
                None => Ok(None),
            }
        };
        let url = layout.toxiproxy_url();
        let asked = url.clone();
        let toxiproxy = self.run(name, ("toxiproxy", "toxiproxy"), move || {
            let url = asked.clone();
            async move { toxiproxy_server::ask_version(&url).await.map(drop) }.boxed()
        });
        let started = futures::join!(postgres, kafka, toxiproxy);
        // Were one failure returned at once, the others' starts would be cut off half way.
        let (postgres, kafka, toxiproxy) = (started.0?, started.1?, started.2?);
        let toxiproxy_version = toxiproxy_server::ask_version(&url).await.map_err(failed)?;
        let mut info = layout.info(toxiproxy_version);
        if let Some(jit) = self.jit {
            let known = ServerInfo {
                address: format!("127.0.0.1:{}", layout.kafka.direct),
                version: self.versions.kafka.clone(),
            };
            info.brokers.insert(BrokerKind::Kafka, known);
            let jvm = format!("{}, {}", self.versions.jvm, jit.describe());
            info.environment.insert("jvm".into(), jvm);
        } else {
            info.routes.retain(|link, _| link.server() != Server::KAFKA);
        }
        environment::of_the_servers(&mut info).await?;
        Ok(DockerStack {
            info,
            programs: None,
            postgres,
            kafka,
            toxiproxy,
            project,
            folder,
            _ports: ports,
        })
    }

    /// Makes the containers of a project of its own.
    async fn create(&self, folder: &Path, layout: &Layout) -> Result<MadeProject, String> {
        let project = Project {
            client: self.client.to_owned(),
            name: format!("outbox-harness-{}", uuid::Uuid::new_v4().simple()),
        };
        let file = folder.join("docker-compose.yml");
        std::fs::write(&file, COMPOSE).map_err(|e| format!("{}: {e}", file.display()))?;
        let made = MadeProject::note(project, self.reaper)?;
        let mut command = made.of.creating(&file, self.jit.is_some());
        // The reaper's: it must not go on when the harness is gone.
        std::os::unix::process::CommandExt::process_group(
            &mut command,
            self.reaper.process_group(),
        );
        command.envs(layout.variables(self.jit));
        // What is not waited for any more must not make what was removed.
        let busy = Arc::clone(&made.busy);
        blocking(move || {
            let _busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
            container::ask(command, COMPOSED_WITHIN)
        })
        .await
        .map_err(|reason| format!("`docker compose create`: {reason}"))?;
        Ok(made)
    }

    async fn run(
        &self,
        project: &str,
        (service, process): (&str, &str),
        answers: impl Fn() -> futures::future::BoxFuture<'static, Result<(), String>>
        + Send
        + Sync
        + 'static,
    ) -> Result<Child, StackError> {
        let container = Container {
            client: self.client.to_owned(),
            name: format!("{project}-{service}-1"),
        };
        let variables = container::variables().into_iter();
        let variables =
            variables.filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let spec = ChildSpec {
            name: process.to_owned(),
            program: self.client.to_owned(),
            args: container.start_arguments(),
            env: variables.collect(),
            user: None,
            folder: None,
            log: self.logs.join(format!("{process}.log")),
            ready: Ready::Answers(Arc::new(answers)),
            ready_within: READY_WITHIN,
        };
        let started = Child::start_container(spec, container, self.reaper).await;
        started.map_err(|e| StackError {
            doing: format!("start the container of {service}"),
            reason: e.to_string(),
        })
    }
}

/// Which ports are whose, and by what the servers are known.
struct Layout {
    target: PostgresTarget,
    cluster: String,
    toxiproxy: u16,
    kafka: KafkaPorts,
    /// Each link with its proxy's port and the server's behind it.
    ways: Vec<(Link, u16, u16)>,
}

impl Layout {
    fn of(ports: [u16; PORTS]) -> Self {
        let [postgres, toxiproxy, direct, controller, of_links @ ..] = ports;
        let (listeners, proxies) = of_links.split_at(LINKS);
        let mut listeners = listeners.iter();
        let links = Link::ALL.into_iter();
        let ways: Vec<(Link, u16, u16)> = links
            .filter(|link| [Server::POSTGRES, Server::KAFKA].contains(&link.server()))
            .zip(proxies)
            .filter_map(|(link, proxy)| match link.server() {
                Server::KAFKA => Some((link, *proxy, *listeners.next()?)),
                _ => Some((link, *proxy, postgres)),
            })
            .collect();
        let mut links = [(0, 0); LINKS];
        let to_kafka = ways
            .iter()
            .filter(|(link, ..)| link.server() == Server::KAFKA);
        for (place, (_, proxy, listener)) in links.iter_mut().zip(to_kafka) {
            *place = (*listener, *proxy);
        }
        Self {
            target: PostgresTarget {
                host: "127.0.0.1".into(),
                port: postgres,
                user: "postgres".into(),
                password: uuid::Uuid::new_v4().simple().to_string(),
                database: "postgres".into(),
                schema: String::new(),
            },
            cluster: kafka_server::new_cluster(),
            toxiproxy,
            kafka: KafkaPorts {
                direct,
                controller,
                links,
            },
            ways,
        }
    }

    fn toxiproxy_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.toxiproxy)
    }

    /// What docker-compose.yml asks for by these names.
    fn variables(&self, jit: Option<Jit>) -> [(&'static str, String); 9] {
        let listeners = self.kafka.listeners().skip(1);
        let links = listeners.map(|(name, port, proxy)| format!("{name}:{port}:{proxy}"));
        // Of its two compilers, or C1 alone.
        let tiers = match jit {
            Some(Jit::C2) => "4",
            Some(Jit::C1) | None => "1",
        };
        [
            ("OUTBOX_POSTGRES_PORT", self.target.port.to_string()),
            ("OUTBOX_POSTGRES_PASSWORD", self.target.password.clone()),
            ("OUTBOX_KAFKA_DIRECT", self.kafka.direct.to_string()),
            ("OUTBOX_KAFKA_CONTROLLER", self.kafka.controller.to_string()),
            (
                "OUTBOX_KAFKA_LINKS",
                links.collect::<Vec<String>>().join(" "),
            ),
            ("OUTBOX_KAFKA_CLUSTER", self.cluster.clone()),
            ("OUTBOX_KAFKA_TIERS", tiers.to_owned()),
            ("OUTBOX_TOXIPROXY_PORT", self.toxiproxy.to_string()),
            // Who starts them asks them; a check every two seconds would cost what is measured.
            ("OUTBOX_UNCHECKED", "true".to_owned()),
        ]
    }

    fn info(&self, toxiproxy_version: String) -> StackInfo {
        let at = |port: u16| format!("127.0.0.1:{port}");
        let route = |(link, proxy, upstream): &(Link, u16, u16)| {
            let route = Route {
                listen: at(*proxy),
                upstream: at(*upstream),
                connect: at(*proxy),
            };
            (*link, route)
        };
        StackInfo {
            provider: "docker".into(),
            postgres: self.target.clone(),
            postgres_socket: None,
            postgres_version: String::new(),
            brokers: BTreeMap::new(),
            broker_nodes: BTreeMap::new(),
            topic_replicas: 1,
            toxiproxy_url: self.toxiproxy_url(),
            toxiproxy_version,
            redis: None,
            mariadb: None,
            routes: self.ways.iter().map(route).collect(),
            environment: environment::of_this_machine(),
        }
    }
}

/// Some containers that belong together, by the name that Docker Compose has for them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Project {
    client: PathBuf,
    name: String,
}

impl Project {
    /// A command of Docker Compose for it.
    fn compose(&self) -> std::process::Command {
        let mut command = container::command(&self.client);
        command.args(["compose", "--project-name", &self.name]);
        command
    }

    /// Makes its containers, as `file` says: not as one in the folder in which the harness is run, which may be
    /// somebody else's.
    fn creating(&self, file: &Path, has_kafka: bool) -> std::process::Command {
        let mut command = self.compose();
        command.arg("--file").arg(file);
        command.args(["create", "--no-build", "--pull", "never"]);
        command.arg("postgres").args(has_kafka.then_some("kafka"));
        command.arg("toxiproxy");
        command
    }

    /// Ends and removes all of its containers.
    fn remove(&self) -> Result<(), String> {
        let failed = |reason| format!("remove containers: {reason}; `{}` does", self.by_hand());
        let mut ask = container::command(&self.client);
        ask.args(["ps", "--all", "--quiet", "--filter", &self.label()]);
        let told = container::ask(ask, COMPOSED_WITHIN).map_err(failed)?;
        // A warning of the client may stand beside them.
        let is_id = |word: &&str| word.bytes().all(|byte| byte.is_ascii_hexdigit());
        let ids: Vec<&str> = told.lines().map(str::trim).filter(is_id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let mut remove = container::command(&self.client);
        remove.args(["rm", "--force", "--volumes"]).args(ids);
        container::ask(remove, COMPOSED_WITHIN)
            .map(drop)
            .map_err(failed)
    }

    /// By this its containers are known, whatever file of Compose somebody has where the harness is run.
    fn label(&self) -> String {
        format!("label=com.docker.compose.project={}", self.name)
    }

    /// The command that removes its containers.
    fn by_hand(&self) -> String {
        let label = self.label();
        format!("docker rm --force --volumes $(docker ps --all --quiet --filter {label})")
    }
}

impl Cleanup for Project {
    const KIND: &'static str = "compose project";

    fn clean_up(left: Vec<Self>) -> Result<Vec<String>, String> {
        let (mut said, mut failed) = (Vec::new(), Vec::new());
        for project in left {
            let once = project.remove();
            // The engine may have gone on with what it was asked for.
            std::thread::sleep(LATE);
            match once.and(project.remove()) {
                Ok(()) => said.push(format!("removed the containers of {}", project.name)),
                Err(reason) => failed.push(reason),
            }
        }
        match failed.is_empty() {
            true => Ok(said),
            false => Err(failed.join("; ")),
        }
    }
}

/// A project that was made here and is removed on drop, or by the reaper after a kill -9.
struct MadeProject {
    of: Project,
    reaper: Arc<Reaper>,
    /// Held while its containers are made.
    busy: Arc<Mutex<()>>,
    is_gone: bool,
}

impl MadeProject {
    /// To be called before anything of it is made.
    fn note(of: Project, reaper: &Arc<Reaper>) -> Result<Self, String> {
        reaper.note(&of).map_err(|e| e.to_string())?;
        Ok(Self {
            of,
            reaper: Arc::clone(reaper),
            busy: Arc::default(),
            is_gone: false,
        })
    }

    fn remove(mut self) -> Result<(), String> {
        self.remove_once()
    }

    fn remove_once(&mut self) -> Result<(), String> {
        if self.is_gone {
            return Ok(());
        }
        let busy = Arc::clone(&self.busy);
        let _busy = busy.lock().unwrap_or_else(PoisonError::into_inner);
        self.of.remove()?;
        self.keep().map_err(|e| e.to_string())
    }

    /// It is nobody's to remove any more.
    fn keep(&mut self) -> std::io::Result<()> {
        self.is_gone = true;
        self.reaper.forget(&self.of)
    }
}

impl Drop for MadeProject {
    fn drop(&mut self) {
        if let Err(reason) = self.remove_once() {
            tracing::error!(%reason, "left to the reaper");
        }
    }
}

/// What Kafka does not say of itself.
struct Versions {
    kafka: String,
    jvm: String,
}

/// Whether a stack of containers can be like this; an Err says what it cannot be.
pub fn can_be(settings: &ServerSettings) -> Result<(), String> {
    let beside = settings.servers.iter();
    let mut beside = beside.filter(|server| **server != Server::KAFKA);
    let lacks = match beside.next() {
        Some(server) => format!("the image has no {}", server.title()),
        None if settings.kafka.brokers > 1 => "its Kafka is one broker".to_owned(),
        None if settings.synchronous_standby || settings.hot_standby => {
            "its PostgreSQL has no standby".to_owned()
        }
        None => return Ok(()),
    };
    Err(format!("{lacks}: run this scenario with --stack local"))
}

/// Returns the version of the engine that answers; an Err says what to do where none does.
fn engine(client: &Path) -> Result<String, String> {
    let mut command = container::command(client);
    command.args(["version", "--format", "{{.Server.Version}}"]);
    container::ask(command, ENGINE_WITHIN).map_err(|reason| {
        format!(
            "no Docker engine answers: {reason}\n`make docker-engine` installs and starts one (as root, on Debian \
             or Ubuntu); DOCKER_HOST names another one"
        )
    })
}

/// Asks the image for versions; an Err says what builds it where it is not there.
fn versions(client: &Path) -> Result<Versions, String> {
    let mut command = container::command(client);
    command.args([
        "run",
        "--rm",
        "--pull",
        "never",
        "--network",
        "none",
        IMAGE,
        "versions",
    ]);
    let said = container::ask(command, ENGINE_WITHIN).map_err(|reason| {
        format!("the image {IMAGE} cannot be used: {reason}\n`make images` builds it")
    })?;
    let of = |name: &str| {
        let mut lines = said.lines();
        let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        found.map(str::to_owned).ok_or_else(|| {
            format!("the image {IMAGE} says no version of {name}: `make images` builds a new one")
        })
    };
    Ok(Versions {
        kafka: of("kafka")?,
        jvm: of("jvm")?,
    })
}

fn failed(reason: String) -> StackError {
    StackError {
        doing: "start the stack of containers".into(),
        reason,
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panic) => std::panic::resume_unwind(panic.into_panic()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_ports_when_laid_out_then_the_compose_file_asks_for_each_variable_and_every_link_has_a_way()
     {
        let mut next = 20_000;
        let layout = Layout::of(std::array::from_fn(|_| {
            next += 1;
            next
        }));
        for (name, value) in layout.variables(Some(Jit::C1)) {
            assert!(COMPOSE.contains(&format!("${{{name}:-")), "{name}");
            assert!(!value.is_empty(), "{name}");
        }
        assert_eq!(layout.ways.len(), 2 * LINKS);
        for (link, proxy, upstream) in &layout.ways {
            match link.server() {
                Server::KAFKA => assert!(layout.kafka.links.contains(&(*upstream, *proxy))),
                _ => assert_eq!(*upstream, layout.target.port),
            }
        }
        let links = layout.kafka.links;
        assert!(
            links.iter().all(|(listener, _)| *listener != 0),
            "{links:?}"
        );
    }

    #[test]
    fn given_any_folder_when_containers_are_made_then_it_is_by_the_file_of_the_harness() {
        let project = Project {
            client: "docker".into(),
            name: "outbox-harness-1".to_owned(),
        };
        let command = project.creating(Path::new("/data/docker-compose.yml"), false);
        let arguments: Vec<_> = command.get_args().map(|a| a.to_string_lossy()).collect();
        let wanted = "compose --project-name outbox-harness-1 --file /data/docker-compose.yml create \
                      --no-build --pull never postgres toxiproxy";
        assert_eq!(arguments.join(" "), wanted);
    }

    #[test]
    fn given_what_the_image_has_not_when_asked_for_then_it_is_named_with_what_to_do() {
        let usual = ServerSettings::default();
        assert_eq!(can_be(&usual), Ok(()));
        let refused = |settings: ServerSettings| can_be(&settings).unwrap_err();
        let cache = refused(ServerSettings {
            servers: [Server::KAFKA, Server::Redis].into(),
            ..usual.clone()
        });
        assert!(
            cache.contains("no Redis") && cache.contains("--stack local"),
            "{cache}"
        );
        let synchronous = ServerSettings {
            synchronous_standby: true,
            ..usual.clone()
        };
        let hot = ServerSettings {
            hot_standby: true,
            ..usual
        };
        for standby in [synchronous, hot].map(refused) {
            assert!(standby.contains("no standby"), "{standby}");
        }
    }
}
