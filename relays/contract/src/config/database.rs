//! How a process reaches the database of its strategy.

use crate::database::DatabaseKind;
use serde::{Deserialize, Serialize};

/// This says how to reach PostgreSQL, and which schema belongs to this strategy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostgresTarget {
    /// This is the server's host name or address, or the proxy's where the link is proxied.
    pub host: String,
    /// This is the TCP port of the server, or the proxy's where the link is proxied.
    pub port: u16,
    /// Sessions log in as this role.
    pub user: String,
    /// This is the password of the role.
    pub password: String,
    /// Sessions connect to the database of this name, in which the strategy's schema is: the stack's, or the strategy's own.
    pub database: String,
    /// Schema that holds `orders` and `outbox`, or `events`.
    pub schema: String,
}

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
