//! `old_snapshot`: the snapshot was the oldest of the database, and rows became dead that no vacuum could remove.

use super::PlaceEvidence;
use super::case::{Case, Place, count};
use super::lack::{ALONE, FITTING, LOAD, LOGS, LONGER, lack};
use crate::history::{DEAD_ROWS, HORIZON_HELD};
use crate::scenario::Victim;

/// It is looked at twice a second. The last look at its session is no longer before the heal, and no two are further apart.
const AT_THE_END_NS: i64 = 1_500_000_000;
const BETWEEN_NS: i64 = 2_000_000_000;

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    match place {
        Place::Process(Victim::Server(server)) if server.has_database_faults() => {}
        Place::Process(_) | Place::Link(_) => {
            return Err(lack("only the database server has snapshots", FITTING));
        }
    }
    let in_force = case.injected_ns..=case.healing_ns;
    let looks = series(case, HORIZON_HELD).filter(|(at_ns, _)| in_force.contains(at_ns));
    let (times, held): (Vec<i64>, Vec<f64>) = looks.unzip();
    if held.len() < 2 {
        let what = "whose snapshot is the oldest was not looked at twice while it was in force";
        return Err(lack(what, LONGER));
    }
    let younger = held.iter().filter(|held| **held < 1.0).count();
    if younger > 0 {
        let what = format!(
            "another snapshot was older at {younger} of {}",
            count(held.len(), "look")
        );
        return Err(lack(what, ALONE));
    }
    // A look that does not find the session says nothing: one that ended before the heal is seen by what is missing.
    let last_ns = times.last().copied().unwrap_or(case.injected_ns);
    if case.healing_ns - last_ns > AT_THE_END_NS {
        let what = format!(
            "its session was last seen {:.1} s before it was ended",
            (case.healing_ns - last_ns) as f64 / 1e9
        );
        return Err(lack(what, LOGS));
    }
    let starts = std::iter::once(case.injected_ns).chain(times.iter().copied());
    let unseen_ns = starts.zip(&times).map(|(from, until)| until - from).max();
    if let Some(unseen_ns) = unseen_ns.filter(|unseen_ns| *unseen_ns > BETWEEN_NS) {
        let what = format!(
            "for {:.1} s its session was not seen",
            unseen_ns as f64 / 1e9
        );
        return Err(lack(what, LOGS));
    }
    let before = series(case, DEAD_ROWS).rfind(|(at_ns, _)| *at_ns <= case.injected_ns);
    let most = during(case, DEAD_ROWS).reduce(f64::max);
    let (Some((_, before)), Some(most)) = (before, most) else {
        let what = "dead rows were not sampled before it and while it was in force";
        return Err(lack(what, LONGER));
    };
    if most <= before {
        return Err(lack("no more rows were dead than before it", LOAD));
    }
    Ok(format!(
        "its snapshot was the oldest at each of {}; dead rows rose from {before} to {most}, and no vacuum could \
         remove those",
        count(held.len(), "look")
    ))
}

/// The samples of a series, with their times.
fn series<'c>(
    case: &'c Case<'_>,
    name: &'c str,
) -> impl DoubleEndedIterator<Item = (i64, f64)> + 'c {
    let samples = case.history.samples.iter();
    let of_it = samples.filter(move |sample| sample.series == name);
    of_it.map(|sample| (sample.at_ns, sample.value))
}

/// Those while the fault was in force.
fn during<'c>(case: &'c Case<'_>, name: &'c str) -> impl Iterator<Item = f64> + 'c {
    let in_force = case.injected_ns..=case.healing_ns;
    let of_it = series(case, name).filter(move |(at_ns, _)| in_force.contains(at_ns));
    of_it.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use crate::bite::staged::*;
    use crate::scenario::{FaultKind, Target, Victim};

    fn snapshot() -> Staged {
        let target = Target::Process(Victim::POSTGRES);
        Staged::new(target, FaultKind::OldSnapshot, polling())
    }

    fn growing() -> Staged {
        let times = [3.5, 4.5, 5.5, 6.5, 7.5];
        times
            .into_iter()
            .fold(snapshot(), |s, at| s.dead_rows(at, at * 100.0))
    }

    fn held(staged: Staged) -> Staged {
        [4.5, 5.5, 6.5, 7.5]
            .into_iter()
            .fold(staged, |s, at| s.horizon(at, 1.0))
    }

    #[test]
    fn given_the_oldest_snapshot_and_rows_that_became_dead_then_it_bit() {
        held(growing()).bit("the oldest at each of 4 looks; dead rows rose from 350 to 750");
    }

    #[test]
    fn given_a_snapshot_that_was_not_the_oldest_or_was_not_looked_at_then_it_did_not_bite() {
        growing().did_not_bite("not looked at twice");
        growing()
            .horizon(5.0, 1.0)
            .did_not_bite("not looked at twice");
        held(growing())
            .horizon(5.0, 0.0)
            .did_not_bite("another snapshot was older at 1 of 5 looks");
        // Looks before and after it tell nothing of it
        let outside = growing().horizon(3.0, 1.0).horizon(9.0, 1.0);
        outside.did_not_bite("not looked at twice");
    }

    #[test]
    fn given_a_session_that_ended_before_the_heal_or_was_not_seen_for_long_then_it_did_not_bite() {
        let looked = |times: &[f64]| {
            let times = times.iter();
            times.fold(growing(), |s, at| s.horizon(*at, 1.0))
        };
        looked(&[4.5, 5.0, 5.5, 6.0])
            .did_not_bite("its session was last seen 2.0 s before it was ended");
        looked(&[4.5, 5.0, 7.5]).did_not_bite("for 2.5 s its session was not seen");
        looked(&[6.5, 7.0, 7.5]).did_not_bite("for 2.5 s its session was not seen");
        looked(&[5.0, 6.9]).bit("the oldest at each of 2 looks");
    }

    #[test]
    fn given_no_rows_that_became_dead_then_it_did_not_bite() {
        held(snapshot()).did_not_bite("dead rows were not sampled");
        let removed = held(snapshot().dead_rows(3.5, 10.0).dead_rows(5.0, 10.0));
        removed.did_not_bite("no more rows were dead than before it");
        let later = held(snapshot().dead_rows(3.5, 10.0).dead_rows(5.0, 9.0));
        later
            .dead_rows(8.5, 99.0)
            .did_not_bite("no more rows were dead");
    }
}
