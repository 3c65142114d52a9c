//! Orders in PostgreSQL: writing a change, and finding out why nothing was written.
//!
//! A change is one statement, which checks and writes at once: the order's row is locked, then
//! its state and its changes are checked, then it gets its next version. Only then, still under
//! the lock, does an outbox row draw its `seq`; so per order `seq` rises in commit order.

use super::appending;
use super::foreign::ForeignStatements;
use crate::config::PostgresTarget;
use crate::order::{ChangeType, OrderState};
use crate::postgres::schema::{connect_options, quote_identifier};
use crate::service::change::{Change, Outcome, Rejection};
use crate::service::connections::exchange;
use crate::service::database_error::DatabaseError;
use crate::service::event::EventText;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection};
use sqlx::query::Query;
use sqlx::{Postgres, Row};
use std::time::Duration;
use uuid::Uuid;

// Parameters: $1 order, $2 attempt, $3 change, $4 state required, $5 state afterwards.
macro_rules! place {
    () => {
        "insert into orders (id, state, attempts, changes)
         select $1, $5, array[$2], array[$3] where $4::text is null
         on conflict (id) do nothing
         returning version"
    };
}
macro_rules! transition {
    () => {
        "update orders
         set state = coalesce($5::text, state),
             attempts = attempts || $2::uuid, changes = changes || $3::uuid
         where id = $1 and ($4::text is null or state = $4) and $3 <> all (changes)
         returning version"
    };
}
// And $6 event id, $7 event type, $8 and $9 the event's text before and after its version.
macro_rules! announced {
    ($write:expr, $result:literal) => {
        concat!(
            "with written as (",
            $write,
            "), announced as (
               insert into outbox (id, aggregatetype, aggregateid, type, version, payload)
               select $6, 'Order', $1::text, $7, version, $8 || version || $9 from written)
             select ",
            $result,
            " from written"
        )
    };
}
macro_rules! announced_loudly {
    ($write:expr) => {
        announced!($write, "version, pg_notify(current_schema()::text, '')")
    };
}

// The fields of an event, as `pgoutput::OutboxDecoder::message` takes them apart. Other strategies of the database
// have other schemas. Of a column of type pg_lsn the client would first have to ask the server, on each connection.
macro_rules! emitted {
    ($write:expr) => {
        concat!(
            "with written as (",
            $write,
            ") select version, pg_logical_emit_message(true, current_schema()::text,
                 concat_ws(e'\\t', $1::text, $6::text, $7::text, version, $8::text || version || $9::text))
               is not null
             from written"
        )
    };
}

/// An order's state, and the version that a change made of it: $1 order, $2 change.
const ORDER: &str = "select state, array_position(changes, $2) from orders where id = $1";

/// How a change is announced.
#[derive(Debug, Clone)]
pub(in crate::service) enum Announcement {
    /// It is not announced in the database.
    None,
    /// An outbox row announces it, in the statement that writes the change.
    Outbox,
    /// The same row announces it, and a NOTIFY on the channel named like the schema.
    OutboxAndNotify,
    /// A logical decoding message announces it, in the statement that writes the change.
    Message,
    /// The change is itself the event that announces it: it is appended to the events, and no order is written.
    Itself,
    /// Statements of their own announce it, after the one that writes it.
    Foreign(ForeignStatements),
}

/// How changes are written.
#[derive(Debug, Clone)]
pub(in crate::service) struct Orders {
    run: String,
    announcement: Announcement,
}

impl Orders {
    /// Writes events of this run where `announcement` says so.
    pub fn new(run: String, announcement: Announcement) -> Self {
        Self { run, announcement }
    }

    /// Returns the run id of the events.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Returns how changes are announced.
    pub fn announcement(&self) -> &Announcement {
        &self.announcement
    }

    /// Writes the change; its version, or nothing if it may not be (see [`Orders::why_not`]).
    pub async fn write(
        &self,
        conn: &mut PgConnection,
        change: &Change,
    ) -> Result<Option<u32>, DatabaseError> {
        let mut query = self.statement(change);
        match self.announcement {
            Announcement::Outbox
            | Announcement::OutboxAndNotify
            | Announcement::Message
            | Announcement::Itself => {
                let text = EventText::new(&self.run, change);
                query = query
                    .bind(Uuid::now_v7())
                    .bind(change.kind.event_type())
                    .bind(text.prefix)
                    .bind(text.suffix);
            }
            Announcement::None | Announcement::Foreign(_) => {}
        }
        let row = exchange("writing an order", query.fetch_optional(&mut *conn)).await?;
        let version = row
            .map(|row| row.try_get(0).map(i32::cast_unsigned))
            .transpose()
            .map_err(|error| DatabaseError::new("reading a new version", &error))?;
        if let (Announcement::Foreign(foreign), Some(version)) = (&self.announcement, version) {
            let text = EventText::new(&self.run, change);
            foreign.announce(conn, change, version, text).await?;
        }
        Ok(version)
    }

    /// Whether [`Orders::write`] is one statement, which commits itself where no transaction is open.
    pub fn is_one_statement(&self) -> bool {
        !matches!(self.announcement, Announcement::Foreign(_))
    }

    fn statement<'q>(&self, change: &'q Change) -> Query<'q, Postgres, PgArguments> {
        let placing = change.kind == ChangeType::Placed;
        let sql = match (&self.announcement, placing) {
            (Announcement::None | Announcement::Foreign(_), true) => place!(),
            (Announcement::None | Announcement::Foreign(_), false) => transition!(),
            (Announcement::Outbox, true) => announced!(place!(), "version"),
            (Announcement::Outbox, false) => announced!(transition!(), "version"),
            (Announcement::OutboxAndNotify, true) => announced_loudly!(place!()),
            (Announcement::OutboxAndNotify, false) => announced_loudly!(transition!()),
            (Announcement::Message, true) => emitted!(place!()),
            (Announcement::Message, false) => emitted!(transition!()),
            (Announcement::Itself, true) => appending::PLACE,
            (Announcement::Itself, false) => appending::TRANSITION,
        };
        sqlx::query(sql)
            .bind(change.order)
            .bind(change.attempt)
            .bind(change.change_id)
            .bind(change.kind.required_state().map(OrderState::name))
            .bind(change.kind.next_state().map(OrderState::name))
    }

    /// Why nothing was written: the change is committed already, under the version it got then, or it
    /// is not allowed. `None` if by now it would be: then it is worth another try.
    pub async fn why_not(
        &self,
        conn: &mut PgConnection,
        change: &Change,
    ) -> Result<Option<Outcome>, DatabaseError> {
        let sql = match self.announcement {
            Announcement::Itself => appending::ORDER,
            Announcement::None
            | Announcement::Outbox
            | Announcement::OutboxAndNotify
            | Announcement::Message
            | Announcement::Foreign(_) => ORDER,
        };
        let query = sqlx::query(sql).bind(change.order).bind(change.change_id);
        let order = exchange("reading an order", query.fetch_optional(conn)).await?;
        let unreadable = |error| DatabaseError::new("reading an order", &error);
        let Some(order) = order else {
            return Ok(settled_by(change, None));
        };
        let made: Option<i32> = order.try_get(1).map_err(unreadable)?;
        let state: &str = order.try_get(0).map_err(unreadable)?;
        let found = (state, made.map(i32::cast_unsigned));
        Ok(settled_by(change, Some(found)))
    }
}

/// What answers a change of which nothing was written, from what was found of its order: the state, and the version that
/// the change made of it before. `None` where it is allowed by now.
pub(in crate::service) fn settled_by(
    change: &Change,
    found: Option<(&str, Option<u32>)>,
) -> Option<Outcome> {
    let Some((state, made)) = found else {
        return (change.kind != ChangeType::Placed).then(|| Outcome::Rejected {
            why: Rejection::UnknownOrder,
            reason: format!("there is no order {}: place it first", change.order),
        });
    };
    if let Some(version) = made {
        return Some(Outcome::Committed { version });
    }
    forbidden(change, state).map(|reason| Outcome::Rejected {
        why: Rejection::Conflict,
        reason,
    })
}

/// This is the statement that places an order and announces it in the outbox, alone in its transaction.
/// Its parameters and their types are: $1 order uuid, $2 attempt uuid, $3 change uuid, $4 state
/// required text (null here), $5 state afterwards text, $6 event id uuid, $7 event type text,
/// $8 and $9 the event's text before and after its version. It is for the referee's benchmarks.
pub const PLACING: &str = announced!(place!(), "version");

/// These session settings of the service's connections decide the statement's plan.
pub const SESSION: [(&str, &str); 1] = [("enable_seqscan", "off")];

/// Why an order in this state may not go through the change; `None` if it may.
fn forbidden(change: &Change, state: &str) -> Option<String> {
    let id = change.order;
    if change.kind == ChangeType::Placed {
        return Some(format!(
            "order {id} exists already, placed by another change: choose another id, or repeat \
             the change id if this is a retry"
        ));
    }
    let at = OrderState::from_name(state);
    if change.kind.allowed_in(at) {
        return None;
    }
    let wanted = change.kind.name();
    let next = at.and_then(OrderState::regular_change);
    let remedy = next.map_or_else(
        || "it can only be amended".to_owned(),
        |next| format!("it can become {} or be amended", next.name()),
    );
    Some(format!(
        "order {id} is {state} and cannot become {wanted}: {remedy}"
    ))
}

/// Returns how the service logs in: everything that would cost a round trip later is set here.
pub(in crate::service) fn session(
    target: &PostgresTarget,
    transaction_idle: Duration,
) -> PgConnectOptions {
    let idle = format!("{}ms", transaction_idle.as_millis());
    connect_options(target, "outbox-harness order-service").options([
        ("search_path", quote_identifier(&target.schema).as_str()),
        // The tables begin empty, where a plan that is cached would scan them from end to end.
        SESSION[0],
        // What the service has given up on must not hold locks for long.
        ("statement_timeout", "10s"),
        ("idle_in_transaction_session_timeout", idle.as_str()),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::order::Directive;

    fn change(kind: ChangeType) -> Change {
        Change {
            order: Uuid::from_u128(1),
            kind,
            change_id: Uuid::from_u128(2),
            attempt: Uuid::from_u128(3),
            content: String::new(),
            directive: Directive::Commit,
        }
    }

    #[test]
    fn what_is_forbidden_is_explained_with_what_is_allowed() {
        let reason = forbidden(&change(ChangeType::Shipped), "placed").unwrap();
        assert!(reason.contains("can become paid"), "{reason}");
        let reason = forbidden(&change(ChangeType::Paid), "delivered").unwrap();
        assert!(reason.contains("only be amended"), "{reason}");
        assert!(forbidden(&change(ChangeType::Placed), "placed").is_some());
    }

    #[test]
    fn what_is_allowed_by_now_is_worth_another_try() {
        assert_eq!(forbidden(&change(ChangeType::Paid), "placed"), None);
        assert_eq!(forbidden(&change(ChangeType::Amended), "shipped"), None);
    }
}
