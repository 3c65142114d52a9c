//! A process that a fault ended: it was missed, and its successor worked.

use super::case::{Case, count};
use super::instances::taken_over;
use super::lack::{LOAD, LOGS, Lack, ROOM, lack};
use super::unmet::of_cache;
use super::{PlaceEvidence, consumer, node};
use crate::history::{Life, ProcessEvent};
use crate::scenario::{Server, Victim};

/// Returns what is known of a process's lives and deaths, oldest first.
pub(super) fn lives<'h>(case: &Case<'h>, victim: Victim) -> Vec<&'h ProcessEvent> {
    let all = case.history.processes.iter();
    all.filter(|e| e.process == victim.name()).collect()
}

/// Returns the exit that the fault brought about: the one in the time in which it was injected.
pub(super) fn exit<'h>(
    case: &Case<'_>,
    lives: &[&'h ProcessEvent],
) -> Result<&'h ProcessEvent, Lack> {
    let injection = case.injecting_ns..=case.injected_ns;
    let mut exits = lives.iter().filter(|e| e.life == Life::Exited);
    let exit = exits.find(|e| injection.contains(&e.at_ns)).copied();
    exit.ok_or_else(|| lack("its exit was not seen", LOGS))
}

/// Returns when the process that ended so had been told to; `None` where it had not.
pub(super) fn told_to_end(lives: &[&ProcessEvent], exit: &ProcessEvent) -> Option<i64> {
    let before = lives.iter().rev().filter(|e| e.at_ns <= exit.at_ns);
    let mut of_this_life = before.filter(|e| !std::ptr::eq(**e, exit));
    let last = of_this_life.find(|e| !matches!(e.life, Life::Paused | Life::Resumed))?;
    (last.life == Life::Terminating).then_some(last.at_ns)
}

/// Judges what followed the exit of a process, which `how` says in words: whether it was missed, and whether its
/// successor worked.
pub(super) fn judge(
    case: &Case<'_>,
    victim: Victim,
    lives: &[&ProcessEvent],
    (exit, how): (&ProcessEvent, &str),
) -> PlaceEvidence {
    let after = |life: Life, at_ns: i64| {
        let mut later = lives.iter().filter(move |e| e.at_ns > at_ns);
        later.find(|e| e.life == life).copied()
    };
    let ready = after(Life::Ready, exit.at_ns)
        .ok_or_else(|| lack(format!("it {how}, but no successor became ready"), ROOM))?;
    let death = DeathAndRestart {
        at_ns: exit.at_ns,
        started_ns: after(Life::Started, exit.at_ns).map_or(ready.at_ns, |e| e.at_ns),
        ready_ns: ready.at_ns,
        // Starts may have failed before that one.
        next_ns: after(Life::Exited, ready.at_ns).map_or(i64::MAX, |e| e.at_ns),
    };
    let missed = match (taken_over(case, victim)?, victim) {
        (Some(taken_over), _) => vec![taken_over],
        (None, Victim::Consumer(name)) => {
            let away = death.at_ns..=death.ready_ns;
            let waiting = consumer::waiting(case, name, away, death.started_ns);
            let waiting = waiting.map(|records| format!("{records} came to the topic meanwhile"));
            waiting.into_iter().collect()
        }
        (None, Victim::Server(Server::BrokerNode(_))) => vec![node::held_up(case)?],
        (None, Victim::REDIS) => missed_cache(case, death),
        (None, _) => missed(case, victim, death),
    };
    if missed.is_empty() {
        let what =
            format!("it {how}, but nothing was on its way, and nothing waited for its successor");
        return Err(lack(what, LOAD));
    }
    worked(case, victim, (exit, how), ready, &missed.join(", "))
}

/// Ended so, missed, and whether the successor was seen to work.
fn worked(
    case: &Case<'_>,
    victim: Victim,
    (exit, how): (&ProcessEvent, &str),
    ready: &ProcessEvent,
    missed: &str,
) -> PlaceEvidence {
    let progress = match victim {
        Victim::REDIS => {
            let served = case.demand.served_since(ready.at_ns);
            (served > 0).then(|| format!("{} served by it after", count(served, "read")))
        }
        Victim::OrderService | Victim::Server(Server::Database(_)) => {
            let answered = case.demand.acknowledged_since(ready.at_ns);
            (answered > 0).then(|| format!("{} acknowledged after", count(answered, "change")))
        }
        Victim::Consumer(name) => {
            let applied = consumer::applied_since(case, name, ready.at_ns);
            (applied > 0).then(|| format!("{} applied after", count(applied, "event")))
        }
        Victim::Relay(_) | Victim::Server(Server::Broker(_) | Server::BrokerNode(_)) => {
            let seen = case.demand.seen_since(ready.at_ns);
            (seen > 0).then(|| format!("{} first seen after", count(seen, "event")))
        }
    };
    let progress = progress.ok_or_else(|| {
        let what = format!("{missed}, but the successor was never seen to work");
        lack(what, ROOM)
    })?;
    Ok(format!(
        "pid {} {how}, {missed}; the successor (pid {}) was ready {:.1} s later, {progress}",
        exit.pid,
        ready.pid,
        (ready.at_ns - exit.at_ns) as f64 / 1e9
    ))
}

/// These are the times of a death and of the life that followed it: run time, nanoseconds.
#[derive(Clone, Copy)]
struct DeathAndRestart {
    at_ns: i64,
    started_ns: i64,
    ready_ns: i64,
    /// This is when that successor ended; `i64::MAX`: never.
    next_ns: i64,
}

/// What shows that the cache was missed. Changes do not: they are committed without it. Where the relay invalidates, it
/// also publishes again what it could not take out of the cache.
fn missed_cache(case: &Case<'_>, death: DeathAndRestart) -> Vec<String> {
    let again = match case.strategy.relay_invalidates {
        true => {
            let again = death.started_ns..=death.next_ns;
            case.demand.came_again(death.at_ns, again)
        }
        false => 0,
    };
    let again =
        (again > 0).then(|| format!("{} seen before and again after it", count(again, "event")));
    of_cache(case).into_iter().chain(again).collect()
}

/// Everything that shows that it was missed: what was on its way when it died, what waited for its
/// successor, and what the successor did over again.
fn missed(case: &Case<'_>, victim: Victim, death: DeathAndRestart) -> Vec<String> {
    let demand = case.demand;
    let topology = case.strategy;
    // The one whose work goes on when the request is over.
    let relays = match victim {
        Victim::Relay(_) => topology.has_outbox,
        Victim::OrderService => topology.relays_inside(),
        Victim::Server(_) | Victim::Consumer(_) => false,
    };
    let requests = match victim {
        Victim::OrderService => demand.cut_off(case.injecting_ns, death.at_ns),
        Victim::Server(Server::Database(_)) => demand.hung(case.injecting_ns, case.healing_ns),
        Victim::Server(Server::Broker(_)) if topology.publishes_in_request() => {
            demand.hung(case.injecting_ns, case.healing_ns)
        }
        Victim::Server(Server::Broker(_))
        | Victim::REDIS
        | Victim::Server(Server::BrokerNode(_))
        | Victim::Relay(_)
        | Victim::Consumer(_) => 0,
    };
    let refused = match victim {
        Victim::OrderService => demand.refused(death.at_ns, death.ready_ns),
        Victim::Server(_) | Victim::Relay(_) | Victim::Consumer(_) => 0,
    };
    let delivers = match victim {
        Victim::Server(Server::Broker(_)) => !topology.publishes_in_request(),
        Victim::Relay(_) | Victim::OrderService => relays,
        Victim::Server(Server::Database(_) | Server::Redis | Server::BrokerNode(_))
        | Victim::Consumer(_) => false,
    };
    let (on_its_way, waited) = if delivers {
        let (died, ready) = (death.at_ns, death.ready_ns);
        (
            demand.left_over(died, ready),
            demand.kept_waiting(died.saturating_add(1)..=ready, ready),
        )
    } else {
        (0, 0)
    };
    let open = match relays && topology.reads_log {
        true => demand.open_in_log(death.at_ns, death.ready_ns),
        false => 0,
    };
    let repeats = match victim {
        Victim::OrderService => relays,
        Victim::Relay(_)
        | Victim::Server(Server::Database(_) | Server::Broker(_) | Server::BrokerNode(_)) => true,
        Victim::REDIS | Victim::Consumer(_) => false,
    };
    let again = match repeats {
        true => demand.came_again(death.at_ns, death.started_ns..=death.next_ns),
        false => 0,
    };
    let found = [
        (requests, "request", "in flight"),
        (refused, "request", "refused until its successor was there"),
        (on_its_way, "change", "committed and not yet seen"),
        (open, "transaction", "open in the log that it read"),
        (again, "event", "seen before and again after it"),
        (
            waited,
            "change",
            "committed meanwhile and seen only after it",
        ),
    ];
    let found = found.into_iter().filter(|(n, ..)| *n > 0);
    found
        .map(|(n, thing, how)| format!("{} {how}", count(n, thing)))
        .collect()
}
