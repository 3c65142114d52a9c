//! A synchronous standby of a PostgreSQL of our own: `pg_receivewal --synchronous` flushes the log that it is
//! sent and says so, and every commit waits for that. Between a commit's own flush, from which on its log
//! is sent to whoever reads it, and the moment in which others see it, there is then a round trip.

use super::{PostgresServer, find_programs};
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec, Ready};
use crate::stack::{StackError, postgres_client};
use futures::FutureExt;
use relays::config::PostgresTarget;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const NAME: &str = "postgres-standby";
const PROGRAM: &str = "pg_receivewal";
/// This is the name of its slot, and the one by which the server knows it.
const SLOT: &str = "oh_standby";
/// It must be connected to the server within this time.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// The server must have taken up the setting within this time.
const IN_FORCE_WITHIN: Duration = Duration::from_secs(10);
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The record says in these words whose commits wait.
pub(in crate::stack) const COMMIT_MODE: &str = "on, and waits for a standby that flushes WAL";

/// Starts it, and has all commits wait for it.
pub(in crate::stack) async fn start(
    postgres: &PostgresServer,
    logs: &Path,
    reaper: &Arc<Reaper>,
) -> Result<Child, StackError> {
    let failed = |reason: String| StackError {
        doing: "start PostgreSQL's synchronous standby".into(),
        reason,
    };
    let program = program(&postgres.programs).await.map_err(failed)?;
    let wal = folder_of(postgres).map_err(|e| failed(format!("make its folder: {e}")))?;
    let target = &postgres.target;
    let slot = format!("select pg_create_physical_replication_slot('{SLOT}', true)::text");
    postgres_client::say(target, &[&slot])
        .await
        .map_err(failed)?;
    let child = Child::start(spec(program, &wal, postgres, logs), reaper)
        .await
        .map_err(|e| failed(e.to_string()))?;
    let setting = format!("alter system set synchronous_standby_names = '{SLOT}'");
    postgres_client::say(target, &[&setting, "select pg_reload_conf()"])
        .await
        .map_err(failed)?;
    in_force(target, SLOT).await.map_err(failed)?;
    Ok(child)
}

/// It may stand beside the server, or beside the program that the server's is a link to; one of another
/// version will do where there is none.
async fn program(programs: &Path) -> Result<PathBuf, String> {
    let server = std::fs::canonicalize(programs.join("postgres"));
    let beside = server.ok().and_then(|s| Some(s.parent()?.to_owned()));
    let mut places = beside.iter().map(PathBuf::as_path).chain([programs]);
    if let Some(folder) = places.find(|folder| folder.join(PROGRAM).is_file()) {
        return Ok(folder.join(PROGRAM));
    }
    let found = find_programs(&[PROGRAM]).await;
    found.map(|folder| folder.join(PROGRAM))
}

/// Where it keeps what it was sent, as the user that PostgreSQL runs as.
fn folder_of(postgres: &PostgresServer) -> std::io::Result<PathBuf> {
    let folder = postgres.folder.path().join("standby");
    std::fs::create_dir(&folder)?;
    if let Some((uid, gid)) = postgres.user {
        std::os::unix::fs::chown(&folder, Some(uid), Some(gid))?;
    }
    Ok(folder)
}

fn spec(program: PathBuf, wal: &Path, postgres: &PostgresServer, logs: &Path) -> ChildSpec {
    let target = postgres.target.clone();
    let arguments = [
        "--synchronous",
        "--no-password",
        "--slot",
        SLOT,
        "--host",
        &target.host,
        "--port",
        &target.port.to_string(),
        "--username",
        &target.user,
        "--directory",
        &wal.to_string_lossy(),
    ];
    ChildSpec {
        name: NAME.into(),
        program,
        args: arguments.map(str::to_owned).to_vec(),
        env: vec![
            ("PGPASSWORD".into(), target.password.clone()),
            ("PGAPPNAME".into(), SLOT.into()),
        ],
        user: postgres.user,
        folder: Some(postgres.folder.path().to_owned()),
        log: logs.join(format!("{NAME}.log")),
        ready: Ready::Answers(Arc::new(move || {
            let target = target.clone();
            async move {
                match state_of(&target, SLOT).await?.as_str() {
                    ABSENT => Err("the server does not know it".to_owned()),
                    _ => Ok(()),
                }
            }
            .boxed()
        })),
        ready_within: READY_WITHIN,
    }
}

const ABSENT: &str = "absent";

/// What the server takes the standby of this name for: `absent`, `async`, `sync`.
async fn state_of(target: &PostgresTarget, standby: &str) -> Result<String, String> {
    let mut session = postgres_client::connect(target).await?;
    let query = "select sync_state::text from pg_stat_replication \
                 where application_name = $1 and state = 'streaming'";
    let state = postgres_client::ask_for(&mut session, query, &[standby]).await?;
    Ok(state.unwrap_or_else(|| ABSENT.to_owned()))
}

/// Waits until the server's commits wait for the standby of this name.
pub(in crate::stack) async fn in_force(
    target: &PostgresTarget,
    standby: &str,
) -> Result<(), String> {
    let deadline = Instant::now() + IN_FORCE_WITHIN;
    loop {
        let state = state_of(target, standby).await?;
        if state == "sync" {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!(
                "the server calls it {state}, and not sync, after {IN_FORCE_WITHIN:?}"
            ));
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}
