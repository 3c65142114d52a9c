//! Reads the queue of one topic, for as long as its log is wanted.

use super::calls::{CallError, Calls, QueueMessage};
use super::log::Logs;
use std::collections::HashSet;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;
use tokio::runtime::Runtime;

/// A queue that was empty is asked again after this: often enough to see events come, and seldom enough to leave the
/// emulator, which does one thing at a time, to those who publish.
const AGAIN_AFTER: Duration = Duration::from_millis(40);

/// A thread that reads a queue; it ends when this is dropped.
#[derive(Debug)]
pub(super) struct QueueFeed {
    _stop: Sender<()>,
}

impl QueueFeed {
    /// Starts one, which appends to the log of this topic; an Err says why there is none.
    pub fn start(address: &str, topic: &str, logs: Weak<Logs>) -> Result<Self, String> {
        let (stop, stopped) = channel();
        let calls = Calls::new(address)?;
        let topic = topic.to_owned();
        let thread = std::thread::Builder::new().name("eventbridge-feed".to_owned());
        let work = move || {
            let mut reading = QueueReading {
                calls,
                topic,
                logs,
                undeleted: HashSet::new(),
            };
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match (runtime, reading.logs.upgrade()) {
                (Ok(runtime), _) => reading.until(&stopped, &runtime),
                (Err(e), Some(logs)) => {
                    logs.is_over(&reading.topic, format!("starting a reader's runtime: {e}"));
                }
                (Err(_), None) => {}
            }
        };
        let started = thread.spawn(work);
        started.map_err(|e| format!("starting a reader's thread: {e}"))?;
        Ok(Self { _stop: stop })
    }
}

struct QueueReading {
    calls: Calls,
    topic: String,
    logs: Weak<Logs>,
    /// Messages that are in the log, and that the queue may give once more: it did not say that they are deleted.
    undeleted: HashSet<String>,
}

/// What came of a turn.
enum Turned {
    Read,
    Nothing,
    Over,
}

impl QueueReading {
    fn until(&mut self, stopped: &Receiver<()>, runtime: &Runtime) {
        loop {
            let pause = match runtime.block_on(self.turn()) {
                Turned::Read => Duration::ZERO,
                Turned::Nothing => AGAIN_AFTER,
                Turned::Over => return,
            };
            match stopped.recv_timeout(pause) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    async fn turn(&mut self) -> Turned {
        let read = self.read().await;
        let Some(logs) = self.logs.upgrade() else {
            return Turned::Over;
        };
        match read {
            Ok(turned) => turned,
            Err(error) => {
                logs.troubled(&self.topic, Some(error.to_string()));
                Turned::Nothing
            }
        }
    }

    /// Takes what the queue has into the log, and then from the queue: never the other way round.
    async fn read(&mut self) -> Result<Turned, CallError> {
        let messages = self.calls.receive(&self.topic).await?;
        let Some(logs) = self.logs.upgrade() else {
            return Ok(Turned::Over);
        };
        if messages.is_empty() {
            logs.troubled(&self.topic, None);
            return Ok(Turned::Nothing);
        }
        let (mut receipts, mut ids, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        for QueueMessage {
            message_id,
            receipt_handle,
            body,
        } in messages
        {
            if self.undeleted.insert(message_id.clone()) {
                bodies.push(body);
            }
            receipts.push(receipt_handle);
            ids.push(message_id);
        }
        if logs.append(&self.topic, bodies.into_iter()).is_err() {
            return Ok(Turned::Over);
        }
        drop(logs);
        for deleted in self.calls.delete_messages(&self.topic, &receipts).await? {
            if let Some(id) = ids.get(deleted) {
                self.undeleted.remove(id);
            }
        }
        Ok(Turned::Read)
    }
}
