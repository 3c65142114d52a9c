//! Without the fence and a complete read, what is still in flight turns into false verdicts.

use super::{Doubt, Grounds, absence};
use crate::scenario::{Comparison, Expectation, Metric};

const STEPS: u32 = 8;

/// Every step of the fence must have been taken and have held.
pub fn steps(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    let fences = &grounds.context.history().fences;
    let mut doubts: Vec<Doubt> = fences
        .iter()
        .filter(|step| !step.ok)
        .map(|step| {
            let reason = format!(
                "step {} of the fence ({}) failed: {}",
                step.number, step.name, step.detail
            );
            Doubt::new(reason, in_flight)
        })
        .collect();
    for number in 1..=STEPS {
        if !fences.iter().any(|step| step.number == number) {
            let reason = format!("step {number} of the fence was not taken");
            doubts.push(Doubt::new(reason, in_flight));
        }
    }
    doubts
}

/// Every partition of the topic must have been read.
pub fn partitions(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    let history = grounds.context.history();
    (0..history.meta.scenario.workload.partitions.max(1))
        .filter(|wanted| !history.partitions.iter().any(|p| p.partition == *wanted))
        .map(|missing| Doubt::new(format!("partition {missing} was not read again"), unread))
        .collect()
}

/// To its end.
pub fn read_to_the_end(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    let partitions = &grounds.context.history().partitions;
    partitions
        .iter()
        .filter(|p| p.read_offset < p.end_offset)
        .map(|p| {
            let reason = format!(
                "partition {} was read up to offset {}, and it ends at {}",
                p.partition, p.read_offset, p.end_offset
            );
            Doubt::new(reason, unread)
        })
        .collect()
}

/// And nothing of it may still be undecided by the broker.
pub fn stable(grounds: &Grounds<'_, '_>) -> Vec<Doubt> {
    let partitions = &grounds.context.history().partitions;
    partitions
        .iter()
        .filter(|p| p.stable_offset != p.end_offset)
        .map(|p| {
            let reason = format!(
                "partition {} is stable up to offset {} and ends at {}: a Kafka transaction was \
                 still open",
                p.partition, p.stable_offset, p.end_offset
            );
            Doubt::new(reason, unread)
        })
        .collect()
}

/// What was in flight past a fence may be a commit or an event: neither an absence nor a phantom
/// is certain.
fn in_flight(expectation: &Expectation, met: bool) -> bool {
    expectation.metric == Metric::Phantom || unread(expectation, met)
}

/// What was not read may hold an event that seems absent, or one that should not be there.
fn unread(expectation: &Expectation, met: bool) -> bool {
    let on_the_topic = matches!(
        expectation.metric,
        Metric::Phantom
            | Metric::Foreign
            | Metric::Duplicated
            | Metric::Reordered
            | Metric::Split
            | Metric::Corrupted
            | Metric::Late
    );
    let none_found = met == (expectation.comparison != Comparison::AtLeast);
    absence(expectation.metric) || (on_the_topic && none_found)
}
