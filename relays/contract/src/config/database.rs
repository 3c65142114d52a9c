//! How a process reaches the database of its strategy.

mod postgres;

use crate::database::DatabaseKind;
pub use postgres::{PostgresTarget, RecovererConfig};
use serde::{Deserialize, Serialize};

/// This says how to reach MariaDB, and which database belongs to this strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MariaDbTarget {
    /// This is the server's address, or the proxy's where the link is proxied.
    pub host: String,
    /// This is the TCP port of the server, or the proxy's where the link is proxied.
    pub port: u16,
    /// Sessions log in as this user.
    pub user: String,
    /// This is the password of the user.
    pub password: String,
    /// This database holds the strategy's tables, and no other's.
    pub database: String,
}

/// This says how to reach a database, and what there belongs to this strategy: of each system, what its clients need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum DatabaseTarget {
    /// The database is PostgreSQL.
    Postgres(PostgresTarget),
    /// The database is MariaDB.
    MariaDb(MariaDbTarget),
}

impl DatabaseTarget {
    /// Returns which system it is.
    pub fn kind(&self) -> DatabaseKind {
        match self {
            Self::Postgres(_) => DatabaseKind::Postgres,
            Self::MariaDb(_) => DatabaseKind::MariaDb,
        }
    }

    /// Returns where PostgreSQL is; an Err says that the database is another one.
    pub fn postgres(&self) -> Result<&PostgresTarget, String> {
        match self {
            Self::Postgres(target) => Ok(target),
            Self::MariaDb(_) => Err(format!(
                "this needs PostgreSQL, and the database is {}",
                self.kind().title()
            )),
        }
    }
}
