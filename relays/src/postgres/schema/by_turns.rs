//! An outbox that is several tables: partitions by time, which come and go, or a few that take turns.
//!
//! To who inserts and to who claims it is one table, partitioned, so an order is one statement as ever: the server
//! chooses the table by what a column's default says at that moment. How the tables are emptied is the relay's
//! work (`source/housekeeping.rs`).

use super::session::{quote_identifier, quote_literal};
use super::{Layout, OutboxKind};

/// A queue's dead rows are many times its live ones: vacuum by count, not by share, and without pauses.
pub(crate) const VACUUMED: &str =
    "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500,
     autovacuum_vacuum_cost_delay = 0,
     autovacuum_vacuum_insert_scale_factor = 0.2,
     autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000,
     toast.autovacuum_vacuum_scale_factor = 0,
     toast.autovacuum_vacuum_threshold = 500,
     toast.autovacuum_vacuum_cost_delay = 0";

/// The name of the partition that takes the rows for which there is no other.
pub(crate) const REST: &str = "outbox_rest";

/// Returns the name of a partition by time, or of a table that takes turns, by its number.
pub(crate) fn table_of(number: i64) -> String {
    format!("outbox_{number}")
}

/// Returns the number of such a table; `None` for another name.
pub(crate) fn number_of(table: &str) -> Option<i64> {
    table.strip_prefix("outbox_")?.parse().ok()
}

/// Returns an SQL expression: so many periods have passed since 1970, by the server's clock, which is the number of
/// the partition of that time.
pub(crate) fn period_now(period_ms: u64) -> String {
    format!(
        "floor(extract(epoch from clock_timestamp()) * 1000 / {})::bigint",
        period_ms.max(1)
    )
}

impl Layout {
    /// Returns what makes the outbox of such a kind; nothing for other kinds.
    pub(super) fn tables_by_turns(&self) -> Vec<(&'static str, String)> {
        let schema = quote_identifier(self.schema());
        let sequence = quote_literal(&format!("{schema}.outbox_seq"));
        let (column, key) = match self.outbox {
            OutboxKind::Partitions { .. } => (String::new(), "range (created_at)"),
            OutboxKind::Turns { period_ms, tables } => {
                let turn = format!("({} % {})::int", period_now(period_ms), tables.max(1));
                (format!(", turn int not null default {turn}"), "list (turn)")
            }
            OutboxKind::None
            | OutboxKind::Delete
            | OutboxKind::Mark
            | OutboxKind::Cdc
            | OutboxKind::Fleeting
            | OutboxKind::Message
            | OutboxKind::Events
            | OutboxKind::LoggedEvents
            | OutboxKind::Decisions
            | OutboxKind::Foreign { .. }
            | OutboxKind::ForeignService { .. } => return Vec::new(),
        };
        let mut statements = vec![
            (
                "creating the sequence of outbox",
                format!("create sequence {schema}.outbox_seq"),
            ),
            (
                "creating table outbox",
                // The time of the insertion, not of the transaction's begin: a row goes to a table whose time is over
                // only if its statement began within it.
                format!(
                    "create table {schema}.outbox (
                       seq bigint not null default nextval({sequence}),
                       id uuid not null,
                       aggregatetype text not null,
                       aggregateid text not null,
                       type text not null,
                       version int not null,
                       payload text not null,
                       created_at timestamptz not null default clock_timestamp(),
                       status text not null default 'pending'
                       {column}
                     ) partition by {key}"
                ),
            ),
            (
                "indexing the rows of outbox that are not published",
                format!("create index on {schema}.outbox (seq) where status <> 'processed'"),
            ),
        ];
        if let OutboxKind::Turns { tables, .. } = self.outbox {
            statements.extend((0..i64::from(tables)).map(|turn| {
                let table = table_of(turn);
                (
                    "creating a table that takes turns",
                    format!(
                        "create table {schema}.{table} partition of {schema}.outbox
                         for values in ({turn}) with ({VACUUMED})"
                    ),
                )
            }));
        } else {
            // No order fails because the relay is away, and nobody makes partitions.
            statements.push((
                "creating the partition for rows that have no other",
                format!(
                    "create table {schema}.{REST} partition of {schema}.outbox default with ({VACUUMED})"
                ),
            ));
        }
        statements
    }

    /// Returns what such an outbox grants beyond every outbox; nothing for other kinds.
    pub(super) fn grants_by_turns(&self) -> Vec<(&'static str, String)> {
        let schema = quote_identifier(self.schema());
        let (service, relay) = (
            quote_identifier(&self.service_role()),
            quote_identifier(&self.relay_role()),
        );
        let numbers = (
            "granting the numbers of outbox to the order service",
            format!("grant usage on sequence {schema}.outbox_seq to {service}"),
        );
        match self.outbox {
            OutboxKind::Turns { tables, .. } => {
                let truncations = (0..i64::from(tables)).map(|turn| {
                    let table = table_of(turn);
                    (
                        "letting the relay empty a table whose turn is over",
                        format!("grant select, truncate on {schema}.{table} to {relay}"),
                    )
                });
                std::iter::once(numbers).chain(truncations).collect()
            }
            OutboxKind::Partitions { .. } => vec![
                numbers,
                (
                    "letting the relay make partitions",
                    format!("grant create on schema {schema} to {relay}"),
                ),
            ],
            OutboxKind::None
            | OutboxKind::Delete
            | OutboxKind::Mark
            | OutboxKind::Cdc
            | OutboxKind::Fleeting
            | OutboxKind::Message
            | OutboxKind::Events
            | OutboxKind::LoggedEvents
            | OutboxKind::Decisions
            | OutboxKind::Foreign { .. }
            | OutboxKind::ForeignService { .. } => Vec::new(),
        }
    }

    /// Returns what makes the relay the owner of an outbox whose partitions it makes and drops; nothing for other
    /// kinds. The administrator must be a member of its role by then.
    pub(super) fn ownership(&self) -> Vec<(&'static str, String)> {
        let OutboxKind::Partitions { .. } = self.outbox else {
            return Vec::new();
        };
        let schema = quote_identifier(self.schema());
        let relay = quote_identifier(&self.relay_role());
        ["outbox", REST]
            .map(|table| {
                (
                    "making the relay the owner of outbox",
                    format!("alter table {schema}.{table} owner to {relay}"),
                )
            })
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_number_when_its_table_is_named_then_the_name_tells_the_number_and_others_tell_none()
    {
        for number in [0, 7, 1_796_000_000] {
            assert_eq!(number_of(&table_of(number)), Some(number));
        }
        for other in ["outbox", REST, "orders", "outbox_"] {
            assert_eq!(number_of(other), None, "{other}");
        }
    }
}
