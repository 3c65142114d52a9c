//! `reset_peer`: a reset on a connection opened after the injection (older ones get a FIN), and the
//! system lost connections.

use super::PlaceEvidence;
use super::case::{Case, Place, When, count};
use super::lack::{ALONE, LOAD, LONGER, lack};
use super::needs::{LinkNeeds, LinkReading, Question, exchange_within};
use super::unmet::unmet;
use crate::bite::name;

/// Connections are reset so many milliseconds after they were made.
pub(super) fn needs(timeout_ms: u64) -> LinkNeeds {
    let within = exchange_within(timeout_ms);
    LinkNeeds::read(&[LinkReading::Opened, LinkReading::Ended])
        .asking(Question::IsReset { within })
        .and_reconnects()
}

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let (toxicity, _) = case.fault.kind.aim();
    let probes = case.values(place, name::PROBE_RESET, When::During);
    let resets = probes.iter().filter(|reset| **reset == 1.0).count();
    let tried = count(probes.len(), "new connection");
    if resets == 0 {
        return Err(lack(format!("none of {tried} was reset"), LONGER));
    }
    if toxicity >= 1.0 && resets < probes.len() {
        let what = format!("only {resets} of {tried} were reset");
        return Err(lack(what, ALONE));
    }
    let ended = case.last(place, name::ENDED).unwrap_or(0.0);
    let failures = case.client_failures(place);
    if ended == 0.0 && failures == 0.0 {
        return match unmet(case, place) {
            Some(unmet) => Ok(format!("{resets} of {tried} were reset, and {unmet}")),
            None => {
                let what =
                    format!("{resets} of {tried} were reset, but the system lost none of its own");
                Err(lack(what, LOAD))
            }
        };
    }
    Ok(format!(
        "{resets} of {tried} were reset; the system lost {} and reported {failures} failures",
        count(ended as usize, "connection")
    ))
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::scenario::{FaultKind, Link, Stream, Target, Toxic};

    const LINK: &str = "orders->postgres";

    fn tried(toxicity: f32, reset: impl Fn(f64) -> f64, ended: f64) -> Staged {
        let kind = FaultKind::Toxic {
            toxic: Toxic::ResetPeer { timeout: 0 },
            stream: Stream::Upstream,
            toxicity,
        };
        Staged::new(Target::Link(Link::ORDERS_POSTGRES), kind, polling())
            .every(3.0..3.9, LINK, name::PROBE_RESET, |_| 0.0)
            .every(4.0..8.0, LINK, name::PROBE_RESET, reset)
            .at(7.9, LINK, name::ENDED, ended)
    }

    #[test]
    fn new_connections_are_reset_and_the_system_loses_its_own() {
        tried(1.0, |_| 1.0, 4.0).bit("the system lost 4 connections");
        tried(1.0, |_| 1.0, 0.0).did_not_bite("lost none of its own");
        tried(1.0, |_| 1.0, 0.0)
            .at(5.0, LINK, name::CLIENT_FAILURES, 2.0)
            .bit("reported 2 failures");
        tried(1.0, |_| 0.0, 4.0).did_not_bite("none of 40 new connections was reset");
        tried(1.0, |t| f64::from(u8::from(t > 5.0)), 4.0).did_not_bite("only");
        tried(0.5, |t| f64::from(u8::from(t > 5.0)), 4.0).bit("were reset");
        tried(1.0, |_| 1.0, 4.0)
            .without(name::PROBE_RESET)
            .did_not_bite("none of 0 new connections");
    }
}
