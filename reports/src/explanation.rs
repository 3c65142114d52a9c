//! What happened to offending events, or to one order, on a terminal: sentence and timeline.

use crate::figures;
use crate::record::{Offence, Step, Verdict};
use crate::text::{BOLD, DIM, NARROWEST, Paper, cut, padded, wrap};

/// A time has so many columns: `1234.567 s`.
const TIME_WIDTH: usize = 10;
/// Longer names of who did it are cut.
const WHO_MAX: usize = 18;
/// So many blanks stand between two columns.
const GAP: usize = 2;
/// What stands below a heading is indented by so many blanks.
const INDENT: usize = 2;

/// These are the first offending events of a strategy.
#[derive(Debug, Clone, PartialEq)]
pub struct Offences {
    /// This is the name of the strategy that the events are of.
    pub strategy: String,
    /// This is what came of the strategy.
    pub verdict: Verdict,
    /// Why that is no pass.
    pub reasons: Vec<String>,
    /// How many there are, by metric; those that there are none of are left out.
    pub counts: Vec<(String, u64)>,
    /// These are the first few offending events of each metric.
    pub offences: Vec<Offence>,
}

/// This is one order of one strategy: what is known of it and what happened to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// This names the strategy that the order belongs to.
    pub strategy: String,
    /// This is the order's id, a UUID as text.
    pub order_id: String,
    /// What is known of it, in figures.
    pub summary: String,
    /// What is wrong with it; without timelines.
    pub offences: Vec<Offence>,
    /// These steps tell all that happened to the order.
    pub timeline: Vec<Step>,
}

/// This writes explanations as text for a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Explanation {
    /// This says whether the text is coloured with ANSI escape codes.
    pub colour: bool,
    /// The terminal is so many columns wide.
    pub width: usize,
}

impl Explanation {
    /// Returns the text of the strategies with their first offending events, kind after kind.
    pub fn offences(&self, all: &[Offences]) -> String {
        let mut text = String::new();
        for strategy in all {
            if strategy.verdict != Verdict::Pass {
                self.verdict(strategy, &mut text);
            } else if strategy.counts.is_empty() {
                let line = format!("{}: no offending events", strategy.strategy);
                self.paper().wrapped(&line, 0, Some(BOLD), &mut text);
                text.push('\n');
            }
            for (metric, count) in &strategy.counts {
                self.kind(strategy, metric, *count, &mut text);
            }
        }
        text
    }

    /// What came of a strategy that is no pass, whether any event offends or not.
    fn verdict(&self, strategy: &Offences, text: &mut String) {
        let verdict = figures::verdict(strategy.verdict);
        let events = if strategy.counts.is_empty() {
            ", without an offending event"
        } else {
            ""
        };
        let line = format!("{}: {verdict}{events}", strategy.strategy);
        self.paper().wrapped(&line, 0, Some(BOLD), text);
        for reason in &strategy.reasons {
            self.paper().wrapped(reason, INDENT, None, text);
        }
        text.push('\n');
    }

    fn kind(&self, strategy: &Offences, metric: &str, count: u64, text: &mut String) {
        let of_it = || strategy.offences.iter().filter(|o| o.metric == metric);
        let shown = of_it().count() as u64;
        let rest = if shown < count {
            format!(", the first {shown}")
        } else {
            String::new()
        };
        let heading = format!(
            "{}: {} {}{rest}",
            strategy.strategy,
            figures::count(count),
            figures::spoken(metric)
        );
        self.paper().wrapped(&heading, 0, Some(BOLD), text);
        text.push('\n');
        for offence in of_it() {
            self.offence(offence, text);
            self.timeline(&offence.timeline, text);
            text.push('\n');
        }
    }

    /// Returns the text of one offending event, told whole.
    pub fn one(&self, offence: &Offence) -> String {
        let mut text = String::new();
        self.offence(offence, &mut text);
        self.timeline(&offence.timeline, &mut text);
        text.push('\n');
        text
    }

    /// Orders, each with what is wrong with it.
    pub fn orders(&self, orders: &[Order]) -> String {
        let mut text = String::new();
        for order in orders {
            let heading = format!("{}: order {}", order.strategy, order.order_id);
            self.paper().wrapped(&heading, 0, Some(BOLD), &mut text);
            self.paper()
                .wrapped(&order.summary, INDENT, None, &mut text);
            text.push('\n');
            for offence in &order.offences {
                self.offence(offence, &mut text);
            }
            if !order.offences.is_empty() {
                text.push('\n');
            }
            self.timeline(&order.timeline, &mut text);
            text.push('\n');
        }
        text
    }

    fn offence(&self, offence: &Offence, text: &mut String) {
        self.paper()
            .wrapped(&name(offence), INDENT, Some(DIM), text);
        self.paper()
            .wrapped(offence.told(), INDENT, Some(BOLD), text);
    }

    fn timeline(&self, steps: &[Step], text: &mut String) {
        let who_width = steps.iter().map(|s| s.who.chars().count()).max();
        let who_width = who_width.unwrap_or(0).min(WHO_MAX);
        let hanging = INDENT + TIME_WIDTH + GAP + who_width + GAP;
        let room = self.width.max(NARROWEST).saturating_sub(hanging);
        for step in steps {
            let at = format!("{:>TIME_WIDTH$}", format!("{:.3} s", step.at_s));
            let who = padded(&cut(&step.who, who_width), who_width);
            let mut lines = wrap(&step.what, room.max(NARROWEST / 2)).into_iter();
            let first = lines.next().unwrap_or_default();
            text.push_str(&format!(
                "{:INDENT$}{}{:GAP$}{who}{:GAP$}{first}\n",
                "",
                self.paper().paint(&at, DIM),
                "",
                ""
            ));
            for line in lines {
                text.push_str(&format!("{:hanging$}{line}\n", ""));
            }
        }
    }

    fn paper(&self) -> Paper {
        Paper {
            colour: self.colour,
            width: self.width,
        }
    }
}

/// Returns what is wrong, and with which order: `lost: order 0000… version 2`.
fn name(offence: &Offence) -> String {
    let metric = figures::spoken(&offence.metric);
    let order = offence.order_id.as_deref().map(|id| format!("order {id}"));
    let order = order.unwrap_or_else(|| "an order that is not of this run".to_owned());
    match offence.version {
        Some(version) => format!("{metric}: {order} version {version}"),
        None => format!("{metric}: {order}"),
    }
}
