//! A second PostgreSQL that follows the stack's own and can take its place: what was acknowledged is in its log too, and
//! it has the slots that are made for that (`failover`), as far as they have come (`sync_replication_slots`).
//!
//! It begins as a copy of the first one's stopped cluster, and follows on a port of its own. It takes the first one's place
//! by being promoted there, and started again in the first one's folder and on its port: so nobody ever meets a server
//! that is still a standby at the address where orders are written.

use super::{PostgresServer, make_folder, path_text, standby, write_for};
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec, Ready, environment};
use crate::stack::data_folder::{self, CLUSTER, DataFolder};
use crate::stack::ports::{self, Reserved};
use crate::stack::{StackError, postgres_client, postgres_server};
use futures::FutureExt;
use relays::config::PostgresTarget;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::Mutex;

/// The oldest version whose standbys have the slots of their primary, and what needs it.
pub(in crate::stack) const WANTED: (u32, &str) = (17, "a `hot_standby`");
const NAME: &str = "postgres-hot-standby";
/// This is the name of the slot that it reads from, and the one by which the first server knows it.
const SLOT: &str = "oh_hot_standby";
/// Where its first server was is put here until it has taken its place.
const ASIDE: &str = "cluster.before";
/// It must be consistent, and answer, within this time.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A cluster must be copied within this time.
const COPIED_WITHIN: Duration = Duration::from_secs(120);
/// It must have ended its recovery within this time after it was told to.
const PROMOTED_WITHIN: Duration = Duration::from_secs(30);
/// It must have a slot within this time.
const SYNCED_WITHIN: Duration = Duration::from_secs(60);
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The record says in these words whose commits wait.
pub(in crate::stack) const COMMIT_MODE: &str = "on, and waits for a hot standby that flushes WAL";

/// A PostgreSQL that follows the stack's own until it takes its place.
pub struct HotStandby {
    first: FirstServer,
    child: Child,
    /// It is here while it follows.
    own: PostgresTarget,
    cluster: PathBuf,
    /// Whether it has taken the first one's place.
    took_over: Mutex<bool>,
    // Also while it is not there.
    _port: Reserved<1>,
}

/// What it knows of the server that it follows.
struct FirstServer {
    child: Child,
    target: PostgresTarget,
    cluster: PathBuf,
    user: Option<(u32, u32)>,
    /// Whatever is started for it is in this group.
    group: i32,
}

/// These are the timelines of a server that took another one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promotion {
    /// The server followed on this one.
    pub from: i64,
    /// The server goes on with this one.
    pub to: i64,
}

impl HotStandby {
    /// Starts it, and has all commits of the first server wait for it. With it comes the folder of its data.
    pub(in crate::stack) async fn start(
        postgres: &PostgresServer,
        (data, logs): (&Path, &Path),
        reaper: &Arc<Reaper>,
    ) -> Result<(Self, DataFolder), StackError> {
        Self::try_start(postgres, (data, logs), reaper)
            .await
            .map_err(|reason| failed("start PostgreSQL's hot standby", reason))
    }

    async fn try_start(
        postgres: &PostgresServer,
        (data, logs): (&Path, &Path),
        reaper: &Arc<Reaper>,
    ) -> Result<(Self, DataFolder), String> {
        let folder = make_folder(data, NAME, postgres.user, reaper)?;
        let port = ports::reserve::<1>()?;
        let [number] = port.numbers;
        let own = PostgresTarget {
            port: number,
            ..postgres.target.clone()
        };
        let first = FirstServer {
            child: postgres.child.clone(),
            target: postgres.target.clone(),
            cluster: postgres.folder.path().join(CLUSTER),
            user: postgres.user,
            group: reaper.process_group(),
        };
        let cluster = folder.path().join(CLUSTER);
        first.copy_to(&cluster).await?;
        let child = Child::start(spec(postgres, &folder, &own, logs), reaper)
            .await
            .map_err(|e| e.to_string())?;
        first.wait_for_standby().await?;
        let standby = Self {
            first,
            child,
            own,
            cluster,
            took_over: Mutex::new(false),
            _port: port,
        };
        Ok((standby, folder))
    }

    pub(in crate::stack) fn child(&self) -> &Child {
        &self.child
    }

    /// Takes the place of the first server, which is dead: from now on it is that one's process, at its address and with
    /// its name.
    pub async fn take_over(&self) -> Result<Promotion, String> {
        let mut took_over = self.took_over.lock().await;
        if *took_over {
            return Err("the standby has taken its place before, and there is no other one".into());
        }
        if self.first.child.is_alive() {
            return Err(format!("{} lives", self.first.child.name()));
        }
        let from = timeline(&self.own).await?;
        // Whatever fails from here on, it may be no standby any more.
        *took_over = true;
        self.promote().await?;
        let stop = postgres_server::stop();
        let ended = self.child.end_for_now(&stop).await;
        ended.map_err(|e| e.to_string())?;
        let aside = self.first.aside();
        remove(&aside).await?;
        data_folder::set_aside(&self.first.cluster, &aside).map_err(|e| e.to_string())?;
        move_folder(&self.cluster, &self.first.cluster)?;
        let started = self.first.child.restart().await;
        started.map_err(|e| e.to_string())?;
        let to = timeline(&self.first.target).await?;
        if to <= from {
            return Err(format!("it is on timeline {to}, as before its promotion"));
        }
        // It goes with the rest of the data at the latest.
        if let Err(reason) = remove(&aside).await {
            tracing::warn!(%reason, "a cluster that another one took the place of stays for now");
        }
        Ok(Promotion { from, to })
    }

    async fn promote(&self) -> Result<(), String> {
        postgres_client::say(&self.own, &["select pg_promote(wait => false)::text"]).await?;
        let deadline = Instant::now() + PROMOTED_WITHIN;
        loop {
            let mut session = postgres_client::connect(&self.own).await?;
            let query = "select pg_is_in_recovery()::text";
            if postgres_client::ask(&mut session, query).await? == "false" {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{NAME} was told to be no standby any more, and is one after {PROMOTED_WITHIN:?}"
                ));
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// Where it took the first server's place, or tried to, it follows again who is there now. Nothing else may be going
    /// on.
    pub async fn follow_again(&self) -> Result<(), StackError> {
        let mut took_over = self.took_over.lock().await;
        if !*took_over && self.first.child.is_alive() && self.child.is_alive() {
            return Ok(());
        }
        let follows = async {
            if *took_over {
                self.give_up_its_own().await?;
            }
            come_back(&self.first.child).await?;
            if *took_over {
                self.first.forget_standby().await?;
                self.first.copy_to(&self.cluster).await?;
            }
            come_back(&self.child).await?;
            self.first.wait_for_standby().await
        };
        let failed = |reason| failed("have a hot standby again after a failover", reason);
        follows.await.map_err(failed)?;
        *took_over = false;
        Ok(())
    }

    /// Ends it where it lives, and removes its cluster, which is no copy of the first server's any more; but where it was
    /// on its way to the first server's place, it is that one's.
    async fn give_up_its_own(&self) -> Result<(), String> {
        let ended = self.child.end_for_now(&postgres_server::stop()).await;
        ended.map_err(|e| e.to_string())?;
        if !self.first.cluster.exists() {
            move_folder(&self.cluster, &self.first.cluster)?;
        }
        remove(&self.cluster).await?;
        remove(&self.first.aside()).await
    }

    /// Waits until it has this slot of the first server as well, for good: one that is temporary would be gone with the
    /// first server. Nobody reads the slot yet, and nothing is in it.
    ///
    /// It takes a slot up only where that is not behind its own oldest transaction, and one that nobody reads is, as soon as
    /// there was another transaction: so the slot goes on, which takes a note of running transactions in the log. And where
    /// nothing moved lately it looks for slots every thirty seconds only, but whenever its settings are read again.
    pub async fn has_slot(&self, slot: &str) -> Result<(), String> {
        let deadline = Instant::now() + SYNCED_WITHIN;
        loop {
            if self.state_of(slot).await?.as_deref() == Some("synced") {
                return Ok(());
            }
            if Instant::now() > deadline {
                let state = self.state_of(slot).await?;
                let state = state.unwrap_or_else(|| "not there".into());
                return Err(format!(
                    "on the standby the slot {slot} is {state} after {SYNCED_WITHIN:?}"
                ));
            }
            let note = "select pg_log_standby_snapshot()::text";
            let go_on =
                format!("select pg_replication_slot_advance('{slot}', pg_current_wal_lsn())::text");
            postgres_client::say(&self.first.target, &[note, &go_on]).await?;
            postgres_client::say(&self.own, &["select pg_reload_conf()::text"]).await?;
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    /// What it has of a slot: `synced`, `temporary`, or nothing.
    async fn state_of(&self, slot: &str) -> Result<Option<String>, String> {
        let mut session = postgres_client::connect(&self.own).await?;
        let query = "select case when synced and not temporary then 'synced' else 'temporary' end \
                     from pg_replication_slots where slot_name = $1";
        postgres_client::ask_for(&mut session, query, &[slot]).await
    }
}

impl FirstServer {
    /// Where its cluster is put until another one has taken its place.
    fn aside(&self) -> PathBuf {
        self.cluster.with_file_name(ASIDE)
    }

    /// Has nothing wait for a standby that is not there, where anything did; a copy of it does not either.
    async fn forget_standby(&self) -> Result<(), String> {
        let slot = format!(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = '{SLOT}'"
        );
        let statements = [
            "alter system reset synchronous_standby_names",
            "alter system reset synchronized_standby_slots",
            "select pg_reload_conf()",
            &slot,
        ];
        postgres_client::say(&self.target, &statements).await
    }

    /// Copies its cluster while it is stopped, to be followed from there on.
    async fn copy_to(&self, cluster: &Path) -> Result<(), String> {
        let stop = postgres_server::stop();
        let ended = self.child.end_for_now(&stop).await;
        ended.map_err(|e| e.to_string())?;
        let copied = self.copy_stopped(cluster).await;
        let started = self.child.restart().await;
        copied?;
        started.map_err(|e| e.to_string())?;
        let slot = format!("select pg_create_physical_replication_slot('{SLOT}', true)::text");
        postgres_client::say(&self.target, &[&slot]).await
    }

    async fn copy_stopped(&self, cluster: &Path) -> Result<(), String> {
        let mut copy = Command::new("cp");
        copy.arg("--archive")
            .arg("--no-target-directory")
            .arg(&self.cluster)
            .arg(cluster)
            .env_clear()
            .envs(environment::of_child())
            // The reaper's: it must not go on in a folder that is being removed.
            .process_group(self.group)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some((uid, gid)) = self.user {
            copy.uid(uid).gid(gid);
        }
        let shown = self.cluster.display();
        let copied = tokio::time::timeout(COPIED_WITHIN, copy.output()).await;
        match copied {
            Ok(Ok(done)) if done.status.success() => {}
            Ok(Ok(done)) => {
                let said = String::from_utf8_lossy(&done.stderr);
                return Err(format!("copy {shown}: {}: {}", done.status, said.trim()));
            }
            Ok(Err(e)) => return Err(format!("copy {shown}: run cp: {e}")),
            Err(_) => return Err(format!("copy {shown}: it took over {COPIED_WITHIN:?}")),
        }
        // The slots of the first server are its own; those of the same name would be in the way of what is synchronised.
        let slots = cluster.join("pg_replslot");
        let explain = |e: std::io::Error| format!("{}: {e}", slots.display());
        for slot in std::fs::read_dir(&slots).map_err(explain)? {
            std::fs::remove_dir_all(slot.map_err(explain)?.path()).map_err(explain)?;
        }
        write_for(&cluster.join("standby.signal"), "", self.user)
    }

    /// Has every commit wait for the standby, and every reader of a slot that is for a failover too: what is published
    /// before the standby has it would be of a change that never was.
    async fn wait_for_standby(&self) -> Result<(), String> {
        let names = format!("alter system set synchronous_standby_names = '{SLOT}'");
        let slots = format!("alter system set synchronized_standby_slots = '{SLOT}'");
        let statements = [&names, &slots, "select pg_reload_conf()"];
        postgres_client::say(&self.target, &statements).await?;
        standby::in_force(&self.target, SLOT).await
    }
}

fn spec(
    postgres: &PostgresServer,
    folder: &DataFolder,
    own: &PostgresTarget,
    logs: &Path,
) -> ChildSpec {
    let first = &postgres.target;
    let setting = |name: &str, value: &str| ["-c".to_owned(), format!("{name}={value}")];
    let primary = format!(
        "host={} port={} user={} dbname={} application_name={SLOT}",
        first.host, first.port, first.user, first.database
    );
    let settings = [
        setting("port", &own.port.to_string()),
        setting("unix_socket_directories", ""),
        setting("primary_conninfo", &primary),
        setting("primary_slot_name", SLOT),
        setting("hot_standby_feedback", "on"),
        setting("sync_replication_slots", "on"),
        // Nobody's commit returns while it looks for a server that was started again.
        setting("wal_retrieve_retry_interval", "100ms"),
    ];
    let cluster = ["-D".to_owned(), path_text(&folder.path().join(CLUSTER))];
    let target = own.clone();
    ChildSpec {
        name: NAME.into(),
        program: postgres.programs.join("postgres"),
        args: cluster.into_iter().chain(settings.concat()).collect(),
        // Of the sessions in which it follows; a command line would show it to everybody.
        env: vec![("PGPASSWORD".into(), first.password.clone())],
        user: postgres.user,
        folder: Some(folder.path().to_owned()),
        log: logs.join(format!("{NAME}.log")),
        ready: Ready::Answers(Arc::new(move || {
            let target = target.clone();
            async move { postgres_client::answers(&target).await }.boxed()
        })),
        ready_within: READY_WITHIN,
    }
}

/// Returns the timeline that a server is on, by its last checkpoint: that of a copy is its original's last one, and one
/// that was promoted has made another.
async fn timeline(target: &PostgresTarget) -> Result<i64, String> {
    let mut session = postgres_client::connect(target).await?;
    let query = "select timeline_id::text from pg_control_checkpoint()";
    let said = postgres_client::ask(&mut session, query).await?;
    said.parse()
        .map_err(|_| format!("its timeline is `{said}`, which is no number"))
}

/// Starts a server that nobody has started since a failover that ended half-way.
async fn come_back(server: &Child) -> Result<(), String> {
    if server.is_alive() {
        return Ok(());
    }
    if let Some(end) = server.own_end() {
        return Err(format!("{} {}", server.name(), end.how));
    }
    server.restart().await.map_err(|e| e.to_string())
}

fn move_folder(from: &Path, to: &Path) -> Result<(), String> {
    std::fs::rename(from, to).map_err(|e| format!("move {}: {e}", from.display()))
}

/// Removes a cluster whose server is dead; one that is not there is no error.
async fn remove(cluster: &Path) -> Result<(), String> {
    let shown = cluster.display().to_string();
    let cluster = cluster.to_owned();
    let removed = tokio::task::spawn_blocking(move || data_folder::remove_cluster(&cluster)).await;
    match removed {
        Ok(Ok(())) => Ok(()),
        Ok(Err(e)) => Err(format!("remove {shown}: {e}")),
        Err(e) => Err(format!("remove {shown}: {e}")),
    }
}

fn failed(doing: &str, reason: String) -> StackError {
    StackError {
        doing: doing.into(),
        reason,
    }
}
