//! A MariaDB of our own: a fresh data folder, `mariadbd` itself as a child process, with a binlog that holds rows.

use super::beside::{BesideKind, StartedServer, StartingServer, libraries};
use super::listening::start_on;
use super::mariadb_client;
use crate::process::reaper::Reaper;
use crate::process::{ChildSpec, Ready, Stop, environment, log};
use crate::scenario::Server;
use futures::FutureExt;
use nix::unistd::Uid;
use relays::config::MariaDbTarget;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Making a data folder may take at most this time (it takes a second here).
const BOOTSTRAP_WITHIN: Duration = Duration::from_secs(60);
/// The server must be ready within this time; after a kill, recovery is part of it.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Its shutdown writes what is in memory to the data files first.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// Below `.stack`, the install script puts the program, its libraries and its SQL into this folder.
const FOLDER: &str = "mariadb";
const PROGRAM: &str = "bin/mariadbd";
/// With these scripts a new data folder begins, in this order.
const SCRIPTS: [&str; 3] = [
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
];
/// The administrator is called so.
const ADMINISTRATOR: &str = "outbox_harness";

/// Durability is what a server in production has: each commit is on the disk, in the log and in the binlog, before
/// it is answered. A record names them.
const DURABILITY: [(&str, &str); 2] = [
    ("innodb_flush_log_at_trx_commit", "1"),
    ("sync_binlog", "1"),
];

/// Returns how the administrator reaches the server on this port, in no database of its own.
pub(super) fn administrator(port: u16, password: String) -> MariaDbTarget {
    MariaDbTarget {
        host: "127.0.0.1".into(),
        port,
        user: ADMINISTRATOR.into(),
        password,
        database: String::new(),
    }
}

/// The row of MariaDB.
pub(super) const KIND: BesideKind = BesideKind {
    server: Server::MARIADB,
    ports: 1,
    stop: || Stop {
        within: STOP_WITHIN,
        ..Stop::default()
    },
    is_installed: |programs| program(programs).is_file(),
    start: |starting| start(starting).boxed(),
};

fn program(programs: &Path) -> PathBuf {
    programs.join(FOLDER).join(PROGRAM)
}

/// Starts it with a data folder of its own.
async fn start(starting: StartingServer<'_>) -> Result<StartedServer, String> {
    let [port] = starting.ports()?;
    let StartingServer {
        data,
        logs,
        programs,
        reaper,
        ..
    } = starting;
    let server = MariaDb {
        installed: programs.join(FOLDER),
        folder: data.join("mariadb"),
        log: logs.join("mariadb-server.log"),
        is_root: Uid::effective().is_root(),
    };
    let password = uuid::Uuid::new_v4().simple().to_string();
    server.make_data(&password, reaper).await?;
    let address = format!("127.0.0.1:{port}");
    let child = start_on(port, server.spec(&address, port), reaper).await?;
    let version = mariadb_client::version(&address).await?;
    let durable = DURABILITY.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(StartedServer {
        settings: BTreeMap::from(durable),
        password: Some(password),
        ..StartedServer::of(child, version)
    })
}

/// Where a server's files are.
struct MariaDb {
    installed: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    is_root: bool,
}

impl MariaDb {
    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the server is told on every start. `--no-defaults` must be the first: no file of the machine counts.
    fn options(&self) -> Vec<String> {
        let share = self.installed.join("share");
        let named = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
        let mut options = vec![
            "--no-defaults".to_owned(),
            named("datadir", self.data()),
            named("tmpdir", self.folder.join("tmp")),
            named("lc-messages-dir", share.join("english")),
            named("character-sets-dir", share.join("charsets")),
            named("plugin-dir", self.folder.join("plugins")),
            "--character-set-server=utf8mb4".to_owned(),
            "--innodb-log-file-size=96M".to_owned(),
            "--innodb-buffer-pool-size=128M".to_owned(),
            "--performance-schema=OFF".to_owned(),
            "--skip-name-resolve".to_owned(),
        ];
        // It refuses to run as root without being told so.
        options.extend(self.is_root.then(|| "--user=root".to_owned()));
        options
    }

    /// Makes the data folder anew, with an administrator who has this password.
    async fn make_data(&self, password: &str, reaper: &Arc<Reaper>) -> Result<(), String> {
        let explain = |path: &Path, e: &std::io::Error| format!("{}: {e}", path.display());
        let made = || -> std::io::Result<()> {
            if self.folder.exists() {
                std::fs::remove_dir_all(&self.folder)?;
            }
            for folder in ["data", "tmp", "plugins"] {
                std::fs::create_dir_all(self.folder.join(folder))?;
            }
            Ok(())
        };
        made().map_err(|e| explain(&self.folder, &e))?;
        let script = self.script(password)?;
        let from = log::length(&self.log);
        let output = || {
            let file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(&self.log);
            file.map_err(|e| explain(&self.log, &e))
        };
        let mut bootstrap = Command::new(self.installed.join(PROGRAM))
            .args(self.options())
            .args(["--bootstrap", "--skip-networking"])
            .env_clear()
            .envs(environment::of_child())
            .env("LD_LIBRARY_PATH", libraries(&self.installed))
            .current_dir(&self.folder)
            // The reaper's: it must not go on in a folder that is being removed.
            .process_group(reaper.process_group())
            .stdin(Stdio::piped())
            .stdout(output()?)
            .stderr(output()?)
            .kill_on_drop(true)
            .spawn()
            .map_err(|e| format!("run {}: {e}", self.installed.join(PROGRAM).display()))?;
        let told = bootstrap.stdin.take();
        let whole = async {
            if let Some(mut told) = told {
                told.write_all(script.as_bytes()).await?;
            }
            bootstrap.wait().await
        };
        let tail = || log::tail(&self.log, from);
        match tokio::time::timeout(BOOTSTRAP_WITHIN, whole).await {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("making its data folder: {status}{}", tail())),
            Ok(Err(e)) => Err(format!("making its data folder: {e}{}", tail())),
            Err(_) => Err(format!(
                "its data folder was not there within {BOOTSTRAP_WITHIN:?}{}",
                tail()
            )),
        }
    }

    /// What mariadb-install-db does, without its accounts: one statement a line, as a bootstrap reads it.
    fn script(&self, password: &str) -> Result<String, String> {
        let mut script =
            "create database mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\n".to_owned();
        for name in SCRIPTS {
            let path = self.installed.join("share").join(name);
            let text = std::fs::read_to_string(&path);
            script += &text.map_err(|e| format!("{}: {e}", path.display()))?;
            script.push('\n');
        }
        script += "flush privileges;\n";
        script += &format!("create user '{ADMINISTRATOR}'@'%' identified by '{password}';\n");
        script += &format!("grant all on *.* to '{ADMINISTRATOR}'@'%' with grant option;\n");
        script += "delete from mysql.global_priv where User <> '";
        script += ADMINISTRATOR;
        script += "' and User <> 'mariadb.sys';\n";
        Ok(script)
    }

    fn spec(&self, address: &str, port: u16) -> ChildSpec {
        let mut args = self.options();
        args.extend([
            format!("--port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            // Nobody comes by it, and a long path would be refused.
            "--socket=mariadb.sock".to_owned(),
            format!("--pid-file={}", self.folder.join("pid").display()),
            "--max-connections=400".to_owned(),
            // What comes to nothing on a link that is being broken is not its news.
            "--log-warnings=1".to_owned(),
            "--server-id=1".to_owned(),
            format!(
                "--log-bin={}",
                self.folder.join("data").join("bin").display()
            ),
            "--binlog-format=ROW".to_owned(),
            "--binlog-row-image=FULL".to_owned(),
            "--binlog-row-metadata=FULL".to_owned(),
            "--gtid-strict-mode=1".to_owned(),
        ]);
        args.extend(DURABILITY.map(|(name, value)| format!("--{name}={value}")));
        let asked = address.to_owned();
        ChildSpec {
            name: "mariadb-server".into(),
            program: self.installed.join(PROGRAM),
            args,
            env: vec![("LD_LIBRARY_PATH".into(), libraries(&self.installed))],
            user: None,
            folder: Some(self.folder.clone()),
            log: self.log.clone(),
            ready: Ready::Answers(Arc::new(move || {
                let address = asked.clone();
                async move { mariadb_client::version(&address).await.map(drop) }.boxed()
            })),
            ready_within: READY_WITHIN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_server_when_it_is_told_how_to_run_then_it_is_on_loopback_durable_and_logs_whole_rows()
     {
        let server = MariaDb {
            installed: "/s/mariadb".into(),
            folder: "/d/mariadb".into(),
            log: "/l/mariadb-server.log".into(),
            is_root: true,
        };
        let args = server.spec("127.0.0.1:4711", 4711).args;
        assert_eq!(args.first().map(String::as_str), Some("--no-defaults"));
        for wanted in [
            "--port=4711",
            "--bind-address=127.0.0.1",
            "--user=root",
            "--sync_binlog=1",
            "--innodb_flush_log_at_trx_commit=1",
            "--binlog-format=ROW",
            "--binlog-row-image=FULL",
        ] {
            assert!(args.iter().any(|arg| arg == wanted), "{wanted}: {args:?}");
        }
    }
}
