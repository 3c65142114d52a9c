//! What triggers of faults wait for, as those tell it that count it anyway.

use super::keyboard::Keyboard;
use crate::nemesis::Counts;
use crate::observer::Sights;
use crate::workload::Progress;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// These are the generator's and the observer's counters.
pub struct LiveCounts {
    /// What the generator was told.
    pub progress: Arc<Progress>,
    /// These count what the observer saw.
    pub sights: Sights,
    /// This counts what somebody pressed, where somebody sits beside the run.
    pub keyboard: Option<Arc<Keyboard>>,
}

impl Counts for LiveCounts {
    fn committed(&self) -> u64 {
        self.progress.acknowledged.load(Ordering::Relaxed)
    }

    fn events(&self) -> u64 {
        self.sights.distinct_valid()
    }

    fn presses(&self, key: char) -> u64 {
        self.keyboard.as_ref().map_or(0, |k| k.presses(key))
    }

    fn heals(&self) -> u64 {
        self.keyboard.as_ref().map_or(0, |k| k.heals())
    }
}
