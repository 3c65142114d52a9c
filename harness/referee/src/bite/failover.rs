//! `failover`: exit by signal 9, it was missed, and what works at its address now is what was promoted.

use super::case::{Case, Place};
use super::lack::{LOGS, lack};
use super::{PlaceEvidence, kill, name};

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    // The server that was killed would have gone on with its own when it was started again.
    let (Some(before), Some(after)) = (
        case.at_the_end(place, name::TIMELINE_FOLLOWED),
        case.at_the_end(place, name::TIMELINE_TAKEN_UP),
    ) else {
        return Err(lack("no standby was seen to take its place", LOGS));
    };
    if after <= before {
        let what = format!("whoever took its place is on its timeline still ({after})");
        return Err(lack(what, LOGS));
    }
    let killed = kill::judge(case, place)?;
    Ok(format!(
        "{killed}; that is the standby, which was promoted to timeline {after}"
    ))
}

#[cfg(test)]
mod tests {
    use crate::bite::staged::*;
    use crate::history::{Life, Outcome};
    use crate::scenario::{FaultKind, Target, Victim};

    /// A server that was killed, and one at its address since that is on this timeline.
    fn taken_over(exit: i32, timeline: Option<f64>) -> Staged {
        let name = Victim::POSTGRES.name();
        let target = Target::Process(Victim::POSTGRES);
        let staged = Staged::new(target, FaultKind::Failover, polling())
            .life(name, 0.1, Life::Ready, 0)
            .life(name, 3.995, Life::Exited, exit)
            .life(name, 8.0, Life::Started, 0)
            .life(name, 8.01, Life::Ready, 0)
            .request(5.0, 7.0, Outcome::Unknown, None)
            .request(9.0, 9.1, Outcome::Committed, Some(9.2));
        match timeline {
            Some(timeline) => staged.at(8.015, name, "timeline_followed", 2.0).at(
                8.015,
                name,
                "timeline_taken_up",
                timeline,
            ),
            None => staged,
        }
    }

    #[test]
    fn given_a_server_that_was_killed_and_a_standby_on_a_new_timeline_then_it_bit() {
        taken_over(9, Some(3.0)).bit("that is the standby, which was promoted to timeline 3");
    }

    #[test]
    fn given_the_same_server_again_or_one_that_was_not_killed_then_it_did_not_bite() {
        taken_over(9, Some(2.0)).did_not_bite("is on its timeline still (2)");
        taken_over(9, None).did_not_bite("no standby was seen to take its place");
        taken_over(15, Some(3.0)).did_not_bite("it did not end by signal 9");
    }
}
