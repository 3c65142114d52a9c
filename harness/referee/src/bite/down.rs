//! `down`: probes are refused throughout, and the system's connections fall from some to none.

use super::PlaceEvidence;
use super::case::{Case, Place, When, count};
use super::lack::{ALONE, LOAD, LOCAL, LONGER, lack};
use super::needs::{LinkNeeds, Question};
use super::unmet::unmet;
use crate::bite::name;

pub(super) const NEEDS: LinkNeeds = LinkNeeds::NOTHING.asking(Question::IsRefused);

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let probes = case.values(place, name::PROBE_REFUSED, When::During);
    let made = probes.iter().filter(|refused| **refused == 0.0).count();
    if probes.is_empty() {
        return Err(lack(
            "no connection was tried while it was in force",
            LONGER,
        ));
    }
    if made > 0 {
        let what = format!(
            "{made} of {} were not refused",
            count(probes.len(), "probe")
        );
        return Err(lack(what, ALONE));
    }
    let before = case
        .largest(place, name::SOCKETS, When::Before)
        .unwrap_or(0.0);
    let sockets = case.values(place, name::SOCKETS, When::During);
    let fewest = sockets.iter().copied().reduce(f64::min);
    let failures = case.client_failures(place);
    let effect = match fewest {
        None => return Err(lack("the system's connections were not counted", LOCAL)),
        Some(left) if left > 0.0 => {
            let what = format!("the system kept {left} connections");
            return Err(lack(what, ALONE));
        }
        Some(_) if before > 0.0 => format!("the system's connections fell from {before} to 0"),
        Some(_) if failures > 0.0 => {
            format!("the system had no connection and reported {failures} failures")
        }
        Some(_) => match unmet(case, place) {
            Some(unmet) => format!("the system had no connection, and {unmet}"),
            None => {
                let what = "the system had no connection on it and asked for none";
                return Err(lack(what, LOAD));
            }
        },
    };
    Ok(format!(
        "{} refused, {effect}",
        count(probes.len(), "probe")
    ))
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::scenario::{FaultKind, Link, Target};

    const LINK: &str = "relay->kafka";

    fn refused(sockets: impl Fn(f64) -> f64) -> Staged {
        let target = Target::Link(Link::RELAY_KAFKA);
        Staged::new(target, FaultKind::Down, polling())
            .every(3.0..3.9, LINK, name::PROBE_REFUSED, |_| 0.0)
            .every(4.0..8.0, LINK, name::PROBE_REFUSED, |_| 1.0)
            .every(3.0..8.0, LINK, name::SOCKETS, sockets)
    }

    #[test]
    fn refused_throughout_and_cut_off() {
        let cut = refused(|t| if t < 4.0 { 2.0 } else { 0.0 });
        cut.bit("connections fell from 2 to 0");
        cut.at(5.0, LINK, name::PROBE_REFUSED, 0.0)
            .did_not_bite("1 of 41 probes were not refused");
    }

    #[test]
    fn a_system_without_a_connection_must_have_asked_for_one() {
        refused(|_| 0.0).did_not_bite("asked for none");
        refused(|_| 0.0)
            .at(5.0, LINK, name::CLIENT_FAILURES, 7.0)
            .bit("reported 7 failures");
    }

    #[test]
    fn a_system_that_kept_its_connections_was_not_cut_off() {
        refused(|_| 2.0).did_not_bite("kept 2 connections");
    }

    #[test]
    fn what_was_not_measured_did_not_bite() {
        let cut = |t| if t < 4.0 { 2.0 } else { 0.0 };
        refused(cut)
            .without(name::PROBE_REFUSED)
            .did_not_bite("no connection was tried");
        refused(cut)
            .without(name::SOCKETS)
            .did_not_bite("were not counted");
    }
}
