//! How a process reaches PostgreSQL, and what one is told that has work there alone.

use crate::config::KafkaTarget;
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

/// This is the configuration of `outbox-harness recoverer`, which finishes the two-phase commits that their
/// coordinator left in doubt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecovererConfig {
    /// This is the database, with the recoverer's own role.
    pub database: PostgresTarget,
    /// Only the role that prepared a transaction may end it: this one, which the recoverer's is a member of.
    pub service_role: String,
    /// This is the broker, and the topic of the events.
    pub kafka: KafkaTarget,
    /// What a coordinator that lives has prepared or decided, and not finished for so long, is finished by the recoverer.
    pub in_doubt_after_ms: u64,
}
