//! `when` of a fault: what it waits for instead of a time. One file a trigger; what is counted live, and
//! how, is the nemesis's business.

mod after;
mod backlog;
mod committed;
mod events;
pub(super) mod log;
mod sql;

use super::Victim;
use super::keys::{self, KeyInfo, Shape};
use super::limits;
use super::section::{Entry, Section};
use super::units::show_duration;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use toml::de::DeValue;

/// What a fault waits for. It fires once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// So many different valid events were seen on the topic.
    Events(u64),
    /// So many changes were acknowledged to the generator as committed.
    Committed(u64),
    /// So many more changes were acknowledged than different valid events were seen.
    Backlog(u64),
    /// Another fault was injected, and so much time has passed since.
    After {
        /// The fault that is waited for has this `id`.
        fault: String,
        /// How long ago it was injected.
        after: Duration,
    },
    /// A process logged a line, since the load began, that matches.
    Log {
        /// The log of this process is read.
        of: Victim,
        /// A line must match this regular expression.
        matches: String,
    },
    /// A query of the database was true.
    Sql {
        /// This SQL query gives one boolean, and the fault waits until it is true.
        query: String,
        /// Where the scenario's text has it.
        at: usize,
    },
    /// Somebody at a keyboard pressed a key. No file can ask for it: nobody sits beside a run of a file, and
    /// a demo makes its own.
    Key {
        /// The fault waits for presses of this key.
        key: char,
        /// It is the so manieth press of it, from 1 on.
        press: u64,
    },
}

/// A query is named in so many characters.
const QUERY_CHARS_MAX: usize = 60;

/// This is the row that a trigger has in the registry.
#[derive(Debug)]
pub struct TriggerInfo {
    /// A scenario file writes the trigger like this.
    pub example: &'static str,
    /// This explains the trigger in one line, for `outbox-harness list`.
    pub what: &'static str,
    /// These keys of `when` belong to this trigger.
    pub(super) keys: &'static [KeyInfo],
    /// Reads them; `most` is how many changes the load intends, where that is known.
    read: fn(&mut Section<'_>, most: Option<f64>) -> Option<Trigger>,
}

/// Every trigger that a scenario file can name has a row here.
pub const TRIGGERS: [TriggerInfo; 6] = [
    events::INFO,
    committed::INFO,
    backlog::INFO,
    after::INFO,
    log::INFO,
    sql::INFO,
];

impl Trigger {
    /// Returns the trigger as reports name it: `1000 events`, `500ms after cut`.
    pub fn describe(&self) -> String {
        match self {
            Self::Events(n) => format!("{n} events"),
            Self::Committed(n) => format!("{n} committed changes"),
            Self::Backlog(n) => format!("a backlog of {n}"),
            Self::After { fault, after } => format!("{} after {fault}", show_duration(*after)),
            Self::Log { of, matches } => format!("{} logs `{matches}`", of.name()),
            Self::Sql { query, .. } => format!("`{}`", in_short(query)),
            Self::Key { key, press: 1 } => format!("key {key}"),
            Self::Key { key, press } => format!("key {key}, press {press}"),
        }
    }

    /// How far it must come to fire: a count, or nanoseconds; one line, one true answer.
    pub fn goal(&self) -> u64 {
        match self {
            Self::Events(n) | Self::Committed(n) | Self::Backlog(n) => *n,
            Self::After { after, .. } => u64::try_from(after.as_nanos()).unwrap_or(u64::MAX),
            Self::Log { .. } | Self::Sql { .. } => 1,
            Self::Key { press, .. } => *press,
        }
    }

    /// Says in words how far it came by the end of the load; with `None` it could not even begin.
    pub fn fell_short(&self, far: Option<u64>) -> String {
        match (self, far) {
            (Self::Events(_) | Self::Committed(_), Some(far)) => {
                format!("{far} by the end of the load")
            }
            (Self::Backlog(_), Some(far)) => format!("{far} at most by the end of the load"),
            (Self::After { .. }, Some(far)) => {
                let passed = Duration::from_millis(far / 1_000_000);
                format!("{} by the end of the load", show_duration(passed))
            }
            (Self::After { fault, .. }, None) => format!("{fault} was never injected"),
            (Self::Key { .. }, far) => {
                format!("{} presses by the end of the load", far.unwrap_or(0))
            }
            (Self::Events(_) | Self::Committed(_) | Self::Backlog(_), None) => {
                "nothing was counted".to_owned()
            }
            (Self::Log { of, .. }, _) => {
                format!(
                    "the {} logged no such line by the end of the load",
                    of.name()
                )
            }
            (Self::Sql { .. }, _) => "it was never true by the end of the load".to_owned(),
        }
    }

    /// The fault that it waits for, and for how long after that one's injection.
    pub fn follows(&self) -> Option<(&str, Duration)> {
        match self {
            Self::After { fault, after } => Some((fault, *after)),
            Self::Events(_)
            | Self::Committed(_)
            | Self::Backlog(_)
            | Self::Log { .. }
            | Self::Sql { .. }
            | Self::Key { .. } => None,
        }
    }

    /// Whether it is a key, so that a key may end its fault as well.
    pub fn is_key(&self) -> bool {
        match self {
            Self::Key { .. } => true,
            Self::Events(_)
            | Self::Committed(_)
            | Self::Backlog(_)
            | Self::After { .. }
            | Self::Log { .. }
            | Self::Sql { .. } => false,
        }
    }

    /// The process whose log it waits for.
    pub fn speaker(&self) -> Option<Victim> {
        match self {
            Self::Log { of, .. } => Some(*of),
            Self::Events(_)
            | Self::Committed(_)
            | Self::Backlog(_)
            | Self::After { .. }
            | Self::Sql { .. }
            | Self::Key { .. } => None,
        }
    }

    /// The query that it waits for, and where the scenario's text has it.
    pub fn query(&self) -> Option<(&str, usize)> {
        match self {
            Self::Sql { query, at } => Some((query, *at)),
            Self::Events(_)
            | Self::Committed(_)
            | Self::Backlog(_)
            | Self::After { .. }
            | Self::Log { .. }
            | Self::Key { .. } => None,
        }
    }
}

/// Returns the names of the keys of every trigger.
fn known() -> Vec<&'static str> {
    let keys = TRIGGERS.iter().flat_map(|info| keys::names(info.keys));
    keys.collect()
}

/// A value of this shape is a count of changes, or of their events.
const COUNT: Shape = Shape::Integer {
    least: 1,
    most: limits::CHANGES as i64,
};

/// Returns a query on one line, cut to a length that fits a sentence.
fn in_short(query: &str) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUERY_CHARS_MAX) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line,
    }
}

/// Reads the `when` of a fault; `most` is how many changes the load intends, where that is known. What is wrong is
/// noted in the section, and then there is no trigger.
pub(super) fn read(s: &Section<'_>, entry: Entry<'_>, most: Option<f64>) -> Option<Trigger> {
    let help = format!(
        "write what it waits for, such as `{}`",
        events::INFO.example
    );
    if !matches!(entry.value(), DeValue::Table(_)) {
        s.problem(entry.span(), "`when` is not a table", help);
        return None;
    }
    let mut when = Section::of(entry, "`when`", known(), s.problems())?;
    // Every key is asked for, so that each of them is known and a mistyped one finds its like.
    let mut named: Vec<&TriggerInfo> = Vec::new();
    for info in &TRIGGERS {
        let keys = info.keys.iter().filter(|key| when.get(key.name).is_some());
        if keys.count() > 0 {
            named.push(info);
        }
    }
    let trigger = match named.as_slice() {
        [] => {
            // A key that is not known has its own problem.
            if when.entries().is_empty() {
                s.problem(entry.span(), "`when` says nothing to wait for", help);
            }
            None
        }
        [one] => (one.read)(&mut when, most),
        [one, other, ..] => {
            s.problem(
                entry.span(),
                "`when` names several things to wait for",
                format!(
                    "a fault waits for one: either `{}` or `{}`",
                    one.example, other.example
                ),
            );
            None
        }
    };
    when.finish();
    trigger
}

/// Reads a count of changes or of their events, none of which there are more than the load offers.
fn count(s: &mut Section<'_>, key: &'static str, most: Option<f64>) -> Option<u64> {
    let entry = s.get(key)?;
    let count = s.integer(entry, 1..=limits::CHANGES as u64)?;
    if let Some(most) = most.filter(|most| count as f64 > *most) {
        s.problem(
            entry.span(),
            format!(
                "`{key}` is {count}, and the load offers {most:.0} changes: it is never reached"
            ),
            "take a smaller number, raise `rate`, or give the workload a longer `duration`",
        );
        return None;
    }
    Some(count)
}
