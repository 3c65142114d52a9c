//! Demand that the fault itself prevents is demand: what the client of a link could not get done, as the
//! history tells it, for links on which nothing, or too little, can flow to show it. Of a cache it tells the same whatever
//! the fault: a change is committed and answered without it.

use super::case::{Case, Place, count};
use super::demand::most_before;
use crate::scenario::Link;

/// What was left undone while the fault was in force, clearly more than passes by at any moment.
pub(super) fn unmet(case: &Case<'_>, place: Place) -> Option<String> {
    match place {
        Place::Link(Link::ORDERS_REDIS) => of_readers(case),
        // What consumers could not do the history does not tell by the time.
        Place::Link(Link::Consumer(_)) => None,
        Place::Link(_) | Place::Process(_) if case.is_on_the_way_of_events(place) => backlog(case),
        Place::Link(_) | Place::Process(_) => requests(case),
    }
}

/// What nobody could get done while the cache was away: no reader, and no one who invalidates.
pub(super) fn of_cache(case: &Case<'_>) -> Option<String> {
    let waiting = case
        .strategy
        .relay_invalidates
        .then(|| backlog(case))
        .flatten();
    let found: Vec<String> = of_readers(case).into_iter().chain(waiting).collect();
    (!found.is_empty()).then(|| found.join(", "))
}

/// Reads and invalidations of the order service came to nothing.
fn of_readers(case: &Case<'_>) -> Option<String> {
    let (demand, from_ns, until_ns) = (case.demand, case.injecting_ns, case.healing_ns);
    let found = [
        (
            demand.reads_without_cache(from_ns, until_ns),
            "read",
            "without the cache",
        ),
        (
            demand.not_invalidated(from_ns, until_ns),
            "invalidation",
            "failed",
        ),
    ];
    let found = found.into_iter().filter(|(n, ..)| *n > 0);
    let found: Vec<String> = found
        .map(|(n, thing, how)| format!("{} {how}", count(n, thing)))
        .collect();
    (!found.is_empty()).then(|| found.join(", "))
}

/// Changes that were committed and not seen piled up.
fn backlog(case: &Case<'_>) -> Option<String> {
    let demand = case.demand;
    let before = most_before(case.injecting_ns, |at_ns| demand.unseen(at_ns));
    let after = demand.unseen(case.healing_ns);
    (after > before.saturating_add(demand.in_passing()))
        .then(|| format!("events committed and not yet seen grew from {before} to {after}"))
}

/// Requests were never told anything, or piled up.
fn requests(case: &Case<'_>) -> Option<String> {
    let demand = case.demand;
    let never = demand.never_answered(case.injected_ns, case.healing_ns);
    if never > 0 {
        return Some(format!("{} never got an answer", count(never, "request")));
    }
    let hung = demand.hung(case.injected_ns, case.healing_ns);
    (hung > demand.in_passing())
        .then(|| format!("{} got no answer in that time", count(hung, "request")))
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::history::Outcome;
    use crate::scenario::{FaultKind, Link, Stream, Target, Toxic};

    /// A link whose client has no connection left and cannot make one.
    fn refused(link: Link) -> Staged {
        Staged::new(Target::Link(link), FaultKind::Down, polling())
            .every(4.0..8.0, link.name(), name::PROBE_REFUSED, |_| 1.0)
            .every(3.0..8.0, link.name(), name::SOCKETS, |_| 0.0)
    }

    #[test]
    fn given_a_relay_without_a_connection_when_events_pile_up_then_that_is_demand() {
        // 100 changes a second: 25 may wait at any moment
        let waiting = |n: usize| {
            (0..n).fold(refused(Link::RELAY_KAFKA), |staged, _| {
                staged.request(5.0, 5.1, Outcome::Committed, Some(9.0))
            })
        };
        waiting(25).did_not_bite("asked for none");
        waiting(26).bit("events committed and not yet seen grew from 0 to 26");
        // Nor did it grow where as many had waited before
        let before = (0..10).fold(waiting(26), |staged, _| {
            staged.request(3.0, 3.1, Outcome::Committed, Some(3.6))
        });
        before.did_not_bite("asked for none");
    }

    #[test]
    fn given_a_way_to_kafka_of_an_order_service_then_who_waits_for_it_depends_on_whether_it_has_an_outbox()
     {
        let link = Link::ORDERS_KAFKA;
        let cut = |kind| {
            Staged::new(Target::Link(link), FaultKind::Down, kind)
                .every(4.0..8.0, link.name(), name::PROBE_REFUSED, |_| 1.0)
                .every(3.0..8.0, link.name(), name::SOCKETS, |_| 0.0)
        };
        let waiting =
            |s: Staged| (0..26).fold(s, |s, _| s.request(5.0, 5.1, Outcome::Committed, Some(9.0)));
        let told_nothing = |s: Staged| s.request(5.0, 7.0, Outcome::Unknown, None);
        waiting(cut(outbox_inside())).bit("not yet seen grew from 0 to 26");
        told_nothing(cut(outbox_inside())).did_not_bite("asked for none");
        told_nothing(cut(dual_write())).bit("1 request never got an answer");
        waiting(cut(two_phase())).did_not_bite("asked for none");
        told_nothing(cut(two_phase())).bit("1 request never got an answer");
    }

    #[test]
    fn given_a_service_without_a_connection_when_requests_come_to_nothing_then_that_is_demand() {
        let link = Link::ORDERS_POSTGRES;
        let failed = refused(link).request(5.0, 7.0, Outcome::Unknown, None);
        failed.bit("1 request never got an answer");
        // But not if they came to nothing before it already
        let before = failed.request(3.0, 3.5, Outcome::Unknown, None);
        before.did_not_bite("asked for none");
        let slow = (0..26).fold(refused(link), |staged, _| {
            staged.request(5.0, 9.0, Outcome::Committed, None)
        });
        slow.bit("26 requests got no answer in that time");
    }

    #[test]
    fn given_any_link_on_which_nothing_flows_when_its_client_waits_then_it_is_judged_by_that() {
        for kind in [
            toxic(Toxic::Bandwidth { rate: 10 }, Stream::Upstream),
            toxic(Toxic::Timeout { timeout: 0 }, Stream::Upstream),
            toxic(
                Toxic::Latency {
                    latency: 9_000,
                    jitter: 0,
                },
                Stream::Upstream,
            ),
            toxic(
                Toxic::Slicer {
                    average_size: 1,
                    size_variation: 0,
                    delay: 9_000_000,
                },
                Stream::Upstream,
            ),
            toxic(Toxic::ResetPeer { timeout: 0 }, Stream::Upstream),
        ] {
            let link = Link::RELAY_KAFKA.name();
            let idle = [
                name::IN_BYTES,
                name::OUT_BYTES,
                name::IN_SEGMENTS,
                name::OUT_SEGMENTS,
                name::MOST_OUT_BYTES,
                name::QUEUED_BYTES,
                name::NEAR_BYTES,
                name::ENDED,
            ]
            .into_iter()
            .fold(
                Staged::new(Target::Link(Link::RELAY_KAFKA), kind, polling()),
                |staged, name| staged.every(4.0..8.0, link, name, |_| 0.0),
            )
            .every(3.0..3.9, link, name::CROSSING_MS, |_| 0.4)
            .every(4.0..8.0, link, name::PROBE_RESET, |_| 1.0);
            idle.did_not_bite("");
            let waiting = (0..26).fold(idle, |staged, _| {
                staged.request(5.0, 5.1, Outcome::Committed, Some(9.0))
            });
            waiting.bit("grew from 0 to 26");
        }
    }

    #[test]
    fn given_requests_that_hang_then_as_many_as_the_load_brings_in_passing_are_no_demand() {
        let hung = |n: usize| {
            (0..n).fold(refused(Link::ORDERS_POSTGRES), |staged, _| {
                staged.request(5.0, 9.0, Outcome::Committed, None)
            })
        };
        hung(25).did_not_bite("asked for none");
        hung(26).bit("26 requests got no answer in that time");
    }

    #[test]
    fn what_had_waited_at_any_of_five_looks_in_the_second_before_is_no_more_than_usual() {
        let before = |waiting: f64, seen: f64| {
            let now = (0..26).fold(refused(Link::RELAY_KAFKA), |staged, _| {
                staged.request(5.0, 5.1, Outcome::Committed, Some(9.0))
            });
            now.request(waiting, waiting, Outcome::Committed, Some(seen))
        };
        // The looks are at 3.99, 3.79, 3.59, 3.39 and 3.19 s
        for look in [3.99, 3.79, 3.59, 3.39, 3.19] {
            before(look - 0.01, look + 0.01).did_not_bite("asked for none");
        }
        for between in [3.09, 2.99, 3.29, 3.89, 3.5] {
            before(between - 0.01, between + 0.01).bit("grew from 0 to 26");
        }
    }
}
