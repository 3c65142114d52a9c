//! `database = "..."` of a strategy: in which system orders and outbox are written.

use super::keys::{KeyInfo, Shape};
use super::section::Section;
use super::{StrategyKind, cache};
use contract::database::DatabaseKind;

/// This is the row that a database has in the registry.
#[derive(Debug)]
pub struct DatabaseInfo {
    /// This is the system; scenario files name it so, in `database`.
    pub kind: DatabaseKind,
    /// This explains the database in one line.
    pub what: &'static str,
    /// A scenario file asks for it like this.
    pub example: &'static str,
    /// Keys of strategies that mean nothing here: each is refused.
    lacks: &'static [&'static str],
}

/// Every database has a row here.
pub const DATABASES: [DatabaseInfo; DatabaseKind::ALL.len()] = [
    DatabaseInfo {
        kind: DatabaseKind::Postgres,
        what: "a schema of its own; order and outbox row in one statement; cdc by logical replication, from a slot",
        example: "kind = \"cdc\", database = \"postgres\"",
        lacks: &[],
    },
    DatabaseInfo {
        kind: DatabaseKind::MariaDb,
        what: "a database of its own; order and outbox row in one transaction; cdc from the binlog, whose position the relay keeps by itself",
        example: "kind = \"polling\", database = \"mariadb\"",
        lacks: &[
            "notify",
            "synchronous_commit",
            "purge",
            "period",
            "tables",
            cache::MODE.name,
            cache::FILL.name,
            cache::HOLD.name,
        ],
    },
];

fn database_words() -> Vec<&'static str> {
    DatabaseKind::ALL.map(DatabaseKind::name).to_vec()
}

/// The key of a strategy whose orders can be in any of them.
pub(super) const DATABASE: KeyInfo = KeyInfo::usually(
    "database",
    Shape::Word(database_words),
    "\"postgres\"",
    "the system in which its orders and its outbox are",
);

/// Reads it; what is wrong is noted, beside what the strategy says that its database does not have.
pub(super) fn read(s: &mut Section<'_>, strategy: Option<&StrategyKind>) -> DatabaseKind {
    let words = DatabaseKind::ALL.map(|kind| (kind.name(), kind));
    let said = s.get(DATABASE.name);
    let chosen = said
        .and_then(|entry| s.word(entry, &words))
        .unwrap_or_default();
    let Some(row) = DATABASES.iter().find(|row| row.kind == chosen) else {
        return chosen;
    };
    let title = chosen.title();
    for key in row.lacks {
        if let Some(entry) = s.get(key) {
            s.problem(
                entry.key_span(),
                format!("`{key}` is of PostgreSQL, and the strategy's orders are in {title}"),
                "remove the line, or take `database = \"postgres\"`",
            );
        }
    }
    if let Some(StrategyKind::Polling { housekeeping, .. }) = strategy
        && !chosen.has_outbox_of_tables()
        && housekeeping.has_tables()
        && let Some(entry) = s.get("after_publish")
    {
        s.problem(
            entry.span(),
            format!("an outbox of several tables is of PostgreSQL, and the strategy's orders are in {title}"),
            "take `after_publish = \"delete\"` or \"mark\", or `database = \"postgres\"`",
        );
    }
    chosen
}
