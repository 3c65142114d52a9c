//! A topic whose name is not the run's own: it is made beside a mark, an empty topic that is named after the run and after
//! it. So whoever drops what dead runs left knows whose it is, and somebody else's is never deleted.

use super::{Broker, Length, NotMade, Topic};
use crate::identity::Identity;
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// One that was just deleted may be listed for a moment.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(50);
/// In a mark's name, this stands between the run's own topic and the one that is claimed.
const OWNS: &str = ".owns.";

/// Names a topic of a run whose own topic has the name `own`; nothing is made yet. One that is named after the run is its own.
pub fn topic(broker: &Arc<dyn Broker>, own: &str, name: &str, partitions: i32) -> Box<dyn Topic> {
    let topic = broker.topic(name, partitions);
    match is_named_after(own, name) {
        true => topic,
        false => Box::new(ClaimedTopic {
            topic,
            mark: broker.topic(&mark(own, name), 1),
            broker: Arc::clone(broker),
            name: name.to_owned(),
            is_ours: AtomicBool::new(false),
        }),
    }
}

/// Returns what has the run's name, of a topic of this name: the topic, or the mark beside it.
pub fn found_by(own: &str, name: &str) -> String {
    match is_named_after(own, name) {
        true => name.to_owned(),
        false => mark(own, name),
    }
}

/// Returns the topic that this one is the mark of; `None` of any other topic.
pub fn owned_by(mark: &str) -> Option<&str> {
    let (own, name) = mark.split_once(OWNS)?;
    // `oh`, the run, the strategy, none of which has a dot in it.
    let parts: Vec<&str> = own.split('.').collect();
    let is_of_run =
        matches!(parts[..], ["oh", run, strategy] if !run.is_empty() && !strategy.is_empty());
    (is_of_run && !name.is_empty()).then_some(name)
}

fn mark(own: &str, name: &str) -> String {
    format!("{own}{OWNS}{name}")
}

/// Whether it is found by the run's name.
fn is_named_after(own: &str, name: &str) -> bool {
    let rest = name.strip_prefix(own);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

struct ClaimedTopic {
    topic: Box<dyn Topic>,
    mark: Box<dyn Topic>,
    broker: Arc<dyn Broker>,
    name: String,
    /// Whether it is this run that made it.
    is_ours: AtomicBool,
}

impl ClaimedTopic {
    /// Waits until no topic has its name; an Err says that one has.
    async fn is_free(&self) -> Result<(), String> {
        let deadline = Instant::now() + GONE_WITHIN;
        while self.broker.topics().await?.contains(&self.name) {
            if Instant::now() > deadline {
                return Err(format!(
                    "there is a topic {} already, at {}, which is not this run's to use: delete it, or have the relay \
                     publish to another one (`topics` in [event] of its file)",
                    self.name,
                    self.broker.place()
                ));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }
}

impl Topic for ClaimedTopic {
    fn create(&self) -> BoxFuture<'_, Result<(), NotMade>> {
        async {
            self.is_free().await?;
            // From here on it counts as ours, whoever looks: what is half made is dropped too.
            self.is_ours.store(true, Ordering::Release);
            self.mark.create().await?;
            let made = self.topic.create().await;
            if let Err(NotMade::Taken(_)) = &made {
                // Another run was quicker since. What it made must not be dropped as ours.
                self.is_ours.store(false, Ordering::Release);
                self.mark.delete().await?;
            }
            made
        }
        .boxed()
    }

    /// Deletes it if this run made it. The mark goes last: as long as it is there, the topic is known for ours.
    fn delete(&self) -> BoxFuture<'_, Result<(), String>> {
        async {
            if !self.is_ours.load(Ordering::Acquire) {
                return Ok(());
            }
            self.topic.delete().await?;
            self.mark.delete().await
        }
        .boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, String>> {
        self.topic.is_empty()
    }

    fn close<'a>(
        &'a self,
        identity: &'a Identity,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), String>> {
        self.topic.close(identity, within)
    }

    fn held_up(&self) -> BoxFuture<'_, Option<String>> {
        self.topic.held_up()
    }

    fn length(&self) -> Result<Box<dyn Length>, String> {
        self.topic.length()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_topic_of_any_name_then_what_finds_it_again_has_the_runs_name() {
        let own = "oh.0123456789abcdef.mine";
        for name in [own, "oh.0123456789abcdef.mine.paid"] {
            assert_eq!(found_by(own, name), name);
            assert_eq!(owned_by(name), None);
        }
        for name in [
            "orders",
            "orders.oh.0123456789abcdef.mine",
            "oh.0123456789abcdef.mine2",
        ] {
            let mark = found_by(own, name);
            assert!(mark.starts_with(&format!("{own}.")), "{mark}");
            assert_eq!(owned_by(&mark), Some(name));
        }
    }

    #[test]
    fn given_a_name_that_is_no_mark_then_nothing_is_owned_by_it() {
        for name in [
            "orders",
            "a.owns.b",
            "oh.run.owns.b",
            "oh.run.x.y.owns.b",
            "oh.run.x.owns.",
        ] {
            assert_eq!(owned_by(name), None, "{name}");
        }
    }
}
