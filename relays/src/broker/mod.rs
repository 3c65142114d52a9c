//! A broker, as order service and consumers need it; a relay's side of it is [`crate::publisher`]. Which system
//! it is, only the folder knows that is named after it; two-phase commits know it too, whose second side is a transaction
//! of Kafka's ([`crate::recoverer`], and `two_phase` of the service).

pub(crate) mod eventbridge;
mod in_flight;
pub(crate) mod kafka;
pub(crate) mod nats;
mod patience;
mod publisher;
pub(crate) mod rabbitmq;
mod reports;
mod unsettled;

use crate::config::{BrokerTarget, RabbitMqGroup};
use crate::persistence::Persistence;
use crate::publish::PublishPolicy;
use contract::consumer::{ConsumerConfig, OffsetCommit};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::time::Duration;

pub use publisher::AnyPublisher;

/// An event that is to go to a topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outgoing<'e> {
    /// Events of one key keep their order.
    pub key: &'e str,
    pub value: &'e str,
    pub headers: [(&'static str, &'e str); 3],
}

/// What is known of an event that was sent and not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undelivered {
    pub reason: String,
    /// This says whether it is on the topic all the same.
    pub persistence: Persistence,
}

/// Who is told what became of an event.
pub(crate) trait Awaits: Send + Sync + 'static {
    /// Takes the offset that the event has (or [`crate::trace::NO_OFFSET`]), or why it has none.
    fn told(self, fate: Result<u64, Undelivered>);
}

/// Sends events to one topic, many at a time.
pub(crate) trait EventSender<A: Awaits>: Send + Sync {
    /// Hands an event over; it never waits. `awaits` is told once, from any thread, or dropped when nobody will ever
    /// know. An Err says why the event was not taken; nobody is told of it then.
    fn send(&self, event: Outgoing<'_>, awaits: A) -> Result<(), String>;

    /// Lets it find its broker before the first event; in bounded time, and a broker that is away is no error.
    fn warm_up(&self) -> BoxFuture<'_, ()>;

    /// Waits, in bounded time, until everything was reported.
    fn flush(&self) -> BoxFuture<'_, ()>;
}

/// Takes a record's partition, offset and value.
pub(crate) type TakesRecord<'t> = dyn FnMut(i32, i64, Option<&[u8]>) + 't;

/// The membership of a consumer in its group, and what it reads as a member. All of it blocks its thread.
pub(crate) trait GroupSession: Send + Sync {
    /// Whether partitions are its own: from then on it reads.
    fn is_assigned(&self) -> Result<bool, String>;

    /// Waits so long for a first record, and takes what is there behind it, `most` at most: each with partition,
    /// offset and value. An Err says what went wrong before the first.
    fn read(&self, wait: Duration, most: usize, each: &mut TakesRecord<'_>) -> Result<(), String>;

    /// Commits these offsets, by partition, and waits for the answer; where the effect was done before, a broker that
    /// answers nothing by itself need not be asked. After an Err they may be committed or not.
    fn commit(&self, offsets: &BTreeMap<i32, i64>) -> Result<(), String>;

    /// Reads on from these offsets, by partition. After an Err some of them may still be read on from where they were.
    fn seek(&self, offsets: &BTreeMap<i32, i64>, within: Duration) -> Result<(), String>;

    /// Gives back what was read from these offsets on, by partition: it comes again, and reading goes on behind it.
    fn give_back(&self, offsets: &BTreeMap<i32, i64>) -> Result<(), String>;

    /// Asks for nothing more; whether something was given to it that has to be read yet, since nobody else gets it
    /// meanwhile.
    fn stop(&self) -> Result<bool, String>;

    /// Leaves the group. What was given to it and not committed is for others from then on.
    fn leave(&self) -> Result<(), String>;
}

/// Makes the sender of an order service to this broker, which connects on its own; an Err says why there is none. A
/// delivery is given up after `delivery_timeout_ms`.
pub(crate) fn sender<A: Awaits>(
    target: &BrokerTarget,
    delivery_timeout_ms: Option<u64>,
    policy: &PublishPolicy,
) -> Result<Box<dyn EventSender<A>>, String> {
    Ok(match target {
        BrokerTarget::Kafka(target) => Box::new(kafka::KafkaSender::new(
            target,
            delivery_timeout_ms,
            policy.idempotent_producer,
        )?),
        BrokerTarget::RabbitMq(target) => {
            Box::new(rabbitmq::RabbitMqSender::new(target, delivery_timeout_ms)?)
        }
        BrokerTarget::Nats(target) => Box::new(nats::NatsSender::new(target, delivery_timeout_ms)),
        BrokerTarget::EventBridge(target) => Box::new(eventbridge::EventBridgeSender::new(
            target,
            delivery_timeout_ms,
        )),
    })
}

/// Joins the group of a consumer as this one of its members, counted from 0; that takes its time, see
/// [`GroupSession::is_assigned`].
pub(crate) fn member(
    config: &ConsumerConfig,
    number: u16,
) -> Result<Box<dyn GroupSession>, String> {
    let group = &config.group;
    Ok(match &config.broker {
        BrokerTarget::Kafka(target) => Box::new(kafka::KafkaMember::join(target, group)?),
        BrokerTarget::RabbitMq(target) => {
            let RabbitMqGroup { prefetch, .. } = config.rabbitmq;
            let queue = config.rabbitmq.queue_of(group, number);
            // An effect that is done is done: an acknowledgement that gets lost only makes the event come again.
            let is_answered = config.commit == OffsetCommit::Before;
            let member =
                rabbitmq::RabbitMqMember::new(&target.address, queue, prefetch, is_answered);
            Box::new(member)
        }
        BrokerTarget::Nats(_) | BrokerTarget::EventBridge(_) => {
            return Err(format!(
                "consumers read from Kafka and RabbitMQ, and not from {} yet",
                config.broker.kind().title()
            ));
        }
    })
}
