//! Lives and deaths of processes, as explanations need them: who died when, who was away when.

use crate::history::{Life, ProcessEvent};
use crate::scenario::Instance;
use crate::view::NEVER;
use crate::view::Span;

/// The exit of a process that ended well, as [`ProcessEvent::exit`] has it.
const ENDED_WELL: i32 = -1;

/// A death is known by its reaping, which others notice it before.
const AFTERMATH_NS: i64 = 100_000_000;

/// A crash is a death that something was missed by: not the end at which a process was told to go for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crash<'a> {
    /// This is the name of the process that died.
    pub process: &'a str,
    /// When it was reaped.
    pub at_ns: i64,
    /// This is its signal or exit code, encoded as in [`ProcessEvent::exit`].
    pub exit: i32,
}

/// Why a process was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It had died; the exit as in [`ProcessEvent::exit`].
    Dead(i32),
    /// It was stopped by SIGSTOP, and not dead.
    Paused,
}

/// A time in which a process was away.
#[derive(Debug, Clone, Copy)]
pub struct Outage<'a> {
    /// This is the name of the process that was away.
    pub process: &'a str,
    /// This is the pid of the process when it went away.
    pub pid: u32,
    /// This is the pid that came back: that of a successor if the process had died.
    pub successor: u32,
    /// This says whether it was dead or paused.
    pub absence: Absence,
    /// This is the time of the absence, until its successor was ready; it ends at [`NEVER`] if it did not come back.
    pub span: Span,
}

/// These are all lives of a history's processes, and when each of them was away.
pub struct Lives<'a> {
    events: Vec<&'a ProcessEvent>,
    outages: Vec<Outage<'a>>,
}

impl<'a> Lives<'a> {
    /// Reads the events of all processes once, and works out when each was away.
    pub fn new(events: &'a [ProcessEvent]) -> Self {
        let mut events: Vec<&ProcessEvent> = events.iter().collect();
        events.sort_by_key(|e| e.at_ns);
        let outages = events
            .iter()
            .enumerate()
            .filter(|(n, event)| !ends_a_failed_start(event, &events[..*n]))
            .filter_map(|(n, event)| outage(event, &events[n + 1..]))
            .collect();
        Self { events, outages }
    }

    /// Tells how the process of this pid died at `from_ns` or later; it goes by name where no process is known by
    /// that pid.
    pub fn death(&self, process: &str, pid: u32, from_ns: i64) -> Option<Crash<'a>> {
        let mut of_name = self.events.iter().filter(|e| e.process == process);
        let known = of_name.clone().any(|e| e.pid == pid);
        of_name
            .find(|e| e.at_ns >= from_ns && e.life == Life::Exited && (!known || e.pid == pid))
            .filter(|e| was_missed(e, &self.events))
            .map(|e| Crash {
                process: &e.process,
                at_ns: e.at_ns,
                exit: e.exit,
            })
    }

    /// Returns the last death of a process; `None` if there is none.
    pub fn last_death(&self, process: &str) -> Option<Crash<'a>> {
        let mut of_name = self.events.iter().filter(|e| e.process == process);
        let event = of_name.rfind(|e| e.life == Life::Exited && was_missed(e, &self.events))?;
        Some(Crash {
            process: &event.process,
            at_ns: event.at_ns,
            exit: event.exit,
        })
    }

    /// Returns the outages that overlap a span or begin just after it, by begin.
    pub fn outages(&self, span: Span) -> impl Iterator<Item = &Outage<'a>> {
        let reach = Span {
            until_ns: span.until_ns.saturating_add(AFTERMATH_NS),
            ..span
        };
        self.outages
            .iter()
            .filter(move |outage| outage.span.overlaps(reach))
    }

    /// Which of a strategy's relays has, or had, this pid.
    pub fn relay(&self, pid: u32) -> Option<&'a str> {
        let is_relay = |process: &str| Instance::ALL.iter().any(|i| i.name() == process);
        let mut of_pid = self.events.iter().filter(|e| e.pid == pid);
        let event = of_pid.find(|e| is_relay(&e.process))?;
        Some(&event.process)
    }

    /// Which life of the process this pid is, from 1; `None` if it is not known.
    pub fn number(&self, process: &str, pid: u32) -> Option<usize> {
        let mut pids: Vec<u32> = Vec::new();
        for event in self.events.iter().filter(|e| e.process == process) {
            if !pids.contains(&event.pid) {
                pids.push(event.pid);
            }
        }
        let position = pids.iter().position(|known| *known == pid)?;
        Some(position + 1)
    }
}

/// Whether an event ends a start that failed, after a death: the process is away since that one.
fn ends_a_failed_start(event: &ProcessEvent, earlier: &[&ProcessEvent]) -> bool {
    if event.life != Life::Exited {
        return false;
    }
    let same = earlier.iter().filter(|e| e.process == event.process);
    let last = same
        .rev()
        .find(|e| matches!(e.life, Life::Ready | Life::Exited));
    last.is_some_and(|e| e.life == Life::Exited)
}

/// Whether an exit left a gap: one that ended well did so only if it was in order to be started again.
fn was_missed(exit: &ProcessEvent, events: &[&ProcessEvent]) -> bool {
    let started_again = |e: &&ProcessEvent| {
        e.process == exit.process && e.at_ns > exit.at_ns && e.life == Life::Started
    };
    exit.exit != ENDED_WELL || events.iter().any(started_again)
}

/// The absence that an event begins, and what ends it among the later ones.
fn outage<'a>(event: &'a ProcessEvent, later: &[&ProcessEvent]) -> Option<Outage<'a>> {
    let absence = match event.life {
        Life::Exited if was_missed(event, later) => Absence::Dead(event.exit),
        Life::Paused => Absence::Paused,
        _ => return None,
    };
    let mut same = later.iter().filter(|e| e.process == event.process);
    let back = match absence {
        Absence::Paused => same.find(|e| matches!(e.life, Life::Resumed | Life::Exited)),
        Absence::Dead(_) => {
            let ready = same.clone().find(|e| e.life == Life::Ready);
            ready.or_else(|| same.find(|e| e.life == Life::Started))
        }
    };
    Some(Outage {
        process: &event.process,
        pid: event.pid,
        successor: back.map_or(event.pid, |e| e.pid),
        absence,
        span: Span {
            from_ns: event.at_ns,
            until_ns: back.map_or(NEVER, |e| e.at_ns),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(at_ns: i64, pid: u32, life: Life, exit: i32) -> ProcessEvent {
        ProcessEvent {
            process: "relay".to_owned(),
            pid,
            at_ns,
            life,
            exit,
        }
    }

    #[test]
    fn given_starts_that_fail_after_a_death_then_it_was_away_once_until_the_one_that_worked() {
        let events = [
            event(10, 1, Life::Exited, 9),
            event(20, 2, Life::Started, 0),
            event(21, 2, Life::Exited, -7),
            event(30, 3, Life::Started, 0),
            event(31, 3, Life::Exited, -7),
            event(40, 4, Life::Started, 0),
            event(45, 4, Life::Ready, 0),
            event(60, 4, Life::Exited, -2),
        ];
        let lives = Lives::new(&events);
        let spans: Vec<(i64, i64)> = lives
            .outages
            .iter()
            .map(|o| (o.span.from_ns, o.span.until_ns))
            .collect();
        assert_eq!(spans, [(10, 45), (60, NEVER)]);
        assert_eq!(lives.outages[0].successor, 4);
    }

    #[test]
    fn given_a_process_that_ended_well_then_that_is_a_gap_only_if_it_was_started_again() {
        let events = [
            event(5, 1, Life::Terminating, 0),
            event(10, 1, Life::Exited, ENDED_WELL),
            event(20, 2, Life::Started, 0),
            event(25, 2, Life::Ready, 0),
            event(50, 2, Life::Terminating, 0),
            event(60, 2, Life::Exited, ENDED_WELL),
        ];
        let lives = Lives::new(&events);
        let spans: Vec<(i64, i64)> = lives
            .outages
            .iter()
            .map(|o| (o.span.from_ns, o.span.until_ns))
            .collect();
        assert_eq!(spans, [(10, 25)]);
        let restarted = Crash {
            process: "relay",
            at_ns: 10,
            exit: ENDED_WELL,
        };
        assert_eq!(lives.death("relay", 1, 0), Some(restarted));
        assert_eq!(lives.last_death("relay"), Some(restarted));
        assert_eq!(
            lives.death("relay", 2, 0),
            None,
            "it was told to go for good"
        );
    }
}
