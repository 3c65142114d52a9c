//! Where events come from. A source knows no broker.

mod appetite;
mod lease;

pub(crate) use appetite::Appetite;
pub(crate) use lease::SessionLease;

use crate::trace::Stage;
use std::collections::VecDeque;
use std::future::Future;
use thiserror::Error;

/// One row of the outbox, as it goes to a broker. Borrowed from what the database sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event<'a> {
    /// This is the aggregate's id: the key, whose events keep their order.
    pub key: &'a str,
    /// This is the event's id, from the outbox's column `id`.
    pub id: &'a str,
    /// This is the event's type, e.g. `OrderPlaced`, from the outbox's column `type`.
    pub event_type: &'a str,
    /// This is the version of the aggregate, as a decimal number.
    pub version: &'a str,
    /// This is the event's text, from the outbox's column `payload`, as it is published.
    pub payload: &'a str,
}

/// This is the failure of a source: the connection is of no more use.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{doing}: {reason}")]
pub struct SourceError {
    /// What was being done, to what.
    pub doing: String,
    /// Why it failed, and what to do about it.
    pub reason: String,
    /// Whether trying again is of no use: what the source stood on is gone.
    pub is_final: bool,
}

impl SourceError {
    pub(crate) fn new(doing: impl Into<String>, reason: impl ToString) -> Self {
        Self {
            doing: doing.into(),
            reason: reason.to_string(),
            is_final: false,
        }
    }
}

/// Something that holds one event.
pub trait Held {
    /// Returns the event in it; an error says which part cannot be read.
    fn event(&self) -> Result<Event<'_>, SourceError>;

    /// As what a trace notes that it was taken, and the detail to that; `None`: it does not.
    fn taken_as(&self) -> Option<(Stage, u64)> {
        None
    }
}

/// This says what came of connecting to a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The source is ours.
    Leads,
    /// Another relay has it, and this one waited for it in vain for a while. To be asked again.
    StandsBy,
}

/// This is an outbox, read in an order that keeps each key's commits in order.
///
/// Events are counted from 0 since [`Source::connect`] or [`Source::rewind`], whichever was last.
pub trait Source {
    /// What an event is kept in until it is handed over.
    type Item: Held;

    /// Connects if it is not connected, positioned at the first event that is not confirmed.
    /// Bounded in time; may be called again after a failure, or where another relay had the source.
    fn connect(&mut self) -> impl Future<Output = Result<Standing, SourceError>>;

    /// Whether more can be taken while so many events are not yet confirmed. A source that says
    /// yes to a number above 0 has a cancel-safe [`Source::next`].
    fn accepts(&self, unconfirmed: u64) -> bool;

    /// Keeps what is not confirmed yet from being lost while nothing else is asked of this source.
    /// Called ten times a second or more while events are on their way.
    fn keep_alive(&mut self) -> impl Future<Output = Result<(), SourceError>> {
        std::future::ready(Ok(()))
    }

    /// Appends the next events to `batch`, which is empty. Returns without any after a tenth of a
    /// second or so, or when it has learned something else.
    fn next(
        &mut self,
        batch: &mut VecDeque<Self::Item>,
    ) -> impl Future<Output = Result<(), SourceError>>;

    /// The first `events` events are durable elsewhere: they need never be delivered again.
    /// Takes effect at the source no later than with the next [`Source::next`] or
    /// [`Source::close`].
    fn confirm(&mut self, events: u64);

    /// How many events since this source was made are confirmed to effect, as far as that is known
    /// by now; for a trace. `None` where confirming is all there is to it.
    fn settled(&self) -> Option<u64> {
        None
    }

    /// Forgets all events that are not confirmed: they will be delivered again, in order.
    fn rewind(&mut self) -> impl Future<Output = ()>;

    /// Makes the confirmation take effect and ends the connection. Bounded in time.
    fn close(&mut self) -> impl Future<Output = Result<(), SourceError>>;
}
