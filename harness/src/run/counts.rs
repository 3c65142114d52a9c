//! What triggers of faults wait for, as those tell it that count it anyway.

use crate::nemesis::Counts;
use crate::observer::Sights;
use crate::workload::Progress;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The generator's and the observer's counters.
pub struct LiveCounts {
    /// What the generator was told.
    pub progress: Arc<Progress>,
    /// What the observer saw.
    pub sights: Sights,
}

impl Counts for LiveCounts {
    fn committed(&self) -> u64 {
        self.progress.acknowledged.load(Ordering::Relaxed)
    }

    fn events(&self) -> u64 {
        self.sights.distinct_valid()
    }
}
