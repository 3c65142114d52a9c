//! `restart`: told to end, ended, it was missed, and the successor worked.

use super::case::{Case, Place};
use super::lack::{FITTING, LOGS, lack};
use super::{PlaceEvidence, succession};

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let Place::Process(victim) = place else {
        return Err(lack("a link cannot be restarted", FITTING));
    };
    let lives = succession::lives(case, victim);
    let exit = succession::exit(case, &lives)?;
    let told_ns = succession::told_to_end(&lives, exit).filter(|at_ns| *at_ns >= case.injecting_ns);
    let told_ns = told_ns.ok_or_else(|| lack("it was not told to end before it ended", LOGS))?;
    let took_s = (exit.at_ns - told_ns) as f64 / 1e9;
    let how = match exit.exit {
        libc::SIGKILL => format!("did not end as it was told to, was killed {took_s:.1} s later"),
        // Many die of the very signal that tells them to end.
        signal if signal > 0 => {
            format!("ended by signal {signal} {took_s:.1} s after it was told to end")
        }
        code => format!(
            "ended with exit code {} {took_s:.1} s after it was told to end",
            -(i64::from(code) + 1)
        ),
    };
    succession::judge(case, victim, &lives, (exit, &how))
}

#[cfg(test)]
mod tests {
    use crate::bite::staged::*;
    use crate::history::{Life, Outcome};
    use crate::scenario::{FaultKind, Target, Victim};

    const RELAY: Victim = Victim::RELAY;

    /// A relay that was told to end at 3.991 s, and did 4 ms later, so.
    fn told(exit: i32) -> Staged {
        Staged::new(Target::Process(RELAY), FaultKind::Restart, polling())
            .life(RELAY.name(), 0.1, Life::Ready, 0)
            .life(RELAY.name(), 3.991, Life::Terminating, 0)
            .life(RELAY.name(), 3.995, Life::Exited, exit)
    }

    fn back(staged: Staged) -> Staged {
        staged
            .life(RELAY.name(), 8.0, Life::Started, 0)
            .life(RELAY.name(), 8.01, Life::Ready, 0)
    }

    /// A change that waits for the successor.
    fn missed(staged: Staged) -> Staged {
        staged.request(5.0, 5.1, Outcome::Committed, Some(8.5))
    }

    #[test]
    fn given_a_relay_that_ended_as_it_was_told_when_changes_waited_for_its_successor_then_it_bit() {
        missed(back(told(-1))).bit("ended with exit code 0 0.0 s after it was told to end");
        missed(back(told(-1))).bit("1 change committed meanwhile and seen only after it");
        missed(back(told(15))).bit("ended by signal 15 0.0 s after it was told to end");
    }

    #[test]
    fn given_a_relay_that_does_not_end_then_its_being_killed_is_told() {
        missed(back(told(9))).bit("did not end as it was told to, was killed 0.0 s later");
    }

    #[test]
    fn given_a_restart_that_nobody_missed_or_that_was_none_then_it_did_not_bite() {
        back(told(-1)).did_not_bite("nothing was on its way, and nothing waited");
        missed(told(-1)).did_not_bite("no successor became ready");
        let mut alive = missed(back(told(-1)));
        alive.0.processes.retain(|e| e.life != Life::Exited);
        alive.did_not_bite("its exit was not seen");
        let mut untold = missed(back(told(-1)));
        untold.0.processes.retain(|e| e.life != Life::Terminating);
        untold.did_not_bite("it was not told to end");
    }
}
