//! What every checker is given: the view of the history, what of it was read, and the words for what
//! happened when.

use super::Offence;
use super::client_answers::ClientAnswers;
use super::reading::Reading;
use crate::history::{History, Life, NONE, Outcome, Request};
use crate::view::{NEVER, Span, View, fault_name};
use std::cell::OnceCell;

/// A history as it is seen, and as much of it as was read.
pub struct Context<'a> {
    /// The history as it is seen.
    pub view: View<'a>,
    /// This says what the fence let us read.
    pub reading: Reading,
    deaths: Vec<FatalSignal<'a>>,
    client_answers: OnceCell<ClientAnswers>,
}

struct FatalSignal<'a> {
    process: &'a str,
    at_ns: i64,
    signal: i32,
}

/// A death so soon after a request's end still explains it: the reset is seen before the reaping.
const AFTERMATH_NS: i64 = 100_000_000;

impl<'a> Context<'a> {
    /// Joins the history; linear.
    pub fn new(history: &'a History) -> Self {
        let deaths = history
            .processes
            .iter()
            .filter(|p| p.life == Life::Exited && p.exit > 0)
            .map(|p| FatalSignal {
                process: &p.process,
                at_ns: p.at_ns,
                signal: p.exit,
            })
            .collect();
        Self {
            view: View::new(history),
            reading: Reading::of(history),
            deaths,
            client_answers: OnceCell::new(),
        }
    }

    /// Returns the history that is judged.
    pub fn history(&self) -> &'a History {
        self.view.history()
    }

    /// What the client was told of each change.
    pub fn client_answers(&self) -> &ClientAnswers {
        self.client_answers
            .get_or_init(|| ClientAnswers::new(self.history()))
    }

    /// Returns a time in seconds from the load's start, as all reports count.
    pub fn at(&self, ns: i64) -> String {
        let from_start = ns.saturating_sub(self.history().meta.load_from_ns);
        format!("{:.3} s", from_start as f64 / 1e9)
    }

    /// Tells what came of a request, with its time.
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

    /// Tells the same of whatever request made a slot.
    pub fn answer_of(&self, slot: usize) -> String {
        match self.view.join.request(slot) {
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
        let Some(window) = self.view.windows.iter().find(|w| w.span.overlaps(span)) else {
            return String::new();
        };
        let name = fault_name(&self.history().meta.scenario.faults[window.fault]);
        let from = self.at(window.span.from_ns);
        match window.span.until_ns {
            NEVER => format!("; {name} was in force from {from} on"),
            until => format!("; {name} was in force from {from} to {}", self.at(until)),
        }
    }

    /// Makes an offence of a slot; `what` follows the name of the version.
    pub fn slot_offence(&self, slot: usize, what: &str) -> Offence {
        let row = self.view.join.truth.at(slot);
        Offence {
            order: row.order,
            version: row.version,
            attempt: row.attempt,
            record: None,
            read: None,
            against_order: row.order,
            against: 0,
            what: format!("{}: {what}", version_name(row.order, row.version)),
        }
    }

    /// Makes an offence of a record on the topic; `what` follows the name of its version.
    pub fn record_offence(&self, row: usize, what: &str) -> Offence {
        let record = self.view.join.log.at(row);
        Offence {
            order: record.order,
            version: record.version,
            attempt: record.attempt,
            record: Some((record.partition, record.offset)),
            read: None,
            against_order: record.order,
            against: 0,
            what: format!("{}: {what}", version_name(record.order, record.version)),
        }
    }

    /// Tells where a record is and when it came there: `partition 1 offset 42, on the topic at 2.105 s`.
    pub fn place(&self, row: usize) -> String {
        let record = self.view.join.log.at(row);
        format!(
            "{} offset {}, on the topic at {}",
            self.partition(record.partition),
            record.offset,
            self.at(self.view.join.on_topic_ns(row))
        )
    }

    /// Names a partition by its number in the history, and where the strategy has several topics by its topic.
    pub fn partition(&self, number: i32) -> String {
        self.history().meta.topics().words(number)
    }
}

/// Names a version of an order by its numbers: `order 17 version 2`.
pub fn version_name(order: u32, version: u32) -> String {
    match (order, version) {
        (NONE, _) => "an order that is not of this run".to_owned(),
        (order, 0) => format!("order {order}"),
        (order, version) => format!("order {order} version {version}"),
    }
}
