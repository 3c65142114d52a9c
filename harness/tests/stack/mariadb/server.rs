//! A MariaDB of these tests alone, started once. Each test has a database, accounts and relays of its own.

use crate::not_done::not_done;
use crate::patience::PATIENCE;
use crate::{programs, reaper};
use futures::FutureExt;
use harness::process::{Child, ChildSpec, Ready};
use harness::stack::data_folder::DataFolder;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use relays::config::MariaDbTarget;
use relays::mariadb::schema::{self, MariaDbLayout, MariaDbOutbox, connect_admin};
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::sync::OnceCell;
use uuid::Uuid;

const PASSWORD: &str = "it's \\ secret";
/// With these a data folder begins.
const SCRIPTS: [&str; 2] = ["mysql_system_tables.sql", "mysql_system_tables_data.sql"];

/// A server, with what it stands on.
pub struct TestMariaDb {
    pub admin: MariaDbTarget,
    pub process: Child,
    _folder: DataFolder,
}

/// Whether MariaDB is not installed here, which names the test that asks as not done.
pub fn is_missing() -> bool {
    let is_missing = !programs().join("mariadb/bin/mariadbd").is_file();
    if is_missing {
        not_done("MariaDB is not installed (`stack/install.sh mariadb`)");
    }
    is_missing
}

/// The server of all tests that leave it alone.
async fn shared() -> Option<&'static TestMariaDb> {
    static SERVER: OnceCell<TestMariaDb> = OnceCell::const_new();
    if is_missing() {
        return None;
    }
    Some(SERVER.get_or_init(|| TestMariaDb::start("shared")).await)
}

impl TestMariaDb {
    pub async fn start(name: &str) -> Self {
        let reaper = reaper();
        let folder = format!("outbox-harness-mariadb-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let folder = DataFolder::make(&folder, None, &reaper).unwrap();
        let installed = programs().join("mariadb");
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["data", "tmp"] {
            std::fs::create_dir(path(name)).unwrap();
        }
        let options = [
            "--no-defaults".to_owned(),
            "--user=root".to_owned(),
            format!("--datadir={}", path("data")),
            format!("--tmpdir={}", path("tmp")),
            format!("--lc-messages-dir={}/share/english", installed.display()),
            format!(
                "--character-sets-dir={}/share/charsets",
                installed.display()
            ),
            "--innodb-log-file-size=32M".to_owned(),
            "--skip-name-resolve".to_owned(),
        ];
        let libraries = installed.join("lib").display().to_string();
        let mut script =
            "create database mysql;\nuse mysql;\nSET @auth_root_socket=NULL;\n".to_owned();
        for name in SCRIPTS {
            let text = std::fs::read_to_string(installed.join("share").join(name)).unwrap();
            script.extend(
                text.lines()
                    .filter(|l| !l.contains("@current_hostname"))
                    .map(|l| format!("{l}\n")),
            );
        }
        let mut bootstrap = Command::new(installed.join("bin/mariadbd"))
            .args(&options)
            .arg("--bootstrap")
            .env("LD_LIBRARY_PATH", &libraries)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut told = bootstrap.stdin.take().unwrap();
        told.write_all(script.as_bytes()).unwrap();
        drop(told);
        assert!(bootstrap.wait().unwrap().success());
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let admin = MariaDbTarget {
            host: "127.0.0.1".into(),
            port,
            user: "root".into(),
            password: String::new(),
            database: String::new(),
        };
        let mut args = options.to_vec();
        args.extend(
            [
                "--socket=s".to_owned(),
                format!("--port={port}"),
                format!("--pid-file={}", path("pid")),
                format!("--log-bin={}", path("data/bin")),
            ]
            .into_iter()
            .chain(
                [
                    "--bind-address=127.0.0.1",
                    "--server-id=1",
                    "--binlog-format=ROW",
                    "--binlog-row-image=FULL",
                    "--gtid-strict-mode=1",
                    "--innodb-flush-log-at-trx-commit=1",
                    "--sync-binlog=1",
                ]
                .map(str::to_owned),
            ),
        );
        let asked = admin.clone();
        let spec = ChildSpec {
            name: "mariadb-server".into(),
            program: installed.join("bin/mariadbd"),
            args,
            env: vec![("LD_LIBRARY_PATH".into(), libraries)],
            user: None,
            folder: Some(folder.path().to_owned()),
            log: folder.path().join("log"),
            ready: Ready::Answers(Arc::new(move || {
                let admin = asked.clone();
                async move { connect_admin(&admin, None).await.is_ok() }.boxed()
            })),
            ready_within: PATIENCE,
        };
        let process = Child::start(spec, &reaper).await.unwrap();
        Self {
            admin,
            process,
            _folder: folder,
        }
    }

    /// A strategy's database on this server.
    pub async fn database(&self, outbox: MariaDbOutbox) -> TestDatabase {
        let layout = MariaDbLayout {
            name: format!("t{}", Uuid::new_v4().simple()),
            outbox,
            password: PASSWORD.into(),
        };
        schema::create(&self.admin, &layout).await.unwrap();
        TestDatabase {
            admin: self.admin.clone(),
            layout,
        }
    }
}

/// A strategy's database.
pub struct TestDatabase {
    pub admin: MariaDbTarget,
    pub layout: MariaDbLayout,
}

/// A database of one test on the shared server; `None` where there is none, which names the test as not done.
pub async fn database(outbox: MariaDbOutbox) -> Option<TestDatabase> {
    Some(shared().await?.database(outbox).await)
}

impl TestDatabase {
    fn target(&self, user: String) -> MariaDbTarget {
        MariaDbTarget {
            user,
            password: PASSWORD.into(),
            database: self.layout.name.clone(),
            ..self.admin.clone()
        }
    }

    pub fn service(&self) -> MariaDbTarget {
        self.target(self.layout.service_user())
    }

    pub fn relay(&self) -> MariaDbTarget {
        self.target(self.layout.relay_user())
    }

    /// A session of the administrator in this database.
    pub async fn session(&self) -> Conn {
        let mut conn = connect_admin(&self.admin, None).await.unwrap();
        conn.query_drop(format!("USE {}", self.layout.name))
            .await
            .unwrap();
        conn
    }

    /// A session of somebody else in this database.
    pub async fn session_of(&self, target: &MariaDbTarget) -> Conn {
        let mut conn = connect_admin(target, None).await.unwrap();
        conn.query_drop(format!("USE {}", self.layout.name))
            .await
            .unwrap();
        conn
    }

    /// Runs statements as the administrator, in a session of their own.
    pub async fn run(&self, sql: &str) {
        let mut conn = self.session().await;
        conn.query_drop(sql).await.unwrap();
        conn.disconnect().await.unwrap();
    }

    /// What a query gives: each row as its values, as text.
    pub async fn rows(&self, sql: &str) -> Vec<Vec<String>> {
        let mut conn = self.session().await;
        let rows: Vec<Row> = conn.query(sql).await.unwrap();
        conn.disconnect().await.unwrap();
        let text = |row: &Row, column| row.get::<Option<String>, _>(column).flatten();
        rows.iter()
            .map(|row| {
                (0..row.len())
                    .map(|column| text(row, column).unwrap_or_else(|| "NULL".into()))
                    .collect()
            })
            .collect()
    }

    pub async fn drop(self) {
        schema::drop_all(&self.admin, &self.layout).await.unwrap();
    }
}
