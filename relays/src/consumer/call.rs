//! Effects that are calls: no transaction covers one, so a crash at the wrong moment makes it twice or never.

use super::CallInbox;
use super::batch::ConsumedEvent;
use super::ending::EndSignal;
use super::side::Undone;
use super::sink::SinkClient;
use crate::pump::backoff::Backoff;
use contract::consumer::OffsetCommit;
use std::collections::BTreeSet;
use uuid::Uuid;

/// An event is called for so many times, before the consumer looks around and begins again with it.
const ATTEMPTS: usize = 3;

pub(super) struct EffectCall {
    pub sink: SinkClient,
    pub inbox: Option<CallInbox>,
    pub commit: OffsetCommit,
    /// These events were called for, and are not in the inbox yet: a session that is lost in between is no crash. At most
    /// one a partition, the first that is not done of it: what is read again may come in another order of partitions.
    pub unwritten: BTreeSet<Uuid>,
}

impl EffectCall {
    /// Calls for events, in their order.
    pub async fn apply(
        &mut self,
        events: &[ConsumedEvent],
        ending: &EndSignal,
    ) -> Result<(), Undone> {
        match self.commit {
            OffsetCommit::Before => {
                for (done, event) in events.iter().enumerate() {
                    // The offset is committed: what is left now is nobody's, so it goes on as long as it may.
                    if ending.is_over() {
                        let left = events.len() - done;
                        tracing::warn!("never done: {left} events, as it was told to end");
                        break;
                    }
                    if let Err(reason) = self.at_most_once(*event, ending).await {
                        tracing::warn!("never done: {reason}");
                    }
                }
            }
            OffsetCommit::After => {
                for (done, event) in events.iter().enumerate() {
                    let called = self.at_least_once(*event, ending).await;
                    called.map_err(|reason| Undone { done, reason })?;
                }
            }
        }
        Ok(())
    }

    /// In the inbox first: what fails behind that is never done, and nothing is tried again.
    async fn at_most_once(
        &mut self,
        event: ConsumedEvent,
        ending: &EndSignal,
    ) -> Result<(), String> {
        if let Some(inbox) = &mut self.inbox {
            // Nothing of it is done yet, so it can wait for a session that another event lost.
            inbox.database.connect_until(ending).await?;
            if !inbox.add(event.id).await? {
                return Ok(());
            }
        }
        self.sink.call(event, ending).await
    }

    /// In the inbox last: what fails before that is done again.
    async fn at_least_once(
        &mut self,
        event: ConsumedEvent,
        ending: &EndSignal,
    ) -> Result<(), String> {
        if self.unwritten.contains(&event.id) {
            return self.write(event).await;
        }
        if let Some(inbox) = &mut self.inbox
            && inbox.has(event.id).await?
        {
            return Ok(());
        }
        let mut backoff = Backoff::default();
        let mut failed = "it was told to end".to_owned();
        for _ in 0..ATTEMPTS {
            // What is not called for is the next one's.
            if ending.begins_nothing() {
                break;
            }
            match self.sink.call(event, ending).await {
                Ok(()) => {
                    self.unwritten.insert(event.id);
                    return self.write(event).await;
                }
                Err(reason) => failed = reason,
            }
            tokio::time::sleep(backoff.next()).await;
        }
        Err(failed)
    }

    async fn write(&mut self, event: ConsumedEvent) -> Result<(), String> {
        if let Some(inbox) = &mut self.inbox {
            inbox.add(event.id).await?;
        }
        self.unwritten.remove(&event.id);
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::extract::State;
    use axum::http::{HeaderMap, StatusCode};
    use axum::routing::post;
    use contract::consumer::{CallTarget, IDEMPOTENCY_KEY};
    use std::sync::{Arc, Mutex};
    use tokio::net::TcpListener;

    /// The answers to come, the next one last, and the ids that were called for.
    type Answers = Arc<Mutex<(Vec<StatusCode>, Vec<String>)>>;

    async fn answer(State(answers): State<Answers>, headers: HeaderMap) -> StatusCode {
        let mut answers = answers.lock().unwrap();
        let id = headers[IDEMPOTENCY_KEY].to_str().unwrap().to_owned();
        answers.1.push(id);
        answers.0.pop().unwrap_or(StatusCode::OK)
    }

    /// Calls for two events, of which the answers say how each call goes; which of them are called for, by number, and
    /// how many are done.
    async fn called(commit: OffsetCommit, answers: &[bool], told: bool) -> (Vec<u128>, usize) {
        let statuses = answers.iter().rev().map(|is_well| match is_well {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        });
        let answers = Answers::default();
        answers.lock().unwrap().0.extend(statuses);
        let router = Router::new().route("/calls", post(answer));
        let router = router.with_state(Arc::clone(&answers));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = SinkClient::new(CallTarget {
            address: listener.local_addr().unwrap(),
            path: "/calls".to_owned(),
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut effect = EffectCall {
            sink,
            inbox: None,
            commit,
            unwritten: BTreeSet::new(),
        };
        let ending = EndSignal::default();
        if told {
            ending.tell();
        }
        let events = [1, 2].map(|n| ConsumedEvent {
            order: Uuid::from_u128(7),
            version: 1,
            id: Uuid::from_u128(n),
        });
        let applied = effect.apply(&events, &ending).await;
        let done = applied.map_or_else(|undone| undone.done, |()| events.len());
        let ids = answers.lock().unwrap().1.clone();
        let ids = ids.iter().map(|id| Uuid::try_parse(id).unwrap().as_u128());
        (ids.collect(), done)
    }

    #[tokio::test]
    async fn given_calls_that_fail_then_each_is_made_three_times_in_a_row_and_what_was_done_before_is_told()
     {
        let after = OffsetCommit::After;
        let (well, bad) = (true, false);
        assert_eq!(called(after, &[], false).await, (vec![1, 2], 2));
        let again = called(after, &[bad, bad, well, bad], false).await;
        assert_eq!(again, (vec![1, 1, 1, 2, 2], 2));
        let given_up = called(after, &[well, bad, bad, bad], false).await;
        assert_eq!(given_up, (vec![1, 2, 2, 2], 1));
        assert_eq!(called(after, &[], true).await, (vec![], 0));
        // Offset first: nothing again, and to the end of the batch, of which the offset is committed.
        let before = called(OffsetCommit::Before, &[bad, well], true).await;
        assert_eq!(before, (vec![1, 2], 2));
    }
}
