//! The queues of a group of consumers: made and bound before the run, asked for what is left in them, deleted after it.

use super::session::{Question, StreamSession};
use super::topic::EVERYTHING;
use crate::broker::{ConsumerGroup, GroupProgress};
use relays::amqp::{Reply, request};
use relays::config::{GroupQueues, QueueKind};
use std::time::{Duration, Instant};

const ADMIN_TIMEOUT: Duration = Duration::from_secs(15);
/// Each queue of a hashed exchange gets as many keys as any other one.
const WEIGHT: &str = "10";

/// What a group has on the server.
pub(super) struct GroupLayout {
    address: String,
    topic: String,
    /// Its name, which is also that of the exchange by which events are hashed, where they are.
    name: String,
    is_hashed: bool,
    queues: Vec<String>,
}

impl GroupLayout {
    pub(super) fn of(address: &str, group: ConsumerGroup<'_>) -> Self {
        Self {
            address: address.to_owned(),
            topic: group.topic.to_owned(),
            is_hashed: match group.rabbitmq.queues {
                GroupQueues::One => false,
                GroupQueues::Hashed => true,
            },
            queues: group.rabbitmq.queues_of(&group.name),
            name: group.name,
        }
    }

    /// Makes its queues, each of this kind, and has them get what is published to the topic.
    pub(super) fn make(&self, kind: QueueKind) -> Result<(), String> {
        let until = Instant::now() + ADMIN_TIMEOUT;
        let mut session = StreamSession::open(&self.address, until)?;
        let mut ask = |question: Question<'_>, answer| {
            let answered = session.ask(question, answer, until);
            answered.map(|_| ())
        };
        if self.is_hashed {
            let hashed = |out: &mut Vec<u8>| request::declare_hashed_exchange(out, &self.name);
            ask(&hashed, Reply::ExchangeDeclared)?;
        }
        for queue in &self.queues {
            let made = |out: &mut Vec<u8>| match self.is_hashed {
                true => request::declare_single_queue(out, queue, kind.name()),
                false => request::declare_queue(out, queue, kind.name()),
            };
            ask(&made, Reply::QUEUE_DECLARED)?;
            let bound = |out: &mut Vec<u8>| match self.is_hashed {
                true => request::bind(out, queue, &self.name, WEIGHT),
                false => request::bind(out, queue, &self.topic, EVERYTHING),
            };
            ask(&bound, Reply::QueueBound)?;
        }
        if self.is_hashed {
            // Last: what comes before there is a queue would be nobody's.
            let bound = |out: &mut Vec<u8>| {
                request::bind_exchange(out, &self.name, &self.topic, EVERYTHING)
            };
            ask(&bound, Reply::ExchangeBound)?;
        }
        Ok(())
    }

    pub(super) fn remove(&self) -> Result<(), String> {
        let until = Instant::now() + ADMIN_TIMEOUT;
        let mut session = StreamSession::open(&self.address, until)?;
        if self.is_hashed {
            let gone = |out: &mut Vec<u8>| request::delete_exchange(out, &self.name);
            session.ask(&gone, Reply::ExchangeDeleted, until)?;
        }
        for queue in &self.queues {
            let gone = |out: &mut Vec<u8>| request::delete_queue(out, queue);
            session.ask(&gone, Reply::QueueDeleted, until)?;
        }
        Ok(())
    }

    /// Asks each queue what is left in it.
    pub(super) fn progress(&self) -> Result<GroupProgress, String> {
        let until = Instant::now() + ADMIN_TIMEOUT;
        let mut session = StreamSession::open(&self.address, until)?;
        let (mut waiting, mut members) = (0, 0);
        for queue in &self.queues {
            let depth = session.depth_of(queue, until)?;
            waiting += u64::from(depth.waiting);
            members += depth.consumers;
        }
        Ok(GroupProgress::Queued { waiting, members })
    }

    /// Does this on a thread for blocking work.
    pub(super) async fn blocking<T: Send + 'static>(
        self,
        doing: &'static str,
        work: impl FnOnce(&Self) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let failed = format!("{doing} group {} at {}", self.name, self.address);
        let done = tokio::task::spawn_blocking(move || work(&self)).await;
        done.unwrap_or_else(|panic| Err(panic.to_string()))
            .map_err(|reason| format!("{failed}: {reason}"))
    }
}
