//! What the harness does in a strategy's database, whichever it is: it makes what is the strategy's own, tells the
//! processes under test how to reach it, and reads it while they run and when they are gone. One system, one file,
//! one line in [`of`].

pub mod mariadb;
pub mod postgres;
mod versions;

use crate::history::{Rows, TruthRow};
use crate::identity::Identity;
use crate::stack::{Stack, StackError};
use futures::future::BoxFuture;
pub use postgres::DirectLogin;
pub use postgres::in_doubt::Unfinished;
pub use postgres::projection::{Projection, difference};
pub(crate) use postgres::snapshot::HeldSnapshot;
pub use postgres::told::TruthQuery;
pub(crate) use postgres::{ConsumerSchema, LoginWords, OwnSchema, Refusal};
use relays::config::{AfterPublish, DatabaseKind, DatabaseTarget, SourceConfig};
pub use relays::postgres::schema::{ForeignSchema, Layout, OutboxKind, Role};
use std::time::{Duration, Instant};

/// What the database holds.
#[derive(Debug)]
pub struct Truth {
    /// These are sorted by order and version.
    pub rows: Rows<TruthRow>,
    /// WAL position at which it was read.
    pub lsn: u64,
}

/// Hears of each event that is held, with the position of its commit in the log (0: it is in no log), and its text.
pub(crate) type Hear<'a> = &'a mut (dyn FnMut(u64, &str) + Send);

/// A process under test, by what it may do in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DatabaseClient {
    /// It writes orders, and their outbox.
    OrderService,
    /// It reads the outbox, and takes away what is published.
    Relay,
}

/// This is what of a database belongs to one strategy.
pub(crate) trait Database: Send + Sync {
    /// Makes everything that is the strategy's own.
    fn create(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Removes whatever of that is there.
    fn drop_all(&self) -> BoxFuture<'_, Result<(), String>>;

    /// Where it is, in words, for whoever wants to look at what was left there.
    fn place(&self) -> String;

    /// Returns the server's `host` and port around all proxies.
    fn direct(&self) -> (String, u16);

    /// How a process reaches it, at this `host` and port.
    fn target(&self, client: DatabaseClient, at: (String, u16)) -> DatabaseTarget;

    /// From where a relay of our own reads the events in the database's log.
    fn log(&self) -> SourceConfig;

    /// Ends the sessions of the relays, until none is left.
    fn end_relays(&self, deadline: Instant) -> BoxFuture<'_, Result<(), String>>;

    /// Closes it to the order service, and only then reads what is committed.
    fn close_and_read<'a>(
        &'a self,
        identity: &'a Identity,
        within: Duration,
    ) -> BoxFuture<'a, Result<Truth, String>>;

    /// Tells each event of an outbox that is not published yet, and counts them.
    fn in_outbox<'a>(
        &'a self,
        after_publish: AfterPublish,
        hear: Hear<'a>,
    ) -> BoxFuture<'a, Result<u64, String>>;

    /// Tells each event of the log that no relay has confirmed, and counts them. Its relay is dead by then.
    fn in_log<'a>(&'a self, hear: Hear<'a>) -> BoxFuture<'a, Result<u64, String>>;

    /// Looks at what is committed while the run goes on.
    fn look(&self) -> Box<dyn TruthLook>;

    /// Returns how many bytes the server has written to its log so far.
    fn log_bytes(&self) -> BoxFuture<'_, Result<f64, String>>;

    /// Samples what the outbox costs the server.
    fn costs(&self) -> Box<dyn Costs>;
}

/// A look at what is committed: no truth of a run, since others go on writing.
pub(crate) trait TruthLook: Send {
    /// Reads all of it; `None` where the server does not answer. A session whose answer nobody waited for is not used
    /// again.
    fn read<'a>(&'a mut self, identity: &'a Identity) -> BoxFuture<'a, Option<Vec<TruthRow>>>;
}

/// What the outbox costs the server, as named series.
pub(crate) trait Costs: Send {
    /// Reads all of them, within a bound of its own; nothing where the server does not answer.
    fn read(&mut self) -> BoxFuture<'_, Vec<(&'static str, f64)>>;
}

/// Returns what of this system belongs to the strategy whose names these are; an Err says that the stack has no such
/// system.
pub(crate) fn of(
    kind: DatabaseKind,
    stack: &Stack,
    layout: &Layout,
) -> Result<Box<dyn Database>, StackError> {
    Ok(match kind {
        DatabaseKind::Postgres => {
            let server = stack.info().postgres.clone();
            Box::new(postgres::Postgres::new(server, layout.clone()))
        }
        DatabaseKind::MariaDb => {
            let admin = stack.mariadb()?.clone();
            Box::new(mariadb::MariaDb::new(admin, layout))
        }
    })
}
