//! Orders in MariaDB: writing a change in one round trip.
//!
//! There is no statement that writes several tables, but a block of statements can be prepared with parameters as one
//! statement can. In it the order's row is locked, then its state and its changes are checked, then it gets its next
//! version. Only then, still under the lock, does an outbox row draw its `seq`.
//!
//! The check of the changes is a statement behind the one that locks. In one statement, the server may look for the change
//! before it waits for the row, and miss the one that it was waiting for.

use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Error, Row, Value};
use uuid::Uuid;

/// This is a change that is to be written, complete.
#[derive(Debug, Clone, Copy)]
pub struct NewChange<'a> {
    /// This is the order's id.
    pub order: Uuid,
    /// This is the attempt that makes the version.
    pub attempt: Uuid,
    /// Retries of one change share this id.
    pub change_id: Uuid,
    /// What is to be done with the order.
    pub step: OrderStep,
    /// The outbox row that announces it; with `None` it has none.
    pub announced: Option<NewEvent<'a>>,
}

/// What a change does to the state of its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderStep {
    /// The order comes into being in this state.
    Place(&'static str),
    /// The order is there.
    Transition {
        /// It must be in this state; `None` for any.
        from: Option<&'static str>,
        /// It is in this state afterwards; `None` leaves it as it was.
        to: Option<&'static str>,
    },
}

/// This is an event, whose text is known but for its version.
#[derive(Debug, Clone, Copy)]
pub struct NewEvent<'a> {
    /// This is the event's id.
    pub id: Uuid,
    /// This is the event's type, e.g. `OrderPlaced`.
    pub event_type: &'a str,
    /// This is the event's text before its version.
    pub prefix: &'a str,
    /// This is the event's text after its version.
    pub suffix: &'a str,
}

/// What there is of an order, and of a change of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundOrder {
    /// The order is in this state.
    pub state: String,
    /// The version that the change made of it; `None` where it made none.
    pub made: Option<u32>,
}

macro_rules! block {
    ($declared:expr, $body:expr) => {
        (
            concat!("BEGIN NOT ATOMIC ", $declared, $body, " SELECT made; END"),
            concat!(
                "BEGIN NOT ATOMIC ",
                $declared,
                "START TRANSACTION; ",
                $body,
                " COMMIT; SELECT made; END"
            ),
        )
    };
}
// The parameters, in this order.
macro_rules! change {
    () => {
        "DECLARE the_order char(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT ?; \
         DECLARE the_attempt char(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT ?; \
         DECLARE the_change char(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT ?; \
         DECLARE state_required varchar(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT ?; \
         DECLARE state_after varchar(16) CHARACTER SET ascii COLLATE ascii_bin DEFAULT ?; "
    };
}
macro_rules! event {
    () => {
        "DECLARE the_event char(36) CHARACTER SET ascii COLLATE ascii_bin DEFAULT ?; \
         DECLARE the_type varchar(255) CHARACTER SET utf8mb4 DEFAULT ?; \
         DECLARE the_prefix longtext CHARACTER SET utf8mb4 DEFAULT ?; \
         DECLARE the_suffix longtext CHARACTER SET utf8mb4 DEFAULT ?; "
    };
}
macro_rules! variables {
    () => {
        "DECLARE made int; \
         DECLARE state_found varchar(16) CHARACTER SET ascii COLLATE ascii_bin; "
    };
}
macro_rules! noted {
    () => {
        "INSERT INTO order_changes (order_id, version, attempt, change_id) \
         VALUES (the_order, made, the_attempt, the_change); "
    };
}
macro_rules! announced {
    () => {
        "INSERT INTO outbox (id, aggregatetype, aggregateid, type, version, payload) \
         VALUES (the_event, 'Order', the_order, the_type, made, concat(the_prefix, made, the_suffix)); "
    };
}
// Of two that place one order the second waits here for what becomes of the first.
macro_rules! place {
    ($announced:expr) => {
        concat!(
            "INSERT INTO orders (id, version, state) VALUES (the_order, 1, state_after) \
             ON DUPLICATE KEY UPDATE version = version; \
             IF ROW_COUNT() = 1 THEN SET made = 1; ",
            noted!(),
            $announced,
            "END IF;"
        )
    };
}
macro_rules! transition {
    ($announced:expr) => {
        concat!(
            "SELECT version + 1, state INTO made, state_found FROM orders WHERE id = the_order FOR UPDATE; \
             IF made IS NOT NULL AND (state_required IS NULL OR state_found = state_required) \
             AND NOT EXISTS (SELECT 1 FROM order_changes \
             WHERE order_id = the_order AND change_id = the_change) THEN ",
            noted!(),
            "UPDATE orders SET version = made, state = coalesce(state_after, state) WHERE id = the_order; ",
            $announced,
            "ELSE SET made = NULL; END IF;"
        )
    };
}

/// Within a transaction that is open, and alone in one of its own.
type BlockTexts = (&'static str, &'static str);

const PLACE: BlockTexts = block!(concat!(change!(), variables!()), place!(""));
const PLACE_ANNOUNCED: BlockTexts = block!(
    concat!(change!(), event!(), variables!()),
    place!(announced!())
);
const TRANSITION: BlockTexts = block!(concat!(change!(), variables!()), transition!(""));
const TRANSITION_ANNOUNCED: BlockTexts = block!(
    concat!(change!(), event!(), variables!()),
    transition!(announced!())
);

/// An order's state, and the version that a change made of it.
const FOUND: &str = "SELECT state, (SELECT version FROM order_changes WHERE order_id = orders.id AND change_id = ?) \
     FROM orders WHERE id = ?";
const VERSION: &str = "SELECT version FROM orders WHERE id = ?";

/// Whether a change has a transaction of its own, which is committed with it, or is written within the open one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteUnit {
    /// It is written in the transaction that is open.
    Within,
    /// It begins a transaction and commits it, in the same round trip. Where that fails, the session is to be thrown away.
    Alone,
}

/// Writes the change; its version, or nothing if it may not be (see [`find`]).
pub async fn write(
    conn: &mut Conn,
    change: &NewChange<'_>,
    unit: WriteUnit,
) -> Result<Option<u32>, Error> {
    let (within, alone) = match (change.step, change.announced.is_some()) {
        (OrderStep::Place(_), false) => PLACE,
        (OrderStep::Place(_), true) => PLACE_ANNOUNCED,
        (OrderStep::Transition { .. }, false) => TRANSITION,
        (OrderStep::Transition { .. }, true) => TRANSITION_ANNOUNCED,
    };
    let sql = match unit {
        WriteUnit::Within => within,
        WriteUnit::Alone => alone,
    };
    let row: Option<Row> = conn.exec_first(sql, parameters(change)).await?;
    let made = row.as_ref().map(|row| number(row, 0)).transpose()?;
    Ok(made.flatten())
}

fn parameters(change: &NewChange<'_>) -> Vec<Value> {
    let (required, after) = match change.step {
        OrderStep::Place(state) => (None, Some(state)),
        OrderStep::Transition { from, to } => (from, to),
    };
    let ids = [change.order, change.attempt, change.change_id].map(text);
    let mut parameters: Vec<Value> = ids.into();
    parameters.extend([required, after].map(Value::from));
    if let Some(event) = change.announced {
        parameters.extend([
            text(event.id),
            event.event_type.into(),
            event.prefix.into(),
            event.suffix.into(),
        ]);
    }
    parameters
}

fn text(id: Uuid) -> Value {
    Value::Bytes(id.to_string().into_bytes())
}

/// Looks for an order, and for what a change has made of it; `None` where there is no such order.
pub async fn find(
    conn: &mut Conn,
    order: Uuid,
    change_id: Uuid,
) -> Result<Option<FoundOrder>, Error> {
    let row: Option<Row> = conn
        .exec_first(FOUND, vec![text(change_id), text(order)])
        .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let state = row.get_opt::<String, _>(0).and_then(Result::ok);
    let state = state.ok_or_else(|| unreadable("the state of an order"))?;
    let made = number(&row, 1)?;
    Ok(Some(FoundOrder { state, made }))
}

/// Returns the version of an order; `None` where there is no such order.
pub async fn version(conn: &mut Conn, order: Uuid) -> Result<Option<u32>, Error> {
    let row: Option<Row> = conn.exec_first(VERSION, vec![text(order)]).await?;
    Ok(row
        .as_ref()
        .map(|row| number(row, 0))
        .transpose()?
        .flatten())
}

fn number(row: &Row, column: usize) -> Result<Option<u32>, Error> {
    let value = row.get_opt::<Option<u32>, _>(column).and_then(Result::ok);
    value.ok_or_else(|| unreadable("a version"))
}

fn unreadable(what: &str) -> Error {
    let reason = format!("{what} cannot be read as what it is");
    std::io::Error::new(std::io::ErrorKind::InvalidData, reason).into()
}
