//! MariaDB's binlog, as a naive relay reads it: with a client library, and event by event.

use super::Entry;
use futures::{FutureExt, StreamExt};
use mysql_async::binlog::events::{Event, EventData, RowsEventData};
use mysql_async::binlog::row::BinlogRow;
use mysql_async::binlog::value::BinlogValue;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Conn, Value};
use relays::config::{DatabaseTarget, MariaDbTarget, RelayConfig};
use relays::mariadb::schema::connect_admin;
use std::time::Duration;

/// The client library does not know this type of events: a group begins, with its place in the log.
const GTID: u8 = 162;
/// What was sent already is read in pieces of so many events.
const EVENTS_AT_ONCE: usize = 1_000;

/// Returns where MariaDB is; an Err says that the database is another one.
pub fn target(config: &RelayConfig) -> Result<&MariaDbTarget, String> {
    match &config.database {
        DatabaseTarget::MariaDb(target) => Ok(target),
        DatabaseTarget::Postgres(_) => Err("this relay needs MariaDB".to_owned()),
    }
}

/// What the log says, as far as a naive relay listens.
pub enum LogWord {
    /// A group begins, of which this is the place: domain, server and number.
    Begun(String),
    /// These rows were inserted into the outbox.
    Inserted(Vec<Entry>),
    /// A statement was run: of a transaction its beginning or end, of an XA transaction what was decided.
    Statement(String),
    /// The transaction was committed.
    Committed,
    /// The XA transaction was prepared.
    Prepared,
}

/// A reader of the log.
pub struct Binlog {
    stream: BinlogStream,
    database: String,
}

impl Binlog {
    /// Begins behind this place.
    pub async fn open(target: &MariaDbTarget, place: &str) -> Result<Self, String> {
        let mut session = connect(target).await?;
        let told = format!(
            "SET @mariadb_slave_capability = 4, @slave_connect_state = '{place}', @slave_gtid_strict_mode = 1, \
             max_statement_time = 0"
        );
        session.query_drop(told).await.map_err(failed)?;
        let request = BinlogStreamRequest::new(std::process::id());
        let stream = session.get_binlog_stream(request).await.map_err(failed)?;
        let database = target.database.clone();
        Ok(Self { stream, database })
    }

    /// Waits so long for a word, and gives it with whatever else was sent by then.
    pub async fn words(&mut self, within: Duration) -> Result<Vec<LogWord>, String> {
        let mut words = Vec::new();
        let Ok(mut event) = tokio::time::timeout(within, self.stream.next()).await else {
            return Ok(words);
        };
        for _ in 0..EVENTS_AT_ONCE {
            let whole = event
                .ok_or("the server ended the binlog")?
                .map_err(failed)?;
            words.extend(self.word(&whole)?);
            match self.stream.next().now_or_never() {
                Some(next) => event = next,
                None => break,
            }
        }
        Ok(words)
    }

    fn word(&self, event: &Event) -> Result<Option<LogWord>, String> {
        if event.header().event_type_raw() == GTID {
            let (number, domain) = event.data().split_at_checked(8).ok_or("a short GTID")?;
            let bytes = |bytes: &[u8]| {
                bytes
                    .iter()
                    .rfold(0_u64, |n, byte| n << 8 | u64::from(*byte))
            };
            let domain = domain.get(..4).ok_or("a short GTID")?;
            let place = format!(
                "{}-{}-{}",
                bytes(domain),
                event.header().server_id(),
                bytes(number)
            );
            return Ok(Some(LogWord::Begun(place)));
        }
        Ok(match event.read_data().map_err(|e| e.to_string())? {
            Some(EventData::RowsEvent(rows @ RowsEventData::WriteRowsEventV1(_))) => {
                self.inserted(&rows)?.map(LogWord::Inserted)
            }
            Some(EventData::QueryEvent(query)) => {
                Some(LogWord::Statement(query.query().into_owned()))
            }
            Some(EventData::XidEvent(_)) => Some(LogWord::Committed),
            Some(EventData::XaPrepareLogEvent(_)) => Some(LogWord::Prepared),
            _ => None,
        })
    }

    fn inserted(&self, rows: &RowsEventData<'_>) -> Result<Option<Vec<Entry>>, String> {
        let table = self.stream.get_tme(rows.table_id());
        let table = table.ok_or("rows of a table that was not named before")?;
        if table.database_name() != self.database || table.table_name() != "outbox" {
            return Ok(None);
        }
        let mut entries = Vec::new();
        for row in rows.rows(table) {
            let (_, inserted) = row.map_err(|e| e.to_string())?;
            entries.push(entry(&inserted.ok_or("a row without values")?)?);
        }
        Ok(Some(entries))
    }
}

/// Returns the place in the log at which the strategy's tables were made.
pub async fn first_place(target: &MariaDbTarget) -> Result<String, String> {
    let mut session = connect(target).await?;
    let place: Option<String> = session
        .query_first("SELECT gtid FROM relay_position")
        .await
        .map_err(failed)?;
    place.ok_or("relay_position is empty".to_owned())
}

async fn connect(target: &MariaDbTarget) -> Result<Conn, String> {
    connect_admin(target, Some(&target.database)).await
}

fn failed(error: mysql_async::Error) -> String {
    format!("read the binlog of MariaDB: {error}")
}

/// A row of the outbox, its columns by their places.
fn entry(row: &BinlogRow) -> Result<Entry, String> {
    let text = |column: usize| match row.as_ref(column) {
        Some(BinlogValue::Value(Value::Bytes(bytes))) => {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
        Some(BinlogValue::Value(Value::Int(number))) => Ok(number.to_string()),
        other => Err(format!("column {column} of the outbox is {other:?}")),
    };
    Ok(Entry {
        id: text(1)?,
        key: text(3)?,
        event_type: text(4)?,
        version: text(5)?,
        payload: text(6)?,
    })
}
