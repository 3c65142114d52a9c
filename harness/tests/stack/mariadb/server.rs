//! A MariaDB of these tests alone, started once. Each test has a database, accounts and relays of its own.

use crate::installed::lacks;
use crate::own_server::OwnServer;
use harness::process::Child;
use harness::scenario::Server;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row};
use relays::config::MariaDbTarget;
use relays::mariadb::schema::{self, MariaDbLayout, MariaDbOutbox, connect_admin};
use tokio::sync::{OnceCell, RwLock};
use uuid::Uuid;

const PASSWORD: &str = "it's \\ secret";

/// Which transactions are prepared the server tells of all together. Who prepares some on the shared server has this alone
/// meanwhile; who asks whether there are any shares it.
pub static PREPARED: RwLock<()> = RwLock::const_new(());

/// A server of these tests.
pub struct TestMariaDb {
    pub admin: MariaDbTarget,
    own: OwnServer,
}

/// The server of all tests that leave it alone.
async fn shared() -> Option<&'static TestMariaDb> {
    static SERVER: OnceCell<TestMariaDb> = OnceCell::const_new();
    if lacks(Server::MARIADB) {
        return None;
    }
    Some(SERVER.get_or_init(|| TestMariaDb::start("shared")).await)
}

impl TestMariaDb {
    pub async fn start(name: &str) -> Self {
        let name = format!("outbox-harness-mariadb-{name}");
        let own = OwnServer::start(Server::MARIADB, &name).await;
        Self {
            admin: own.stack.mariadb().unwrap().clone(),
            own,
        }
    }

    /// Returns its process, to be killed and started again.
    pub fn process(&self) -> &Child {
        self.own.process()
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
