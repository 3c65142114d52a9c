//! Effects that are calls: no transaction covers one, so a crash at the wrong moment makes it twice or never.

use super::batch::ConsumedEvent;
use super::inbox::CallInbox;
use super::side::Undone;
use super::sink::SinkClient;
use crate::pump::backoff::Backoff;
use contract::consumer::OffsetCommit;
use std::sync::atomic::{AtomicBool, Ordering};

/// An event is called for so many times, before the consumer looks around and begins again with it.
const ATTEMPTS: usize = 3;

pub(super) struct EffectCall {
    pub sink: SinkClient,
    pub inbox: Option<CallInbox>,
    pub commit: OffsetCommit,
}

impl EffectCall {
    /// Calls for events, in their order.
    pub async fn apply(
        &mut self,
        events: &[ConsumedEvent],
        stopping: &AtomicBool,
    ) -> Result<(), Undone> {
        match self.commit {
            OffsetCommit::Before => {
                for event in events {
                    if let Err(reason) = self.at_most_once(*event).await {
                        tracing::warn!("never done: {reason}");
                    }
                }
            }
            OffsetCommit::After => {
                for (done, event) in events.iter().enumerate() {
                    let called = match stopping.load(Ordering::Relaxed) {
                        true => Err("it was told to end".to_owned()),
                        false => self.at_least_once(*event).await,
                    };
                    called.map_err(|reason| Undone { done, reason })?;
                }
            }
        }
        Ok(())
    }

    /// In the inbox first: what fails behind that is never done, and nothing is tried again.
    async fn at_most_once(&mut self, event: ConsumedEvent) -> Result<(), String> {
        if let Some(inbox) = &mut self.inbox
            && !inbox.add(event.id).await?
        {
            return Ok(());
        }
        self.sink.call(event).await
    }

    /// In the inbox last: what fails before that is done again.
    async fn at_least_once(&mut self, event: ConsumedEvent) -> Result<(), String> {
        if let Some(inbox) = &mut self.inbox
            && inbox.has(event.id).await?
        {
            return Ok(());
        }
        let mut backoff = Backoff::default();
        for _ in 1..ATTEMPTS {
            match self.sink.call(event).await {
                Ok(()) => return self.done(event).await,
                Err(reason) => tracing::warn!("{reason}"),
            }
            tokio::time::sleep(backoff.next()).await;
        }
        self.sink.call(event).await?;
        self.done(event).await
    }

    async fn done(&mut self, event: ConsumedEvent) -> Result<(), String> {
        match &mut self.inbox {
            Some(inbox) => inbox.add(event.id).await.map(|_| ()),
            None => Ok(()),
        }
    }
}
