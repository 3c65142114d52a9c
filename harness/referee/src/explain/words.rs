//! The words that all sentences share. They say what was at the same time ("while", "meanwhile"),
//! never what was because of what.

use super::Explainer;
use super::lives::{Absence, Crash, Outage};
use super::trail::Trail;
use crate::history::{Stage, TraceRow, Tracer};
use crate::scenario::Instance;
use crate::view::NEVER;
use crate::view::{Span, Window, fault_name};
use contract::trace::NO_OFFSET;

/// At most so many simultaneous things are named in a sentence; the timeline has them all.
const NAMED_TOGETHER: usize = 2;

/// This is a sentence in the making: clauses, then the name of what they came to.
#[derive(Debug, Default)]
pub struct Sentence {
    clauses: Vec<String>,
}

impl Sentence {
    /// Adds a clause at the end.
    pub fn say(&mut self, clause: impl Into<String>) {
        self.clauses.push(clause.into());
    }

    /// One more clause, if there is one.
    pub fn maybe(&mut self, clause: Option<String>) {
        self.clauses.extend(clause);
    }

    /// Returns the whole sentence: its clauses, separated by semicolons, then a colon and the verdict.
    pub fn ending(self, verdict: &str) -> String {
        format!("{}: {verdict}", self.clauses.join("; "))
    }
}

/// The name of a traced process, as the history has it; of several relays, that of the first.
pub fn process_of(tracer: Tracer) -> &'static str {
    match tracer {
        Tracer::OrderService => "order-service",
        Tracer::Relay => "relay",
    }
}

/// Names a process as people say it: `order service`. The second of several relays is called by its name.
pub fn spoken(process: &str) -> String {
    let of_several = Instance::ALL.iter().any(|i| i.name() == process);
    match of_several {
        true => process.to_owned(),
        false => process.replace('-', " "),
    }
}

/// Names a process with its article: `the order service`, `the relay`, `relay-2`.
pub fn named(process: &str) -> String {
    let of_several = Instance::ALL.iter().skip(1).any(|i| i.name() == process);
    match of_several {
        true => process.to_owned(),
        false => format!("the {}", spoken(process)),
    }
}

/// Says how a process ended: `killed`, `ended by signal 15`, `ended with exit code 1`.
pub fn how_it_ended(exit: i32) -> String {
    match exit {
        9 => "killed".to_owned(),
        signal if signal > 0 => format!("ended by signal {signal}"),
        code => format!("ended with exit code {}", -(i64::from(code) + 1)),
    }
}

/// Says what a broker's client knows of a failed delivery.
pub fn persistence(detail: u64) -> &'static str {
    match detail {
        0 => "not persisted",
        1 => "possibly persisted",
        _ => "persisted",
    }
}

/// Says which offset a delivery has, in brackets and after a blank; nothing where the broker does not say it.
pub fn offset(detail: u64) -> String {
    match detail {
        NO_OFFSET => String::new(),
        offset => format!(" (offset {offset})"),
    }
}

/// Returns a log sequence number as PostgreSQL writes it.
pub fn lsn(value: u64) -> String {
    format!("{:X}/{:X}", value >> 32, value & 0xffff_ffff)
}

impl Explainer<'_> {
    /// Returns a time since the load began: `6.214 s`.
    pub(super) fn at(&self, ns: i64) -> String {
        self.context.at(ns)
    }

    /// Says who died, how and when: `order service killed at 6.215 s`.
    pub(super) fn died(&self, death: Crash<'_>) -> String {
        format!(
            "{} {} at {}",
            spoken(death.process),
            how_it_ended(death.exit),
            self.at(death.at_ns)
        )
    }

    /// Says `relay killed at 2.403 s before it published it`; where the trace is cut before that, it may have done so
    /// all the same, and nothing is said of it.
    pub(super) fn died_before(&self, death: Crash<'_>, what: &str) -> String {
        match self.trace_cut_ns {
            Some(cut_ns) if cut_ns <= death.at_ns => format!(
                "{}, and the trace was cut at {}",
                self.died(death),
                self.at(cut_ns)
            ),
            _ => format!("{} before {what}", self.died(death)),
        }
    }

    /// Returns the name of the process of this pid, which wrote a trace.
    pub(super) fn process_by(&self, tracer: Tracer, pid: u32) -> &str {
        let known = match tracer {
            Tracer::OrderService => None,
            Tracer::Relay => self.lives.relay(pid),
        };
        known.unwrap_or(process_of(tracer))
    }

    /// Returns how the very process that wrote a row died, after it; `None` if it did not.
    pub(super) fn death_after(&self, row: &TraceRow) -> Option<Crash<'_>> {
        let process = self.process_by(row.tracer, row.pid);
        self.lives.death(process, row.pid, row.at_ns)
    }

    /// Returns a span in words: `4.001 s to 8.003 s`.
    pub(super) fn period(&self, span: Span) -> String {
        match span.until_ns {
            NEVER => format!("from {} on", self.at(span.from_ns)),
            until_ns => format!("{} to {}", self.at(span.from_ns), self.at(until_ns)),
        }
    }

    pub(super) fn fault_name(&self, window: &Window) -> String {
        fault_name(&self.context.history().meta.scenario.faults[window.fault])
    }

    /// ` while down kafka was in force (4.001 s to 8.003 s)`; empty if no fault was in that span.
    pub(super) fn while_faults(&self, span: Span) -> String {
        let names: Vec<String> = self
            .context
            .view
            .windows
            .iter()
            .filter(|w| w.span.overlaps(span))
            .take(NAMED_TOGETHER)
            .map(|w| {
                format!(
                    "{} was in force ({})",
                    self.fault_name(w),
                    self.period(w.span)
                )
            })
            .collect();
        if names.is_empty() {
            String::new()
        } else {
            format!(" while {}", names.join(" and "))
        }
    }

    /// Says who was away, and when: `relay killed at 2.403 s, back at 3.701 s`.
    pub(super) fn outage(&self, outage: &Outage<'_>) -> String {
        let how = match outage.absence {
            Absence::Dead(exit) => how_it_ended(exit),
            Absence::Paused => "paused".to_owned(),
        };
        let back = match outage.span.until_ns {
            NEVER => String::new(),
            until_ns => format!(", back at {}", self.at(until_ns)),
        };
        format!(
            "{} {how} at {}{back}",
            spoken(outage.process),
            self.at(outage.span.from_ns)
        )
    }

    /// Says `meanwhile relay killed at 2.403 s, back at 3.701 s`: it names outages, else faults, that overlap a span;
    /// `None` if nothing did.
    pub(super) fn meanwhile(&self, span: Span) -> Option<String> {
        let outages = self.lives.outages(span).map(|o| self.outage(o));
        let mut all: Vec<String> = outages.take(NAMED_TOGETHER).collect();
        if all.is_empty() {
            let windows = self.context.view.windows.iter();
            let faults = windows.filter(|w| w.span.overlaps(span)).map(|w| {
                format!(
                    "{} was in force ({})",
                    self.fault_name(w),
                    self.period(w.span)
                )
            });
            all.extend(faults.take(NAMED_TOGETHER));
        }
        (!all.is_empty()).then(|| format!("meanwhile {}", all.join(" and ")))
    }

    /// How the commit is known: `committed at 6.214 s`.
    pub(super) fn commit(&self, trail: &Trail) -> String {
        if let Some(at_ns) = trail.committed_ns() {
            return format!("committed at {}", self.at(at_ns));
        }
        if let Some(row) = trail.service(Stage::Doubtful) {
            let from_ns = trail.request.map_or(row.at_ns, |r| r.sent_ns);
            let span = Span {
                from_ns,
                until_ns: row.at_ns,
            };
            return format!(
                "committed, though the database's answer had not come by {}{}",
                self.at(row.at_ns),
                self.while_faults(span)
            );
        }
        if let (Some(row), None) = (
            trail.service(Stage::Received),
            trail.service(Stage::Answered),
        ) {
            return format!("received at {} and committed", self.at(row.at_ns));
        }
        match trail.request {
            Some(request) => format!("committed ({})", self.context.answer(request)),
            None => "committed by an attempt that nobody made".to_owned(),
        }
    }

    /// Says when and where a record was: `on the topic at 2.105 s (partition 0 offset 12)`.
    pub(super) fn on_topic(&self, row: usize) -> String {
        let record = self.context.view.join.log.at(row);
        let partition = self.context.partition(record.partition);
        let place = format!("{partition} offset {}", record.offset);
        match self.appended_ns(row) {
            Some(at_ns) => format!("on the topic at {} ({place})", self.at(at_ns)),
            None => format!("on the topic ({place})"),
        }
    }

    /// When a record was on the topic: in histories of before, where the broker wrote it down.
    pub(super) fn appended_ns(&self, row: usize) -> Option<i64> {
        let join = &self.context.view.join;
        let known = !join.ends().is_empty() || join.log.at(row).append_ms >= 0;
        known.then(|| join.on_topic_ns(row))
    }

    /// Says why an absence from a process's trace proves nothing of what happened at `at_ns` or later; `None` if its
    /// trace goes on beyond it.
    pub(super) fn untraced(&self, tracer: Tracer, at_ns: i64) -> Option<String> {
        let process = spoken(process_of(tracer));
        let cut_ns = self.trace_cut_ns.unwrap_or(i64::MAX);
        match self.traced_until_ns[tracer as usize].map(|ns| ns.min(cut_ns)) {
            None => Some(format!("the {process} left no trace")),
            Some(until_ns) if until_ns < at_ns => Some(format!(
                "the trace of the {process} ends at {}",
                self.at(until_ns)
            )),
            Some(_) => None,
        }
    }
}
