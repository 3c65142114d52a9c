//! EventBridge as a relay needs it: events in calls of up to ten, several calls at a time, since no order is promised.
//!
//! What keeps an event from getting lost:
//!
//! - A call that is answered with status 200 has an entry for each of its events. Those that failed for now are put
//!   again, alone; those that are on the bus are not.
//! - One that is refused for good ends the session with that reason: it comes again from the outbox, and is never passed
//!   over.
//! - Of a call that failed as a whole, or was not answered, nobody knows: all that is not durable is put again, and some
//!   of it may come twice.

use super::batch::{CALL_EVENTS_MAX, Put, PutAnswer, first_of, put};
use super::client::{CallError, client};
use super::entry::{EntryFate, entry};
use crate::broker::patience::Patience;
use crate::broker::unsettled::Unsettled;
use crate::config::{EventBridgeTarget, LooksAt};
use crate::persistence::Persistence;
use crate::publisher::{Delivery, Offer, PublishError, Publisher};
use crate::signal::monotonic_ns;
use crate::source::Event;
use crate::trace::NO_OFFSET;
use aws_sdk_eventbridge::Client;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

/// So many calls are under way at most.
const CALLS_MAX: usize = 4;
/// So many events are taken and not durable at most.
const IN_FLIGHT_MAX: usize = 512;
/// So many bytes of them at most; one event always is.
const IN_FLIGHT_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Answers that are worth a look before all are there.
const WORTH_A_LOOK: u64 = CALL_EVENTS_MAX as u64;
/// The bus must be described within this time.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// No call takes longer. When a link is taken for dead is the pump's to say, which is sooner.
const CALL_WITHIN: Duration = Duration::from_secs(300);

/// Publishes to one topic.
pub struct EventBridgePublisher {
    target: EventBridgeTarget,
    /// It is used while the pump waits, too.
    link: RefCell<Option<EventBridgeLink>>,
    /// Whether somebody wants to know of each delivery.
    keeps_deliveries: bool,
    patience: Patience,
}

/// A client, and what is under way by it.
struct EventBridgeLink {
    client: Client,
    looks_at: LooksAt,
    unsettled: Unsettled,
    /// These were taken, and no call has them yet.
    waiting: VecDeque<Put>,
    calls: JoinSet<PutAnswer>,
    reported: u64,
    failed: u64,
    /// Why nothing can be published by it any more.
    failure: Option<String>,
    /// What EventBridge said last of events that it takes later.
    held_up: Option<String>,
    deliveries: Option<Vec<Delivery>>,
}

impl EventBridgeLink {
    fn new(client: Client, looks_at: LooksAt, keeps_deliveries: bool) -> Self {
        Self {
            client,
            looks_at,
            unsettled: Unsettled::default(),
            waiting: VecDeque::new(),
            calls: JoinSet::new(),
            reported: 0,
            failed: 0,
            failure: None,
            held_up: None,
            deliveries: keeps_deliveries.then(Vec::new),
        }
    }

    /// Takes in the answers that are there, and makes the calls that can be made.
    fn turn(&mut self) {
        while let Some(answer) = self.calls.try_join_next() {
            self.takes(answer);
        }
        self.call();
    }

    /// The same, and has this task woken when there is another answer.
    fn poll_turn(&mut self, context: &mut Context<'_>) {
        loop {
            self.call();
            match self.calls.poll_join_next(context) {
                Poll::Ready(Some(answer)) => self.takes(answer),
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    /// A call that is not full is made only where none is under way: its events are answered soonest so, and the next
    /// ones come in larger calls.
    fn call(&mut self) {
        let is_worth_it = |link: &Self| match link.calls.len() {
            0 => !link.waiting.is_empty(),
            under_way => under_way < CALLS_MAX && link.waiting.len() >= CALL_EVENTS_MAX,
        };
        while self.failure.is_none() && is_worth_it(self) {
            let batch = first_of(&mut self.waiting);
            self.calls
                .spawn(put(self.client.clone(), batch, self.looks_at));
        }
    }

    fn takes(&mut self, answer: Result<PutAnswer, JoinError>) {
        let PutAnswer { batch, fates } = match answer {
            Ok(answer) => answer,
            // Its events are told of by nobody any more.
            Err(error) => {
                self.failed += 1;
                self.failure
                    .get_or_insert(format!("a call broke off: {error}"));
                return;
            }
        };
        let fates = match fates {
            Ok(fates) => fates,
            Err(CallError {
                reason,
                persistence,
            }) => {
                self.failed += batch.len() as u64;
                self.failure.get_or_insert(reason);
                for put in batch {
                    self.reports(put.position, Err(persistence));
                }
                return;
            }
        };
        let mut again = Vec::new();
        self.held_up = None;
        for (mut put, fate) in batch.into_iter().zip(fates) {
            match fate {
                EntryFate::Accepted => {
                    self.unsettled.settle(put.position);
                    self.reports(put.position, Ok(NO_OFFSET));
                }
                EntryFate::Later(reason) => {
                    tracing::debug!(position = put.position, "put again: {reason}");
                    self.held_up = Some(reason);
                    put.failures = put.failures.saturating_add(1);
                    again.push(put);
                }
                EntryFate::Refused(reason) => {
                    self.failed += 1;
                    self.failure.get_or_insert(reason);
                    self.reports(put.position, Err(Persistence::NotPersisted));
                }
            }
        }
        if !again.is_empty() && self.failure.is_none() {
            self.calls
                .spawn(put(self.client.clone(), again, self.looks_at));
        }
    }

    fn reports(&mut self, position: u64, fate: Result<u64, Persistence>) {
        self.reported += 1;
        if let Some(deliveries) = &mut self.deliveries {
            deliveries.push(Delivery {
                position,
                at_ns: monotonic_ns(),
                fate,
            });
        }
    }

    fn has_room(&self) -> bool {
        self.unsettled.count() < IN_FLIGHT_MAX
            && (self.unsettled.count() == 0 || self.unsettled.bytes() < IN_FLIGHT_BYTES_MAX)
    }
}

impl EventBridgePublisher {
    /// Makes a publisher for this topic, which connects later.
    pub fn new(target: EventBridgeTarget) -> Self {
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
                "publish to bus {} at {}",
                self.target.topic, self.target.address
            ),
            reason: reason.to_string(),
            failed: self.of_link(|link| link.failed),
            is_of_cache: false,
        }
    }

    /// Asks the link, if there is one.
    fn of_link<T: Default>(&self, ask: impl FnOnce(&EventBridgeLink) -> T) -> T {
        self.link.borrow().as_ref().map(ask).unwrap_or_default()
    }

    /// Takes in what there is, and sends what can be sent.
    fn turn(&self) {
        if let Some(link) = self.link.borrow_mut().as_mut() {
            link.turn();
        }
    }

    /// Waits until the bus is described: EventBridge takes events of a bus that is not there, too, and drops them.
    async fn bus_is_there(&self, client: &Client) -> Result<(), String> {
        let asked = client.describe_event_bus().name(&self.target.topic).send();
        match timeout(CONNECT_WITHIN, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(CallError::from(error).reason),
            Err(_) => Err(format!("no answer within {CONNECT_WITHIN:?}")),
        }
    }
}

impl Publisher for EventBridgePublisher {
    async fn connect(&mut self) -> Result<(), PublishError> {
        let lives = self.of_link(|link| link.failure.is_none().then(|| link.client.clone()));
        if let Some(client) = lives
            && self.bus_is_there(&client).await.is_ok()
        {
            return Ok(());
        }
        self.abandon().await;
        let client = client(&self.target.address, CALL_WITHIN);
        let there = self.bus_is_there(&client).await;
        there.map_err(|reason| self.error(reason))?;
        let link = EventBridgeLink::new(client, self.target.looks_at, self.keeps_deliveries);
        *self.link.borrow_mut() = Some(link);
        Ok(())
    }

    fn offer(&mut self, event: &Event<'_>) -> Result<Offer, PublishError> {
        if self.link.borrow().is_none() {
            return Err(self.error("not connected"));
        }
        if !self.of_link(EventBridgeLink::has_room) {
            return Ok(Offer::Full);
        }
        let headers = [
            ("id", event.id),
            ("eventType", event.event_type),
            ("version", event.version),
        ];
        let bus = &self.target.topic;
        let made = entry(bus, event.event_type, event.key, headers, event.payload);
        let (entry, bytes) = match made {
            Ok(made) => made,
            Err(reason) => {
                let reason = format!("event {} of {} was refused: {reason}", event.id, event.key);
                let mut failure = self.error(reason);
                failure.failed += 1;
                return Err(failure);
            }
        };
        if let Some(link) = self.link.borrow_mut().as_mut() {
            link.waiting.push_back(Put {
                position: link.unsettled.taken(),
                entry,
                bytes,
                failures: 0,
            });
            link.unsettled.take(bytes);
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
        // Calls share the link, and each is answered as a whole.
        let largest = self.of_link(|link| u64::from(link.unsettled.largest_bytes()));
        let outstanding = largest.saturating_mul((CALLS_MAX * CALL_EVENTS_MAX) as u64);
        let bytes = self.of_link(|link| link.unsettled.bytes());
        self.patience.with(outstanding.min(bytes))
    }

    fn held_up(&self) -> Option<String> {
        self.of_link(|link| link.held_up.clone())
    }

    fn deliveries(&mut self, each: impl FnMut(Delivery)) {
        if let Some(link) = self.link.borrow_mut().as_mut()
            && let Some(deliveries) = &mut link.deliveries
        {
            deliveries.drain(..).for_each(each);
        }
    }

    async fn progress(&self) {
        let enough = self.reported() + WORTH_A_LOOK;
        let enough = enough.min(self.taken());
        poll_fn(|context| {
            let mut link = self.link.borrow_mut();
            let Some(link) = link.as_mut() else {
                return Poll::Ready(());
            };
            link.poll_turn(context);
            match link.failure.is_some() || link.reported >= enough {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn trouble(&mut self) -> Option<String> {
        // What is lost here is a delivery's failure, always.
        None
    }

    async fn abandon(&mut self) {
        let Some(mut link) = self.link.borrow_mut().take() else {
            return;
        };
        self.patience.gave_up(link.unsettled.taken(), link.reported);
        link.calls.shutdown().await;
    }
}
