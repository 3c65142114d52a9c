//! `slow_close`: a close on one side of the proxy, seen on the other side a delay later.

use super::PlaceEvidence;
use super::case::{Case, Place, When, count};
use super::lack::{FITTING, LOCAL, lack};
use super::needs::{LinkNeeds, LinkReading};
use crate::bite::name;
use crate::scenario::{FaultKind, Stream, Toxic};

const CLOSES: &str =
    "let connections be closed meanwhile: a kill of one end, or `for` over the end of its life";

/// A look counts the connections on both sides of the proxy at one moment.
#[derive(Debug, Clone, Copy)]
struct Look {
    at_ns: i64,
    /// These count the connections on the side that closes first, and on the side that learns of it late.
    closer: f64,
    other: f64,
}

impl Look {
    /// Returns how many connections are closed on the one side and still there on the other (plus a constant).
    fn excess(self) -> f64 {
        self.other - self.closer
    }
}

/// A close is passed on so many milliseconds later.
pub(super) fn needs(delay_ms: u64) -> LinkNeeds {
    LinkNeeds::read(&[LinkReading::FarSockets]).and_what_comes_within(delay_ms)
}

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let FaultKind::Toxic {
        toxic: Toxic::SlowClose { delay },
        stream,
        ..
    } = case.fault.kind
    else {
        return Err(lack("it is no slow_close", FITTING));
    };
    let (who, closer, other) = match stream {
        Stream::Upstream => ("the system", name::SOCKETS, name::FAR_SOCKETS),
        Stream::Downstream => ("the server", name::FAR_SOCKETS, name::SOCKETS),
    };
    let looks = both(case, place, closer, other);
    if looks.is_empty() {
        let what = "connections were not counted on both sides of the proxy";
        return Err(lack(what, LOCAL));
    }
    let delay_s = delay as f64 / 1e3;
    let mut closes = 0;
    for (n, pair) in looks.windows(2).enumerate() {
        let (before, after) = (pair[0], pair[1]);
        if after.closer >= before.closer || before.at_ns > case.healing_ns {
            continue;
        }
        closes += 1;
        let held = |l: &&Look| l.excess() > before.excess();
        let last_held = looks[n + 1..].iter().take_while(held).last();
        // What is never passed on was not held: the look before came while a connection was being made,
        // and was on one side alone.
        let released = looks[n + 1..].iter().find(|l| !held(l));
        let (Some(last_held), Some(released)) = (last_held, released) else {
            continue;
        };
        // Looks bound the time from both sides: between these two it really was held.
        let at_least = (last_held.at_ns - after.at_ns) as f64 / 1e9;
        let at_most = (released.at_ns - before.at_ns) as f64 / 1e9;
        if at_most >= delay_s && at_least >= delay_s / 2.0 {
            return Ok(format!(
                "{who} closed a connection, and the other side still had it {at_least:.2} s later (delay {delay_s} s)"
            ));
        }
    }
    match closes {
        0 => Err(lack(
            format!("{who} closed no connection while it was in force"),
            CLOSES,
        )),
        n => Err(lack(
            format!(
                "{} by {who} passed on before the delay, or not while anybody looked",
                count(n, "close")
            ),
            "give it a shorter `delay`, so that its end is seen",
        )),
    }
}

/// Looks taken from the injection on, at which both sides were counted.
fn both(case: &Case<'_>, place: Place, closer: &str, other: &str) -> Vec<Look> {
    let series = |name: &str| -> Vec<(i64, f64)> {
        [When::During, When::After]
            .into_iter()
            .flat_map(|when| case.timed(place, name, when).collect::<Vec<_>>())
            .collect()
    };
    let (closer, other) = (series(closer), series(other));
    if closer.len() != other.len() {
        return Vec::new();
    }
    // Both come from one look, some microseconds apart.
    closer
        .into_iter()
        .zip(other)
        .map(|((at_ns, closer), (_, other))| Look {
            at_ns,
            closer,
            other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::scenario::{Link, Stream, Target, Toxic};

    const LINK: &str = "orders->postgres";

    /// The system closes one of two connections at 5 s; the proxy passes it on at `passed`.
    fn closed(stream: Stream, closed: f64, passed: f64) -> Staged {
        let (closer, other) = match stream {
            Stream::Upstream => (name::SOCKETS, name::FAR_SOCKETS),
            Stream::Downstream => (name::FAR_SOCKETS, name::SOCKETS),
        };
        let kind = toxic(Toxic::SlowClose { delay: 1000 }, stream);
        Staged::new(Target::Link(Link::ORDERS_POSTGRES), kind, polling())
            .every(4.0..9.5, LINK, closer, move |t| {
                2.0 - f64::from(u8::from(t > closed))
            })
            .every(4.0..9.5, LINK, other, move |t| {
                2.0 - f64::from(u8::from(t > passed))
            })
    }

    #[test]
    fn a_close_that_was_held_for_less_than_the_delay_was_not_held_by_it() {
        closed(Stream::Upstream, 5.0, 5.8).did_not_bite("passed on before the delay");
        // Looks so far apart that it may have been held, or not
        let kind = toxic(Toxic::SlowClose { delay: 1000 }, Stream::Upstream);
        Staged::new(Target::Link(Link::ORDERS_POSTGRES), kind, polling())
            .at(5.0, LINK, name::SOCKETS, 2.0)
            .at(5.0, LINK, name::FAR_SOCKETS, 2.0)
            .at(5.1, LINK, name::SOCKETS, 1.0)
            .at(5.1, LINK, name::FAR_SOCKETS, 2.0)
            .at(6.2, LINK, name::SOCKETS, 1.0)
            .at(6.2, LINK, name::FAR_SOCKETS, 1.0)
            .did_not_bite("passed on before the delay");
    }

    #[test]
    fn a_look_at_one_side_alone_compares_with_nothing() {
        closed(Stream::Upstream, 5.0, 6.0)
            .at(7.05, LINK, name::FAR_SOCKETS, 1.0)
            .did_not_bite("not counted on both sides");
    }

    #[test]
    fn a_close_is_passed_on_a_delay_later() {
        closed(Stream::Upstream, 5.0, 6.0).bit("the system closed a connection");
        closed(Stream::Downstream, 5.0, 6.0).bit("the server closed a connection");
        closed(Stream::Upstream, 5.0, 5.0).did_not_bite("passed on before the delay");
        closed(Stream::Upstream, 5.0, 5.4).did_not_bite("passed on before the delay");
        closed(Stream::Upstream, 99.0, 99.0).did_not_bite("closed no connection");
        closed(Stream::Upstream, 8.5, 9.5).did_not_bite("closed no connection");
        closed(Stream::Upstream, 5.0, 6.0)
            .without(name::FAR_SOCKETS)
            .did_not_bite("not counted on both sides");
    }

    /// Looks at the two sides, one after the other.
    fn looks(looks: &[(f64, f64, f64)]) -> Staged {
        let kind = toxic(Toxic::SlowClose { delay: 1000 }, Stream::Upstream);
        let staged = Staged::new(Target::Link(Link::ORDERS_POSTGRES), kind, polling());
        looks.iter().fold(staged, |staged, (at, near, far)| {
            staged
                .at(*at, LINK, name::SOCKETS, *near)
                .at(*at, LINK, name::FAR_SOCKETS, *far)
        })
    }

    #[test]
    fn a_close_was_held_if_it_can_have_been_for_the_delay_and_was_for_half_of_it() {
        let held = |last_held: f64, released: f64| {
            looks(&[
                (5.0, 2.0, 2.0),
                (5.1, 1.0, 2.0),
                (last_held, 1.0, 2.0),
                (released, 1.0, 1.0),
            ])
        };
        held(5.9, 6.0).bit("still had it 0.80 s later");
        held(5.9, 5.999).did_not_bite("passed on before the delay");
        held(5.6, 6.2).bit("still had it 0.50 s later");
        held(5.5, 6.2).did_not_bite("passed on before the delay");
    }

    #[test]
    fn given_a_look_while_a_connection_was_being_made_when_another_is_closed_then_nothing_was_held()
    {
        looks(&[
            (4.9, 3.0, 2.0),
            (5.0, 2.0, 2.0),
            (6.5, 2.0, 2.0),
            (9.0, 2.0, 2.0),
        ])
        .did_not_bite("1 close by the system passed on before the delay, or not while anybody");
    }

    #[test]
    fn a_close_between_the_last_looks_counts_as_well() {
        looks(&[(5.0, 2.0, 2.0), (5.1, 1.0, 1.0)]).did_not_bite("1 close by the system passed on");
    }

    #[test]
    fn a_close_from_the_last_look_in_force_on_is_of_its_time_and_none_after_it() {
        let closed_after = |at: f64| {
            looks(&[
                (at, 2.0, 2.0),
                (at + 0.1, 1.0, 2.0),
                (at + 0.9, 1.0, 2.0),
                (at + 1.1, 1.0, 1.0),
            ])
        };
        closed_after(8.0).bit("still had it 0.80 s later");
        closed_after(8.05).did_not_bite("closed no connection");
    }
}
