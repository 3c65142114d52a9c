//! What went wrong with a database, whichever it is.

use crate::mariadb::session as mariadb;
use std::fmt::Display;
use thiserror::Error;

/// There is nothing of this name (undefined_object), such as a prepared transaction.
const UNDEFINED_OBJECT: &str = "42704";

/// What a client of a database says went wrong.
pub(super) trait ClientError: Display {
    /// This is the database's name in sentences.
    const DATABASE: &'static str;

    /// Whether an error ends the connection: everything but the server's word on a statement.
    fn is_loss(&self) -> bool;

    /// Whether the server says that there is nothing of the name that it was told, such as a prepared transaction.
    fn is_absent(&self) -> bool;

    /// Whether retrying is pointless: wrong password, no such account or database.
    fn is_permanent(&self) -> bool;
}

impl ClientError for sqlx::Error {
    const DATABASE: &'static str = "PostgreSQL";

    fn is_loss(&self) -> bool {
        self.as_database_error().is_none_or(|answer| {
            // 57P: shutdown or crash of the server, termination by an administrator, idle limits.
            let code = answer.code().unwrap_or_default();
            code.starts_with("57P") || code.starts_with("08") || code == "25P03"
        })
    }

    fn is_absent(&self) -> bool {
        let code = self.as_database_error().and_then(|e| e.code());
        code.as_deref() == Some(UNDEFINED_OBJECT)
    }

    fn is_permanent(&self) -> bool {
        self.as_database_error().is_some_and(|answer| {
            let code = answer.code().unwrap_or_default();
            code.starts_with("28") || code == "3D000"
        })
    }
}

impl ClientError for mysql_async::Error {
    const DATABASE: &'static str = "MariaDB";

    fn is_loss(&self) -> bool {
        mariadb::is_loss(self)
    }

    fn is_absent(&self) -> bool {
        mariadb::is_absent(self)
    }

    fn is_permanent(&self) -> bool {
        mariadb::is_permanent(self)
    }
}

/// What went wrong with the database, and whether the connection is to blame.
#[derive(Debug, Error)]
#[error("{doing}: {reason}")]
pub(super) struct DatabaseError {
    doing: &'static str,
    reason: String,
    lost: bool,
    is_absent: bool,
}

impl DatabaseError {
    /// Makes the error from what the server, or the way to it, said.
    pub fn new(doing: &'static str, error: &impl ClientError) -> Self {
        Self {
            doing,
            lost: error.is_loss(),
            is_absent: error.is_absent(),
            reason: error.to_string(),
        }
    }

    /// Nothing came of it for this reason, and the connection is lost.
    pub fn lost(doing: &'static str, reason: String) -> Self {
        Self {
            doing,
            reason,
            lost: true,
            is_absent: false,
        }
    }

    /// Nothing came of it for this reason, of which nothing follows for the connection.
    pub fn kept(doing: &'static str, reason: String) -> Self {
        Self {
            doing,
            reason,
            lost: false,
            is_absent: false,
        }
    }

    /// Whether the connection is lost: what was asked of the server may be done or not.
    pub fn is_loss(&self) -> bool {
        self.lost
    }

    /// Whether the server says that there is nothing of the name that it was told, such as a prepared transaction.
    pub fn is_absent(&self) -> bool {
        self.is_absent
    }
}
