//! `bandwidth`: the busiest connection carried about as much as the rate allows and none more,
//! while what waited grew. (Toxiproxy limits each connection by itself.)

use super::PlaceEvidence;
use super::case::{Case, Place, When, median};
use super::lack::{ALONE, FITTING, LOCAL, STRONGER, lack};
use super::needs::{LinkNeeds, LinkReading};
use super::unmet::unmet;
use crate::bite::name;
use crate::scenario::{FaultKind, Toxic};

/// Toxiproxy sends in steps of 100 ms and rounds its sleeps.
const STEP_S: f64 = 0.1;
const AT_MOST: f64 = 1.25;
/// A connection that is held back is busy most of the time, not all of it.
const AT_LEAST: f64 = 0.5;

pub(super) const NEEDS: LinkNeeds = LinkNeeds::read(&[
    LinkReading::InBytes,
    LinkReading::OutBytes,
    LinkReading::MostOutBytes,
    LinkReading::QueuedBytes,
]);

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let FaultKind::Toxic {
        toxic: Toxic::Bandwidth { rate },
        toxicity,
        ..
    } = case.fault.kind
    else {
        return Err(lack("it is no bandwidth", FITTING));
    };
    let allowed = rate as f64 * 1e3;
    let seconds = case.seconds();
    let busiest = case
        .last(place, name::MOST_OUT_BYTES)
        .ok_or_else(|| lack("what came out of the proxy was not measured", LOCAL))?;
    let throughput = busiest / seconds.max(STEP_S);
    let carried = format!(
        "the busiest connection carried {:.1} KB/s of {rate}",
        throughput / 1e3
    );
    // Below 1 the busiest connection is one that was left alone: then only what waits can tell.
    if toxicity < 1.0 {
        return match queued(case, place, allowed * STEP_S) {
            Some(queued) => Ok(format!("{carried}, and {queued}")),
            None => Err(lack(format!("{carried}, but nothing waited"), STRONGER)),
        };
    }
    if busiest > allowed * (seconds + STEP_S) * AT_MOST {
        let what = format!("{carried}: it was not held back");
        return Err(lack(what, ALONE));
    }
    if throughput < allowed * AT_LEAST {
        // A link on which nothing gets done in time is saturated too: connections are given up and
        // made again, and none of them carries much.
        let pent_up = pent_up(case, place, allowed * STEP_S);
        let unmet = unmet(case, place).or(pent_up);
        return match unmet {
            Some(unmet) => Ok(format!("{carried}{}, and {unmet}", together(case, place))),
            None => {
                let what = format!("{carried}: there was no demand for more");
                Err(lack(what, "lower its `rate`, or raise the load"))
            }
        };
    }
    let grew = queued(case, place, 0.0).or_else(|| grown(case));
    match grew {
        Some(grew) => Ok(format!("{carried}, and {grew}")),
        None => Err(lack(format!("{carried}, but nothing waited"), STRONGER)),
    }
}

/// Returns the rate that all connections carried together, in words: where one follows the other, each has only a
/// part of it. This is empty where it was not measured.
fn together(case: &Case<'_>, place: Place) -> String {
    let all = case.last(place, name::OUT_BYTES).map(|bytes| {
        let rate = bytes / case.seconds().max(STEP_S) / 1e3;
        format!(", all together {rate:.1}")
    });
    all.unwrap_or_default()
}

/// Returns what waited in the kernel, if on average more than before by this margin of bytes: a busy machine leaves a
/// large message waiting for a moment without any fault, and where some connections are left alone, it must be more
/// than a message in passing.
fn queued(case: &Case<'_>, place: Place, margin: f64) -> Option<String> {
    let average = |when| mean(&case.values(place, name::QUEUED_BYTES, when));
    let before = average(When::Before).unwrap_or(0.0);
    let during = average(When::During)?;
    (during > before + margin)
        .then(|| format!("{during:.0} bytes waited in the kernel on average ({before:.0} before)"))
}

/// Returns what waited in the kernel, if it was at most looks more than the bytes that the link carries in a step.
fn pent_up(case: &Case<'_>, place: Place, margin: f64) -> Option<String> {
    let usual = median(case.values(place, name::QUEUED_BYTES, When::During))?;
    let more = queued(case, place, margin);
    more.filter(|_| usual > margin)
}

/// Tells of requests, or else events, that piled up while the fault was in force; `None` if neither did.
fn grown(case: &Case<'_>) -> Option<String> {
    let requests = (
        case.demand.in_flight(case.injecting_ns),
        case.demand.in_flight(case.healing_ns),
    );
    if requests.1 > requests.0 {
        return Some(format!(
            "requests in flight grew from {} to {}",
            requests.0, requests.1
        ));
    }
    let events = (
        case.demand.unseen(case.injecting_ns),
        case.demand.unseen(case.healing_ns),
    );
    (events.1 > events.0).then(|| {
        format!(
            "events committed and not yet seen grew from {} to {}",
            events.0, events.1
        )
    })
}

fn mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    (!values.is_empty()).then(|| sum / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::history::Outcome;
    use crate::scenario::{FaultKind, Stream, Target, Toxic};

    const LINK: &str = "relay->kafka";

    /// The busiest connection at so many bytes a second, and so many bytes waiting.
    fn carried(toxicity: f32, rate: f64, queued: f64) -> Staged {
        let kind = FaultKind::Toxic {
            toxic: Toxic::Bandwidth { rate: 10 },
            stream: Stream::Upstream,
            toxicity,
        };
        Staged::new(Target::KAFKA, kind, polling())
            .every(3.0..3.9, LINK, name::QUEUED_BYTES, |_| 10.0)
            .every(4.0..8.0, LINK, name::QUEUED_BYTES, move |_| queued)
            .every(4.0..8.0, LINK, name::MOST_OUT_BYTES, move |t| {
                (t - 4.0) * rate
            })
    }

    #[test]
    fn near_the_rate_and_something_waits() {
        carried(1.0, 9_900.0, 70_000.0).bit("70000 bytes waited");
        carried(1.0, 9_900.0, 0.0).did_not_bite("nothing waited");
        carried(1.0, 20_000.0, 70_000.0).did_not_bite("not held back");
        carried(1.0, 100.0, 0.0).did_not_bite("no demand");
    }

    #[test]
    fn given_a_link_so_slow_that_connections_are_given_up_when_work_waits_then_it_is_saturated() {
        // Given connections that each carry a part of it, one after the other
        let given_up = carried(1.0, 2_970.0, 0.0)
            .every(4.0..8.0, LINK, name::OUT_BYTES, |t| (t - 4.0) * 9_900.0);
        given_up.did_not_bite("2.9 KB/s of 10: there was no demand for more");
        // When events pile up behind it
        let waiting = (0..26).fold(given_up, |staged, _| {
            staged.request(5.0, 5.1, Outcome::Committed, Some(9.0))
        });
        // Then that is demand, as is what waits in the kernel all the time
        waiting.bit("2.9 KB/s of 10, all together 9.7, and events committed and not yet seen grew");
        carried(1.0, 100.0, 70_000.0).bit("70000 bytes waited");
        // But not what waits at a few looks
        let mut at_times = carried(1.0, 100.0, 0.0);
        for seen in &mut at_times.0.observations {
            if seen.name == name::QUEUED_BYTES && seen.at_ns > ns(7.0) {
                seen.value = 700_000.0;
            }
        }
        at_times.did_not_bite("no demand");
    }

    #[test]
    fn what_waited_for_a_moment_before_is_no_measure() {
        let moment = carried(1.0, 9_900.0, 70_000.0).at(3.95, LINK, name::QUEUED_BYTES, 90_000.0);
        moment.bit("70000 bytes waited in the kernel on average (9009 before)");
    }

    #[test]
    fn where_some_connections_are_left_alone_only_what_waits_tells() {
        carried(0.5, 20_000.0, 70_000.0).bit("70000 bytes waited");
        carried(0.5, 20_000.0, 10.0).did_not_bite("nothing waited");
    }

    #[test]
    fn what_waits_in_passing_tells_nothing_where_some_connections_are_left_alone() {
        // A tenth of a second's worth may wait at any moment: 1,000 bytes
        carried(0.5, 9_900.0, 1_010.0).did_not_bite("nothing waited");
        carried(0.5, 9_900.0, 1_011.0).bit("1011 bytes waited");
        carried(1.0, 9_900.0, 11.0).bit("11 bytes waited");
    }

    #[test]
    fn requests_and_events_that_pile_up_wait_as_well() {
        let nothing_queued = |toxicity: f32| carried(toxicity, 9_900.0, 10.0);
        let piled = |s: Staged| s.request(7.0, 9.0, Outcome::Unknown, None);
        piled(nothing_queued(1.0)).bit("requests in flight grew from 0 to 1");
        let unseen = |s: Staged| s.request(7.0, 7.1, Outcome::Committed, Some(9.0));
        unseen(nothing_queued(1.0)).bit("not yet seen grew from 0 to 1");
        // But connections that are left alone explain neither
        piled(nothing_queued(0.5)).did_not_bite("nothing waited");
        unseen(nothing_queued(0.5)).did_not_bite("nothing waited");
        // And what was on its way all along did not grow
        let steady = |s: Staged| s.request(3.0, 9.0, Outcome::Unknown, None);
        steady(nothing_queued(1.0)).did_not_bite("nothing waited");
        let steady = |s: Staged| s.request(3.0, 3.1, Outcome::Committed, Some(9.0));
        steady(nothing_queued(1.0)).did_not_bite("nothing waited");
    }

    #[test]
    fn a_far_side_out_of_sight_proves_nothing() {
        carried(1.0, 9_900.0, 70_000.0)
            .without(name::MOST_OUT_BYTES)
            .did_not_bite("not measured");
    }

    #[test]
    fn the_busiest_connection_carries_half_the_rate_at_least_and_a_quarter_more_at_most() {
        let carried = |bytes: f64| {
            carried(1.0, 0.0, 11.0).without(name::MOST_OUT_BYTES).at(
                7.9,
                LINK,
                name::MOST_OUT_BYTES,
                bytes,
            )
        };
        // 10 KB/s over 4 s and a step of a tenth of a second, and a quarter more
        carried(51_250.0).bit("11 bytes waited");
        carried(51_251.0).did_not_bite("not held back");
        carried(20_000.0).bit("11 bytes waited");
        carried(19_999.0).did_not_bite("no demand");
    }

    #[test]
    fn given_less_than_half_the_rate_when_hardly_anything_waits_then_there_was_no_demand() {
        // Half of 10 KB/s is 5; a tenth of a second's worth of it all is 1,000 bytes
        carried(1.0, 4_900.0, 900.0).did_not_bite("no demand");
        carried(1.0, 4_900.0, 1_000.0).did_not_bite("no demand");
        carried(1.0, 4_900.0, 1_011.0).bit("1011 bytes waited");
        carried(1.0, 5_200.0, 900.0).bit("900 bytes waited");
    }
}
