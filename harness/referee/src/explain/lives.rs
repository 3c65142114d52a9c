//! Lives and deaths of processes, as explanations need them: who died when, who was away when.

use crate::history::{Life, ProcessEvent};
use crate::view::NEVER;
use crate::view::Span;

/// The exit of a process that ended well, as [`ProcessEvent::exit`] has it.
const ENDED_WELL: i32 = -1;

/// A death is known by its reaping, which others notice it before.
const AFTERMATH_NS: i64 = 100_000_000;

/// A death that nobody asked for politely.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Death<'a> {
    /// Whose.
    pub process: &'a str,
    /// When it was reaped.
    pub at_ns: i64,
    /// As in [`ProcessEvent::exit`].
    pub exit: i32,
}

/// Why a process was away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It had died; the exit as in [`ProcessEvent::exit`].
    Dead(i32),
    /// It was stopped.
    Paused,
}

/// A time in which a process was away.
#[derive(Debug, Clone, Copy)]
pub struct Outage<'a> {
    /// Which.
    pub process: &'a str,
    /// Its pid when it went away.
    pub pid: u32,
    /// The pid that came back; that of a successor if it had died.
    pub successor: u32,
    /// Why.
    pub absence: Absence,
    /// From when to when (its successor's readiness); [`NEVER`] if it did not come back.
    pub span: Span,
}

/// All lives of a history.
pub struct Lives<'a> {
    events: Vec<&'a ProcessEvent>,
    outages: Vec<Outage<'a>>,
}

impl<'a> Lives<'a> {
    /// Reads them once.
    pub fn new(events: &'a [ProcessEvent]) -> Self {
        let mut events: Vec<&ProcessEvent> = events.iter().collect();
        events.sort_by_key(|e| e.at_ns);
        let outages = events
            .iter()
            .enumerate()
            .filter_map(|(n, event)| outage(event, &events[n + 1..]))
            .collect();
        Self { events, outages }
    }

    /// How the process of this pid died at `from_ns` or later; by name where no process is known
    /// by that pid.
    pub fn death(&self, process: &str, pid: u32, from_ns: i64) -> Option<Death<'a>> {
        let mut of_name = self.events.iter().filter(|e| e.process == process);
        let known = of_name.clone().any(|e| e.pid == pid);
        of_name
            .find(|e| e.at_ns >= from_ns && e.life == Life::Exited && (!known || e.pid == pid))
            .filter(|e| e.exit != ENDED_WELL)
            .map(|e| Death {
                process: &e.process,
                at_ns: e.at_ns,
                exit: e.exit,
            })
    }

    /// The last death of a process.
    pub fn last_death(&self, process: &str) -> Option<Death<'a>> {
        let mut of_name = self.events.iter().filter(|e| e.process == process);
        let event = of_name.rfind(|e| e.life == Life::Exited && e.exit != ENDED_WELL)?;
        Some(Death {
            process: &event.process,
            at_ns: event.at_ns,
            exit: event.exit,
        })
    }

    /// Outages that overlap a span or begin just after it, by begin.
    pub fn outages(&self, span: Span) -> impl Iterator<Item = &Outage<'a>> {
        let reach = Span {
            until_ns: span.until_ns.saturating_add(AFTERMATH_NS),
            ..span
        };
        self.outages
            .iter()
            .filter(move |outage| outage.span.overlaps(reach))
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

/// The absence that an event begins, and what ends it among the later ones.
fn outage<'a>(event: &'a ProcessEvent, later: &[&ProcessEvent]) -> Option<Outage<'a>> {
    let absence = match event.life {
        Life::Exited if event.exit != ENDED_WELL => Absence::Dead(event.exit),
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
