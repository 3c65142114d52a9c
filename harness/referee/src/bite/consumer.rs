//! A consumer that a fault ended or stopped: what came to the topic meanwhile waited for it.

use super::case::{Case, count};
use crate::history::EffectRow;
use crate::scenario::ConsumerName;
use std::ops::RangeInclusive;

/// Says how many records came to the topic while the consumer was away, such as `30 records`; `None` where none came,
/// or where it applied something before its successor started, or it went on. (That a successor is ready is known a
/// little later than its first effect.)
pub(super) fn waiting(
    case: &Case<'_>,
    name: ConsumerName,
    away_ns: RangeInclusive<i64>,
    still_until_ns: i64,
) -> Option<String> {
    let sightings = case.history.sightings.iter();
    let came = sightings.filter(|s| away_ns.contains(&s.seen_ns)).count();
    let mut effects = effects(case, name);
    // What it had sent when it was hit may carry a time a little after that.
    let still_ns = away_ns.start().saturating_add(SENT_NS)..still_until_ns;
    let went_on = effects.any(|e| still_ns.contains(&e.at_ns));
    (came > 0 && !went_on).then(|| count(came, "record"))
}

/// A transaction is sent so soon after its time was taken.
const SENT_NS: i64 = 50_000_000;

/// How many effects the consumer did since then.
pub(super) fn applied_since(case: &Case<'_>, name: ConsumerName, from_ns: i64) -> usize {
    effects(case, name).filter(|e| e.at_ns >= from_ns).count()
}

fn effects<'h>(case: &Case<'h>, name: ConsumerName) -> impl Iterator<Item = EffectRow> + use<'h> {
    let mut consumers = case.history.meta.scenario.consumers.iter();
    let index = consumers.position(|c| c.process() == name.process());
    let all = case.history.effects.iter();
    all.filter(move |e| index == Some(e.consumer as usize))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::history::{Life, Outcome};
    use crate::scenario::{Consumer, FaultKind, Target, Victim};
    use contract::consumer::{EffectKind, Idempotency, OffsetCommit};

    const PROCESS: &str = "consumer-a";

    /// A consumer that is hit, the second one of the scenario.
    fn hit(kind: FaultKind) -> Staged {
        let victim = Victim::Consumer(ConsumerName::of_process(PROCESS).unwrap());
        let mut staged = Staged::new(Target::Process(victim), kind, polling());
        for name in ["other", "a"] {
            staged.0.meta.scenario.consumers.push(Consumer {
                name: name.to_owned(),
                effect: EffectKind::Insert,
                idempotency: Idempotency::None,
                commit: OffsetCommit::After,
                rabbitmq: None,
            });
        }
        staged
    }

    fn killed() -> Staged {
        hit(FaultKind::Kill)
            .life(PROCESS, 0.1, Life::Ready, 0)
            .life(PROCESS, 3.995, Life::Exited, 9)
            .life(PROCESS, 8.0, Life::Started, 0)
            .life(PROCESS, 8.01, Life::Ready, 0)
    }

    fn applied(mut staged: Staged, consumer: u32, at_s: f64) -> Staged {
        staged.0.effects.push(EffectRow {
            consumer,
            order: 0,
            version: 1,
            attempt: 0,
            at_ns: ns(at_s),
        });
        staged
    }

    /// An event comes at this time.
    fn event(staged: Staged, at_s: f64) -> Staged {
        staged.request(at_s - 0.2, at_s - 0.1, Outcome::Committed, Some(at_s))
    }

    #[test]
    fn given_a_consumer_that_is_killed_then_it_bit_if_events_came_meanwhile_and_it_works_again() {
        let whole = || applied(event(killed(), 5.0), 1, 8.5);
        whole().bit("1 record came to the topic meanwhile");
        whole().bit("1 event applied after");
        applied(killed(), 1, 8.5).did_not_bite("nothing was on its way");
        applied(event(killed(), 9.0), 1, 8.5).did_not_bite("nothing was on its way");
        event(killed(), 5.0).did_not_bite("never seen to work");
        // Another consumer is not it.
        applied(event(killed(), 5.0), 0, 8.5).did_not_bite("never seen to work");
        applied(whole(), 0, 6.0).bit("1 event applied after");
        // One that goes on is not away.
        applied(whole(), 1, 6.0).did_not_bite("nothing was on its way");
        // Its successor may work before it is known to be ready.
        applied(event(killed(), 5.0), 1, 8.005).did_not_bite("never seen to work");
        applied(whole(), 1, 8.005).bit("1 event applied after");
        // What it sent as it died is of before.
        applied(whole(), 1, 3.996).bit("1 event applied after");
    }

    #[test]
    fn given_a_consumer_that_is_stopped_then_it_bit_if_events_came_meanwhile() {
        let stopped = || {
            hit(FaultKind::Pause)
                .every(4.1..8.0, PROCESS, name::THREADS, |_| 3.0)
                .every(4.1..8.0, PROCESS, name::THREADS_STOPPED, |_| 3.0)
                .every(4.1..8.0, PROCESS, name::CPU_TICKS, |_| 7.0)
        };
        event(stopped(), 5.0).bit("1 record that came to the topic meanwhile waited");
        stopped().did_not_bite("nothing waited for it");
        applied(event(stopped(), 5.0), 1, 6.0).did_not_bite("nothing waited for it");
    }
}
