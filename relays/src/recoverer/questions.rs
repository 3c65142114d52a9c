//! What the recoverer has to ask of Kafka: one question at a time, in turn. An answer that takes long is not waited for
//! all at once, so that PostgreSQL's side goes on meanwhile.

use super::broker::{self, BrokerEnd};
use super::log::InDoubt;
use crate::pump::backoff::Backoff;
use std::collections::VecDeque;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// What the broker says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum InDoubtAnswer {
    /// The transaction has ended so.
    Ended(BrokerEnd),
    /// Whether the broker takes nothing of the producer any more.
    Fenced(bool),
}

/// All of one kind.
pub(super) struct Questions {
    bootstrap: String,
    /// These were not asked yet.
    waiting: VecDeque<InDoubt>,
    /// This one has no answer yet.
    under_way: Option<(InDoubt, JoinHandle<Result<InDoubtAnswer, String>>)>,
    /// It was asked about this one last: those behind it are first.
    last: Option<String>,
    /// Nothing is asked before this, after the broker could not be asked.
    from: Instant,
    backoff: Backoff,
}

impl Questions {
    /// Asks these brokers, once there is something to ask.
    pub fn to(bootstrap: &str) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            waiting: VecDeque::new(),
            under_way: None,
            last: None,
            from: Instant::now(),
            backoff: Backoff::default(),
        }
    }

    /// These are what is to be asked about now, beside what is under way.
    pub fn have(&mut self, mut all: Vec<InDoubt>) {
        let id = |one: &InDoubt| one.producer.transactional_id.clone();
        all.sort_by_key(id);
        let last = self.last.as_ref();
        let behind = all.partition_point(|one| last.is_some_and(|last| id(one) <= *last));
        all.rotate_left(behind);
        let asked = self.under_way.as_ref().map(|(one, _)| id(one));
        let unasked = all.into_iter().filter(|one| Some(id(one)) != asked);
        self.waiting = unasked.collect();
    }

    /// Returns the next answer, and about what; `None` if none comes by `until`, or nothing is to be asked for now: a
    /// broker that is away costs seconds, so after an Err there is a pause.
    pub async fn next(
        &mut self,
        until: Instant,
    ) -> Option<(InDoubt, Result<InDoubtAnswer, String>)> {
        if self.under_way.is_none() {
            let now = Instant::now();
            if now < self.from || now >= until {
                return None;
            }
            let one = self.waiting.pop_front()?;
            self.last = Some(one.producer.transactional_id.clone());
            let asked = tokio::spawn(ask(self.bootstrap.clone(), one.clone()));
            self.under_way = Some((one, asked));
        }
        let (_, asked) = self.under_way.as_mut()?;
        let answer = timeout_at(until, asked).await.ok()?;
        let (one, _) = self.under_way.take()?;
        let answer = answer.unwrap_or_else(|e| Err(format!("asking Kafka: {e}")));
        match &answer {
            Ok(_) => self.backoff.reset(),
            Err(_) => self.from = Instant::now() + self.backoff.next(),
        }
        Some((one, answer))
    }
}

async fn ask(bootstrap: String, one: InDoubt) -> Result<InDoubtAnswer, String> {
    let producer = &one.producer;
    match one.is_over {
        true => {
            let fenced = broker::fence(&bootstrap, &producer.transactional_id).await;
            fenced.map(InDoubtAnswer::Fenced)
        }
        false => {
            let ended = broker::end(&bootstrap, producer, one.is_commit).await;
            ended.map(InDoubtAnswer::Ended)
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::frames::ProducerIdentity;
    use super::*;
    use std::time::Duration;
    use tokio::net::TcpListener;

    fn in_doubt(transactional_id: &str) -> InDoubt {
        InDoubt {
            producer: ProducerIdentity {
                transactional_id: transactional_id.to_owned(),
                producer_id: 1,
                producer_epoch: 0,
            },
            is_commit: true,
            is_over: false,
            is_fenced: false,
            gid: None,
        }
    }

    #[tokio::test]
    async fn given_a_broker_that_says_nothing_when_it_is_asked_then_others_are_not_kept_waiting_and_it_is_asked_once()
     {
        // Given
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut questions = Questions::to(&silent.local_addr().unwrap().to_string());
        for _ in 0..2 {
            // When both are to be asked about, in each round
            questions.have(vec![in_doubt("b"), in_doubt("a")]);
            let until = Instant::now() + Duration::from_millis(200);
            // Then the round is over, without an answer
            assert_eq!(questions.next(until).await, None);
        }
        // And the question of the first round is still under way
        let waiting = questions.waiting.iter();
        let waiting: Vec<_> = waiting.map(|one| &*one.producer.transactional_id).collect();
        assert_eq!(
            (questions.last.as_deref(), &waiting[..]),
            (Some("a"), &["b"][..])
        );
    }

    #[tokio::test]
    async fn given_nobody_when_one_could_not_be_asked_about_then_the_next_is_after_a_pause() {
        // Given
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut questions = Questions::to(&listener.local_addr().unwrap().to_string());
        drop(listener);
        let hour = Duration::from_secs(3_600);
        let mut failed = Vec::new();
        while failed.len() < 3 {
            // When
            let before = Instant::now();
            questions.have(vec![in_doubt("b"), in_doubt("a")]);
            if let Some((one, answer)) = questions.next(Instant::now() + hour).await {
                failed.push(one.producer.transactional_id);
                answer.unwrap_err();
                // Then there is a pause
                assert!(questions.from > before);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // And they take turns
        assert_eq!(failed, ["a", "b", "a"]);
    }
}
