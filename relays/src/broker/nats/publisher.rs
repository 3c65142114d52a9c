//! NATS JetStream as a relay needs it: many events on their way, each answered by its stream, in the order of one
//! connection.
//!
//! What keeps the order of a key when something fails:
//!
//! - The server takes what comes by one connection in its order. So what is stored of one connection is a prefix of
//!   what was sent on it, at every moment, as long as the stream refuses nothing.
//! - Nothing is sent again on another connection behind what was lost with the last one. A client that comes back by
//!   itself (async-nats does) sends what was queued behind a lost event at once: an overtaking. Hence a client of our
//!   own here, which ends with its connection; the next one begins with the first event that is not durable.
//! - What a stream refuses by itself, it refuses for good (there is none, it is sealed), but for one reason: more than
//!   10,000 events, or 128 MiB, wait for its disk. So fewer are on their way, by far, even from all relays there can be.
//!   Whatever is refused ends the connection at once.
//! - An event that is answered as a duplicate is durable: its stream has it since it came for the first time.

use super::connection::{Connection, SocketWatch, ask};
use super::reply::{ABOUT_STREAM, PublishReply};
use super::wire::Publication;
use crate::broker::patience::Patience;
use crate::broker::unsettled::Unsettled;
use crate::config::{NatsTarget, nats_stream};
use crate::publisher::{Delivery, Offer, PublishError, Publisher};
use crate::signal::monotonic_ns;
use crate::source::Event;
use std::cell::RefCell;
use std::time::Duration;
use tokio::time::timeout;

/// So many events are on their way at most.
const IN_FLIGHT_MAX: usize = 1_024;
/// So many bytes of them at most; one event always is.
const IN_FLIGHT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// So many bytes wait for room in the socket at most.
const UNSENT_BYTES_MAX: usize = 1024 * 1024;
/// Bytes that are worth a system call before more are offered.
const SEND_BYTES: usize = 64 * 1024;
/// Answers that are worth a look before all are there.
const WORTH_A_LOOK: u64 = IN_FLIGHT_MAX as u64 / 8;
/// A connection, and the stream's description, must be there within this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Publishes to one topic.
pub struct NatsPublisher {
    target: NatsTarget,
    /// It is used while the pump waits, too.
    link: RefCell<Option<Link>>,
    /// Whether somebody wants to know of each delivery.
    keeps_deliveries: bool,
    patience: Patience,
}

/// One connection, and what is on its way there.
struct Link {
    connection: Connection,
    unsettled: Unsettled,
    reported: u64,
    failed: u64,
    /// Why nothing can be published on it any more.
    failure: Option<String>,
    /// What was said about the stream since it was asked for.
    stream: Option<Result<(), String>>,
    deliveries: Vec<Delivery>,
}

impl Link {
    fn new(connection: Connection) -> Self {
        Self {
            connection,
            unsettled: Unsettled::default(),
            reported: 0,
            failed: 0,
            failure: None,
            stream: None,
            deliveries: Vec::new(),
        }
    }

    /// Sends and takes in what there is, unless the connection is over.
    fn turn(&mut self, keeps_deliveries: bool) {
        if self.failure.is_some() {
            return;
        }
        let Self {
            connection,
            unsettled,
            reported,
            failed,
            failure,
            stream,
            deliveries,
        } = self;
        let turned = connection.turn(&mut |said, inbox| {
            let (position, fate) = match PublishReply::of(said, inbox) {
                Some(PublishReply::Stored { position, sequence }) => {
                    if !unsettled.settle(position) {
                        return;
                    }
                    // Streams count from 1, offsets from 0.
                    (position, Ok(sequence.saturating_sub(1)))
                }
                Some(PublishReply::Refused {
                    position,
                    reason,
                    persistence,
                }) => {
                    failure.get_or_insert(reason);
                    *failed += 1;
                    (position, Err(persistence))
                }
                Some(PublishReply::Stream(said)) => {
                    *stream = Some(said);
                    return;
                }
                Some(PublishReply::Strange) | None => return,
            };
            *reported += 1;
            if keeps_deliveries {
                deliveries.push(Delivery {
                    position,
                    at_ns: monotonic_ns(),
                    fate,
                });
            }
        });
        if let Err(reason) = turned {
            self.failed += self.unsettled.count() as u64;
            self.failure.get_or_insert(reason);
        }
    }

    /// Waits until the server has described the stream, and says what is wrong with it.
    async fn ask_for_stream(link: &RefCell<Option<Self>>, topic: &str) -> Result<(), String> {
        if let Some(link) = link.borrow_mut().as_mut() {
            let subject = format!("$JS.API.STREAM.INFO.{}", nats_stream(topic));
            let inbox = link.connection.inbox();
            link.stream = None;
            link.connection
                .queue(|out| ask(out, &subject, &inbox, ABOUT_STREAM));
        }
        loop {
            let watch = {
                let mut link = link.borrow_mut();
                let link = link.as_mut().ok_or_else(|| "not connected".to_owned())?;
                link.turn(false);
                if let Some(reason) = &link.failure {
                    return Err(reason.clone());
                }
                if let Some(said) = link.stream.take() {
                    return said;
                }
                link.connection.watch()
            };
            watch.changed().await;
        }
    }
}

impl NatsPublisher {
    /// Makes a publisher for this topic, which connects later.
    pub fn new(target: NatsTarget) -> Self {
        Self {
            target,
            link: RefCell::new(None),
            keeps_deliveries: false,
            patience: Patience::default(),
        }
    }

    /// Keeps each delivery for [`Publisher::deliveries`], which must then be called regularly.
    pub fn keeping_deliveries(mut self) -> Self {
        self.keeps_deliveries = true;
        self
    }

    fn error(&self, reason: impl ToString) -> PublishError {
        PublishError {
            doing: format!(
                "publish to topic {} at {}",
                self.target.topic, self.target.address
            ),
            reason: reason.to_string(),
            failed: self.of_link(|link| link.failed),
            is_of_cache: false,
        }
    }

    /// Asks the connection, if there is one.
    fn of_link<T: Default>(&self, ask: impl FnOnce(&Link) -> T) -> T {
        self.link.borrow().as_ref().map(ask).unwrap_or_default()
    }

    /// Sends and takes in what there is.
    fn turn(&self) {
        if let Some(link) = self.link.borrow_mut().as_mut() {
            link.turn(self.keeps_deliveries);
        }
    }

    /// Asks for the stream within a bound.
    async fn stream_is_there(&self) -> Result<(), String> {
        let asked = Link::ask_for_stream(&self.link, &self.target.topic);
        let asked = timeout(CONNECT_WITHIN, asked).await;
        asked.unwrap_or_else(|_| {
            Err(format!(
                "the stream did not answer within {CONNECT_WITHIN:?}"
            ))
        })
    }

    /// Something to wait with for more answers; `None` where there are enough to be worth a look.
    fn awaits_more(&self, enough: u64) -> Option<SocketWatch> {
        self.turn();
        let link = self.link.borrow();
        let link = link.as_ref()?;
        (link.failure.is_none() && link.reported < enough).then(|| link.connection.watch())
    }
}

impl Publisher for NatsPublisher {
    async fn connect(&mut self) -> Result<(), PublishError> {
        let lives = self.of_link(|link| link.failure.is_none());
        if lives && self.stream_is_there().await.is_ok() {
            return Ok(());
        }
        self.abandon().await;
        let connection = Connection::open(&self.target.address, CONNECT_WITHIN).await;
        let connection = connection.map_err(|reason| self.error(reason))?;
        *self.link.borrow_mut() = Some(Link::new(connection));
        let asked = self.stream_is_there().await;
        if let Err(reason) = asked {
            let error = self.error(reason);
            *self.link.borrow_mut() = None;
            return Err(error);
        }
        Ok(())
    }

    fn offer(&mut self, event: &Event<'_>) -> Result<Offer, PublishError> {
        let has_room = |link: &Link| {
            link.unsettled.count() < IN_FLIGHT_MAX
                && (link.unsettled.count() == 0 || link.unsettled.bytes() < IN_FLIGHT_BYTES_MAX)
                && link.connection.unsent_bytes() < UNSENT_BYTES_MAX
        };
        if self.link.borrow().is_none() {
            return Err(self.error("not connected"));
        }
        if !self.of_link(has_room) {
            return Ok(Offer::Full);
        }
        let mut slot = self.link.borrow_mut();
        let Some(link) = slot.as_mut() else {
            return Ok(Offer::Full);
        };
        let inbox = link.connection.inbox();
        let publication = Publication {
            topic: &self.target.topic,
            key: event.key,
            message_id: self.target.message_id.then_some(event.id),
            headers: [
                ("id", event.id),
                ("eventType", event.event_type),
                ("version", event.version),
            ],
            payload: event.payload,
            inbox: &inbox,
            position: link.unsettled.taken(),
        };
        let (bytes, most) = (publication.bytes(), link.connection.max_payload_bytes());
        let refused = match publication.check() {
            Err(reason) => Some(reason),
            Ok(()) if bytes > most => Some(format!(
                "it has {bytes} bytes, and the server takes {most}: raise its `max_payload`"
            )),
            Ok(()) => None,
        };
        if let Some(reason) = refused {
            drop(slot);
            let reason = format!("event {} of {} was refused: {reason}", event.id, event.key);
            let mut failure = self.error(reason);
            failure.failed += 1;
            return Err(failure);
        }
        link.connection.queue(|out| publication.append_to(out));
        link.unsettled.take(bytes);
        if link.connection.unsent_bytes() >= SEND_BYTES {
            link.turn(self.keeps_deliveries);
        }
        Ok(Offer::Taken)
    }

    fn taken(&self) -> u64 {
        self.of_link(|link| link.unsettled.taken())
    }

    fn durable(&mut self) -> Result<u64, PublishError> {
        let durable = self.durable_despite_failure();
        match self.of_link(|link| link.failure.clone()) {
            Some(reason) => Err(self.error(reason)),
            None => Ok(durable),
        }
    }

    fn durable_despite_failure(&mut self) -> u64 {
        self.turn();
        self.of_link(|link| link.unsettled.durable())
    }

    fn reported(&self) -> u64 {
        self.of_link(|link| link.reported)
    }

    fn patience(&self) -> Duration {
        // Each answer is a report, so no more than one event has to cross a slow link for it.
        let largest_bytes = self.of_link(|link| link.unsettled.largest_bytes());
        self.patience.with(u64::from(largest_bytes))
    }

    fn deliveries(&mut self, each: impl FnMut(Delivery)) {
        if let Some(link) = self.link.borrow_mut().as_mut() {
            link.deliveries.drain(..).for_each(each);
        }
    }

    async fn progress(&self) {
        let enough = self.reported() + WORTH_A_LOOK;
        let enough = enough.min(self.taken());
        while let Some(watch) = self.awaits_more(enough) {
            watch.changed().await;
        }
    }

    fn trouble(&mut self) -> Option<String> {
        // What is lost here is a delivery's failure, always.
        None
    }

    async fn abandon(&mut self) {
        let Some(link) = self.link.borrow_mut().take() else {
            return;
        };
        self.patience.gave_up(link.unsettled.taken(), link.reported);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
