//! Making the tables of an event store: events are the truth, and nobody ever changes or deletes one.

use super::session::quote_identifier;
use super::{Layout, OutboxKind};

impl Layout {
    /// Returns what makes the tables: for each statement what it does, and its SQL.
    ///
    /// The primary key is the optimistic concurrency: of two changes that saw the same version one finds its
    /// place taken. The columns that a relay reads have the names of an outbox's. `state` is what the event leads
    /// to, null where it leaves that as it was.
    pub(super) fn tables_of_events(&self) -> Vec<(&'static str, String)> {
        let schema = quote_identifier(self.schema());
        let is_by_position = self.outbox == OutboxKind::Events;
        // A number alone is no position: numbers are drawn before the commit. With the transaction's own id it is
        // one, for whoever waits until no transaction of a lower id is running.
        let position = match is_by_position {
            true => {
                ", xid xid8 not null default pg_current_xact_id()
                 , seq bigint not null generated always as identity"
            }
            false => "",
        };
        let mut statements = vec![(
            "creating table events",
            format!(
                "create table {schema}.events (
                   aggregateid uuid not null,
                   version int not null,
                   id uuid not null,
                   type text not null,
                   state text,
                   attempt uuid not null,
                   change_id uuid not null,
                   payload text not null,
                   created_at timestamptz not null default now(),
                   primary key (aggregateid, version)
                   {position}
                 )"
            ),
        )];
        if is_by_position {
            statements.extend([
                (
                    "indexing events by their position",
                    format!("create index on {schema}.events (xid, seq)"),
                ),
                (
                    "creating table relay_position",
                    // Its one row is updated again and again: room in its page keeps that there (HOT: no index
                    // write).
                    format!(
                        "create table {schema}.relay_position (xid xid8 not null, seq bigint not null)
                         with (fillfactor = 10)"
                    ),
                ),
                (
                    "filling table relay_position",
                    format!("insert into {schema}.relay_position values ('0', 0)"),
                ),
            ]);
        }
        statements
    }

    /// The order service may append and read, and the relay only read: what has happened stays.
    pub(super) fn grants_of_events(&self) -> Vec<(&'static str, String)> {
        let schema = quote_identifier(self.schema());
        let service = quote_identifier(&self.service_role());
        let relay = quote_identifier(&self.relay_role());
        let mut statements = vec![
            (
                "granting events to the order service",
                format!("grant select, insert on {schema}.events to {service}"),
            ),
            (
                "granting events to the relay",
                format!("grant select on {schema}.events to {relay}"),
            ),
        ];
        if self.outbox == OutboxKind::Events {
            statements.push((
                "granting its position to the relay",
                format!("grant select, update on {schema}.relay_position to {relay}"),
            ));
        }
        statements
    }
}
