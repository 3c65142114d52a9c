//! What was asked of the system, and how far it got: the demand that a fault met.

mod events;
mod reads;
mod requests;

use crate::history::{History, Outcome, Request};
use events::EventSights;
use std::sync::OnceLock;

/// Before a fault, this long is looked at to tell what was usual.
const BASELINE_NS: i64 = 1_000_000_000;
/// The time before a fault is looked at so many times.
const BASELINE_LOOKS: i64 = 5;

/// The demand holds requests and sightings, ready to be asked.
pub(super) struct Demand<'h> {
    history: &'h History,
    /// This tells by attempt whether it is committed, as the database or the client knows. It is worked out when
    /// asked for.
    committed: OnceLock<Vec<bool>>,
    /// When events were seen. Worked out when asked for.
    sights: OnceLock<EventSights>,
}

impl<'h> Demand<'h> {
    pub fn of(history: &'h History) -> Self {
        Self {
            history,
            committed: OnceLock::new(),
            sights: OnceLock::new(),
        }
    }

    /// Returns how many changes the load brings in a quarter of a second: so much may wait at any moment on a busy
    /// machine, without a fault.
    pub fn in_passing(&self) -> usize {
        (self.history.meta.scenario.workload.rate / 4.0).ceil() as usize
    }

    /// Returns the committed changes with the moment of their first sight; `i64::MAX`: never. A request that was told
    /// nothing is among them if the database has it.
    fn committed(&self) -> impl Iterator<Item = (Request, i64)> + '_ {
        let committed = self.committed.get_or_init(|| {
            let mut committed: Vec<bool> = self
                .history
                .requests
                .iter()
                .map(|r| r.outcome == Outcome::Committed)
                .collect();
            for row in &self.history.truth {
                if let Some(one) = committed.get_mut(row.attempt as usize) {
                    *one = true;
                }
            }
            committed
        });
        let requests = self.history.requests.iter();
        requests
            .zip(&self.sights().first_ns)
            .zip(committed)
            .filter(|(_, committed)| **committed)
            .map(|((request, seen_ns), _)| (request, *seen_ns))
    }

    fn sights(&self) -> &EventSights {
        self.sights.get_or_init(|| EventSights::of(self.history))
    }
}

/// Returns the most that `count` gives at a few moments of the second before a fault.
pub(super) fn most_before(from_ns: i64, count: impl Fn(i64) -> usize) -> usize {
    (0..BASELINE_LOOKS)
        .map(|look| count(from_ns.saturating_sub(look * BASELINE_NS / BASELINE_LOOKS)))
        .max()
        .unwrap_or(0)
}
