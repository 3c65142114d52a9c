//! One fault, from its baseline to its last look.

use super::injection::Injection;
use super::ledger::{InForce, Ledger};
use super::trigger::{ASK_EVERY, InjectionTimes, Sources, Waiting};
use super::{Announcement, FaultTargets, LoadWindow, NemesisError, Turn, heal_all, nanoseconds};
use crate::bite::{name, needs};
use crate::evidence::{Observed, Observers};
use crate::history::{FaultRecord, Observation, TriggerNote};
use crate::scenario::{Fault, Server, Start, Trigger};
use crate::stack::Promotion;
use relays::signal::Signal;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Observation begins so long before the injection, where it is known when that will be.
const BASELINE: Duration = Duration::from_secs(1);
/// Observation begins so long before a fault that a key begins: whoever pressed it is looking.
const BASELINE_OF_A_KEY: Duration = Duration::from_millis(200);
/// What a key began is in force for so long at least, however soon somebody has it healed: what nobody felt
/// proves nothing.
const FELT: Duration = Duration::from_secs(1);
/// So often it is asked whether a key was pressed: nobody sees the difference.
const ASK_A_KEY_EVERY: Duration = Duration::from_millis(20);

/// All one fault needs.
pub(super) struct Life {
    pub index: u32,
    pub fault: Fault,
    pub targets: FaultTargets,
    pub ledger: Arc<Ledger>,
    pub observers: Arc<Observers>,
    pub injections: Arc<InjectionTimes>,
    pub load: LoadWindow,
    pub stop: watch::Receiver<bool>,
}

/// This is what became of a fault.
pub(super) struct Lived {
    pub record: FaultRecord,
    pub observations: Vec<Observation>,
    pub note: Option<TriggerNote>,
    pub errors: Vec<String>,
}

/// Waits, injects, waits, heals.
pub(super) async fn run(mut life: Life) -> Lived {
    let planned_at_ns = life.load.planned_at_ns(&life.fault);
    let mut lived = Lived {
        record: FaultRecord {
            fault: life.index,
            planned_at_ns,
            injected_ns: None,
            healed_ns: None,
        },
        observations: Vec::new(),
        note: None,
        errors: Vec::new(),
    };
    let injection = match Injection::new(life.index, &life.fault, &life.targets) {
        Ok(injection) => injection,
        Err(reason) => {
            lived.errors.push(life.error("injecting", reason));
            return lived;
        }
    };
    if life.fault.at().is_some()
        && life
            .stopped_before(planned_at_ns.saturating_sub(nanoseconds(BASELINE)))
            .await
    {
        return lived;
    }
    let clock = life.targets.clock;
    // Most keys are never pressed: nothing is looked at for their sake.
    let is_key = life.fault.trigger().is_some_and(Trigger::is_key);
    if is_key && !life.begins(&mut lived).await {
        return lived;
    }
    let heals = life.load.counts.heals();
    let subjects = injection.subjects(&life.targets);
    let observed = life
        .observers
        .observe(life.index, &life.fault, subjects, clock);
    let begins = match is_key {
        true => {
            let from_ns = clock
                .now_ns()
                .saturating_add(nanoseconds(BASELINE_OF_A_KEY));
            !life.stopped_before(from_ns).await
        }
        false => life.begins(&mut lived).await,
    };
    if begins {
        life.inject_and_heal((&injection, heals), &observed, &mut lived)
            .await;
    }
    let (observations, trouble) = observed.finish().await;
    lived.observations.extend(observations);
    if let Some(trouble) = trouble {
        lived.errors.push(life.error("observing", trouble));
    }
    lived
}

impl Life {
    fn announce(&self, what: &str, turn: Option<Turn>) {
        let (kind, target) = (self.fault.kind.name(), self.fault.target.name());
        (self.targets.announce)(Announcement {
            what: format!("{kind} {target} {what}"),
            turn: turn.map(|turn| (self.index, turn)),
        });
    }

    /// Waits for its time, or for what it has instead; false when that does not come.
    async fn begins(&mut self, lived: &mut Lived) -> bool {
        match self.fault.start.clone() {
            Start::At(_) => !self.stopped_before(lived.record.planned_at_ns).await,
            Start::When(trigger) => self.fires(trigger, lived).await,
        }
    }

    /// Waits for a trigger until the load is over, and notes how far it came.
    async fn fires(&mut self, trigger: Trigger, lived: &mut Lived) -> bool {
        let (clock, until_ns) = (self.targets.clock, self.load.until_ns);
        let what = trigger.describe();
        let is_key = trigger.is_key();
        let ask_every = if is_key { ASK_A_KEY_EVERY } else { ASK_EVERY };
        // What was before the load is not what it waits for.
        if self.stopped_before(self.load.from_ns).await {
            return false;
        }
        let mut waiting = Waiting::new(
            trigger,
            Sources {
                counts: self.load.counts.clone(),
                injections: self.injections.clone(),
                processes: &self.targets.processes,
                reader: self.targets.reader.as_ref(),
            },
        );
        let mut fired = waiting.fires(clock.now_ns());
        while !fired && clock.now_ns() < until_ns {
            let next_ns = clock.now_ns().saturating_add(nanoseconds(ask_every));
            if self.stopped_before(next_ns.min(until_ns)).await {
                break;
            }
            fired = waiting.fires(clock.now_ns());
        }
        let name = if fired {
            name::TRIGGER_FIRED
        } else {
            name::TRIGGER_MISSED
        };
        let at_ns = clock.now_ns();
        lived.record.planned_at_ns = at_ns;
        lived.observations.push(Observation {
            fault: self.index,
            place: self.fault.target.name().to_owned(),
            name: name.to_owned(),
            at_ns,
            value: waiting.far().map_or(-1.0, |far| far as f64),
        });
        let index = self.index;
        lived.note = waiting
            .note()
            .map(|text| TriggerNote { fault: index, text });
        if !fired && !is_key {
            self.announce(&format!("not injected: {what} did not come"), None);
        }
        fired
    }

    /// When it is to be healed. The load is the bound of one that nobody could plan.
    fn heals_at_ns(&self, injected_ns: i64) -> i64 {
        let until_ns = injected_ns.saturating_add(nanoseconds(self.fault.lasts));
        match self.fault.start {
            Start::At(_) => until_ns,
            Start::When(_) => until_ns.min(self.load.until_ns),
        }
    }

    /// Waits until then, or until somebody has what keys began healed (they had it healed `heals` times
    /// before it began); true when told to stop meanwhile.
    async fn in_force_until(&mut self, until_ns: i64, heals: u64) -> bool {
        if !self.fault.trigger().is_some_and(Trigger::is_key) {
            return self.stopped_before(until_ns).await;
        }
        let (clock, counts) = (self.targets.clock, self.load.counts.clone());
        let felt_ns = clock.now_ns().saturating_add(nanoseconds(FELT));
        let goes_on = |now_ns: i64| counts.heals() == heals || now_ns < felt_ns;
        while clock.now_ns() < until_ns && goes_on(clock.now_ns()) {
            let next_ns = clock.now_ns().saturating_add(nanoseconds(ASK_A_KEY_EVERY));
            if self.stopped_before(next_ns.min(until_ns)).await {
                return true;
            }
        }
        false
    }

    async fn inject_and_heal(
        &mut self,
        (injection, heals): (&Injection, u64),
        observed: &Observed,
        lived: &mut Lived,
    ) {
        let clock = self.targets.clock;
        observed.injecting().await;
        let began_ns = clock.now_ns();
        // What ends as it is told is away before it is gone.
        let in_force = InForce::note(&self.ledger);
        if let Err(reason) = injection.inject(&self.targets, &self.ledger).await {
            lived.errors.push(self.error("injecting", reason));
            return;
        }
        let injected_ns = clock.now_ns();
        lived.record.injected_ns = Some(injected_ns);
        if let Some(id) = &self.fault.id {
            self.injections.note(id, injected_ns);
        }
        self.note_hits(injection, injected_ns, lived).await;
        self.announce("injected", Some(Turn::Injected));
        observed.in_force().await;
        let until_ns = self.heals_at_ns(injected_ns);
        let stopped = self.in_force_until(until_ns, heals).await;
        observed.healing().await;
        let healing_ns = clock.now_ns();
        // What is still being healed hinders others; of two that come back, neither hinders the other.
        let in_force = (!injection.brings_back()).then_some(in_force);
        let healed = injection
            .heal(&self.targets, &self.ledger, &self.stop)
            .await;
        drop(in_force);
        if let Err(reason) = healed {
            lived.errors.push(self.error("healing", reason));
            let _one_at_a_time = self.ledger.rescuing().await;
            if let Err(reason) = heal_all(&self.targets).await {
                lived.errors.push(self.error("healing", reason));
                return;
            }
        }
        let healed_ns = clock.now_ns();
        lived.record.healed_ns = Some(healed_ns);
        self.announce("healed", Some(Turn::Healed));
        self.take_reports(injection, began_ns, healing_ns, lived);
        self.note_promotion(injection, healed_ns, lived).await;
        if !stopped {
            observed.healed().await;
            let after_ns = healed_ns.saturating_add(nanoseconds(needs(self.fault.kind).afterwards));
            self.stopped_before(after_ns).await;
        }
    }

    /// Notes which of several processes it hit.
    async fn note_hits(&self, injection: &Injection, at_ns: i64, lived: &mut Lived) {
        let hits = injection.hit().await;
        let noted = hits.into_iter().map(|victim| Observation {
            fault: self.index,
            place: victim.name().to_owned(),
            name: name::HIT.to_owned(),
            at_ns,
            value: 1.0,
        });
        lived.observations.extend(noted);
    }

    /// Notes that a standby took the place of the server, where one did.
    async fn note_promotion(&self, injection: &Injection, at_ns: i64, lived: &mut Lived) {
        let Some(Promotion { from, to }) = injection.promotion().await else {
            return;
        };
        for (name, timeline) in [
            (name::TIMELINE_FOLLOWED, from),
            (name::TIMELINE_TAKEN_UP, to),
        ] {
            lived.observations.push(Observation {
                fault: self.index,
                place: self.fault.target.name().to_owned(),
                name: name.to_owned(),
                at_ns,
                value: timeline as f64,
            });
        }
    }

    /// What the system itself reported of the fault while it was in force.
    fn take_reports(&self, injection: &Injection, from_ns: i64, until_ns: i64, lived: &mut Lived) {
        for (link, child) in injection.clients(&self.targets) {
            for report in child.signals() {
                let at_ns = self.targets.clock.at(report.monotonic_ns);
                let Some(failures) = failures_at(link.server(), &report.signal) else {
                    continue;
                };
                if (from_ns..=until_ns).contains(&at_ns) {
                    lived.observations.push(Observation {
                        fault: self.index,
                        place: link.name().to_owned(),
                        name: name::CLIENT_FAILURES.to_owned(),
                        at_ns,
                        value: failures as f64,
                    });
                }
            }
        }
    }

    /// Waits until then; true when told to stop meanwhile.
    async fn stopped_before(&mut self, until_ns: i64) -> bool {
        if *self.stop.borrow() {
            return true;
        }
        let left = until_ns.saturating_sub(self.targets.clock.now_ns());
        let wait = Duration::from_nanos(u64::try_from(left).unwrap_or(0));
        tokio::select! {
            () = tokio::time::sleep(wait) => false,
            // A sender that is gone can no longer stop anything, nor anybody.
            Ok(_) = self.stop.wait_for(|stop| *stop) => true,
        }
    }

    fn error(&self, doing: &'static str, reason: String) -> String {
        NemesisError {
            fault: self.index,
            what: format!("{} on {}", self.fault.kind.name(), self.fault.target.name()),
            doing,
            reason,
        }
        .to_string()
    }
}

/// How many failures at this server a signal reports, if it is of this server.
fn failures_at(server: Server, signal: &Signal) -> Option<u64> {
    match (signal, server) {
        (Signal::DatabaseLost { .. }, Server::Database(_)) => Some(1),
        (Signal::PublishFailed { count, .. }, Server::Broker(_) | Server::BrokerNode(_))
        | (Signal::InvalidationFailed { count, .. }, Server::Redis) => Some(*count),
        (
            Signal::DatabaseLost { .. }
            | Signal::PublishFailed { .. }
            | Signal::InvalidationFailed { .. }
            | Signal::Ready
            | Signal::DatabaseUp
            | Signal::PublishUp
            | Signal::Progress { .. },
            Server::Database(_) | Server::Broker(_) | Server::BrokerNode(_) | Server::Redis,
        ) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_failure_of_one_server_when_it_is_reported_then_it_counts_on_no_way_to_another() {
        let (count, reason) = (3, String::new());
        let lost = Signal::DatabaseLost {
            reason: reason.clone(),
        };
        let unpublished = Signal::PublishFailed {
            count,
            reason: reason.clone(),
        };
        let stale = Signal::InvalidationFailed { count, reason };
        let servers = [Server::POSTGRES, Server::KAFKA, Server::Redis];
        let at = |signal: &Signal| servers.map(|server| failures_at(server, signal));
        assert_eq!(at(&lost), [Some(1), None, None]);
        assert_eq!(at(&unpublished), [None, Some(3), None]);
        assert_eq!(at(&stale), [None, None, Some(3)]);
        assert_eq!(at(&Signal::PublishUp), [None; 3]);
    }
}
