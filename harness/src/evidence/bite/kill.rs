//! `kill`: exit by signal 9, something was in flight, and the successor worked.

use super::Finding;
use super::case::{Case, Place, count};
use crate::history::Life;
use crate::scenario::Victim;

pub(super) fn judge(case: &Case<'_>, place: Place) -> Finding {
    let Place::Process(victim) = place else {
        return Err("a link cannot be killed".into());
    };
    let mut lives = case
        .history
        .processes
        .iter()
        .filter(|e| e.process == victim.name());
    let exit = lives
        .clone()
        .find(|e| {
            e.life == Life::Exited && (case.injecting_ns..=case.injected_ns).contains(&e.at_ns)
        })
        .ok_or("its exit was not seen")?;
    if exit.exit != libc::SIGKILL {
        return Err(format!("it did not end by signal 9 (exit {})", exit.exit));
    }
    let lost = in_flight(case, victim, exit.at_ns)?;
    let ready = lives
        .find(|e| e.life == Life::Ready && e.at_ns > exit.at_ns)
        .ok_or_else(|| format!("{lost}, but no successor became ready"))?;
    let progress = match victim {
        Victim::OrderService | Victim::PostgresServer => {
            let answered = case.demand.acknowledged_since(ready.at_ns);
            (answered > 0).then(|| format!("{} acknowledged after", count(answered, "change")))
        }
        Victim::Relay | Victim::KafkaServer => {
            let seen = case.demand.seen_since(ready.at_ns);
            (seen > 0).then(|| format!("{} first seen after", count(seen, "event")))
        }
    };
    let progress =
        progress.ok_or_else(|| format!("{lost}, but the successor was never seen to work"))?;
    Ok(format!(
        "pid {} ended by signal 9, {lost}; the successor (pid {}) was ready {:.1} s later, {progress}",
        exit.pid,
        ready.pid,
        (ready.at_ns - exit.at_ns) as f64 / 1e9
    ))
}

/// What was on its way when it died, or had to wait while it was dead.
fn in_flight(case: &Case<'_>, victim: Victim, exit_ns: i64) -> Finding {
    let requests = match victim {
        Victim::OrderService => case.demand.cut_off(case.injecting_ns, exit_ns),
        Victim::PostgresServer => case.demand.hung(case.injecting_ns, case.healing_ns),
        Victim::KafkaServer if !case.strategy.has_relay() => {
            case.demand.hung(case.injecting_ns, case.healing_ns)
        }
        Victim::KafkaServer | Victim::Relay => 0,
    };
    let events = match victim {
        Victim::Relay => case.demand.unseen(case.injecting_ns),
        Victim::KafkaServer => case.demand.unseen(case.healing_ns),
        Victim::OrderService | Victim::PostgresServer => 0,
    };
    match (requests, events) {
        (0, 0) => Err("it ended by signal 9, but nothing was on its way".into()),
        (0, _) => Ok(format!(
            "{} committed and not yet seen",
            count(events, "change")
        )),
        _ => Ok(format!("{} in flight", count(requests, "request"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::evidence::bite::staged::*;

    use crate::history::{Life, Outcome};
    use crate::scenario::{FaultKind, Target, Victim};

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
    fn an_order_service_dies_with_requests_in_flight() {
        let victim = Victim::OrderService;
        let cut_off = |s: Staged| s.request(3.98, 4.0, Outcome::Unknown, None);
        let works = |s: Staged| s.request(9.0, 9.1, Outcome::Committed, Some(9.2));
        works(cut_off(back(killed(victim, 9), victim))).bit("1 request in flight");
        works(back(killed(victim, 9), victim)).did_not_bite("nothing was on its way");
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
    fn a_relay_dies_with_committed_changes_unseen() {
        let victim = Victim::Relay;
        let seen = |at| back(killed(victim, 9), victim).request(3.0, 3.1, Outcome::Committed, at);
        seen(Some(8.5)).bit("1 change committed and not yet seen");
        seen(Some(3.2)).did_not_bite("nothing was on its way");
        seen(None).did_not_bite("never seen to work");
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
        let victim = Victim::PostgresServer;
        let hung = |s: Staged| s.request(5.0, 7.0, Outcome::Unknown, None);
        works(hung(back(killed(victim, 9), victim))).bit("1 request in flight");
        works(back(killed(victim, 9), victim)).did_not_bite("nothing was on its way");
        // A dual write waits for the broker in its request, a relay does not
        let victim = Victim::KafkaServer;
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
        let victim = Victim::KafkaServer;
        let seen = |at| back(killed(victim, 9), victim).request(5.0, 5.1, Outcome::Committed, at);
        seen(Some(9.0)).bit("1 event first seen after");
        seen(Some(5.2)).did_not_bite("nothing was on its way");
    }
}
