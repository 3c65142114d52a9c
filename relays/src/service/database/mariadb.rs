//! Changes of orders in MariaDB, as the write paths have them.

use super::{Announcement, Orders, settled_by};
use crate::config::MariaDbTarget;
use crate::mariadb::orders::{self, NewChange, NewEvent, OrderStep, WriteUnit};
use crate::mariadb::session;
use crate::order::{ChangeType, OrderState};
use crate::service::change::{Change, Outcome};
use crate::service::connections::exchange;
use crate::service::database_error::DatabaseError;
use crate::service::event::EventText;
use mysql_async::{Conn, Opts};
use std::time::Duration;
use uuid::Uuid;

/// What the service has given up on must not hold locks for long: so many seconds a statement.
const STATEMENT_S: u64 = 10;

/// Returns how the service logs in.
pub(super) fn login(target: &MariaDbTarget, transaction_idle: Duration) -> Opts {
    let idle_s = transaction_idle.as_secs() + 1;
    session::options(
        target,
        &[
            ("max_statement_time", STATEMENT_S),
            ("idle_transaction_timeout", idle_s),
        ],
    )
}

/// Writes the change; its version, or nothing if it may not be (see [`why_not`]).
pub(super) async fn write(
    conn: &mut Conn,
    orders: &Orders,
    change: &Change,
    unit: WriteUnit,
) -> Result<Option<u32>, DatabaseError> {
    let doing = "writing an order";
    let text = match orders.announcement() {
        Announcement::None => None,
        Announcement::Outbox => Some(EventText::new(orders.run(), change)),
        Announcement::OutboxAndNotify
        | Announcement::Message
        | Announcement::Itself
        | Announcement::Foreign(_) => {
            let reason = "MariaDB has no such way to announce a change".to_owned();
            return Err(DatabaseError::kept(doing, reason));
        }
    };
    let announced = text.as_ref().map(|text| NewEvent {
        id: Uuid::now_v7(),
        event_type: change.kind.event_type(),
        prefix: &text.prefix,
        suffix: &text.suffix,
    });
    let new = NewChange {
        order: change.order,
        attempt: change.attempt,
        change_id: change.change_id,
        step: step(change.kind),
        announced,
    };
    exchange(doing, orders::write(conn, &new, unit)).await
}

fn step(kind: ChangeType) -> OrderStep {
    match kind {
        ChangeType::Placed => OrderStep::Place(OrderState::Placed.name()),
        ChangeType::Paid | ChangeType::Shipped | ChangeType::Delivered | ChangeType::Amended => {
            OrderStep::Transition {
                from: kind.required_state().map(OrderState::name),
                to: kind.next_state().map(OrderState::name),
            }
        }
    }
}

/// Why nothing was written, as [`Orders::why_not`] has it.
pub(super) async fn why_not(
    conn: &mut Conn,
    change: &Change,
) -> Result<Option<Outcome>, DatabaseError> {
    let found = orders::find(conn, change.order, change.change_id);
    let found = exchange("reading an order", found).await?;
    let found = found
        .as_ref()
        .map(|order| (order.state.as_str(), order.made));
    Ok(settled_by(change, found))
}

/// Returns the version of an order; `None` where there is no such order.
pub(super) async fn version(conn: &mut Conn, order: Uuid) -> Result<Option<u32>, DatabaseError> {
    exchange("reading an order's version", orders::version(conn, order)).await
}
