//! Servers that only some scenarios need: each is a row, which says how it is found, started and stopped.

use super::listening::Tries;
use super::ports::ReservedPorts;
use super::{
    ServerSettings, StackError, eventbridge_server, mariadb_server, nats_server, rabbitmq_server,
    redis_server,
};
use crate::process::reaper::Reaper;
use crate::process::{Child, Stop};
use crate::scenario::Server;
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// What a server is started with.
pub(super) struct StartingServer<'a> {
    /// It makes a folder of its own in this one.
    pub(super) data: &'a Path,
    /// Its log goes to this folder.
    pub(super) logs: &'a Path,
    /// The install script's folder.
    pub(super) programs: &'a Path,
    /// As many as its row asks for; clients connect to the first.
    pub(super) ports: &'a [u16],
    /// What the scenario wants its servers to be like.
    pub(super) settings: &'a ServerSettings,
    pub(super) reaper: &'a Arc<Reaper>,
}

impl StartingServer<'_> {
    /// Returns its ports; an Err says that its row asks for another number of them.
    pub(super) fn ports<const N: usize>(&self) -> Result<[u16; N], String> {
        let ports = <[u16; N]>::try_from(self.ports);
        ports.map_err(|_| format!("it takes {N} ports, and {} are for it", self.ports.len()))
    }
}

/// What came of starting one.
pub(super) struct StartedServer {
    pub(super) child: Child,
    /// Processes without which it does not run, and that nobody breaks.
    pub(super) helpers: Vec<Child>,
    pub(super) version: String,
    /// Settings that a record names.
    pub(super) settings: BTreeMap<String, String>,
    /// Its administrator's, where it has one.
    pub(super) password: Option<String>,
}

impl StartedServer {
    /// One process, of which nothing more is to be said than its version.
    pub(super) fn of(child: Child, version: String) -> Self {
        Self {
            child,
            helpers: Vec::new(),
            version,
            settings: BTreeMap::new(),
            password: None,
        }
    }
}

/// This is the row of such a server.
pub(super) struct BesideKind {
    pub(super) server: Server,
    /// It takes so many ports.
    pub(super) ports: usize,
    /// How it is told to end.
    pub(super) stop: fn() -> Stop,
    /// Whether the install script brought it.
    pub(super) is_installed: fn(&Path) -> bool,
    /// Starts it, and waits until it answers; an Err says why it does not.
    pub(super) start:
        for<'a> fn(StartingServer<'a>) -> BoxFuture<'a, Result<StartedServer, String>>,
}

/// Every such server has a row here.
pub(super) const KINDS: [BesideKind; 5] = [
    rabbitmq_server::KIND,
    nats_server::KIND,
    eventbridge_server::KIND,
    mariadb_server::KIND,
    redis_server::KIND,
];

/// Returns the row of a server; `None` for one that every local stack can have.
pub(super) fn kind(server: Server) -> Option<&'static BesideKind> {
    KINDS.iter().find(|kind| kind.server == server)
}

/// Whether everything was brought by the install script that this server needs.
pub(super) fn is_installed(server: Server, programs: &Path) -> bool {
    kind(server).is_none_or(|kind| (kind.is_installed)(programs))
}

/// Says what brings it, where it was not brought: before anything else is started for nothing.
pub(super) fn must_be_installed(server: Server, programs: &Path) -> Result<(), StackError> {
    if is_installed(server, programs) {
        return Ok(());
    }
    let (name, title) = (server.name(), server.title());
    Err(StackError {
        doing: format!("start {title}"),
        reason: format!(
            "the scenario needs {title}, and {} is not there: run `stack/install.sh {name}` (`make run \
             SCENARIO=...` does, where it is wanted), or say with --programs where its `.stack` folder is",
            programs.join(name).display()
        ),
    })
}

/// The libraries in this folder first, then where those of the machine are looked for anyway: for `LD_LIBRARY_PATH`.
pub(super) fn libraries(folder: &Path) -> String {
    let own = folder.join("lib").display().to_string();
    match std::env::var("LD_LIBRARY_PATH") {
        Ok(more) if !more.is_empty() => format!("{own}:{more}"),
        _ => own,
    }
}

/// This is such a server that runs.
pub(super) struct BesideServer {
    pub(super) server: Server,
    pub(super) started: StartedServer,
    pub(super) address: String,
    /// Clients connect to this one.
    pub(super) port: u16,
    // Also between its death and its restart.
    _ports: ReservedPorts,
}

impl BesideServer {
    /// Starts one on ports that are reserved for it, and on others if one of them was taken meanwhile.
    pub(super) async fn start(
        kind: &BesideKind,
        (data, logs, programs): (&Path, &Path, &Path),
        settings: &ServerSettings,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        let mut tries = Tries::first();
        loop {
            let reserved = super::ports::reserve_many(kind.ports).map_err(|reason| StackError {
                doing: format!("choose ports for {}", kind.server.title()),
                reason,
            })?;
            let numbers = reserved.numbers.clone();
            let port = numbers.first().copied().unwrap_or_default();
            let starting = StartingServer {
                data,
                logs,
                programs,
                ports: &numbers,
                settings,
                reaper,
            };
            let started = (kind.start)(starting).await;
            let started = started.map_err(|reason| StackError {
                doing: format!("start {}", kind.server.title()),
                reason,
            });
            match started {
                Ok(started) => {
                    return Ok(Self {
                        server: kind.server,
                        started,
                        address: format!("127.0.0.1:{port}"),
                        port,
                        _ports: reserved,
                    });
                }
                Err(e) if tries.once_more(&e, &numbers) => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Returns its process, and those of its helpers.
    pub(super) fn children(&self) -> impl Iterator<Item = &Child> {
        std::iter::once(&self.started.child).chain(&self.started.helpers)
    }
}
