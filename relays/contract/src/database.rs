//! Which databases there are: their names, and what of them others must know.

use serde::{Deserialize, Serialize};

/// This is a system in which orders and their outbox are written.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseKind {
    /// It is PostgreSQL, the default.
    #[default]
    Postgres,
    /// It is MariaDB.
    MariaDb,
}

impl DatabaseKind {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::Postgres, Self::MariaDb];

    /// Returns its name in files: `postgres`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::MariaDb => "mariadb",
        }
    }

    /// Returns its name in sentences: `PostgreSQL`.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL",
            Self::MariaDb => "MariaDB",
        }
    }
}
