//! A relay or an order service that ended though nobody had asked it to. Whatever else is found, that
//! comes first. What it left behind is lost or undrained and stays so, for a system that ends by itself
//! delivers nothing; only where a signal from outside may have ended it, the harness's user or the
//! kernel for want of memory, it need not be to blame for what it did not deliver.

use super::{Grounds, Inconclusive, nothing};
use crate::checkers::reading::Steps;
use crate::history::Death;
use crate::scenario::{Comparison, Expectation, LatencyKind, Metric};

/// Signals that a process gets from somebody else: SIGHUP, SIGINT, SIGQUIT, SIGKILL, SIGTERM.
const FROM_OUTSIDE: [i32; 5] = [1, 2, 3, 9, 15];

/// Returns a reason for each process of the system under test that ended though nobody had asked it to.
pub fn by_itself(grounds: &Grounds<'_, '_>) -> Vec<Inconclusive> {
    let deaths = &grounds.context.history().meta.deaths;
    let inconclusive = deaths.iter().map(|death| {
        let from_outside = FROM_OUTSIDE.contains(&death.exit);
        // A consumer delivers nothing; what its own death leaves open of it is said where it is judged.
        let blurs = match from_outside && !is_of_consumer(grounds, death) {
            true => undelivered,
            false => nothing,
        };
        Inconclusive {
            leads: true,
            ..Inconclusive::new(sentence(grounds, death, from_outside), blurs)
        }
    });
    inconclusive.collect()
}

fn is_of_consumer(grounds: &Grounds<'_, '_>, death: &Death) -> bool {
    let consumers = &grounds.context.history().meta.scenario.consumers;
    consumers.iter().any(|c| c.process() == death.process)
}

/// Tells of a death in a sentence: `debezium's relay died at 21.913 s: it exited with code 3; its log ends with:
/// java.lang.OutOfMemoryError; 1201 changes are undelivered`.
fn sentence(grounds: &Grounds<'_, '_>, death: &Death, from_outside: bool) -> String {
    let context = grounds.context;
    let before_ns = context.history().meta.load_from_ns - death.at_ns;
    let when = match before_ns > 0 {
        true => format!("{:.3} s before the load", before_ns as f64 / 1e9),
        false => format!("at {}", context.at(death.at_ns)),
    };
    let mut sentence = format!(
        "{}'s {} died {when}: it {}",
        context.history().meta.strategy,
        death.process,
        death.how
    );
    if from_outside {
        sentence += ", which somebody sent it, or the kernel for want of memory";
    }
    if !death.last_words.is_empty() {
        sentence += &format!("; its log ends with: {}", death.last_words);
    }
    let undelivered = context.view.join.unpublished().count();
    if let Some(undelivered) = context.reading.known(Steps::BOTH_SIDES, undelivered)
        && undelivered > 0
        && !is_of_consumer(grounds, death)
    {
        sentence += &format!("; {undelivered} changes are undelivered");
    }
    sentence
}

/// Tells whether an expectation rests on the process's having delivered in time, as far as that looks bad.
fn undelivered(expectation: &Expectation, met: bool) -> bool {
    let rests = matches!(
        expectation.metric,
        Metric::Lost
            | Metric::Undrained
            | Metric::Undecided
            | Metric::Late
            | Metric::Drain
            | Metric::Recovery
            | Metric::Latency(LatencyKind::Propagation | LatencyKind::EndToEnd, _)
    );
    rests && met == (expectation.comparison == Comparison::AtLeast)
}
