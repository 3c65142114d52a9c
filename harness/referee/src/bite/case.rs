//! One fault with everything that was recorded of it.

use super::demand::Demand;
use super::lack::{LOGS, Lack, lack};
use super::trigger::never_fired;
use crate::bite::name;
use crate::history::{History, Observation};
use crate::scenario::{Fault, Link, Server, Topology, Victim};

/// A place is where a fault works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The fault works on this link between a client and a server.
    Link(Link),
    /// The fault works on this process.
    Process(Victim),
}

impl Place {
    pub fn name(self) -> &'static str {
        match self {
            Self::Link(link) => link.name(),
            Self::Process(victim) => victim.name(),
        }
    }
}

/// A fault that was in force, and what was observed of it.
pub(super) struct Case<'h> {
    pub history: &'h History,
    pub demand: &'h Demand<'h>,
    pub fault: &'h Fault,
    pub strategy: Topology,
    observations: Vec<&'h Observation>,
    /// When the injection began, was in force, and when the healing began and was done.
    pub injecting_ns: i64,
    pub injected_ns: i64,
    pub healing_ns: i64,
    pub healed_ns: i64,
}

/// This is a part of the time line: before, during or after the fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    Before,
    During,
    After,
}

impl<'h> Case<'h> {
    /// An error if the fault was never in force, or never healed.
    pub fn new(
        history: &'h History,
        demand: &'h Demand<'h>,
        index: u32,
        fault: &'h Fault,
        strategy: Topology,
    ) -> Result<Self, Lack> {
        let record = history.faults.iter().find(|r| r.fault == index);
        let injected_ns = record.and_then(|r| r.injected_ns).ok_or_else(|| {
            never_fired(history, index, fault)
                .unwrap_or_else(|| lack("it was never in force", LOGS))
        })?;
        let healed_ns = record
            .and_then(|r| r.healed_ns)
            .ok_or_else(|| lack("it was never healed, so its end is unknown", LOGS))?;
        let observations: Vec<_> = history
            .observations
            .iter()
            .filter(|o| o.fault == index)
            .collect();
        let mark = |name: &str| {
            observations
                .iter()
                .find(|o| o.name == name)
                .map(|o| o.at_ns)
        };
        Ok(Self {
            injecting_ns: mark(name::INJECTING)
                .unwrap_or(injected_ns)
                .min(injected_ns),
            healing_ns: mark(name::HEALING).unwrap_or(healed_ns).min(healed_ns),
            history,
            demand,
            fault,
            strategy,
            observations,
            injected_ns,
            healed_ns,
        })
    }

    /// All places of the fault that this strategy has.
    pub fn places(&self) -> Vec<Place> {
        if self.fault.target.is_of_processes() {
            let could_be = self.fault.target.processes_of(self.strategy);
            // Of several, the nemesis says which it was.
            let several = could_be.len() > 1;
            let hit = could_be.into_iter();
            let hit = hit.filter(|victim| !several || self.was_hit(*victim));
            return hit.map(Place::Process).collect();
        }
        let links = self.fault.target.links().into_iter();
        let used = links.filter(|l| self.strategy.uses(*l));
        used.map(Place::Link).collect()
    }

    /// Whether this process was one of those that the fault hit.
    fn was_hit(&self, victim: Victim) -> bool {
        let mut hits = self.observations.iter().filter(|o| o.name == name::HIT);
        hits.any(|o| o.place == victim.name())
    }

    /// Returns the values observed at one place in this part of the time line, in order of time.
    pub fn values(&self, place: Place, name: &str, when: When) -> Vec<f64> {
        self.timed(place, name, when)
            .map(|(_, value)| value)
            .collect()
    }

    /// Returns the same with their times: run time, nanoseconds.
    pub fn timed<'s>(
        &'s self,
        place: Place,
        name: &'s str,
        when: When,
    ) -> impl Iterator<Item = (i64, f64)> + 's {
        self.observations
            .iter()
            .filter(move |o| o.place == place.name() && o.name == name)
            .filter(move |o| self.when(o.at_ns) == Some(when))
            .map(|o| (o.at_ns, o.value))
    }

    /// Returns the last value of what is observed of a fault's end, while it was being healed.
    pub fn at_the_end(&self, place: Place, name: &str) -> Option<f64> {
        let healing = self.healing_ns..=self.healed_ns;
        let mut seen = self.observations.iter().rev();
        let last =
            seen.find(|o| o.place == place.name() && o.name == name && healing.contains(&o.at_ns))?;
        Some(last.value)
    }

    fn when(&self, at_ns: i64) -> Option<When> {
        if at_ns <= self.injecting_ns {
            Some(When::Before)
        } else if at_ns >= self.injected_ns && at_ns <= self.healing_ns {
            Some(When::During)
        } else if at_ns >= self.healed_ns {
            Some(When::After)
        } else {
            None
        }
    }

    /// The last value while the fault was in force: of a counter, all that was counted.
    pub fn last(&self, place: Place, name: &str) -> Option<f64> {
        self.values(place, name, When::During).last().copied()
    }

    /// The last value before the fault was injected.
    pub fn last_before(&self, place: Place, name: &str) -> Option<f64> {
        self.values(place, name, When::Before).last().copied()
    }

    /// Returns the largest value observed; `None` if none was.
    pub fn largest(&self, place: Place, name: &str, when: When) -> Option<f64> {
        self.values(place, name, when).into_iter().reduce(f64::max)
    }

    /// How long it was in force, seconds.
    pub fn seconds(&self) -> f64 {
        (self.healing_ns - self.injected_ns) as f64 / 1e9
    }

    /// Failures that the system itself reported on this link while the fault was in force.
    pub fn client_failures(&self, place: Place) -> f64 {
        let in_force = self.injecting_ns..=self.healing_ns;
        self.observations
            .iter()
            .filter(|o| o.place == place.name() && o.name == name::CLIENT_FAILURES)
            .filter(|o| in_force.contains(&o.at_ns))
            .fold(0.0, |sum, o| sum + o.value)
    }

    /// Whether what waits for a place is events on their way to the topic; requests otherwise.
    pub fn is_on_the_way_of_events(&self, place: Place) -> bool {
        match place {
            Place::Link(Link::Orders(Server::Broker(_) | Server::BrokerNode(_))) => {
                !self.strategy.publishes_in_request()
            }
            Place::Link(Link::Relay(..)) => true,
            Place::Link(Link::Orders(Server::Database(_) | Server::Redis) | Link::Consumer(_)) => {
                false
            }
            Place::Process(victim) => matches!(victim, Victim::Relay(_)),
        }
    }
}

/// Returns a count in words: `n thing` or `n things`.
pub(super) fn count(n: usize, thing: &str) -> String {
    match n {
        1 => format!("1 {thing}"),
        _ => format!("{n} {thing}s"),
    }
}

/// Returns the median, of an even number of values the lower of the two in the middle; `None` without values.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len().checked_sub(1)? / 2).copied()
}
