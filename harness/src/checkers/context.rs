//! What every checker is given: the join, the faults, and the words for what happened when.

use super::join::Join;
use super::overtaken::Overtaken;
use super::reading::Reading;
use super::told::Told;
use super::window::{Span, Window, fault_name, strategy, windows};
use super::{Offence, join};
use crate::history::{History, Life, NONE, Outcome, Request};
use crate::scenario::StrategyKind;
use std::cell::OnceCell;

/// A joined history with its faults.
pub struct Context<'a> {
    /// The join.
    pub join: Join<'a>,
    /// Faults that were in force, by begin.
    pub windows: Vec<Window>,
    /// What the fence let us read.
    pub reading: Reading,
    kind: Option<&'a StrategyKind>,
    overtaken: Option<Overtaken>,
    deaths: Vec<Death<'a>>,
    told: OnceCell<Told>,
}

struct Death<'a> {
    process: &'a str,
    at_ns: i64,
    signal: i32,
}

/// A death so soon after a request's end still explains it: the reset is seen before the reaping.
const AFTERMATH_NS: i64 = 100_000_000;

impl<'a> Context<'a> {
    /// Joins the history; linear.
    pub fn new(history: &'a History) -> Self {
        let join = Join::new(history);
        let windows = windows(history);
        let kind = strategy(history).map(|s| &s.kind);
        let overtaken = kind
            .filter(|kind| kind.has_relay() && !windows.is_empty())
            .map(|_| Overtaken::new(&join));
        let deaths = history
            .processes
            .iter()
            .filter(|p| p.life == Life::Exited && p.exit > 0)
            .map(|p| Death {
                process: &p.process,
                at_ns: p.at_ns,
                signal: p.exit,
            })
            .collect();
        Self {
            join,
            windows,
            reading: Reading::of(history),
            kind,
            overtaken,
            deaths,
            told: OnceCell::new(),
        }
    }

    /// The history.
    pub fn history(&self) -> &'a History {
        self.join.history
    }

    /// What the client was told of each change.
    pub fn told(&self) -> &Told {
        self.told.get_or_init(|| Told::new(self.history()))
    }

    /// Whether something was over before the first fault that concerns the strategy began.
    pub fn is_before_faults(&self, span: Span) -> bool {
        let first = self.windows.first();
        first.is_some_and(|window| span.until_ns < window.span.from_ns)
    }

    /// Whether anything that was committed was.
    pub fn anything_before_faults(&self) -> bool {
        (0..self.join.truth.len()).any(|slot| self.is_before_faults(self.delivery_span(slot)))
    }

    /// Whether the strategy writes to both sides by itself.
    pub fn is_dual_write(&self) -> bool {
        matches!(self.kind, Some(StrategyKind::DualWrite { .. }))
    }

    /// How the strategy works.
    pub fn kind(&self) -> Option<&'a StrategyKind> {
        self.kind
    }

    /// From a request's intended start to its end.
    pub fn request_span(&self, request: Request) -> Span {
        Span {
            from_ns: request.intended_ns,
            until_ns: request.ended_ns.max(request.intended_ns),
        }
    }

    /// The time in which a slot's event can have met its fate: from the intended start to the
    /// first sight (or append). What never came ends with the request where the request publishes
    /// by itself, and where a relay does, when the relay had passed it.
    pub fn delivery_span(&self, slot: usize) -> Span {
        let Some(request) = self.join.request(slot) else {
            return self.whole();
        };
        let span = self.request_span(request);
        let arrived = self.join.seen(slot).or_else(|| {
            let row = self.join.first_row(slot)?;
            Some(self.join.on_topic_ns(row))
        });
        let until_ns = match (arrived, &self.overtaken) {
            (Some(at), _) => at,
            (None, Some(overtaken)) => overtaken.at(request.ended_ns),
            (None, None) => span.until_ns,
        };
        Span {
            until_ns: span.until_ns.max(until_ns),
            ..span
        }
    }

    /// From the intended start of a record's attempt (or its own append) to its append.
    pub fn record_span(&self, row: usize) -> Span {
        let at_ns = self.join.on_topic_ns(row);
        let attempt = self.join.log.at(row).attempt;
        let at = Span {
            from_ns: at_ns,
            until_ns: at_ns,
        };
        match self.history().requests.get(attempt as usize) {
            Some(request) => at.hull(self.request_span(request)),
            None => at,
        }
    }

    /// The whole run.
    pub fn whole(&self) -> Span {
        Span {
            from_ns: self.history().meta.load_from_ns,
            until_ns: join::NEVER,
        }
    }

    /// Seconds from the load's start, as all reports count.
    pub fn at(&self, ns: i64) -> String {
        let from_start = ns.saturating_sub(self.history().meta.load_from_ns);
        format!("{:.3} s", from_start as f64 / 1e9)
    }

    /// What came of a request, with its time.
    pub fn answer(&self, request: Request) -> String {
        let at = self.at(request.ended_ns);
        match (request.outcome, request.status) {
            (Outcome::Committed, _) => format!("answered at {at}"),
            (Outcome::Rejected, _) => format!("refused at {at}"),
            (Outcome::NotSent, _) => format!("never sent, {at}"),
            (Outcome::Unknown, 0) => format!("no answer by {at}"),
            (Outcome::Unknown, status) => format!("failed with status {status} at {at}"),
        }
    }

    /// The same of whatever request made a slot.
    pub fn answer_of(&self, slot: usize) -> String {
        match self.join.request(slot) {
            Some(request) => self.answer(request),
            None => "by an attempt that nobody made".to_owned(),
        }
    }

    /// What happened meanwhile that may explain it: a death, else a fault; else nothing.
    pub fn meanwhile(&self, span: Span) -> String {
        let reach = Span {
            until_ns: span.until_ns.saturating_add(AFTERMATH_NS),
            ..span
        };
        let death = self.deaths.iter().find(|death| {
            reach.overlaps(Span {
                from_ns: death.at_ns,
                until_ns: death.at_ns,
            })
        });
        if let Some(death) = death {
            let how = if death.signal == 9 {
                "was killed".to_owned()
            } else {
                format!("was ended by signal {}", death.signal)
            };
            return format!("; {} {how} at {}", death.process, self.at(death.at_ns));
        }
        let Some(window) = self.windows.iter().find(|w| w.span.overlaps(span)) else {
            return String::new();
        };
        let name = fault_name(&self.history().meta.scenario.faults[window.fault]);
        let from = self.at(window.span.from_ns);
        match window.span.until_ns {
            join::NEVER => format!("; {name} was in force from {from} on"),
            until => format!("; {name} was in force from {from} to {}", self.at(until)),
        }
    }

    /// An offence of a slot; `what` follows the name of the version.
    pub fn slot_offence(&self, slot: usize, what: &str) -> Offence {
        let row = self.join.truth.at(slot);
        Offence {
            order: row.order,
            version: row.version,
            attempt: row.attempt,
            record: None,
            against: 0,
            what: format!("{}: {what}", version_name(row.order, row.version)),
        }
    }

    /// An offence of a record on the topic.
    pub fn record_offence(&self, row: usize, what: &str) -> Offence {
        let record = self.join.log.at(row);
        Offence {
            order: record.order,
            version: record.version,
            attempt: record.attempt,
            record: Some((record.partition, record.offset)),
            against: 0,
            what: format!("{}: {what}", version_name(record.order, record.version)),
        }
    }

    /// `partition 1 offset 42`, on the topic when.
    pub fn place(&self, row: usize) -> String {
        let record = self.join.log.at(row);
        format!(
            "partition {} offset {}, on the topic at {}",
            record.partition,
            record.offset,
            self.at(self.join.on_topic_ns(row))
        )
    }
}

/// `order 17 version 2`.
pub fn version_name(order: u32, version: u32) -> String {
    match (order, version) {
        (NONE, _) => "an order that is not of this run".to_owned(),
        (order, 0) => format!("order {order}"),
        (order, version) => format!("order {order} version {version}"),
    }
}
