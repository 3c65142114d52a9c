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

    /// This is the one of who names none.
    pub const USUAL: Self = Self::Postgres;

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

    /// Whether the server keeps the position of who reads its log, in a slot.
    pub const fn has_slots(self) -> bool {
        match self {
            Self::Postgres => true,
            Self::MariaDb => false,
        }
    }

    /// Whether a session may say that its commits do not wait for the disk.
    pub const fn has_commit_modes(self) -> bool {
        match self {
            Self::Postgres => true,
            Self::MariaDb => false,
        }
    }

    /// Whether an outbox can be of several tables there, or partitions.
    pub const fn has_outbox_of_tables(self) -> bool {
        match self {
            Self::Postgres => true,
            Self::MariaDb => false,
        }
    }

    /// Whether it can tell a relay of new rows.
    pub const fn has_notifications(self) -> bool {
        match self {
            Self::Postgres => true,
            Self::MariaDb => false,
        }
    }

    /// Whether consumers keep their effects beside the orders there.
    pub const fn has_consumers(self) -> bool {
        match self {
            Self::Postgres => true,
            Self::MariaDb => false,
        }
    }

    /// Whether a fault may wait for what the database answers to a query.
    pub const fn answers_triggers(self) -> bool {
        match self {
            Self::Postgres => true,
            Self::MariaDb => false,
        }
    }

    /// Whether there are faults on it that are of a database alone: it is read for long, or another server takes its place.
    pub const fn has_own_faults(self) -> bool {
        match self {
            Self::Postgres => true,
            Self::MariaDb => false,
        }
    }
}
