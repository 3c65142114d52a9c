//! The topic of a strategy, as its administrator: a bus and its queue, made before the run; the bus is deleted by the
//! fence, the queue after the run.

use super::calls::{CallError, Calls};
use super::log::Logs;
use super::reader::ensure_read;
use crate::broker::{Length, NotMade, Topic};
use crate::event::SENTINEL_KEY;
use crate::identity::Identity;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// This is one topic, around all proxies.
#[derive(Clone)]
pub(super) struct EventBridgeTopic {
    address: String,
    name: String,
    logs: Arc<Logs>,
}

impl EventBridgeTopic {
    /// Names a topic; nothing is made yet.
    pub fn new(address: &str, name: &str, logs: Arc<Logs>) -> Self {
        Self {
            address: address.to_owned(),
            name: name.to_owned(),
            logs,
        }
    }

    async fn make(&self) -> Result<(), NotMade> {
        let calls = self.calls()?;
        calls.make(&self.name).await.map_err(|error| {
            let is_taken = error.is_taken();
            match self.failed("creating", &error) {
                reason if is_taken => NotMade::Taken(reason),
                reason => NotMade::Failed(reason),
            }
        })?;
        Ok(ensure_read(&self.address, &self.logs, &self.name)?)
    }

    async fn remove(&self) -> Result<(), String> {
        let calls = self.calls()?;
        let deleted = calls.delete_bus(&self.name).await;
        deleted.map_err(|e| self.failed("deleting", &e))?;
        self.logs.all().remove(&self.name);
        self.logs.news().notify_all();
        let deleted = calls.delete_queue(&self.name).await;
        deleted.map_err(|e| self.failed("deleting the queue of", &e))
    }

    /// A bus that is deleted takes nothing any more. The emulator does one call after the other, and gives what it accepts to the
    /// queue before it answers; so what was accepted is in the queue when the bus is gone, and in the log when the queue is empty.
    async fn shut(&self, identity: &Identity, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        let calls = self.calls()?;
        ensure_read(&self.address, &self.logs, &self.name)?;
        let deleted = calls.delete_bus(&self.name).await;
        deleted.map_err(|e| self.failed("closing", &e))?;
        while let Some(open) = self.is_open(&calls, identity).await {
            if Instant::now() > deadline {
                return Err(format!("topic {} could not be closed: {open}", self.name));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Says why it is not closed yet; nothing where a sentinel is refused and everything was read.
    async fn is_open(&self, calls: &Calls, identity: &Identity) -> Option<String> {
        let mark = identity.sentinel_mark();
        let sentinel = json!({ "key": SENTINEL_KEY, "headers": {}, "payload": mark });
        match calls.put(&self.name, SENTINEL_KEY, &sentinel).await {
            Ok(()) => return Some("it still takes events".to_owned()),
            Err(error) if error.is_not_there() => {}
            Err(error) => return Some(error.to_string()),
        }
        if let Some(log) = self.logs.all().get(&self.name)
            && let Some(reason) = &log.over
        {
            return Some(reason.clone());
        }
        match calls.queued(&self.name).await {
            Ok(0) => None,
            Ok(queued) => Some(format!("{queued} events were not read from its queue yet")),
            Err(error) => Some(error.to_string()),
        }
    }

    fn calls(&self) -> Result<Calls, String> {
        Calls::new(&self.address)
    }

    fn failed(&self, doing: &str, error: &CallError) -> String {
        format!("{doing} topic {} at {}: {error}", self.name, self.address)
    }

    /// So many events were read, and so many wait to be.
    async fn count(&self) -> Result<u64, String> {
        let asked = self.calls()?.queued(&self.name).await;
        let queued = asked.map_err(|e| self.failed("asking for the length of", &e))?;
        Ok(queued + self.read())
    }

    fn read(&self) -> u64 {
        let all = self.logs.all();
        all.get(&self.name)
            .map_or(0, |log| log.records.len() as u64)
    }
}

impl Topic for EventBridgeTopic {
    fn create(&self) -> BoxFuture<'_, Result<(), NotMade>> {
        self.make().boxed()
    }

    fn delete(&self) -> BoxFuture<'_, Result<(), String>> {
        self.remove().boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, String>> {
        async { Ok(self.count().await? == 0) }.boxed()
    }

    fn close<'a>(
        &'a self,
        identity: &'a Identity,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), String>> {
        self.shut(identity, within).boxed()
    }

    /// EventBridge refuses what it does not take, event by event.
    fn held_up(&self) -> BoxFuture<'_, Option<String>> {
        async { None }.boxed()
    }

    fn length(&self) -> Result<Box<dyn Length>, String> {
        Ok(Box::new(self.clone()))
    }
}

/// What was read is all that a reader gets to see.
impl Length for EventBridgeTopic {
    fn records(&self) -> BoxFuture<'_, Result<u64, String>> {
        async { Ok(self.read()) }.boxed()
    }
}
