//! The service's own publishing, for the write paths that publish by themselves: one event in, its
//! delivery report out.

use super::change::Change;
use super::event::EventText;
use super::monitor::Monitor;
use crate::broker::{Awaits, EventSender, Outgoing, Undelivered};
use crate::persistence::Persistence;
use crate::publish::PublishPolicy;
use crate::signal::monotonic_ns;
use crate::trace::{Stage, Step, Trace};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// This is what a broker's client may take unless told otherwise (librdkafka's `message.timeout.ms`).
const DELIVERY_DEFAULT: Duration = Duration::from_secs(300);
/// What it may take beyond the timeout to say so.
const REPORT_GRACE: Duration = Duration::from_secs(5);

/// How long a delivery may take, until its report.
pub(super) fn delivery_within(publish_timeout_ms: Option<u64>) -> Duration {
    publish_timeout_ms.map_or(DELIVERY_DEFAULT, Duration::from_millis) + REPORT_GRACE
}

type DeliveryOutcome = Result<(), String>;

/// Publishes events and waits for their delivery.
pub(super) struct EventProducer {
    sender: Box<dyn EventSender<WaitingRequest>>,
    topic: String,
    within: Duration,
    policy: PublishPolicy,
    monitor: Arc<Monitor>,
    trace: Trace,
}

impl EventProducer {
    /// Publishes to this topic by that sender, for each of whose reports it waits for at most `within`.
    pub fn new(
        sender: Box<dyn EventSender<WaitingRequest>>,
        topic: String,
        within: Duration,
        policy: PublishPolicy,
        monitor: Arc<Monitor>,
        trace: Trace,
    ) -> Self {
        Self {
            sender,
            topic,
            within,
            policy,
            monitor,
            trace,
        }
    }

    /// Lets the producer find its broker before the first request does. A broker that is away now
    /// may be back later, so a failure is no error.
    pub async fn warm_up(&self) {
        self.sender.warm_up().await;
    }

    /// Publishes the event of a change, and waits until the broker has it or the producer gives
    /// up; then as often again as it is to. After an error it may still arrive, and after a retry it
    /// may have come before.
    pub async fn publish(
        &self,
        change: &Change,
        text: &EventText,
        version: u32,
    ) -> DeliveryOutcome {
        let event_id = Uuid::now_v7().to_string();
        let mut delivery = self.publish_once(change, text, version, &event_id).await;
        for retry in 1..=self.policy.retries {
            if delivery.is_ok() {
                break;
            }
            sleep(self.policy.pause_before(retry)).await;
            delivery = self.publish_once(change, text, version, &event_id).await;
        }
        delivery
    }

    async fn publish_once(
        &self,
        change: &Change,
        text: &EventText,
        version: u32,
        event_id: &str,
    ) -> DeliveryOutcome {
        let (key, value) = (change.order.to_string(), text.with_version(version));
        let number = version.to_string();
        let event = Outgoing {
            key: &key,
            value: &value,
            headers: headers(change, &number, event_id),
        };
        let attempt = change.attempt;
        let (report, reported) = oneshot::channel();
        let waiting = WaitingRequest {
            report,
            attempt,
            version,
            monitor: Arc::clone(&self.monitor),
            trace: self.trace.clone(),
        };
        let at_ns = monotonic_ns();
        if let Err(reason) = self.sender.send(event, waiting) {
            let refused = Persistence::NotPersisted as u64;
            self.trace
                .step(attempt, version, Stage::DeliveryFailed, refused);
            self.monitor.undelivered(&reason);
            return Err(reason);
        }
        self.trace.write(&[Step {
            at_ns,
            attempt,
            version,
            stage: Stage::Handed,
            detail: 0,
        }]);
        let failed = match timeout(self.within, reported).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(reason))) => reason,
            unreported => {
                self.trace.step(attempt, version, Stage::Abandoned, 0);
                match unreported {
                    Ok(_) => "the producer was replaced after a fatal error".into(),
                    Err(_) => format!("no delivery report within {:?}", self.within),
                }
            }
        };
        Err(format!("publishing to topic {}: {failed}", self.topic))
    }

    /// Waits until nothing is in the producer any more.
    pub async fn flush(&self) {
        self.sender.flush().await;
    }
}

/// A request that waits for a report, and what is noted of it.
pub(super) struct WaitingRequest {
    report: oneshot::Sender<DeliveryOutcome>,
    attempt: Uuid,
    version: u32,
    monitor: Arc<Monitor>,
    trace: Trace,
}

impl Awaits for WaitingRequest {
    fn told(self, fate: Result<u64, Undelivered>) {
        let (delivery, stage, detail) = match fate {
            Ok(offset) => {
                self.monitor.delivered();
                (Ok(()), Stage::Delivered, offset)
            }
            Err(undelivered) => {
                self.monitor.undelivered(&undelivered.reason);
                let status = undelivered.persistence as u64;
                (Err(undelivered.reason), Stage::DeliveryFailed, status)
            }
        };
        // On file before the request goes on.
        self.trace.step(self.attempt, self.version, stage, detail);
        // The request may have given up.
        let _ = self.report.send(delivery);
    }
}

/// Returns the headers of the event of a change.
pub(super) fn headers<'e>(
    change: &Change,
    version: &'e str,
    event_id: &'e str,
) -> [(&'static str, &'e str); 3] {
    [
        ("id", event_id),
        ("eventType", change.kind.event_type()),
        ("version", version),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::order::{ChangeType, Directive};
    use futures::FutureExt;
    use futures::future::BoxFuture;
    use std::sync::Mutex;

    /// A broker that answers each event with the next of these; with nothing where there is none left.
    struct Scripted(Mutex<Vec<Result<u64, Undelivered>>>);

    impl EventSender<WaitingRequest> for Scripted {
        fn send(&self, _: Outgoing<'_>, waiting: WaitingRequest) -> Result<(), String> {
            if let Some(fate) = self.0.lock().unwrap().pop() {
                waiting.told(fate);
            }
            Ok(())
        }

        fn warm_up(&self) -> BoxFuture<'_, ()> {
            async {}.boxed()
        }

        fn flush(&self) -> BoxFuture<'_, ()> {
            async {}.boxed()
        }
    }

    async fn publish(fates: Vec<Result<u64, Undelivered>>, retries: u32) -> DeliveryOutcome {
        let policy = PublishPolicy {
            retries,
            backoff_ms: 1,
            ..PublishPolicy::default()
        };
        let events = EventProducer::new(
            Box::new(Scripted(Mutex::new(fates))),
            "events".to_owned(),
            Duration::from_secs(20),
            policy,
            Arc::default(),
            Trace::default(),
        );
        let change = Change {
            order: Uuid::from_u128(1),
            kind: ChangeType::Placed,
            change_id: Uuid::from_u128(2),
            attempt: Uuid::from_u128(3),
            content: "c0ffee".into(),
            directive: Directive::Commit,
        };
        let text = EventText::new("00", &change);
        events.publish(&change, &text, 1).await
    }

    #[tokio::test]
    async fn given_a_publish_that_is_refused_once_then_only_who_retries_gets_it_through() {
        for (retries, delivered) in [(0, false), (1, true)] {
            let refused = Undelivered {
                reason: "too large".to_owned(),
                persistence: Persistence::NotPersisted,
            };
            let delivery = publish(vec![Ok(0), Err(refused)], retries).await;
            assert_eq!(delivery.is_ok(), delivered, "{delivery:?}");
        }
    }

    #[tokio::test]
    async fn given_an_event_of_which_nobody_reports_then_the_request_does_not_wait_for_ever() {
        let error = publish(Vec::new(), 0).await.unwrap_err();
        assert!(error.contains("fatal error"), "{error}");
    }
}
