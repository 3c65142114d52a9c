//! What becomes of published rows, and how the outbox is kept small.

use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::limits;
use crate::scenario::section::{Entry, Section};
use contract::config::{AfterPublish, Housekeeping};
use std::time::Duration;

/// A way of keeping house, as files name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Upkeep {
    Delete,
    Mark,
    Partitions,
    Rotate,
}

const WAYS: [(&str, Upkeep); 4] = [
    ("delete", Upkeep::Delete),
    ("mark", Upkeep::Mark),
    ("partitions", Upkeep::Partitions),
    ("rotate", Upkeep::Rotate),
];

fn words() -> Vec<&'static str> {
    WAYS.map(|(word, _)| word).to_vec()
}

const PURGES: (Duration, Duration) = (Duration::from_millis(10), limits::INTERVAL);
const PERIODS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));
const PERIOD: Duration = Duration::from_secs(1);
const TABLES: (u32, u32) = (2, 16);
const TABLES_USUAL: u32 = 3;

pub(super) const AFTER_PUBLISH_KEY: KeyInfo = KeyInfo::usually(
    "after_publish",
    Shape::Word(words),
    "\"delete\"",
    "what becomes of published rows: each is deleted, or marked; or marked, and goes with its partition, which is dropped \
     (`partitions`), or with its table, which is truncated when its turn is over (`rotate`), once nothing waits there",
);

pub(super) const PURGE_KEY: KeyInfo = KeyInfo::optional(
    "purge",
    Shape::Duration {
        least: PURGES.0,
        most: PURGES.1,
    },
    "they stay",
    "with after_publish = \"mark\": so often the relay deletes marked rows",
);

pub(super) const PERIOD_KEY: KeyInfo = KeyInfo::optional(
    "period",
    Shape::Duration {
        least: PERIODS.0,
        most: PERIODS.1,
    },
    "a second, where there are such tables",
    "with after_publish = \"partitions\" or \"rotate\": so long rows go into one partition, or table",
);

pub(super) const TABLES_KEY: KeyInfo = KeyInfo::optional(
    "tables",
    Shape::Integer {
        least: TABLES.0 as i64,
        most: TABLES.1 as i64,
    },
    "three, where they take turns",
    "with after_publish = \"rotate\": so many tables take turns",
);

/// Reads these keys of a strategy; what is wrong is noted in its section.
pub(super) fn read(s: &mut Section<'_>) -> (AfterPublish, Housekeeping) {
    let entry = s.get("after_publish");
    let way = entry.map_or(Some(Upkeep::Delete), |e| s.word(e, &WAYS));
    let (purge, period, tables) = (s.get("purge"), s.get("period"), s.get("tables"));
    let every = purge.and_then(|e| s.duration(e, PURGES.0..=PURGES.1));
    let lasts = period.and_then(|e| s.duration(e, PERIODS.0..=PERIODS.1));
    let many = tables.and_then(|e| s.integer(e, TABLES.0..=TABLES.1));
    let milliseconds = |duration: Duration| duration.as_millis() as u64;
    let period_ms = milliseconds(lasts.unwrap_or(PERIOD));
    let foreign = |entry: Option<Entry<'_>>, of: &str| {
        if let Some(entry) = entry {
            s.problem(
                entry.key_span(),
                format!("`{}` belongs to after_publish = {of}", entry.key),
                format!("leave it out, or write after_publish = {of}"),
            );
        }
    };
    // What else is wrong with a word that is none, nobody knows.
    let Some(way) = way else {
        return (AfterPublish::Delete, Housekeeping::None);
    };
    if way != Upkeep::Mark {
        foreign(purge, "\"mark\"");
    }
    if !matches!(way, Upkeep::Partitions | Upkeep::Rotate) {
        foreign(period, "\"partitions\" or \"rotate\"");
    }
    if way != Upkeep::Rotate {
        foreign(tables, "\"rotate\"");
    }
    match way {
        Upkeep::Delete => (AfterPublish::Delete, Housekeeping::None),
        Upkeep::Mark => (
            AfterPublish::Mark,
            every.map_or(Housekeeping::None, |every| Housekeeping::Purge {
                every_ms: milliseconds(every),
            }),
        ),
        Upkeep::Partitions => (AfterPublish::Mark, Housekeeping::Partitions { period_ms }),
        Upkeep::Rotate => {
            let tables = many.unwrap_or(TABLES_USUAL);
            (
                AfterPublish::Mark,
                Housekeeping::Rotate { period_ms, tables },
            )
        }
    }
}
