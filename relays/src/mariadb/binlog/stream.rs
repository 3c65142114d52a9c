//! The binlog as a stream: a session that asks for it from a position on, and what that answers.

use super::event::EventHeader;
use super::position::LogPosition;
use crate::config::MariaDbTarget;
use crate::mariadb::session::{bounded, code, connect, options, words};
use futures::{FutureExt, StreamExt};
use mysql_async::binlog::events::Event;
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, Error};
use std::time::Duration;
use uuid::Uuid;

/// Connecting, authentication included, takes this long at most; so does each answer before the first event.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// An idle server says so often that it is there, in nanoseconds.
const HEARTBEAT_NS: u64 = 500_000_000;
/// While the broker is slow nothing is read, and the server waits for so many seconds. A relay that is gone it notices by
/// its socket.
const WRITE_TIMEOUT_S: u64 = 3_600;
/// The server knows with this that XA transactions and GTIDs are understood.
const CAPABILITY: u8 = 4;
/// The server cannot read its log from that position on: ER_MASTER_FATAL_ERROR_READING_BINLOG.
const FATAL_READING: u16 = 1236;

/// Why there is no stream, or no more of it.
#[derive(Debug)]
pub(super) struct StreamError {
    /// This is what was said.
    pub reason: String,
    /// Whether it is the log itself that cannot be read.
    pub is_of_log: bool,
}

impl From<Error> for StreamError {
    fn from(error: Error) -> Self {
        Self {
            reason: words(&error),
            is_of_log: code(&error) == Some(FATAL_READING),
        }
    }
}

impl StreamError {
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            is_of_log: false,
        }
    }
}

/// One event as it was sent.
pub(super) struct SentEvent(Event);

impl SentEvent {
    pub fn header(&self) -> EventHeader {
        let header = self.0.header();
        EventHeader {
            kind: header.event_type_raw(),
            server: header.server_id(),
            flags: header.flags_raw(),
        }
    }

    pub fn data(&self) -> &[u8] {
        self.0.data()
    }
}

/// See the module.
pub(super) struct LogStream(BinlogStream);

impl LogStream {
    /// Asks for what is behind a position, and waits for the first word: the server refuses at once what it does not have.
    /// With `to_the_end` the stream ends where the log does by then.
    pub async fn open(
        target: &MariaDbTarget,
        position: &LogPosition,
        to_the_end: bool,
    ) -> Result<Self, StreamError> {
        let settings = [
            ("max_statement_time", 0),
            ("net_write_timeout", WRITE_TIMEOUT_S),
        ];
        let mut session = connect(&options(target, &settings), ANSWER_WITHIN).await?;
        let told = format!(
            "SET @mariadb_slave_capability = {CAPABILITY}, @master_heartbeat_period = {HEARTBEAT_NS}, \
             @slave_connect_state = '{position}', @slave_gtid_strict_mode = 1"
        );
        bounded(ANSWER_WITHIN, session.query_drop(told)).await?;
        // The server ends another reader of the same number.
        let mut request = BinlogStreamRequest::new(Uuid::new_v4().as_fields().0 | 1 << 31);
        if to_the_end {
            request = request.with_non_blocking();
        }
        let stream = bounded(ANSWER_WITHIN, session.get_binlog_stream(request)).await?;
        let mut stream = Self(stream);
        match tokio::time::timeout(ANSWER_WITHIN, stream.next()).await {
            // It is where the log is: of no account for who asks by position.
            Ok(first) => first.map(|_| stream),
            Err(_) => Err(StreamError::new(format!(
                "no answer within {ANSWER_WITHIN:?}"
            ))),
        }
    }

    /// Waits for the next event; it may be dropped while it waits. `None`: the stream has ended.
    pub async fn next(&mut self) -> Result<Option<SentEvent>, StreamError> {
        let next = self.0.next().await.transpose()?;
        Ok(next.map(SentEvent))
    }

    /// What was sent already, if anything.
    pub fn more(&mut self) -> Option<Result<Option<SentEvent>, StreamError>> {
        self.next().now_or_never()
    }
}
