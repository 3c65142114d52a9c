//! `latency`: the fastest crossing is slower than latency - jitter, and than the median before.

use super::PlaceEvidence;
use super::case::{Case, Place, When, count, median};
use super::lack::{FITTING, LOAD, LONGER, STRONGER, lack};
use super::needs::{LinkNeeds, Question, exchange_within};
use super::unmet::unmet;
use crate::bite::name;
use crate::scenario::{FaultKind, Toxic};

const EARLIER: &str = "let it begin later: a second before it is looked at";
/// Clocks and timers round; a crossing may seem this much faster than it was.
const ROUNDING_MS: f64 = 1.0;

/// Data arrives so many milliseconds later, at most.
pub(super) fn needs(delay_ms: u64) -> LinkNeeds {
    let within = exchange_within(delay_ms);
    LinkNeeds::NOTHING.asking(Question::Crossing { within })
}

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let FaultKind::Toxic {
        toxic: Toxic::Latency { latency, jitter },
        toxicity,
        ..
    } = case.fault.kind
    else {
        return Err(lack("it is no latency", FITTING));
    };
    let least = latency.saturating_sub(jitter) as f64;
    let median_before = median(case.values(place, name::CROSSING_MS, When::Before))
        .ok_or_else(|| lack("no crossing was timed before it", EARLIER))?;
    let during = case.values(place, name::CROSSING_MS, When::During);
    let Some(fastest) = during.iter().copied().reduce(f64::min) else {
        // Longer than the fault: then what the system could not get done meanwhile tells.
        let none = format!(
            "no crossing was completed while it was in force ({median_before:.1} ms was usual before)"
        );
        return match unmet(case, place) {
            Some(unmet) => Ok(format!("{none}, and {unmet}")),
            None => Err(lack(none, LONGER)),
        };
    };
    // Toxicity below 1 leaves connections alone: then about that share must be hit. (Half of it is
    // asked for; a crossing now and then is slow by itself.)
    let slow = |ms: f64| ms + ROUNDING_MS >= least && ms > median_before;
    let hit = during.iter().filter(|ms| slow(**ms)).count();
    let enough = if toxicity < 1.0 {
        hit > 0 && hit as f64 >= f64::from(toxicity) * during.len() as f64 / 2.0
    } else {
        slow(fastest)
    };
    if !enough {
        let what = format!(
            "the fastest of {} took {fastest:.1} ms, and {median_before:.1} ms was usual before (wanted at least {least} ms)",
            count(during.len(), "crossing")
        );
        return Err(lack(what, STRONGER));
    }
    let moved = case.last(place, name::NEAR_BYTES).unwrap_or(0.0);
    if moved == 0.0 && unmet(case, place).is_none() {
        let what = "the system sent and received nothing on it while it was in force";
        return Err(lack(what, LOAD));
    }
    Ok(format!(
        "{hit} of {} took at least {least} ms (fastest {fastest:.1} ms, usual before {median_before:.1} ms), and the system moved {moved} bytes",
        count(during.len(), "crossing"),
    ))
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::scenario::{FaultKind, Link, Stream, Target, Toxic};

    const LINK: &str = "orders->postgres";

    fn crossings(toxicity: f32, during: impl Fn(f64) -> f64) -> Staged {
        let kind = FaultKind::Toxic {
            toxic: Toxic::Latency {
                latency: 200,
                jitter: 50,
            },
            stream: Stream::Downstream,
            toxicity,
        };
        Staged::new(Target::Link(Link::ORDERS_POSTGRES), kind, polling())
            .every(3.0..3.9, LINK, name::CROSSING_MS, |_| 0.4)
            .every(4.0..7.8, LINK, name::CROSSING_MS, during)
            .at(7.9, LINK, name::NEAR_BYTES, 5000.0)
    }

    #[test]
    fn every_crossing_is_slow() {
        crossings(1.0, |t| 150.0 + t).bit("at least 150 ms");
        crossings(1.0, |t| if t < 5.0 { 100.0 } else { 200.0 }).did_not_bite("took 100.0 ms");
    }

    #[test]
    fn some_crossings_are_slow_where_toxicity_is_below_one() {
        crossings(0.5, |t| if t < 5.0 { 0.4 } else { 200.0 }).bit("crossings took at least");
        crossings(0.5, |_| 0.4).did_not_bite("wanted at least 150 ms");
    }

    #[test]
    fn about_the_share_that_toxicity_says_must_be_slow() {
        // 38 crossings, at toxicity 0.5: 10 of them are just enough
        let slow_until =
            |second: f64| crossings(0.5, move |t| if t < second - 0.01 { 200.0 } else { 0.4 });
        slow_until(5.0).bit("10 of 38 crossings took at least");
        slow_until(4.9).did_not_bite("wanted at least 150 ms");
        // And nothing at all is no share, however small that is
        crossings(0.001, |_| 0.4).did_not_bite("wanted at least 150 ms");
    }

    #[test]
    fn what_is_as_slow_as_before_was_not_made_slow() {
        // Given a link on which 200 ms were usual before
        let mut staged = crossings(1.0, |_| 199.0);
        for seen in &mut staged.0.observations {
            if seen.name == name::CROSSING_MS && seen.at_ns < ns(3.95) {
                seen.value = 200.0;
            }
        }
        staged.did_not_bite("200.0 ms was usual before");
    }

    #[test]
    fn a_crossing_must_have_been_timed_before_and_while_in_force() {
        for (from, until, missing) in [
            (0.0, 3.95, "no crossing was timed before it"),
            (3.95, 9.0, "no crossing was completed while it was in force"),
        ] {
            let mut staged = crossings(1.0, |_| 200.0);
            staged.0.observations.retain(|o| {
                o.name != name::CROSSING_MS || o.at_ns < ns(from) || o.at_ns > ns(until)
            });
            staged.did_not_bite(missing);
        }
    }

    #[test]
    fn what_was_not_measured_or_not_asked_for_did_not_bite() {
        crossings(1.0, |_| 200.0)
            .without(name::CROSSING_MS)
            .did_not_bite("no crossing");
        crossings(1.0, |_| 200.0)
            .without(name::NEAR_BYTES)
            .did_not_bite("sent and received nothing");
    }

    #[test]
    fn a_crossing_may_seem_a_millisecond_faster_than_it_was_and_no_more() {
        crossings(1.0, |_| 149.0).bit("at least 150 ms");
        crossings(1.0, |_| 148.9).did_not_bite("took 148.9 ms");
        crossings(1.0, |_| 150.5).bit("at least 150 ms");
    }

    #[test]
    fn what_was_usual_before_is_the_middle_of_what_was_timed_then() {
        let before = |values: [f64; 3]| {
            let mut staged = crossings(1.0, |_| 199.0);
            let crossing = |o: &crate::history::Observation| o.name == name::CROSSING_MS;
            let kept = &mut staged.0.observations;
            kept.retain(|o| !crossing(o) || o.at_ns > ns(3.99));
            let looks = values.into_iter().zip([3.1, 3.2, 3.3]);
            looks.fold(staged, |staged, (ms, at)| {
                staged.at(at, LINK, name::CROSSING_MS, ms)
            })
        };
        before([0.4, 300.0, 0.5]).bit("usual before 0.5 ms");
        before([0.4, 199.0, 199.0]).did_not_bite("199.0 ms was usual before");
        before([0.4, 198.9, 199.0]).bit("usual before 198.9 ms");
    }

    #[test]
    fn one_slow_crossing_is_share_enough_of_a_small_toxicity() {
        crossings(0.05, |t| if t < 4.05 { 200.0 } else { 0.4 }).bit("1 of 38 crossings");
    }

    #[test]
    fn given_a_system_that_moved_nothing_when_its_requests_came_to_nothing_then_it_bit() {
        let waiting = crossings(1.0, |_| 200.0).without(name::NEAR_BYTES).request(
            5.0,
            7.0,
            crate::history::Outcome::Unknown,
            None,
        );
        waiting.bit("at least 150 ms");
    }
}
