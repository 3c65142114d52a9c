//! What became of the reads: how many, from where they were answered, and how long that took.

use super::generator::HeldBack;
use super::phase::Phase;
use super::recorder::Recorder;
use crate::history::{History, ReadOutcome, ReadSource};
use reports::record::Reads;

/// Counts and latencies of all reads. A latency is a service time here, from the sending to the answer; one that has none
/// never ended, or else the slowest reads would be those that are left out.
pub fn reads(history: &History) -> Reads {
    let mut reads = Reads::default();
    let mut taken = Recorder::new();
    for read in &history.reads {
        reads.due += 1;
        reads.held_back += u64::from(read.held_back);
        match read.outcome {
            ReadOutcome::NotSent => continue,
            ReadOutcome::Failed => {
                reads.failed += 1;
                taken.never();
                continue;
            }
            ReadOutcome::Answered | ReadOutcome::NotFound => {
                reads.answered += 1;
                taken.record_ns(read.ended_ns.saturating_sub(read.sent_ns));
            }
        }
        match read.source {
            ReadSource::Unknown => {}
            ReadSource::Cache => reads.from_cache += 1,
            ReadSource::Database => reads.missed += 1,
            ReadSource::Fallback => reads.cache_unreachable += 1,
        }
    }
    reads.service_time_ms = taken.latency();
    reads
}

/// How many reads were sent in a phase, and how many of them had been held back.
pub fn reads_held_back_in(history: &History, phase: &Phase) -> HeldBack {
    let mut count = HeldBack::default();
    for read in &history.reads {
        if phase.contains(read.sent_ns) {
            count.sent += 1;
            count.held_back += u64::from(read.held_back);
        }
    }
    count
}
