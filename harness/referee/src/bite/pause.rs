//! `pause`: every thread stopped and no CPU ticks at every sample, and somebody waited for it.

use super::case::{Case, Place, When, count};
use super::instances::taken_over;
use super::lack::{ALONE, FITTING, LOAD, LONGER, Lack, lack};
use super::unmet::of_cache;
use super::{PlaceEvidence, consumer, node};
use crate::bite::name;
use crate::scenario::{Server, Victim};

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let Place::Process(victim) = place else {
        return Err(lack("a link cannot be paused", FITTING));
    };
    let threads = case.values(place, name::THREADS, When::During);
    let stopped = case.values(place, name::THREADS_STOPPED, When::During);
    let ticks = case.values(place, name::CPU_TICKS, When::During);
    // One look cannot tell whether time was used between looks.
    if threads.len() < 2 || threads.len() != stopped.len() || threads.len() != ticks.len() {
        let what = "its threads were not looked at twice while it was in force";
        return Err(lack(what, LONGER));
    }
    let moving = threads
        .iter()
        .zip(&stopped)
        .filter(|(all, stopped)| **all == 0.0 || all != stopped)
        .count();
    if moving > 0 {
        let what = format!(
            "not every thread was stopped at {moving} of {}",
            count(threads.len(), "look")
        );
        return Err(lack(what, ALONE));
    }
    if ticks.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(lack("it used CPU time while it was stopped", ALONE));
    }
    let effect = match (taken_over(case, victim)?, victim) {
        (Some(taken_over), _) => taken_over,
        (None, Victim::Server(Server::BrokerNode(_))) => node::held_up(case)?,
        (None, Victim::REDIS) => of_cache(case).ok_or_else(|| {
            let what = "every thread was stopped, but no read and no invalidation felt it";
            lack(what, LOAD)
        })?,
        (None, _) => format!("{} waited", waiting(case, victim)?),
    };
    Ok(format!(
        "all {} threads stopped at each of {} without CPU time; {effect}",
        threads[0],
        count(threads.len(), "look")
    ))
}

/// Returns, in words, how much waited for the paused process; the error says why nothing did.
fn waiting(case: &Case<'_>, victim: Victim) -> Result<String, Lack> {
    let events = match victim {
        Victim::Server(Server::Broker(_)) => !case.strategy.publishes_in_request(),
        Victim::Relay(_) => case.strategy.has_outbox,
        // Of one of several brokers it tells nothing what waits: another takes its place.
        Victim::OrderService
        | Victim::Server(Server::Database(_) | Server::Redis | Server::BrokerNode(_))
        | Victim::Consumer(_) => false,
    };
    let waiting = match victim {
        Victim::Server(Server::Broker(_)) | Victim::Relay(_) if events => {
            let unseen = case.demand.unseen(case.healing_ns);
            (unseen > 0).then(|| format!("the event of {}", count(unseen, "change")))
        }
        Victim::Consumer(name) => {
            let away = case.injected_ns..=case.healing_ns;
            let records = consumer::waiting(case, name, away, case.healing_ns);
            records.map(|records| format!("{records} that came to the topic meanwhile"))
        }
        Victim::OrderService | Victim::Server(_) | Victim::Relay(_) => {
            let hung = case.demand.hung(case.injected_ns, case.healing_ns);
            (hung > 0).then(|| count(hung, "request"))
        }
    };
    waiting.ok_or_else(|| {
        let what = if case.demand.failed_before(case.injected_ns) {
            "every thread was stopped, but requests had come to nothing before it already"
        } else {
            "every thread was stopped, but nothing waited for it"
        };
        lack(what, LOAD)
    })
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;

    use crate::history::Outcome;
    use crate::scenario::{FaultKind, Target, Victim};
    const PROCESS: &str = "relay";

    fn stopped(stopped: impl Fn(f64) -> f64, ticks: impl Fn(f64) -> f64) -> Staged {
        Staged::new(Target::Process(Victim::RELAY), FaultKind::Pause, polling())
            .every(3.0..8.0, PROCESS, name::THREADS, |_| 5.0)
            .every(3.0..8.0, PROCESS, name::THREADS_STOPPED, stopped)
            .every(3.0..8.0, PROCESS, name::CPU_TICKS, ticks)
    }

    fn still() -> Staged {
        stopped(|t| if t < 4.0 { 0.0 } else { 5.0 }, |t| t.min(4.0))
    }

    fn waiting(staged: Staged) -> Staged {
        staged.request(5.0, 5.1, Outcome::Committed, Some(9.0))
    }

    #[test]
    fn one_look_or_looks_that_saw_not_everything_prove_nothing() {
        let once = Staged::new(Target::Process(Victim::RELAY), FaultKind::Pause, polling())
            .at(5.0, PROCESS, name::THREADS, 5.0)
            .at(5.0, PROCESS, name::THREADS_STOPPED, 5.0)
            .at(5.0, PROCESS, name::CPU_TICKS, 0.0);
        waiting(once).did_not_bite("not looked at twice");
        for unseen in [name::THREADS_STOPPED, name::CPU_TICKS] {
            waiting(still().without(unseen)).did_not_bite("not looked at twice");
        }
        // A look at which no thread was there at all
        let gone = still().at(6.05, PROCESS, name::THREADS, 0.0);
        let gone = gone.at(6.05, PROCESS, name::THREADS_STOPPED, 0.0);
        waiting(gone.at(6.05, PROCESS, name::CPU_TICKS, 4.0)).did_not_bite("not every thread");
    }

    #[test]
    fn a_paused_service_or_database_is_missed_by_requests_that_hang() {
        for (victim, kind) in [
            (Victim::OrderService, polling()),
            (Victim::POSTGRES, polling()),
            (Victim::KAFKA, dual_write()),
        ] {
            let place = victim.name();
            let still = Staged::new(Target::Process(victim), FaultKind::Pause, kind)
                .every(4.0..8.0, place, name::THREADS, |_| 5.0)
                .every(4.0..8.0, place, name::THREADS_STOPPED, |_| 5.0)
                .every(4.0..8.0, place, name::CPU_TICKS, |_| 4.0);
            // An event that waits is not what waits for these
            let still = waiting(still);
            still.did_not_bite("nothing waited for it");
            let hung = still.request(5.0, 7.0, Outcome::Unknown, None);
            hung.bit("1 request waited");
            // What came to nothing before it already is not what waits for these either
            let before = hung.request(2.5, 3.5, Outcome::Unknown, None);
            before.did_not_bite("requests had come to nothing before it already");
        }
    }

    #[test]
    fn given_a_change_that_was_lost_before_when_paused_then_it_waits_for_nobody() {
        still()
            .request(1.0, 1.1, Outcome::Committed, None)
            .request(3.0, 3.1, Outcome::Committed, Some(3.2))
            .did_not_bite("nothing waited for it");
    }

    #[test]
    fn every_thread_stands_still_and_something_waits() {
        waiting(still()).bit("all 5 threads stopped");
        still().did_not_bite("nothing waited");
        waiting(stopped(|_| 4.0, |_| 7.0)).did_not_bite("not every thread");
        waiting(stopped(|_| 5.0, |t| t)).did_not_bite("used CPU time");
        waiting(still().without(name::THREADS)).did_not_bite("not looked at");
    }

    #[test]
    fn two_looks_are_enough() {
        let look = |staged: Staged, at: f64| {
            staged
                .at(at, PROCESS, name::THREADS, 5.0)
                .at(at, PROCESS, name::THREADS_STOPPED, 5.0)
                .at(at, PROCESS, name::CPU_TICKS, 4.0)
        };
        let paused = Staged::new(Target::Process(Victim::RELAY), FaultKind::Pause, polling());
        waiting(look(look(paused, 5.0), 6.0)).bit("all 5 threads stopped at each of 2 looks");
    }

    #[test]
    fn time_that_was_used_between_any_two_looks_was_used() {
        let used_at = |second: f64| stopped(|_| 5.0, move |t| if t < second { 4.0 } else { 5.0 });
        for second in [4.05, 6.0, 7.85] {
            waiting(used_at(second)).did_not_bite("used CPU time");
        }
    }
}
