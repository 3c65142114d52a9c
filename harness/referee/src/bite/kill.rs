//! `kill`: exit by signal 9, it was missed, and the successor worked.

use super::case::{Case, Place};
use super::lack::{ALONE, FITTING, LOGS, lack};
use super::{PlaceEvidence, succession};

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let Place::Process(victim) = place else {
        return Err(lack("a link cannot be killed", FITTING));
    };
    let lives = succession::lives(case, victim);
    let exit = succession::exit(case, &lives)?;
    if exit.exit != libc::SIGKILL {
        let what = format!("it did not end by signal 9 (exit {})", exit.exit);
        return Err(lack(what, LOGS));
    }
    if succession::told_to_end(&lives, exit).is_some() {
        let what = "it was ending already, as another fault had told it to";
        return Err(lack(what, ALONE));
    }
    succession::judge(case, victim, &lives, (exit, "ended by signal 9"))
}

#[cfg(test)]
mod tests {
    use crate::bite::staged::*;

    use crate::history::{Intent, Life, Outcome};
    use crate::scenario::{FaultKind, StrategyKind, Target, Victim};
    use std::time::Duration;

    fn killed(victim: Victim, exit: i32) -> Staged {
        Staged::new(Target::Process(victim), FaultKind::Kill, polling())
            .life(victim.name(), 0.0, Life::Started, 0)
            .life(victim.name(), 0.1, Life::Ready, 0)
            .life(victim.name(), 3.995, Life::Exited, exit)
    }

    fn back(staged: Staged, victim: Victim) -> Staged {
        staged
            .life(victim.name(), 8.0, Life::Started, 0)
            .life(victim.name(), 8.01, Life::Ready, 0)
    }

    #[test]
    fn given_a_process_that_another_fault_had_told_to_end_then_its_death_is_not_of_this_kill() {
        let victim = Victim::RELAY;
        let staged = |told: bool| {
            let staged = killed(victim, 9);
            let staged = match told {
                true => staged.life(victim.name(), 2.0, Life::Terminating, 0),
                false => staged,
            };
            back(staged, victim).request(5.0, 5.1, Outcome::Committed, Some(8.5))
        };
        staged(false).bit("1 change committed meanwhile");
        staged(true).did_not_bite("it was ending already, as another fault had told it to");
    }

    #[test]
    fn an_order_service_dies_with_requests_in_flight() {
        let victim = Victim::OrderService;
        let cut_off = |s: Staged| s.request(3.98, 4.0, Outcome::Unknown, None);
        let works = |s: Staged| s.request(9.0, 9.1, Outcome::Committed, Some(9.2));
        works(cut_off(back(killed(victim, 9), victim))).bit("1 request in flight");
        works(back(killed(victim, 9), victim)).did_not_bite("nothing was on its way");
        // What was refused while it was dead found nobody
        let refused = |s: Staged| s.request(6.0, 6.0, Outcome::NotSent, None);
        works(refused(back(killed(victim, 9), victim))).bit("1 request refused until");
        // What was answered all the same was not cut off
        let answered = |s: Staged| s.request(3.98, 4.0, Outcome::Committed, None);
        works(answered(back(killed(victim, 9), victim))).did_not_bite("nothing was on its way");
        cut_off(back(killed(victim, 9), victim)).did_not_bite("never seen to work");
        works(cut_off(killed(victim, 9))).did_not_bite("no successor");
        works(cut_off(back(killed(victim, 15), victim))).did_not_bite("not end by signal 9");
        let mut alive = back(killed(victim, 9), victim);
        alive.0.processes.retain(|e| e.life != Life::Exited);
        works(cut_off(alive)).did_not_bite("exit was not seen");
    }

    #[test]
    fn an_order_service_with_its_outbox_inside_is_missed_by_events_too() {
        let victim = Victim::OrderService;
        let killed = |kind| {
            let target = Target::Process(victim);
            let staged = Staged::new(target, FaultKind::Kill, kind)
                .life(victim.name(), 0.0, Life::Started, 0)
                .life(victim.name(), 0.1, Life::Ready, 0)
                .life(victim.name(), 3.995, Life::Exited, 9);
            back(staged, victim).request(9.0, 9.1, Outcome::Committed, Some(9.2))
        };
        let waiting = |s: Staged| s.request(3.0, 3.1, Outcome::Committed, Some(8.5));
        waiting(killed(outbox_inside())).bit("1 change committed and not yet seen");
        // Of one that publishes elsewhere, or while it answers, that tells nothing
        waiting(killed(polling())).did_not_bite("nothing was on its way");
        waiting(killed(dual_write())).did_not_bite("nothing was on its way");
    }

    #[test]
    fn given_a_two_phase_commit_when_a_server_or_its_recoverer_dies_then_who_waits_for_it_tells() {
        let killed = |victim: Victim| {
            let staged = Staged::new(Target::Process(victim), FaultKind::Kill, two_phase())
                .life(victim.name(), 0.0, Life::Started, 0)
                .life(victim.name(), 0.1, Life::Ready, 0)
                .life(victim.name(), 3.995, Life::Exited, 9);
            back(staged, victim).request(9.0, 9.1, Outcome::Committed, Some(9.2))
        };
        // Of the broker requests wait, and no events
        let hung = |s: Staged| s.request(3.9, 8.5, Outcome::Unknown, None);
        let waiting = |s: Staged| s.request(3.0, 3.1, Outcome::Committed, Some(8.5));
        hung(killed(Victim::KAFKA)).bit("1 request in flight");
        waiting(killed(Victim::KAFKA)).did_not_bite("nothing was on its way");
        // Nor do events wait for the recoverer: what was left in doubt does, see `instances`
        waiting(killed(Victim::RELAY)).did_not_bite("it stood by");
        killed(Victim::RELAY).did_not_bite("nothing was on its way");
        // And the order service, which is its coordinator, for nothing of that
        waiting(killed(Victim::OrderService)).did_not_bite("nothing was on its way");
    }

    #[test]
    fn a_relay_dies_with_committed_changes_unseen() {
        let victim = Victim::RELAY;
        let seen = |at| back(killed(victim, 9), victim).request(3.0, 3.1, Outcome::Committed, at);
        seen(Some(8.5)).bit("1 change committed and not yet seen");
        seen(Some(3.2)).did_not_bite("nothing was on its way");
        seen(None).did_not_bite("never seen to work");
    }

    #[test]
    fn given_requests_that_ran_out_of_time_when_the_service_dies_then_they_are_no_evidence() {
        let victim = Victim::OrderService;
        let staged = back(killed(victim, 9), victim)
            .request(1.99, 3.992, Outcome::Unknown, None)
            .request(9.0, 9.1, Outcome::Committed, Some(9.2));
        staged.did_not_bite("nothing was on its way");
    }

    #[test]
    fn given_events_that_come_twice_because_of_it_then_something_was_on_its_way() {
        let victim = Victim::RELAY;
        let next = |s: Staged| s.request(8.5, 8.6, Outcome::Committed, Some(8.7));
        let seen =
            next(back(killed(victim, 9), victim).request(3.0, 3.1, Outcome::Committed, Some(3.2)));
        seen.did_not_bite("nothing was on its way");
        let again = |at| {
            let seen = back(killed(victim, 9), victim);
            next(
                seen.request(3.0, 3.1, Outcome::Committed, Some(3.2))
                    .again(0, at),
            )
        };
        again(8.5).bit("1 event seen before and again after it");
        // What came twice before it died was nothing to do with it
        again(3.5).did_not_bite("nothing was on its way");
        // Whether its successor came with the first start or a later one
        let failed =
            again(8.5)
                .life("relay", 5.0, Life::Started, 0)
                .life("relay", 5.1, Life::Exited, -2);
        failed.bit("1 event seen before and again after it; the successor");
        // Nor what came twice because its successor died
        let second = again(9.5).life("relay", 9.0, Life::Exited, 9);
        second.did_not_bite("nothing was on its way");
    }

    #[test]
    fn given_a_transaction_open_in_the_log_when_its_reader_dies_then_it_was_on_its_way() {
        let victim = Victim::RELAY;
        let held = |kind: StrategyKind| {
            let mut staged =
                back(killed(victim, 9), victim).request(3.5, 8.5, Outcome::Committed, Some(8.6));
            staged.0.meta.scenario.strategies[0].kind = kind;
            staged.0.meta.scenario.workload.hold = Duration::from_millis(4_900);
            staged.0.requests.open()[0].intent = Intent::Hold;
            staged
        };
        held(StrategyKind::Cdc {}).bit("1 transaction open in the log that it read");
        held(StrategyKind::Debezium {}).bit("1 transaction open");
        // A polling relay sees nothing of it before it is committed
        held(polling()).did_not_bite("nothing was on its way");
    }

    #[test]
    fn given_a_change_that_was_lost_before_then_it_was_not_on_its_way() {
        let victim = Victim::RELAY;
        back(killed(victim, 9), victim)
            .request(1.0, 1.1, Outcome::Committed, None)
            .request(3.0, 3.1, Outcome::Committed, Some(3.2))
            .request(8.5, 8.6, Outcome::Committed, Some(8.7))
            .did_not_bite("nothing was on its way");
    }

    #[test]
    fn given_changes_that_wait_for_the_successor_then_the_relay_was_missed() {
        let victim = Victim::RELAY;
        let seen = |at| back(killed(victim, 9), victim).request(5.0, 5.1, Outcome::Committed, at);
        seen(Some(8.5)).bit("1 change committed meanwhile and seen only after it");
        // Another relay carried it
        seen(Some(5.2)).did_not_bite("nothing was on its way");
    }

    #[test]
    fn only_its_own_exit_at_the_injection_and_a_successor_after_it_count() {
        let victim = Victim::OrderService;
        let loaded = |s: Staged| {
            s.request(3.98, 4.0, Outcome::Unknown, None).request(
                9.0,
                9.1,
                Outcome::Committed,
                Some(9.2),
            )
        };
        let set = |change: fn(&mut crate::history::ProcessEvent)| {
            let mut staged = loaded(back(killed(victim, 9), victim));
            staged.0.processes.iter_mut().for_each(change);
            staged
        };
        set(|_| {}).bit("1 request in flight");
        // Another process died; this one was only asked to end; it died before, and after
        set(|e| e.process = "relay".into()).did_not_bite("exit was not seen");
        let asked = |e: &mut crate::history::ProcessEvent| {
            if e.life == Life::Exited {
                e.life = Life::Terminating;
            }
        };
        set(asked).did_not_bite("exit was not seen");
        for at_ns in [ns(2.0), ns(6.0)] {
            let mut staged = set(|_| {});
            for event in &mut staged.0.processes {
                if event.life == Life::Exited {
                    event.at_ns = at_ns;
                }
            }
            staged.did_not_bite("exit was not seen");
        }
        // A successor that was started and never ready
        let started = |e: &mut crate::history::ProcessEvent| {
            if e.at_ns > ns(5.0) {
                e.life = Life::Started;
            }
        };
        set(started).did_not_bite("no successor");
    }

    #[test]
    fn a_database_and_a_dual_writes_broker_are_missed_by_requests_that_hang() {
        let works = |s: Staged| s.request(9.0, 9.1, Outcome::Committed, Some(9.2));
        let victim = Victim::POSTGRES;
        let hung = |s: Staged| s.request(5.0, 7.0, Outcome::Unknown, None);
        works(hung(back(killed(victim, 9), victim))).bit("1 request in flight");
        works(back(killed(victim, 9), victim)).did_not_bite("nothing was on its way");
        // A dual write waits for the broker in its request, a relay does not
        let victim = Victim::KAFKA;
        let naive = |s: Staged| {
            let mut s = back(s, victim);
            s.0.meta.scenario.strategies[0].kind = dual_write();
            s
        };
        works(hung(naive(killed(victim, 9)))).bit("1 request in flight");
        works(naive(killed(victim, 9))).did_not_bite("nothing was on its way");
        works(hung(back(killed(victim, 9), victim))).did_not_bite("nothing was on its way");
    }

    #[test]
    fn a_broker_is_missed_by_what_waits_for_it() {
        let victim = Victim::KAFKA;
        let seen = |at| back(killed(victim, 9), victim).request(5.0, 5.1, Outcome::Committed, at);
        seen(Some(9.0)).bit("1 event first seen after");
        seen(Some(5.2)).did_not_bite("nothing was on its way");
    }

    #[test]
    fn given_a_database_that_was_killed_when_only_events_wait_then_nothing_was_on_its_way() {
        for victim in [Victim::POSTGRES, Victim::OrderService] {
            back(killed(victim, 9), victim)
                .request(3.0, 3.1, Outcome::Committed, Some(9.0))
                .request(9.0, 9.1, Outcome::Committed, Some(9.2))
                .did_not_bite("nothing was on its way");
        }
    }
}
