//! How a deployment ends: order service and relays are stopped, what is to be said of their ends, and
//! everything is undone.

use super::Deployment;
use super::child_configs::RELAY;
use crate::clock::RunClock;
use crate::history::Death;
use crate::process::{Child, Stop};
use crate::run::{Event, Reporter};
use std::time::{Duration, Instant};

/// The end of the relay's sessions is bounded by this.
const SESSIONS_END_WITHIN: Duration = Duration::from_secs(10);

/// This says what a run leaves behind on the stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// As it was found.
    Nothing,
    /// Schema and topic stay until the next run on the stack, as `--keep-stack` demands; proxies do not.
    SchemaAndTopic,
    /// The stack failed and is stopped next: whatever is on it goes with it.
    ToTheStack,
}

/// Our order service bounds its own end by this, and by how long a publish may take.
const SERVICE_STOP_WITHIN: Duration = Duration::from_secs(60);

/// The end of a relay that was told to end.
pub(super) struct LastEnd {
    /// Whether it was there to be told.
    was_up: bool,
    /// What is to be said of it.
    remark: Option<String>,
}

impl Deployment<'_> {
    /// Whether a relay lives, or is started again.
    pub fn relay_goes_on(&self) -> bool {
        !self.keepers.is_empty() || self.relays.iter().any(Child::is_alive)
    }

    /// Whether whoever publishes what is in an outbox, or finishes what is in doubt, lives, or is started again.
    pub fn publisher_goes_on(&self) -> bool {
        match self.strategy.kind.has_relay() {
            true => self.relay_goes_on(),
            false => self.service.as_ref().is_some_and(Child::is_alive),
        }
    }

    /// How the order service is told to end. What is not ours has as long as its file says, and ours as long as it
    /// lets itself.
    pub fn stop_of_service(&self) -> Stop {
        self.parts.stop_service().unwrap_or_else(|| {
            let publish = self
                .parts
                .publish_within(self.scenario.workload.request_timeout);
            Stop {
                within: stop_within(self.scenario.drain.within, publish),
                ..Stop::default()
            }
        })
    }

    /// Stops the order service. Whether it went by itself, and how that was.
    pub async fn stop_service(&self) -> Result<(bool, &'static str), String> {
        let Some(service) = &self.service else {
            return Err("there is no order service".to_owned());
        };
        let stop = self.stop_of_service();
        if !service.is_alive() {
            // What it left behind is ended.
            let ended = service.terminate(stop.within).await;
            ended.map_err(|e| e.to_string())?;
            return Ok((true, "was dead already"));
        }
        let by_itself = service.terminate_with(stop.signal, stop.within).await;
        let by_itself = by_itself.map_err(|e| e.to_string())?;
        let remark = self
            .parts
            .unusual_end_of_service(by_itself, service.exit_code());
        let _ = self.service_end.set(remark);
        Ok(match by_itself {
            true => (true, "ended by itself"),
            false => (false, "had to be killed"),
        })
    }

    /// Stops the relays, all at once, so that none takes over; ends their sessions, removes their proxies.
    pub async fn stop_relays(&self) -> Result<(), String> {
        for keeper in &self.keepers {
            keeper.end().await;
        }
        let stopped = self.relays.iter().map(|relay| self.stop(relay));
        let stopped = futures::future::join_all(stopped).await;
        let ends: Vec<LastEnd> = stopped.into_iter().collect::<Result<_, String>>()?;
        let _ = self.last_end.set(ends);
        let deadline = Instant::now() + SESSIONS_END_WITHIN;
        self.database.end_relays(deadline).await?;
        self.remove_proxies().await
    }

    async fn stop(&self, relay: &Child) -> Result<LastEnd, String> {
        let was_up = relay.is_alive();
        let stop = self.parts.stop();
        // Of one that is dead already, what it left behind is ended.
        let by_itself = relay.terminate_with(stop.signal, stop.within).await;
        let by_itself = by_itself.map_err(|e| e.to_string())?;
        let remark = self.parts.unusual_end(by_itself, relay.exit_code());
        let remark = remark.filter(|_| was_up);
        Ok(LastEnd {
            was_up,
            remark: remark.map(|remark| match relay.name() {
                RELAY => remark,
                name => format!("{name}: {remark}"),
            }),
        })
    }

    /// What is worth knowing of what is under test, once it is stopped: that starts of it failed, that a relay ended by
    /// itself and was started again, and how each ended at last.
    pub fn remarks(&self) -> Vec<String> {
        let kept = self.relays.iter().filter(|_| !self.keepers.is_empty());
        let restarts = kept.filter_map(|relay| {
            let name = of_several(relay.name());
            match relay.own_end_count() {
                0 => None,
                1 => Some(format!(
                    "{name} ended by itself once, and was started again"
                )),
                ends => Some(format!(
                    "{name} ended by itself {ends} times, and was started again"
                )),
            }
        });
        let last = self.last_end.get().into_iter().flatten();
        let last = last.filter_map(|end| end.remark.clone());
        let under_test = self.service.iter().chain(&self.relays);
        let under_test = under_test.chain(&self.consumers);
        let failed = under_test.filter_map(failed_starts);
        let service = self.service_end.get().cloned().flatten();
        restarts.chain(failed).chain(last).chain(service).collect()
    }

    /// Returns the deaths of order service and relay that nobody here ordered.
    pub fn deaths(&self, clock: &RunClock) -> Vec<Death> {
        // One that was started again, and was up at the end, did no more than its file says of it.
        let ends = self.last_end.get().map_or(&[][..], Vec::as_slice);
        let restarted = |index: usize| {
            !self.keepers.is_empty() && ends.get(index).is_some_and(|end| end.was_up)
        };
        let relays = self.relays.iter().enumerate();
        let relays = relays.filter(|(index, _)| !restarted(*index));
        let under_test = self.service.iter().chain(relays.map(|(_, relay)| relay));
        under_test
            .chain(&self.consumers)
            .filter_map(|child| child.own_death(clock))
            .collect()
    }

    async fn remove_proxies(&self) -> Result<(), String> {
        for name in self.proxy_names() {
            self.toxiproxy
                .delete(&name)
                .await
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }

    /// Undoes [`Deployment::raise`], whatever state it is in. Problems are reported, not fatal.
    pub async fn tear_down(&mut self, leave: Leave, reporter: &Reporter) {
        let mut problems = Vec::new();
        for keeper in std::mem::take(&mut self.keepers) {
            keeper.end().await;
        }
        let relays = std::mem::take(&mut self.relays);
        let consumers = std::mem::take(&mut self.consumers);
        let under_test = self.service.take().into_iter().chain(relays);
        for child in under_test.chain(consumers) {
            if child.is_alive()
                && let Err(e) = child.kill().await
            {
                problems.push(e.to_string());
            }
        }
        if leave != Leave::ToTheStack {
            problems.extend(self.remove_proxies().await.err());
        }
        if leave == Leave::SchemaAndTopic {
            reporter.event(Event::Note {
                text: format!(
                    "kept until the next run on this stack: {}, topic {}",
                    self.database.place(),
                    self.topics.name()
                ),
            });
        } else if leave == Leave::Nothing {
            problems.extend(self.drop_consumers().await);
            problems.extend(self.database.drop_all().await.err());
            // By the topic's name, so before that.
            problems.extend(self.empty_cache().await.err());
            problems.extend(self.topic.delete().await.err());
            for topic in &self.topics_beside {
                problems.extend(topic.delete().await.err());
            }
        }
        problems.extend(self.remove_trace().err());
        if problems.is_empty()
            && let Some(note) = self.leftover()
        {
            for note in self.leftovers_of_consumers().chain([note]) {
                problems.extend(self.reaper.forget(&note).err().map(|e| e.to_string()));
            }
        }
        for text in problems {
            reporter.event(Event::Note {
                text: format!("tearing down {}: {text}", self.strategy.name),
            });
        }
    }

    async fn empty_cache(&self) -> Result<(), String> {
        if !self.strategy.topology().has_cache {
            return Ok(());
        }
        let target = self.cache_around_proxies().map_err(|e| e.to_string())?;
        let removed = relays::cache::remove_all(&target).await;
        removed.map_err(|e| e.to_string())
    }

    /// What was worth keeping of it is in the history.
    fn remove_trace(&self) -> Result<(), String> {
        let Some(folder) = self.trace.as_ref().filter(|folder| folder.exists()) else {
            return Ok(());
        };
        let removed = std::fs::remove_dir_all(folder);
        if let Some(parent) = folder.parent() {
            // Not while another strategy's is in it.
            let _ = std::fs::remove_dir(parent);
        }
        removed.map_err(|e| format!("removing {}: {e}", folder.display()))
    }
}

/// What is to be said of starts of a process that failed, after which it was started again.
fn failed_starts(child: &Child) -> Option<String> {
    let failed = child.failed_starts();
    let (name, reason) = (child.name(), failed.reason);
    match failed.count {
        0 => None,
        1 => Some(format!("one start of the {name} failed: {reason}")),
        count => Some(format!(
            "{count} starts of the {name} failed, the last since {reason}"
        )),
    }
}

/// Returns `the relay`, and another one by its name.
fn of_several(name: &str) -> String {
    match name {
        RELAY => format!("the {RELAY}"),
        other => other.to_owned(),
    }
}

/// How long an order service may take to end whose publishes take so long at most: as long as the drain,
/// and never longer than it bounds itself.
fn stop_within(drain: Duration, publish: Duration) -> Duration {
    drain.min(SERVICE_STOP_WITHIN + publish)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_drain_of_an_hour_when_the_service_does_not_end_then_it_is_not_waited_for_so_long() {
        let publish = Duration::from_secs(2);
        let hour = Duration::from_secs(3600);
        assert_eq!(stop_within(hour, publish), SERVICE_STOP_WITHIN + publish);
        assert_eq!(stop_within(publish, publish), publish);
    }
}
