//! Events that are published alone: by the relays' own publisher, with its confirms, and with no database before it.

use super::events::BenchEvent;
use crate::run::RunError;
use crate::run::deployment::failed;
use relays::AnyPublisher;
use relays::config::BrokerTarget;
use relays::publisher::alone::publish_due;
use relays::publisher::{PublishError, Publisher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// All of them are made before the first is published, and kept: so many at most.
pub(super) const EVENTS_MAX: u32 = 1_000_000;
const DOING: &str = "publishing events alone";
/// A client's own threads are waited for no longer than this.
const ENDS_WITHIN: Duration = Duration::from_millis(100);

/// A thread that publishes, as a relay has one. It ends when this is dropped.
pub(super) struct PublishingAlone {
    _stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<Result<(), PublishError>>,
    has_failed: Arc<AtomicBool>,
}

impl PublishingAlone {
    /// Begins when it is connected, with those events that are `due`: all below the number that it has.
    pub async fn start(
        target: BrokerTarget,
        events: Vec<BenchEvent>,
        due: watch::Receiver<u64>,
    ) -> Result<Self, RunError> {
        let (stop, stopped) = oneshot::channel();
        let (tell_ready, ready) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel();
        let has_failed = Arc::new(AtomicBool::new(false));
        let fails = Arc::clone(&has_failed);
        // One of the relays' kind: one thread, on which everything but the client's own threads is.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| failed(DOING, &e))?;
        std::thread::Builder::new()
            .name("publisher".into())
            .spawn(move || {
                let published = runtime.block_on(async {
                    let mut publisher = AnyPublisher::new(target);
                    publisher.connect().await?;
                    let _ = tell_ready.send(());
                    let published = tokio::select! {
                        biased;
                        // Nobody waits for it any more.
                        _ = stopped => Ok(()),
                        published = publish_due(&mut publisher, &events, due) => published,
                    };
                    publisher.abandon().await;
                    published
                });
                fails.store(published.is_err(), Ordering::Release);
                let _ = tell_ended.send(published);
                runtime.shutdown_timeout(ENDS_WITHIN);
            })
            .map_err(|e| failed(DOING, &e))?;
        match ready.await {
            Ok(()) => Ok(Self {
                _stop: stop,
                ended,
                has_failed,
            }),
            Err(_) => Err(match ended.await {
                Ok(Err(error)) => failed(DOING, &error),
                Ok(Ok(())) | Err(_) => failed(DOING, &"the thread ended at its start"),
            }),
        }
    }

    /// Whether nothing has failed by now, be it that everything is published.
    pub fn is_well(&self) -> bool {
        !self.has_failed.load(Ordering::Acquire)
    }

    /// Waits until every event is confirmed.
    pub async fn end(self) -> Result<(), RunError> {
        match self.ended.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(DOING, &error)),
            Err(_) => Err(failed(DOING, &"the thread panicked")),
        }
    }
}
