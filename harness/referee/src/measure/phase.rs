//! Phases of a run, by when a change was sent: before, during and after the faults that concern the
//! strategy. They do not overlap and leave no gap, so their counts add up to the run's.

use super::ns;
use crate::history::{FaultRecord, History};
use crate::scenario::{Fault, Start};
use crate::view::{explaining, fault_name};
use std::time::Duration;

/// A fault that waited for something begins, or ends, with the load or with another fault where no more
/// than this is between them: so little is nobody's plan, and no phase of its own.
const AT_ONCE: Duration = Duration::from_millis(50);

/// A phase is a part of the run's changes, by when they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    /// Its name is one such as `before`, `open at down kafka`, `during down kafka`,
    /// `during down kafka and kill relay`, `between down kafka and kill relay`, `after`;
    /// `whole run` where no fault concerns the strategy.
    pub name: String,
    /// These are its stretches of run time, ns, ascending, each without its end. The first phase begins with time
    /// itself, and the last one ends with it. One that a shorter fault interrupts has several.
    pub spans: Vec<(i64, i64)>,
    /// The faults in force, as they are called here: a name that another one has too gets a number.
    pub in_force: Vec<String>,
    /// Of a phase that has only what was sent in these stretches and still open, not answered or not
    /// seen, when the next fault began: the phase that has the rest. What waited through a fault says
    /// nothing of the time before it.
    pub before: Option<String>,
}

impl Phase {
    /// Whether a change that was sent then belongs to it, were it over at once.
    pub fn contains(&self, sent_ns: i64) -> bool {
        self.before.is_none() && self.spans.iter().any(|s| (s.0..s.1).contains(&sent_ns))
    }
}

/// A fault with its times as planned and as they were.
struct FaultTimes {
    name: String,
    at: (i64, i64),
    ends: (i64, i64),
    /// Whether the file has its time.
    timed: bool,
}

/// A stretch between two planned begins or ends of faults.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    /// This is where the stretch ends, run time in ns; the end itself is not in it.
    until_ns: i64,
    /// This is the index of its phase in `Phases::all`.
    phase: usize,
    /// Index of the phase for what is still open at its end, if a fault begins there that ends a
    /// time without any.
    open: Option<usize>,
}

/// These are all phases of a run; they tell which one a change belongs to.
#[derive(Debug, Clone)]
pub(super) struct Phases {
    pub all: Vec<Phase>,
    pieces: Vec<Piece>,
}

impl Phases {
    /// The phases that the scenario plans, with the bounds they really had. A stretch of no planned
    /// length does not exist. A fault that waited for something is planned when that came.
    pub fn of(history: &History) -> Self {
        let meta = &history.meta;
        let from_ns = meta.load_from_ns;
        let planned_ns = from_ns.saturating_add(ns(meta.scenario.workload.duration));
        let mut faults = planned(history);
        settle(&mut faults, [from_ns, planned_ns]);
        let last_ns = faults.iter().map(|f| f.ends.0).max();
        let end_ns = planned_ns.max(last_ns.unwrap_or(planned_ns));
        let mut times: Vec<i64> = vec![from_ns];
        times.extend(faults.iter().flat_map(|f| [f.at.0, f.ends.0]));
        times.push(end_ns);
        times.sort_unstable();
        times.dedup();
        let mut phases = Self {
            all: Vec::new(),
            pieces: Vec::new(),
        };
        let mut ended_ns = i64::MIN;
        for pair in times.windows(2) {
            let (from, until) = (pair[0], pair[1]);
            let is_in = |f: &&FaultTimes| f.at.0 <= from && until <= f.ends.0;
            let in_force: Vec<&str> = faults.iter().filter(is_in).map(|f| &*f.name).collect();
            let is_quiet = in_force.is_empty();
            let begin_ns = ended_ns;
            ended_ns = actual(&faults, until).unwrap_or(i64::MAX).max(begin_ns);
            let name = match in_force.as_slice() {
                [] => quiet_name(&faults, from, until),
                names => format!("during {}", list(names)),
            };
            let phase = phases.place(name, &in_force, (begin_ns, ended_ns));
            phases.pieces.push(Piece {
                until_ns: ended_ns,
                phase,
                open: None,
            });
            let begins = |f: &&FaultTimes| f.at.0 == until;
            let next: Vec<&str> = faults.iter().filter(begins).map(|f| &*f.name).collect();
            if is_quiet && !next.is_empty() {
                let quiet = &phases.all[phase];
                let open = Phase {
                    name: format!("open at {}", list(&next)),
                    before: Some(quiet.name.clone()),
                    ..quiet.clone()
                };
                phases.all.push(open);
                let last = phases.all.len() - 1;
                if let Some(piece) = phases.pieces.last_mut() {
                    piece.open = Some(last);
                }
            }
        }
        phases.close()
    }

    /// Index of the phase of what is in force, which may have been interrupted.
    fn place(&mut self, name: String, in_force: &[&str], span: (i64, i64)) -> usize {
        let same = |p: &Phase| p.name == name && p.in_force == in_force;
        if let Some(known) = self.all.iter().position(same) {
            self.all[known].spans.push(span);
            return known;
        }
        self.all.push(Phase {
            name,
            spans: vec![span],
            in_force: in_force.iter().map(|name| (*name).to_owned()).collect(),
            before: None,
        });
        self.all.len() - 1
    }

    /// The last stretch has no end.
    fn close(mut self) -> Self {
        if self.pieces.is_empty() {
            self.place("whole run".to_owned(), &[], (i64::MIN, i64::MAX));
            self.pieces.push(Piece {
                until_ns: i64::MAX,
                phase: 0,
                open: None,
            });
        }
        if let Some(last) = self.pieces.last_mut() {
            last.until_ns = i64::MAX;
            if let Some(span) = self.all[last.phase].spans.last_mut() {
                span.1 = i64::MAX;
            }
        }
        self
    }

    /// Returns the index of a change's phase; `open_until` gives when nothing of the change was open any more.
    pub fn index(&self, sent_ns: i64, open_until: impl FnOnce() -> i64) -> usize {
        let is_in = |piece: &&Piece| sent_ns < piece.until_ns;
        let piece = self.pieces.iter().find(is_in).or(self.pieces.last());
        match piece {
            None => 0,
            Some(piece) => match piece.open {
                Some(open) if open_until() > piece.until_ns => open,
                _ => piece.phase,
            },
        }
    }
}

/// Returns the phases of a history, in the order in which they begin.
pub fn phases(history: &History) -> Vec<Phase> {
    Phases::of(history).all
}

fn planned(history: &History) -> Vec<FaultTimes> {
    let mut faults: Vec<(i64, &Fault, Option<&FaultRecord>)> = explaining(history, None)
        .into_iter()
        .filter_map(|(index, fault)| {
            let record = history.faults.iter().find(|r| r.fault as usize == index);
            Some((planned_at_ns(history, fault, record)?, fault, record))
        })
        .collect();
    faults.sort_by_key(|(at_ns, _, _)| *at_ns);
    let mut all: Vec<FaultTimes> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for (at_ns, fault, record) in faults {
        let ends_ns = at_ns.saturating_add(ns(fault.lasts));
        // Its effect precedes its confirmation by a little.
        let injected = record.and_then(|r| Some(r.injected_ns?.min(r.planned_at_ns)));
        let healed = record.and_then(|r| r.healed_ns);
        let from_ns = injected.unwrap_or(at_ns);
        let name = fault_name(fault);
        let earlier = names.iter().filter(|known| **known == name).count();
        all.push(FaultTimes {
            name: match earlier {
                0 => name.clone(),
                n => format!("{name} ({})", n + 1),
            },
            at: (at_ns, from_ns),
            ends: (ends_ns, healed.unwrap_or(ends_ns).max(from_ns)),
            timed: fault.at().is_some(),
        });
        names.push(name);
    }
    all
}

/// When a fault was to begin. One that waited for something in vain is not part of the run at all.
fn planned_at_ns(history: &History, fault: &Fault, record: Option<&FaultRecord>) -> Option<i64> {
    match &fault.start {
        Start::At(at) => Some(history.meta.load_from_ns.saturating_add(ns(*at))),
        Start::When(_) => record
            .filter(|r| r.injected_ns.is_some())
            .map(|r| r.planned_at_ns),
    }
}

/// Moves the planned times of faults that waited for something onto those that they all but share.
fn settle(faults: &mut [FaultTimes], load: [i64; 2]) {
    let timed = faults.iter().filter(|f| f.timed);
    let mut known: Vec<i64> = timed.flat_map(|f| [f.at.0, f.ends.0]).collect();
    known.extend(load);
    for fault in faults.iter_mut().filter(|f| !f.timed) {
        fault.at.0 = nearest(fault.at.0, &known);
        let ends_ns = nearest(fault.ends.0, &known);
        // However short a fault is, it has a phase.
        if ends_ns > fault.at.0 {
            fault.ends.0 = ends_ns;
        } else {
            fault.ends.0 = fault.ends.0.max(fault.at.0.saturating_add(1));
        }
        known.extend([fault.at.0, fault.ends.0]);
    }
}

/// The nearest of the times that are known, if it is near enough.
fn nearest(time_ns: i64, known: &[i64]) -> i64 {
    let near = known.iter().copied().min_by_key(|k| k.abs_diff(time_ns));
    near.filter(|k| k.abs_diff(time_ns) <= ns(AT_ONCE).unsigned_abs())
        .unwrap_or(time_ns)
}

/// When that which was planned for a time really was: the first of the begins, else the last of the
/// ends.
fn actual(faults: &[FaultTimes], planned_ns: i64) -> Option<i64> {
    let of = |time: fn(&FaultTimes) -> (i64, i64)| {
        let all = faults.iter().map(time);
        all.filter(move |t| t.0 == planned_ns).map(|t| t.1)
    };
    of(|f| f.at).min().or_else(|| of(|f| f.ends).max())
}

/// Returns the name for a stretch without faults, by the fault that ended and the one that begins.
fn quiet_name(faults: &[FaultTimes], from_ns: i64, until_ns: i64) -> String {
    let of = |time: fn(&FaultTimes) -> i64, at_ns: i64| {
        let mut all = faults.iter().filter(move |f| time(f) == at_ns);
        all.next().map(|f| f.name.as_str())
    };
    match (of(|f| f.ends.0, from_ns), of(|f| f.at.0, until_ns)) {
        (None, None) => "whole run".to_owned(),
        (None, Some(_)) => "before".to_owned(),
        (Some(_), None) => "after".to_owned(),
        (Some(ended), Some(begins)) => format!("between {ended} and {begins}"),
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
