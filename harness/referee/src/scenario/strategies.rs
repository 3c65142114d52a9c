//! `[strategy.NAME]`: how events get from the database to the broker.

use super::limits;
use super::section::Section;
use super::{Strategy, StrategyKind};
use contract::config::{AfterPublish, CommitMode, WriteOrder};
use std::ops::Range;
use std::time::Duration;

/// A kind of strategy and the keys that are its own.
pub struct StrategyInfo {
    /// The `kind` of scenario files.
    pub name: &'static str,
    /// Its own keys, beside `kind` and `linger`.
    pub keys: &'static [&'static str],
    /// Reads them, but for `synchronous_commit`.
    read: fn(&mut Section<'_>) -> Option<StrategyKind>,
}

/// Every kind of strategy.
pub const KINDS: [StrategyInfo; 4] = [
    StrategyInfo {
        name: "dual-write",
        keys: &["order", "publish_timeout"],
        read: dual_write,
    },
    StrategyInfo {
        name: "polling",
        keys: &[
            "after_publish",
            "interval",
            "batch",
            "notify",
            "synchronous_commit",
        ],
        read: polling,
    },
    StrategyInfo {
        name: "cdc",
        keys: &["synchronous_commit"],
        read: |_| Some(StrategyKind::Cdc {}),
    },
    StrategyInfo {
        name: "debezium",
        keys: &[],
        read: |_| Some(StrategyKind::Debezium {}),
    },
];

/// A strategy without its expectations, and where the file has it.
pub(super) struct Placed {
    /// The strategy.
    pub strategy: Strategy,
    /// Its header.
    pub span: Range<usize>,
}

/// What is wrong with a name, or nothing.
pub(super) fn name_problem(name: &str, longest: usize) -> Option<String> {
    let well_formed = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    (!well_formed || name.len() > longest).then(|| {
        format!(
            "take 1 to {longest} of a-z, A-Z, 0-9, `-` and `_`, beginning with a letter or digit"
        )
    })
}

/// How a name looks where only a-z, 0-9 and `_` are possible (schemas).
pub(super) fn plain(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// Reads one strategy.
pub(super) fn read(mut s: Section<'_>, name: &str) -> Option<Placed> {
    let kinds: Vec<(&'static str, &'static StrategyInfo)> =
        KINDS.iter().map(|k| (k.name, k)).collect();
    let info = s
        .required(
            "kind",
            "kind = \"polling\" (or \"dual-write\", \"cdc\", \"debezium\")",
        )
        .and_then(|e| s.word(e, &kinds));
    let linger_entry = s.get("linger");
    let linger = linger_entry
        .and_then(|e| s.duration(e, Duration::ZERO..=limits::LINGER))
        .unwrap_or_default();
    let Some(info) = info else {
        for key in KINDS.iter().flat_map(|k| k.keys) {
            s.get(key);
        }
        s.finish();
        return None;
    };
    let relay_commit = if info.keys.contains(&"synchronous_commit") {
        relay_commit(&mut s)
    } else {
        CommitMode::default()
    };
    let kind = (info.read)(&mut s);
    if let (
        Some(entry),
        Some(StrategyKind::DualWrite {
            publish_timeout: Some(timeout),
            ..
        }),
    ) = (linger_entry, &kind)
        && linger >= *timeout
    {
        // librdkafka refuses such a configuration, and it could publish nothing.
        s.problem(
            entry.span(),
            "`linger` is not shorter than `publish_timeout`: every publish would time out while it waits for its batch",
            "make `linger` shorter or `publish_timeout` longer",
        );
    }
    let span = s.span();
    s.finish_with(|key| {
        let owners: Vec<&str> = KINDS
            .iter()
            .filter(|k| k.keys.contains(&key))
            .map(|k| k.name)
            .collect();
        if owners.is_empty() {
            return None;
        }
        let takes = if info.keys.is_empty() {
            "kind and linger only".to_owned()
        } else {
            format!("kind, linger, {}", info.keys.join(", "))
        };
        Some((
            format!(
                "`{key}` belongs to {}, and `{name}` is {}",
                owners.join(" and "),
                info.name
            ),
            format!("a {} strategy takes {takes}", info.name),
        ))
    });
    Some(Placed {
        strategy: Strategy {
            name: name.to_owned(),
            kind: kind?,
            linger_ms: linger.as_nanos() as f64 / 1e6,
            relay_commit,
            expectations: Vec::new(),
        },
        span,
    })
}

fn relay_commit(s: &mut Section<'_>) -> CommitMode {
    let words = [CommitMode::Off, CommitMode::On].map(|mode| (mode.name(), mode));
    s.get("synchronous_commit")
        .and_then(|e| s.word(e, &words))
        .unwrap_or_default()
}

fn dual_write(s: &mut Section<'_>) -> Option<StrategyKind> {
    let order = s
        .required("order", "order = \"commit-then-publish\"")
        .and_then(|e| {
            s.word(
                e,
                &[
                    ("commit-then-publish", WriteOrder::CommitThenPublish),
                    ("publish-then-commit", WriteOrder::PublishThenCommit),
                ],
            )
        });
    let publish_timeout = s
        .get("publish_timeout")
        .and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::REQUEST));
    Some(StrategyKind::DualWrite {
        order: order?,
        publish_timeout,
    })
}

fn polling(s: &mut Section<'_>) -> Option<StrategyKind> {
    let after_publish = s
        .get("after_publish")
        .and_then(|e| {
            s.word(
                e,
                &[
                    ("delete", AfterPublish::Delete),
                    ("mark", AfterPublish::Mark),
                ],
            )
        })
        .unwrap_or(AfterPublish::Delete);
    let interval = s
        .get("interval")
        .and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::INTERVAL))
        .unwrap_or(Duration::from_millis(5));
    let batch = s
        .get("batch")
        .and_then(|e| s.integer(e, 1..=limits::BATCH))
        .unwrap_or(500);
    let notify = s.get("notify").and_then(|e| s.flag(e)).unwrap_or(false);
    Some(StrategyKind::Polling {
        after_publish,
        interval,
        batch,
        notify,
    })
}
