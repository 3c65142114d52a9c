//! `timeout`: bytes went in, none came out (but what was on its way when it came), operations hung.

use super::PlaceEvidence;
use super::case::{Case, Place, When, count};
use super::lack::{ALONE, LOAD, LOCAL, lack};
use super::needs::{LinkNeeds, LinkReading};
use super::unmet::unmet;
use crate::bite::name;
use crate::scenario::{Link, Server};

/// What the proxy was about to send when the toxic was added may come out so much later.
const ON_ITS_WAY_NS: i64 = 250_000_000;

pub(super) const NEEDS: LinkNeeds = LinkNeeds::read(&[
    LinkReading::InBytesWithHeld,
    LinkReading::OutBytes,
    LinkReading::Silent,
]);

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let (toxicity, _) = case.fault.kind.aim();
    let into = case.last(place, name::IN_BYTES);
    let out = case.last(place, name::OUT_BYTES);
    let silent = case
        .largest(place, name::SILENT, When::During)
        .unwrap_or(0.0);
    let swallowed = match (into, out) {
        (Some(0.0), _) => {
            let nothing = "nothing went in while it was in force";
            return match unmet(case, place) {
                Some(unmet) => Ok(format!("{nothing}, and {unmet}")),
                None => Err(lack(nothing, LOAD)),
            };
        }
        (Some(into), Some(0.0)) => format!("{into} bytes went in, none came out"),
        (Some(into), Some(out)) if out < into && came_out_at_once(case, place, out) => {
            format!("{into} bytes went in, {out} were on their way and came out, none later")
        }
        // Some connections are left alone, so something comes out; but not of those that are hit.
        _ if toxicity < 1.0 && silent > 0.0 => {
            format!("{silent} connections sent and got nothing back")
        }
        (Some(into), Some(out)) => {
            let what = format!("{into} bytes went in, and {out} came out");
            return Err(lack(what, ALONE));
        }
        // The far side cannot be seen from here; on the near side silence shows as well.
        _ if silent > 0.0 => format!("{silent} connections sent and got nothing back"),
        _ => return Err(lack("what went in and came out was not measured", LOCAL)),
    };
    // Nobody waits for a consumer: that it sent and heard nothing is all there is to see.
    if matches!(place, Place::Link(Link::Consumer(_))) {
        return Ok(swallowed);
    }
    let is_of_cache = matches!(
        place,
        Place::Link(Link::ORDERS_REDIS | Link::Relay(_, Server::Redis))
    );
    let hung = match case.is_on_the_way_of_events(place) {
        // Changes pass it by, or wait for it a moment in any case.
        _ if is_of_cache => unmet(case, place),
        true => {
            let waiting = case.demand.unseen(case.healing_ns);
            (waiting > 0).then(|| format!("{} unpublished at its end", count(waiting, "change")))
        }
        false => {
            let hung = case.demand.hung(case.injected_ns, case.healing_ns);
            (hung > 0).then(|| format!("{} without an answer", count(hung, "request")))
        }
    };
    match hung {
        Some(hung) => Ok(format!("{swallowed}, {hung}")),
        None => Err(lack(format!("{swallowed}, but no operation hung"), LOAD)),
    }
}

/// Whether nothing more came out after what was on its way; a single look cannot tell.
fn came_out_at_once(case: &Case<'_>, place: Place, out: f64) -> bool {
    let from_ns = case.injected_ns.saturating_add(ON_ITS_WAY_NS);
    let looks = case.timed(place, name::OUT_BYTES, When::During);
    let later: Vec<_> = looks.filter(|(at_ns, _)| *at_ns >= from_ns).collect();
    later.len() > 1 && later.iter().all(|(_, early)| *early == out)
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::scenario::{FaultKind, Link, Stream, Target, Toxic};

    use crate::history::Outcome;
    const LINK: &str = "orders->postgres";

    fn swallowed(toxicity: f32) -> Staged {
        let kind = FaultKind::Toxic {
            toxic: Toxic::Timeout { timeout: 0 },
            stream: Stream::Upstream,
            toxicity,
        };
        Staged::new(Target::Link(Link::ORDERS_POSTGRES), kind, polling())
            .every(4.0..8.0, LINK, name::IN_BYTES, |t| (t - 3.9) * 1000.0)
            .every(4.0..8.0, LINK, name::SILENT, |_| 3.0)
    }

    /// What came out by the end, all of it in the second half.
    fn dry(staged: Staged, out: f64) -> Staged {
        let late = move |t| if t < 6.0 { 0.0 } else { out };
        staged.every(4.0..8.0, LINK, name::OUT_BYTES, late)
    }

    #[test]
    fn bytes_go_in_none_come_out_and_requests_hang() {
        let hung = |s: Staged| s.request(5.0, 7.0, Outcome::Unknown, None);
        hung(dry(swallowed(1.0), 0.0)).bit("none came out, 1 request without an answer");
        hung(dry(swallowed(1.0), 9.0)).did_not_bite("9 came out");
        dry(swallowed(1.0), 0.0)
            .request(5.0, 5.1, Outcome::Committed, Some(5.2))
            .did_not_bite("no operation hung");
        hung(dry(swallowed(0.5), 900.0)).bit("3 connections sent and got nothing back");
    }

    #[test]
    fn what_was_on_its_way_may_come_out_and_nothing_after_it() {
        let hung = |s: Staged| s.request(5.0, 7.0, Outcome::Unknown, None);
        let trickle = |until: f64| {
            let staged = swallowed(1.0);
            staged.every(4.0..8.0, LINK, name::OUT_BYTES, move |t| t.min(until) - 3.9)
        };
        hung(trickle(4.25)).bit("were on their way and came out, none later");
        hung(trickle(4.45)).did_not_bite("came out");
        // More than went in was not swallowed, and one look cannot tell
        let more = trickle(4.25).at(7.95, LINK, name::IN_BYTES, 0.1);
        hung(more).did_not_bite("came out");
        let once = swallowed(1.0).at(7.9, LINK, name::OUT_BYTES, 9.0);
        hung(once).did_not_bite("9 came out");
    }

    #[test]
    fn where_some_connections_are_left_alone_others_must_be_silent() {
        let hung = |s: Staged| s.request(5.0, 7.0, Outcome::Unknown, None);
        let quiet = |out: f64| {
            let without = dry(swallowed(0.5), out).without(name::SILENT);
            hung(without.every(4.0..8.0, LINK, name::SILENT, |_| 0.0))
        };
        quiet(900.0).did_not_bite("900 came out");
        quiet(0.0).bit("none came out");
        let nothing = dry(swallowed(1.0), 0.0).without(name::IN_BYTES);
        let nothing = nothing.at(7.9, LINK, name::IN_BYTES, 0.0);
        nothing.did_not_bite("nothing went in");
        // A link on which nothing can flow is judged by what hung
        hung(nothing)
            .bit("nothing went in while it was in force, and 1 request never got an answer");
    }

    #[test]
    fn silence_on_the_near_side_stands_in_for_a_far_side_out_of_sight() {
        let hung = |s: Staged| s.request(5.0, 7.0, Outcome::Unknown, None);
        hung(swallowed(1.0)).bit("got nothing back");
        hung(swallowed(1.0).without(name::SILENT)).did_not_bite("was not measured");
    }

    #[test]
    fn a_relay_hangs_when_committed_changes_stay_unpublished() {
        let kind = toxic(Toxic::Timeout { timeout: 0 }, Stream::Downstream);
        let link = "relay->kafka";
        let staged = Staged::new(Target::KAFKA, kind, polling())
            .at(7.0, link, name::IN_BYTES, 500.0)
            .at(7.0, link, name::OUT_BYTES, 0.0);
        let prompt = staged.request(5.0, 5.1, Outcome::Committed, Some(5.2));
        prompt.did_not_bite("no operation hung");
        prompt
            .request(6.0, 6.1, Outcome::Committed, Some(9.0))
            .bit("1 change unpublished at its end");
    }

    #[test]
    fn what_came_out_whole_was_not_swallowed() {
        let all = |into: f64| {
            let kind = FaultKind::Toxic {
                toxic: Toxic::Timeout { timeout: 0 },
                stream: Stream::Upstream,
                toxicity: 1.0,
            };
            Staged::new(Target::Link(Link::ORDERS_POSTGRES), kind, polling())
                .every(4.0..8.0, LINK, name::IN_BYTES, move |_| into)
                .every(4.0..8.0, LINK, name::OUT_BYTES, |_| 100.0)
                .request(5.0, 7.0, Outcome::Unknown, None)
        };
        all(100.0).did_not_bite("100 bytes went in, and 100 came out");
        all(101.0).bit("100 were on their way and came out, none later");
    }

    #[test]
    fn two_looks_a_quarter_of_a_second_after_it_show_that_nothing_more_came_out() {
        let staged = |first: f64| {
            swallowed(1.0)
                .at(4.1, LINK, name::OUT_BYTES, 5.0)
                .at(first, LINK, name::OUT_BYTES, 9.0)
                .at(7.9, LINK, name::OUT_BYTES, 9.0)
                .request(5.0, 7.0, Outcome::Unknown, None)
        };
        staged(4.25).bit("9 were on their way and came out, none later");
        staged(4.249).did_not_bite("9 came out");
    }
}
