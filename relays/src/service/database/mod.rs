//! One session with the database, whichever it is. Nothing else in the service knows which, but for the files of what is
//! one database's own.

mod mariadb;
mod postgres;

use super::change::{Change, Outcome};
use super::connections::{bounded, exchange};
use super::database_error::{ClientError, DatabaseError};
use crate::config::{DatabaseTarget, ServiceConfig, WritePathConfig};
use crate::mariadb::orders::WriteUnit;
use crate::mariadb::session as mariadb_session;
use mysql_async::prelude::Queryable;
use postgres::settled_by;
pub(super) use postgres::{Announcement, ForeignStatements, Orders, two_phase};
pub use postgres::{PLACING, SESSION};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::time::Duration;
use uuid::Uuid;

/// Making a connection takes no longer than this, authentication included.
pub(super) const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// How to log in to the database: everything that would cost a round trip later is set here.
#[derive(Clone)]
pub(super) enum Login {
    /// It is PostgreSQL.
    Postgres(Box<PgConnectOptions>),
    /// It is MariaDB.
    MariaDb(mysql_async::Opts),
}

impl Login {
    /// Returns how the service logs in to its database.
    pub fn of(config: &ServiceConfig, transaction_idle: Duration) -> Self {
        match &config.database {
            DatabaseTarget::Postgres(target) => {
                let mut session = postgres::session(target, transaction_idle);
                if let WritePathConfig::TwoPhase { .. } = &config.write_path {
                    // Kafka is told to commit what was decided: a server that crashes must not forget that.
                    session = session.options([("synchronous_commit", "on")]);
                }
                Self::Postgres(Box::new(session))
            }
            DatabaseTarget::MariaDb(target) => {
                Self::MariaDb(mariadb::login(target, transaction_idle))
            }
        }
    }

    /// Returns how to log in to PostgreSQL; an Err says that the database is another one.
    pub fn postgres(&self) -> Result<&PgConnectOptions, String> {
        match self {
            Self::Postgres(options) => Ok(options),
            Self::MariaDb(_) => Err(format!(
                "this needs PostgreSQL, and the database is {}",
                self.place()
            )),
        }
    }

    /// Returns which system it is, and where: `PostgreSQL at HOST:PORT`.
    pub fn place(&self) -> String {
        match self {
            Self::Postgres(options) => {
                format!(
                    "PostgreSQL at {}:{}",
                    options.get_host(),
                    options.get_port()
                )
            }
            Self::MariaDb(options) => {
                format!(
                    "MariaDB at {}:{}",
                    options.ip_or_hostname(),
                    options.tcp_port()
                )
            }
        }
    }
}

/// Tells whether every write path is there; an Err says that the database has only some.
pub(super) fn has_every_write_path(target: &DatabaseTarget) -> Result<(), String> {
    target.postgres().map(drop)
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct NoConnection {
    /// This is what was said.
    pub reason: String,
    /// Whether trying again is pointless.
    pub is_permanent: bool,
}

impl<E: ClientError> From<E> for NoConnection {
    fn from(error: E) -> Self {
        Self {
            reason: error.to_string(),
            is_permanent: error.is_permanent(),
        }
    }
}

/// This is a connection to the database, which is used by one request at a time.
pub(super) enum DatabaseSession {
    /// It is with PostgreSQL.
    Postgres(PgConnection),
    /// It is with MariaDB.
    MariaDb(mysql_async::Conn),
}

impl DatabaseSession {
    /// Makes a connection, bounded in time.
    pub async fn connect(login: &Login) -> Result<Self, NoConnection> {
        Ok(match login {
            Login::Postgres(options) => Self::Postgres(postgres::connect(options).await?),
            Login::MariaDb(options) => {
                Self::MariaDb(mariadb_session::connect(options, CONNECT_WITHIN).await?)
            }
        })
    }

    /// Asks whether the server is there, and waits for its answer for so long.
    pub async fn ping(&mut self, within: Duration) -> Result<(), DatabaseError> {
        let doing = "asking an idle connection";
        match self {
            Self::Postgres(conn) => bounded(doing, within, conn.ping()).await,
            Self::MariaDb(conn) => bounded(doing, within, conn.ping()).await,
        }
    }

    /// Says good-bye to the server.
    pub async fn close(self) {
        match self {
            Self::Postgres(conn) => drop(conn.close().await),
            Self::MariaDb(conn) => mariadb_session::close(conn).await,
        }
    }

    /// Ends the connection without a word, which may be in the middle of something.
    pub fn abandon(self) {
        match self {
            Self::Postgres(conn) => drop(conn),
            Self::MariaDb(conn) => mariadb_session::abort(conn),
        }
    }

    /// Returns the connection for what is PostgreSQL's own; an error says that the database is another one.
    pub fn postgres(&mut self) -> Result<&mut PgConnection, DatabaseError> {
        match self {
            Self::Postgres(conn) => Ok(conn),
            Self::MariaDb(_) => Err(DatabaseError::kept(
                "using PostgreSQL",
                "the database is MariaDB".to_owned(),
            )),
        }
    }

    /// Opens a transaction; an error says whether the connection is lost.
    pub async fn begin(&mut self) -> Result<(), DatabaseError> {
        self.say("beginning a transaction", "begin").await
    }

    /// Commits the open transaction; where an error says that the connection is lost, it may be committed or not.
    pub async fn commit(&mut self) -> Result<(), DatabaseError> {
        self.say("committing a transaction", "commit").await
    }

    /// Rolls the transaction back, which is certain only once the server has answered.
    pub async fn roll_back(&mut self) -> Result<(), DatabaseError> {
        self.say("rolling a transaction back", "rollback").await
    }

    /// Runs a statement that both databases know.
    async fn say(&mut self, doing: &'static str, sql: &'static str) -> Result<(), DatabaseError> {
        match self {
            Self::Postgres(conn) => exchange(doing, sqlx::raw_sql(sql).execute(conn))
                .await
                .map(drop),
            Self::MariaDb(conn) => exchange(doing, conn.query_drop(sql)).await,
        }
    }

    /// Writes the change in the open transaction; its version, or nothing if it may not be (see [`DatabaseSession::why_not`]).
    pub async fn write(
        &mut self,
        orders: &Orders,
        change: &Change,
    ) -> Result<Option<u32>, DatabaseError> {
        self.write_as(orders, change, WriteUnit::Within).await
    }

    /// Writes the change and commits it, in one round trip, where no transaction is open and [`Orders::is_one_statement`].
    pub async fn write_alone(
        &mut self,
        orders: &Orders,
        change: &Change,
    ) -> Result<Option<u32>, DatabaseError> {
        self.write_as(orders, change, WriteUnit::Alone).await
    }

    async fn write_as(
        &mut self,
        orders: &Orders,
        change: &Change,
        unit: WriteUnit,
    ) -> Result<Option<u32>, DatabaseError> {
        match self {
            // A statement that is alone commits itself.
            Self::Postgres(conn) => orders.write(conn, change).await,
            Self::MariaDb(conn) => mariadb::write(conn, orders, change, unit).await,
        }
    }

    /// Why nothing was written: the change is committed already, under the version it got then, or it is not allowed.
    /// `None` if by now it would be: then it is worth another try.
    pub async fn why_not(
        &mut self,
        orders: &Orders,
        change: &Change,
    ) -> Result<Option<Outcome>, DatabaseError> {
        match self {
            Self::Postgres(conn) => orders.why_not(conn, change).await,
            Self::MariaDb(conn) => mariadb::why_not(conn, change).await,
        }
    }

    /// Returns the version of an order; `None` where there is no such order.
    pub async fn version(&mut self, order: Uuid) -> Result<Option<u32>, DatabaseError> {
        match self {
            Self::Postgres(conn) => postgres::version(conn, order).await,
            Self::MariaDb(conn) => mariadb::version(conn, order).await,
        }
    }
}
