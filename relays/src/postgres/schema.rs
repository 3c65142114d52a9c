//! The tables, roles, publication and slot of one strategy, and the database where it has one of its own: made
//! before it runs, dropped after it.
//!
//! The administrator need not be a superuser: CREATEROLE, REPLICATION and CREATE on the database
//! are enough, and CREATEDB where a strategy has a database of its own (before PostgreSQL 16 the relay role of
//! CDC, which has REPLICATION itself, takes a superuser all the same).

pub(crate) mod by_turns;
mod consumer;
mod creation;
mod events;
mod foreign;
mod isolation;
mod prepared;
mod removal;
mod session;

use crate::config::Isolation;
use thiserror::Error;

pub use consumer::create_consumer;
pub use creation::{create, create_reader};
pub use foreign::{ForeignSchema, lay_out};
pub use isolation::can_isolate;
pub use prepared::{PreparedEnd, end_prepared};
pub use removal::drop_all;
pub(crate) use session::connect_options;
pub use session::{line_of, quote_identifier, words};

/// PostgreSQL keeps identifiers of so many bytes at most; it cuts longer ones off without a word.
const IDENTIFIER_BYTES_MAX: usize = 63;

/// This is the failure of a statement of the set-up.
#[derive(Debug, Error)]
#[error("{doing}: {}", session::words(source))]
pub struct SchemaError {
    /// What was being done.
    pub doing: String,
    /// This is PostgreSQL's answer in most cases, or else why there was none to go on with.
    pub source: sqlx::Error,
}

/// What the outbox of a strategy needs beyond `orders`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutboxKind {
    /// There is no outbox (dual write).
    None,
    /// Rows are deleted once published.
    Delete,
    /// Rows carry a status.
    Mark,
    /// Rows carry a status, and are in partitions by the time at which they were inserted, which the relay makes and
    /// drops.
    Partitions {
        /// A partition is of so many milliseconds.
        period_ms: u64,
    },
    /// Rows carry a status, and are in tables that take turns, which the relay truncates.
    Turns {
        /// A turn lasts so many milliseconds.
        period_ms: u64,
        /// There are so many tables.
        tables: u32,
    },
    /// Rows are read from the WAL, and deleted by the relay; a publication and a slot exist.
    Cdc,
    /// Rows are read from the WAL, and deleted in the transaction that inserts them; a publication
    /// and a slot exist.
    Fleeting,
    /// There is no table: events are logical decoding messages in the WAL; a publication, of no table, and a slot
    /// exist.
    Message,
    /// There is neither outbox nor `orders`: a table of events is the truth. A relay reads it by position, which it
    /// keeps in a table of its own.
    Events,
    /// The same, but for who reads it: events are read from the WAL, and stay in their table; a publication and a
    /// slot exist.
    LoggedEvents,
    /// There is no outbox, but the decision log of two-phase commits.
    Decisions,
    /// Tables that were not designed here, made afterwards by [`lay_out`].
    Foreign {
        /// Whether the relay's role may use replication.
        replication: bool,
    },
    /// The same of an order service that was not written here either: no table is ours, `orders` among
    /// them. They are its own, made by [`lay_out`] or by itself.
    ForeignService {
        /// Whose role may use replication, if anybody's.
        replication: Option<Role>,
    },
}

impl OutboxKind {
    /// Whether a publication and a slot are made with the tables.
    pub fn is_read_from_wal(self) -> bool {
        matches!(
            self,
            Self::Cdc | Self::Fleeting | Self::Message | Self::LoggedEvents
        )
    }

    /// Whether a role may use replication.
    fn has_replication(self, role: Role) -> bool {
        let relay = match self {
            Self::None
            | Self::Delete
            | Self::Mark
            | Self::Partitions { .. }
            | Self::Turns { .. }
            | Self::Events
            | Self::Decisions => false,
            Self::Cdc | Self::Fleeting | Self::Message | Self::LoggedEvents => true,
            Self::Foreign { replication } => replication,
            Self::ForeignService { replication } => return replication == Some(role),
        };
        relay && role == Role::Relay
    }

    /// Whether the order service is not ours.
    fn is_of_a_foreign_service(self) -> bool {
        match self {
            Self::ForeignService { .. } => true,
            Self::None
            | Self::Delete
            | Self::Mark
            | Self::Partitions { .. }
            | Self::Turns { .. }
            | Self::Cdc
            | Self::Fleeting
            | Self::Message
            | Self::Events
            | Self::LoggedEvents
            | Self::Decisions
            | Self::Foreign { .. } => false,
        }
    }

    /// Whether events are the truth, and there is no `orders`.
    pub fn has_events(self) -> bool {
        matches!(self, Self::Events | Self::LoggedEvents)
    }
}

/// This says whose a role in the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The role is the order service's.
    Service,
    /// The role is the relay's.
    Relay,
}

/// Names of everything one strategy owns on the server.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The schema that is its own has this name, or the database; it is also the prefix of the rest.
    pub name: String,
    /// This says which of the two is its own.
    pub isolation: Isolation,
    /// This says what the strategy's outbox needs in the database beyond `orders`.
    pub outbox: OutboxKind,
    /// Whether a standby is to have the slot as well, where there is one; from version 17 on.
    pub failover_slot: bool,
    /// This password is given to every role.
    pub password: String,
}

impl Layout {
    /// Names of what a consumer of this strategy owns, of which there are several.
    pub fn of_consumer(&self, index: usize) -> Self {
        Self {
            name: format!("{}_c{index}", self.name),
            isolation: Isolation::Schema,
            outbox: OutboxKind::None,
            failover_slot: false,
            password: self.password.clone(),
        }
    }

    /// What is left of a strategy of this name, of which nothing else is known: enough to drop it.
    pub fn left_behind(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            isolation: Isolation::default(),
            outbox: OutboxKind::None,
            failover_slot: false,
            password: String::new(),
        }
    }

    /// Returns the table that says what is committed: `orders`, or `events` where these are the truth.
    pub fn truth_table(&self) -> &'static str {
        match self.outbox.has_events() {
            true => "events",
            false => "orders",
        }
    }

    /// Returns the role of the order service, the only one that can write what is the truth.
    pub fn service_role(&self) -> String {
        format!("{}_svc", self.name)
    }
    /// Returns the role of the relay.
    pub fn relay_role(&self) -> String {
        format!("{}_rly", self.name)
    }
    /// Role that may only read: for what is asked of the tables on nobody's behalf. It is made where somebody asks.
    pub fn reader_role(&self) -> String {
        format!("{}_rdr", self.name)
    }
    /// Replication slot (where the WAL is read).
    pub fn slot(&self) -> String {
        format!("{}_slot", self.name)
    }
    /// Publication (where the WAL is read).
    pub fn publication(&self) -> String {
        format!("{}_pub", self.name)
    }

    /// Every role that there may be.
    fn roles(&self) -> [String; 3] {
        [self.service_role(), self.relay_role(), self.reader_role()]
    }

    /// The role that owns tables that were not designed here.
    fn owner_role(&self) -> String {
        match self.outbox.is_of_a_foreign_service() {
            true => self.service_role(),
            false => self.relay_role(),
        }
    }

    /// Slots allow nothing but these characters, and a name that is cut off would be another's.
    fn check_names(&self) -> Result<(), SchemaError> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_';
        let wrong = if self.name.is_empty() || !self.name.bytes().all(plain) {
            "has characters other than a-z, 0-9 and _".to_owned()
        } else if self.slot().len() > IDENTIFIER_BYTES_MAX {
            format!(
                "is too long: {} bytes are left once `_slot` is appended",
                IDENTIFIER_BYTES_MAX - "_slot".len()
            )
        } else {
            return Ok(());
        };
        Err(SchemaError {
            doing: format!("naming the {} `{}`", self.isolation.name(), self.name),
            source: sqlx::Error::Configuration(
                format!("the name {wrong}; choose another strategy name").into(),
            ),
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn layout(name: &str) -> Layout {
        Layout {
            name: name.into(),
            isolation: Isolation::Schema,
            outbox: OutboxKind::Cdc,
            failover_slot: false,
            password: "pw".into(),
        }
    }

    #[test]
    fn a_name_that_postgresql_would_cut_off_is_refused_with_the_remedy() {
        let fits = "a".repeat(58);
        layout(&fits).check_names().unwrap();
        let error = layout(&"a".repeat(59)).check_names().unwrap_err();
        assert!(error.to_string().contains("58 bytes"), "{error}");
    }

    #[test]
    fn a_name_that_a_slot_cannot_have_is_refused() {
        for name in ["", "Upper", "da-sh", "sp ace", "qu\"ote", "ünder"] {
            assert!(layout(name).check_names().is_err(), "{name}");
        }
    }

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(quote_identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(session::quote_literal("it's \\ fine"), "'it''s \\ fine'");
    }
}
