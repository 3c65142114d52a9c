//! `limit_data`: a connection ended at or under N bytes, and the system reconnected.

use super::PlaceEvidence;
use super::case::{Case, Place, When, count};
use super::lack::{ALONE, FITTING, LOCAL, ROOM, STRONGER, lack};
use super::needs::{LinkNeeds, LinkReading};
use crate::bite::name;
use crate::scenario::{FaultKind, Toxic};

pub(super) const NEEDS: LinkNeeds = LinkNeeds::read(&[
    LinkReading::InBytes,
    LinkReading::OutBytes,
    LinkReading::MostOutBytes,
    LinkReading::Opened,
    LinkReading::Ended,
])
.and_reconnects();

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let FaultKind::Toxic {
        toxic: Toxic::LimitData { bytes: limit },
        toxicity,
        ..
    } = case.fault.kind
    else {
        return Err(lack("it is no limit_data", FITTING));
    };
    let most = case
        .last(place, name::MOST_OUT_BYTES)
        .ok_or_else(|| lack("what came out of the proxy was not measured", LOCAL))?;
    // Below 1 some connections are left alone and carry what they like.
    if toxicity >= 1.0 && most > limit as f64 {
        let what = format!("a connection carried {most} bytes, more than {limit}");
        return Err(lack(what, ALONE));
    }
    let ended = case.last(place, name::ENDED).unwrap_or(0.0);
    if ended == 0.0 {
        let what = format!(
            "no connection ended while it was in force (the busiest carried {most} bytes of {limit})"
        );
        return Err(lack(what, STRONGER));
    }
    let opened = [When::During, When::After]
        .into_iter()
        .filter_map(|when| case.largest(place, name::OPENED, when))
        .fold(0.0, f64::max);
    if opened == 0.0 {
        let what = format!(
            "{} ended, but the system did not connect again",
            count(ended as usize, "connection")
        );
        return Err(lack(what, ROOM));
    }
    Ok(format!(
        "{} ended after at most {most} bytes (limit {limit}), and the system opened {opened} anew",
        count(ended as usize, "connection")
    ))
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::scenario::{FaultKind, Stream, Target, Toxic};

    const LINK: &str = "relay->kafka";

    fn cut(most: f64, ended: f64, opened: f64) -> Staged {
        let kind = toxic(Toxic::LimitData { bytes: 1000 }, Stream::Downstream);
        Staged::new(Target::KAFKA, kind, polling())
            .at(7.9, LINK, name::MOST_OUT_BYTES, most)
            .at(7.9, LINK, name::ENDED, ended)
            .at(8.3, LINK, name::OPENED, opened)
    }

    #[test]
    fn connections_that_are_left_alone_carry_what_they_like() {
        let mut staged = cut(5000.0, 3.0, 3.0);
        staged.0.meta.scenario.faults[0].kind = FaultKind::Toxic {
            toxic: Toxic::LimitData { bytes: 1000 },
            stream: Stream::Downstream,
            toxicity: 0.5,
        };
        staged.bit("3 connections ended");
    }

    #[test]
    fn connections_end_at_the_limit_and_are_made_again() {
        cut(1000.0, 3.0, 3.0).bit("3 connections ended after at most 1000 bytes");
        cut(1001.0, 3.0, 3.0).did_not_bite("carried 1001 bytes");
        cut(800.0, 0.0, 3.0).did_not_bite("no connection ended");
        cut(1000.0, 1.0, 0.0).did_not_bite("did not connect again");
        // Again while it was in force will do; what was seen in the middle of healing is of neither
        let in_force = cut(1000.0, 1.0, 0.0).at(7.0, LINK, name::OPENED, 1.0);
        in_force.bit("the system opened 1 anew");
        let healing = cut(1000.0, 1.0, 0.0).at(8.01, LINK, name::OPENED, 1.0);
        healing.did_not_bite("did not connect again");
        cut(1000.0, 3.0, 3.0)
            .without(name::MOST_OUT_BYTES)
            .did_not_bite("not measured");
    }
}
