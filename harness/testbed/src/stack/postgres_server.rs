//! A PostgreSQL of our own: programs found, a fresh cluster, `postgres` itself as child process.

pub(super) mod autovacuum;
pub(super) mod hot_standby;
pub(super) mod settings;
pub(super) mod slot_limit;
pub(super) mod standby;

use super::data_folder::{self, CLUSTER, DataFolder};
use super::{StackError, postgres_client, postgres_version};
use crate::disk;
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec, Ready, Stop, environment, log};
use futures::FutureExt;
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use relays::config::PostgresTarget;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;

/// `initdb` may take at most this time (it takes half a second here).
const INITDB_WITHIN: Duration = Duration::from_secs(60);
/// The server must be ready within this time; after a kill, recovery is part of it.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The fast shutdown may take at most this time: it waits for no client, but for a checkpoint.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// The name of a Unix socket has at most so many bytes (sun_path, unix(7)).
const SOCKET_BYTES_MAX: usize = 107;
/// Programs of one version live together; both are needed.
const PROGRAMS: [&str; 2] = ["initdb", "postgres"];
/// Distributions put them below these folders, version by version.
const VERSIONED_FOLDERS: [&str; 2] = ["/usr/lib/postgresql", "/usr/pgsql"];

/// Returns how the server is told to end: by SIGINT, its fast shutdown, since SIGTERM would wait for every client.
pub(super) fn stop() -> Stop {
    Stop {
        signal: Signal::SIGINT,
        within: STOP_WITHIN,
    }
}

/// This is a running server and its cluster.
pub(super) struct PostgresServer {
    pub(super) child: Child,
    pub(super) target: PostgresTarget,
    /// This is the folder of its Unix socket; `None` where the folder's name does not do for one.
    pub(super) socket: Option<PathBuf>,
    /// Where its programs are.
    pub(super) programs: PathBuf,
    /// Whom it runs as: uid and gid, where that is not who runs the harness.
    pub(super) user: Option<(u32, u32)>,
    // After the child: the server goes first, then its data.
    pub(super) folder: DataFolder,
}

impl PostgresServer {
    /// Makes a cluster under `data` and starts the server on `port`; it is of this version at least.
    pub(super) async fn start(
        (data, logs): (&Path, &Path),
        oldest: &OldestServer<'_>,
        port: u16,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        let failed = |reason: String| StackError {
            doing: "start PostgreSQL".into(),
            reason,
        };
        let programs = find_server(oldest).await.map_err(failed)?;
        let user = unprivileged_user().map_err(failed)?;
        let folder = make_folder(data, "postgres", user, reaper).map_err(failed)?;
        let log = logs.join("postgres-server.log");
        let target = PostgresTarget {
            host: "127.0.0.1".into(),
            port,
            user: "postgres".into(),
            password: uuid::Uuid::new_v4().simple().to_string(),
            database: "postgres".into(),
            schema: String::new(),
        };
        let socket = Some(folder.path().to_owned()).filter(|f| fits_a_socket(f, port));
        let group = reaper.process_group();
        make_cluster(
            &programs,
            folder.path(),
            user,
            &target,
            socket.as_deref(),
            &log,
            group,
        )
        .await
        .map_err(failed)?;
        let child = Child::start(spec(&programs, &folder, user, &target, log), reaper)
            .await
            .map_err(|e| failed(e.to_string()))?;
        Ok(Self {
            child,
            target,
            socket,
            programs,
            user,
            folder,
        })
    }
}

fn spec(
    programs: &Path,
    folder: &DataFolder,
    user: Option<(u32, u32)>,
    target: &PostgresTarget,
    log: PathBuf,
) -> ChildSpec {
    let target = target.clone();
    ChildSpec {
        name: "postgres-server".into(),
        program: programs.join("postgres"),
        args: vec!["-D".into(), path_text(&folder.path().join(CLUSTER))],
        env: Vec::new(),
        user,
        folder: Some(folder.path().to_owned()),
        log,
        ready: Ready::Answers(Arc::new(move || {
            let target = target.clone();
            async move { postgres_client::answers(&target).await }.boxed()
        })),
        ready_within: READY_WITHIN,
    }
}

/// Returns the settings that come on top of initdb's. Durability is PostgreSQL's own default and stays on.
fn settings(port: u16, socket: Option<&Path>) -> String {
    let socket = socket.map(path_text).unwrap_or_default();
    format!(
        "\
# outbox-harness
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{socket}'
wal_level = logical
max_wal_senders = 20
max_replication_slots = 20
# A service may commit in two phases; the fence looks for what it left prepared.
max_prepared_transactions = 100
max_connections = 300
fsync = on
synchronous_commit = on
# Files of the cluster instead of /dev/shm: they go with it, also after a kill.
dynamic_shared_memory_type = mmap
log_line_prefix = '%m [%p] %q%u '
timezone = 'UTC'
log_timezone = 'UTC'
"
    )
}

async fn make_cluster(
    programs: &Path,
    folder: &Path,
    user: Option<(u32, u32)>,
    target: &PostgresTarget,
    socket: Option<&Path>,
    log: &Path,
    group: i32,
) -> Result<(), String> {
    let cluster = folder.join(CLUSTER);
    let password = folder.join("password");
    write_for(&password, &target.password, user)?;
    let from = log::length(log);
    let mut initdb = Command::new(programs.join("initdb"));
    initdb
        .args(["--username", &target.user, "--auth", "scram-sha-256"])
        .args(["--no-locale", "--encoding", "UTF8"])
        .args(["--no-sync", "--no-instructions"])
        .arg("--pwfile")
        .arg(&password)
        .arg("-D")
        .arg(&cluster)
        .env_clear()
        .envs(environment::of_child())
        .current_dir(folder)
        // The reaper's: it must not go on in a folder that is being removed.
        .process_group(group)
        .stdin(Stdio::null())
        .stdout(open_log(log)?)
        .stderr(open_log(log)?)
        .kill_on_drop(true);
    if let Some((uid, gid)) = user {
        initdb.uid(uid).gid(gid);
    }
    let ended = tokio::time::timeout(INITDB_WITHIN, initdb.status()).await;
    let tail = || log::tail(log, from);
    match ended {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => return Err(format!("initdb: {status}{}", tail())),
        Ok(Err(e)) => return Err(format!("run {}/initdb: {e}", programs.display())),
        Err(_) => return Err(format!("initdb took over {INITDB_WITHIN:?}{}", tail())),
    }
    let _ = std::fs::remove_file(&password);
    let file = cluster.join("postgresql.conf");
    let defaults = std::fs::read_to_string(&file).map_err(|e| explain(&file, &e))?;
    std::fs::write(&file, defaults + &settings(target.port, socket)).map_err(|e| explain(&file, &e))
}

fn open_log(log: &Path) -> Result<std::fs::File, String> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder).map_err(|e| explain(folder, &e))?;
    }
    let mut options = std::fs::File::options();
    let file = options.create(true).append(true).open(log);
    file.map_err(|e| explain(log, &e))
}

pub(super) fn write_for(path: &Path, text: &str, user: Option<(u32, u32)>) -> Result<(), String> {
    disk::write_secret(path, text.as_bytes()).map_err(|e| explain(path, &e))?;
    if let Some((uid, gid)) = user {
        std::os::unix::fs::chown(path, Some(uid), Some(gid)).map_err(|e| explain(path, &e))?;
    }
    Ok(())
}

fn explain(path: &Path, reason: &std::io::Error) -> String {
    format!("{}: {reason}", path.display())
}

/// Whether a Unix socket of a server on this port can be in this folder: the kernel takes 107
/// bytes, and the configuration file takes the folder's name as it is only if it is plain.
fn fits_a_socket(folder: &Path, port: u16) -> bool {
    let name = format!("{}/.s.PGSQL.{port}", path_text(folder));
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    name.len() <= SOCKET_BYTES_MAX && name.chars().all(plain)
}

pub(super) fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// PostgreSQL refuses to run as root; as root, it runs as `postgres`, or as `nobody`.
fn unprivileged_user() -> Result<Option<(u32, u32)>, String> {
    let me = Uid::effective();
    if !me.is_root() {
        let entry = User::from_uid(me).ok().flatten();
        return has_a_name(me, entry.is_some()).map(|()| None);
    }
    for name in ["postgres", "nobody"] {
        if let Ok(Some(user)) = User::from_name(name) {
            return Ok(Some((user.uid.as_raw(), user.gid.as_raw())));
        }
    }
    Err(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it \
         as: make one, or run the harness as an ordinary user"
            .into(),
    )
}

/// initdb asks for the name of whoever runs it, whatever the superuser is to be called.
fn has_a_name(user: Uid, entry: bool) -> Result<(), String> {
    if entry {
        return Ok(());
    }
    Err(format!(
        "user {user} has no entry in /etc/passwd, which PostgreSQL's initdb needs: add a line such as \
         `harness:x:{user}:{user}::/tmp:/bin/sh` there, run as a user that has one (with \
         `docker run --user`, one of the image's), or use servers that run already (--stack external)"
    ))
}

/// Under `data`, unless the unprivileged user cannot get there (a checkout under /root): then
/// under the temporary folder.
pub(super) fn make_folder(
    data: &Path,
    name: &str,
    user: Option<(u32, u32)>,
    reaper: &Arc<Reaper>,
) -> Result<DataFolder, String> {
    let own = data.join(name);
    let folder = if user.is_none() || data_folder::reachable_by_all(data) {
        own
    } else {
        std::env::temp_dir().join(format!("outbox-harness-{}", uuid::Uuid::new_v4().simple()))
    };
    DataFolder::make(&folder, user, reaper)
}

/// The folder that holds all of these programs, newest version first.
pub(super) async fn find_programs(names: &[&str]) -> Result<PathBuf, String> {
    if let Some(folder) = find_in(&known_folders(), names) {
        return Ok(folder);
    }
    named_folder(names, Command::from(pg_config()).output().await)
}

/// What a server must be at least, and where the install script puts those that are newer than the machine's.
pub(super) struct OldestServer<'a> {
    /// Its major version, and what needs that; `None`: whatever works.
    pub(super) wanted: Option<(u32, &'static str)>,
    /// The install script's folder.
    pub(super) brought: &'a Path,
}

/// The folder of the programs of a server: the machine's, and where that is too old the newest that the install script
/// brought.
pub(super) async fn find_server(oldest: &OldestServer<'_>) -> Result<PathBuf, String> {
    usual_or_brought(find_programs(&PROGRAMS).await, oldest).await
}

/// The same, where the machine's is this one, or is not there.
async fn usual_or_brought(
    usual: Result<PathBuf, String>,
    oldest: &OldestServer<'_>,
) -> Result<PathBuf, String> {
    let Some((wanted, what)) = oldest.wanted else {
        let usual = usual?;
        postgres_version::check_programs(&usual).await?;
        return Ok(usual);
    };
    let lacking = match usual {
        Err(missing) => missing,
        Ok(usual) => match postgres_version::of_programs(&usual).await {
            Ok(version) if postgres_version::is_at_least(&version, wanted) => return Ok(usual),
            Ok(version) => format!("{} is {version}", usual.join("postgres").display()),
            Err(reason) => reason,
        },
    };
    let brought = versions_below([oldest.brought.join("postgres")]).into_iter();
    let brought = brought.filter(|(version, _)| *version >= wanted);
    let folders: Vec<PathBuf> = brought.map(|(_, folder)| folder).collect();
    find_in(&folders, &PROGRAMS).ok_or_else(|| {
        format!(
            "{what} takes version {wanted} or newer: run stack/install.sh postgres-{wanted}, or put the folder of a \
             newer one first on PATH ({lacking})"
        )
    })
}

/// Says what is lacking for a server, if so.
pub(super) fn are_installed() -> Result<(), String> {
    if find_in(&known_folders(), &PROGRAMS).is_some() {
        return Ok(());
    }
    named_folder(&PROGRAMS, pg_config().output()).map(drop)
}

fn known_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.extend(versioned_folders());
    folders
}

fn pg_config() -> std::process::Command {
    let mut command = std::process::Command::new("pg_config");
    command
        .arg("--bindir")
        .env_clear()
        .envs(environment::of_child())
        .stdin(Stdio::null());
    command
}

/// The folder that pg_config names, if it holds all of these programs.
fn named_folder(
    names: &[&str],
    asked: std::io::Result<std::process::Output>,
) -> Result<PathBuf, String> {
    let bindir = asked
        .map(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()))
        .unwrap_or_default();
    find_in(&[bindir], names).ok_or_else(|| {
        format!(
            "{} not on PATH nor under /usr/lib/postgresql: run stack/install.sh (`make run` does)",
            names.join(" and ")
        )
    })
}

fn find_in(folders: &[PathBuf], names: &[&str]) -> Option<PathBuf> {
    let mut having_all = folders
        .iter()
        .filter(|folder| names.iter().all(|program| folder.join(program).is_file()));
    having_all.next().cloned()
}

/// Returns `/usr/lib/postgresql/15/bin` and the like, highest version first.
fn versioned_folders() -> Vec<PathBuf> {
    let found = versions_below(VERSIONED_FOLDERS).into_iter();
    found.map(|(_, folder)| folder).collect()
}

/// Returns the folders of programs below those whose folders are named by versions, highest version first.
fn versions_below<P: AsRef<Path>>(roots: impl IntoIterator<Item = P>) -> Vec<(u32, PathBuf)> {
    let entries = roots
        .into_iter()
        .filter_map(|root| std::fs::read_dir(root).ok());
    let mut found: Vec<(u32, PathBuf)> = entries
        .flat_map(|entries| entries.flatten())
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_only_where_its_name_fits() {
        assert!(fits_a_socket(Path::new("/tmp/run/stack/postgres"), 5432));
        assert!(!fits_a_socket(Path::new("/tmp/it's/postgres"), 5432));
        assert!(!fits_a_socket(
            Path::new(&format!("/{}", "a".repeat(100))),
            5432
        ));
    }

    #[test]
    fn given_the_image_then_its_postgres_has_every_setting_of_a_local_one() {
        let script = include_str!("../../../../stack/serve.sh");
        let own = settings(5432, None);
        // The port is what the image is told.
        let own = own.lines().filter(|line| !line.starts_with("port"));
        for line in own.filter(|line| !line.starts_with('#')) {
            assert!(script.lines().any(|l| l == line), "{line}");
        }
    }

    #[test]
    fn a_user_without_a_name_is_told_what_to_do() {
        assert_eq!(has_a_name(Uid::from_raw(12_345), true), Ok(()));
        let error = has_a_name(Uid::from_raw(12_345), false).unwrap_err();
        assert!(
            error.starts_with("user 12345 has no entry in /etc/passwd"),
            "{error}"
        );
        assert!(error.contains("harness:x:12345:12345:"), "{error}");
    }

    #[tokio::test]
    async fn given_a_version_that_nobody_has_when_wanted_then_what_brings_it_is_said_and_one_that_was_brought_is_taken()
     {
        let home = tempfile::tempdir().unwrap();
        let oldest = OldestServer {
            wanted: Some((99, "this test")),
            brought: home.path(),
        };
        let error = find_server(&oldest).await.unwrap_err();
        assert!(
            error.contains("this test takes version 99 or newer")
                && error.contains("stack/install.sh postgres-99"),
            "{error}"
        );
        let none = || Err("there is none".to_owned());
        let error = usual_or_brought(none(), &oldest).await.unwrap_err();
        assert!(error.ends_with("(there is none)"), "{error}");
        // The newest of those that do
        for version in ["98", "99", "100"] {
            let folder = home.path().join("postgres").join(version).join("bin");
            std::fs::create_dir_all(&folder).unwrap();
            for program in PROGRAMS {
                std::fs::write(folder.join(program), "").unwrap();
            }
        }
        for usual in [find_programs(&PROGRAMS).await, none()] {
            let found = usual_or_brought(usual, &oldest).await.unwrap();
            assert_eq!(found, home.path().join("postgres/100/bin"));
        }
    }

    #[test]
    fn a_folder_with_only_one_of_the_programs_is_passed_over() {
        let half = tempfile::tempdir().unwrap();
        let whole = tempfile::tempdir().unwrap();
        std::fs::write(half.path().join("postgres"), "").unwrap();
        for program in PROGRAMS {
            std::fs::write(whole.path().join(program), "").unwrap();
        }
        let folders = [half.path().to_owned(), whole.path().to_owned()];
        assert_eq!(find_in(&folders, &PROGRAMS).as_deref(), Some(whole.path()));
    }
}
