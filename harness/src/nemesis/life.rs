//! One fault, from its baseline to its last look.

use super::deed::Deed;
use super::ledger::Ledger;
use super::trigger::{ASK_EVERY, Injections, Waiting};
use super::{Battlefield, Load, NemesisError, heal_all, nanoseconds};
use crate::bite::name;
use crate::evidence::{Observed, Observers};
use crate::history::{FaultRecord, Observation};
use crate::scenario::{Fault, FaultKind, Start, Toxic, Trigger};
use relays::signal::Signal;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Observation begins so long before the injection, where it is known when that will be.
const BASELINE: Duration = Duration::from_secs(1);
/// How long reconnects are waited for after the healing, and a slow close beyond its delay.
const AFTERWARDS: Duration = Duration::from_millis(500);
const MAX_AFTERWARDS: Duration = Duration::from_secs(5);

/// All one fault needs.
pub(super) struct Life {
    pub index: u32,
    pub fault: Fault,
    pub field: Battlefield,
    pub ledger: Arc<Ledger>,
    pub observers: Arc<Observers>,
    pub injections: Arc<Injections>,
    pub load: Load,
    pub stop: watch::Receiver<bool>,
}

/// What became of it.
pub(super) struct Lived {
    pub record: FaultRecord,
    pub observations: Vec<Observation>,
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
        errors: Vec::new(),
    };
    let deed = match Deed::new(life.index, &life.fault, &life.field) {
        Ok(deed) => deed,
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
    let clock = life.field.clock;
    let subjects = deed.subjects(&life.field);
    let observed = life
        .observers
        .observe(life.index, &life.fault, subjects, clock);
    if life.begins(&mut lived).await {
        life.inject_and_heal(&deed, &observed, &mut lived).await;
    }
    let (observations, trouble) = observed.finish().await;
    lived.observations.extend(observations);
    if let Some(trouble) = trouble {
        lived.errors.push(life.error("observing", trouble));
    }
    lived
}

impl Life {
    fn announce(&self, what: &str) {
        let (kind, target) = (self.fault.kind.name(), self.fault.target.name());
        (self.field.announce)(format!("{kind} {target} {what}"));
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
        let (clock, until_ns) = (self.field.clock, self.load.until_ns);
        let what = trigger.describe();
        let (counts, injections) = (self.load.counts.clone(), self.injections.clone());
        let mut waiting = Waiting::new(trigger, counts, injections);
        let mut fired = waiting.fires(clock.now_ns());
        while !fired && clock.now_ns() < until_ns {
            let next_ns = clock.now_ns().saturating_add(nanoseconds(ASK_EVERY));
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
        if !fired {
            self.announce(&format!("not injected: {what} did not come"));
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

    async fn inject_and_heal(&mut self, deed: &Deed, observed: &Observed, lived: &mut Lived) {
        let clock = self.field.clock;
        observed.injecting().await;
        let began_ns = clock.now_ns();
        if let Err(reason) = deed.inject(&self.field, &self.ledger).await {
            lived.errors.push(self.error("injecting", reason));
            return;
        }
        let injected_ns = clock.now_ns();
        lived.record.injected_ns = Some(injected_ns);
        if let Some(id) = &self.fault.id {
            self.injections.note(id, injected_ns);
        }
        self.announce("injected");
        observed.in_force().await;
        let until_ns = self.heals_at_ns(injected_ns);
        let stopped = self.stopped_before(until_ns).await;
        observed.healing().await;
        let healing_ns = clock.now_ns();
        let healed = deed.heal(&self.field, &self.ledger).await;
        if let Err(reason) = healed {
            lived.errors.push(self.error("healing", reason));
            let _one_at_a_time = self.ledger.rescuing().await;
            if let Err(reason) = heal_all(&self.field).await {
                lived.errors.push(self.error("healing", reason));
                return;
            }
        }
        let healed_ns = clock.now_ns();
        lived.record.healed_ns = Some(healed_ns);
        self.announce("healed");
        self.take_reports(deed, began_ns, healing_ns, lived);
        if !stopped {
            observed.healed().await;
            let after_ns = healed_ns.saturating_add(nanoseconds(self.afterwards()));
            self.stopped_before(after_ns).await;
        }
    }

    /// What the system itself reported of the fault while it was in force.
    fn take_reports(&self, deed: &Deed, from_ns: i64, until_ns: i64, lived: &mut Lived) {
        for (link, child) in deed.clients(&self.field) {
            for report in child.signals() {
                let at_ns = self.field.clock.at(report.monotonic_ns);
                let failures = match report.signal {
                    Signal::DatabaseLost { .. } if !link.is_kafka() => 1,
                    Signal::PublishFailed { count, .. } if link.is_kafka() => count,
                    _ => continue,
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

    /// Some effects show only after the healing.
    fn afterwards(&self) -> Duration {
        let FaultKind::Toxic { toxic, .. } = self.fault.kind else {
            return Duration::ZERO;
        };
        match toxic {
            Toxic::LimitData { .. } | Toxic::ResetPeer { .. } => AFTERWARDS,
            Toxic::SlowClose { delay } => {
                (Duration::from_millis(delay) + AFTERWARDS).min(MAX_AFTERWARDS)
            }
            Toxic::Latency { .. }
            | Toxic::Bandwidth { .. }
            | Toxic::Timeout { .. }
            | Toxic::Slicer { .. } => Duration::ZERO,
        }
    }

    /// Waits until then; true when told to stop meanwhile.
    async fn stopped_before(&mut self, until_ns: i64) -> bool {
        if *self.stop.borrow() {
            return true;
        }
        let left = until_ns.saturating_sub(self.field.clock.now_ns());
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
