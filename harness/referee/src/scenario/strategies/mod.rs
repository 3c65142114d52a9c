//! `[strategy.NAME]`: how events get from the database to the broker.

mod cdc;
mod debezium;
mod dual_write;
mod external;
mod polling;

use super::limits;
use super::section::Section;
use super::{Strategy, StrategyKind};
use contract::config::CommitMode;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// A kind of strategy: its row in the registry.
#[derive(Debug)]
pub struct StrategyInfo {
    /// The `kind` of scenario files.
    pub name: &'static str,
    /// One line of explanation, for `outbox-harness list`.
    pub what: &'static str,
    /// Its own keys, beside `kind` and `linger`.
    pub keys: &'static [&'static str],
    /// Reads them, but for `synchronous_commit`.
    read: fn(&mut Section<'_>, &Surroundings<'_>) -> Option<StrategyKind>,
}

/// Every kind of strategy.
pub const KINDS: [StrategyInfo; 5] = [
    dual_write::INFO,
    polling::INFO,
    cdc::INFO,
    debezium::INFO,
    external::INFO,
];

/// What a strategy's keys are read beside.
pub(super) struct Surroundings<'a> {
    /// The scenario file's folder: paths in the file begin there.
    pub folder: &'a Path,
}

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
pub(super) fn read(
    mut s: Section<'_>,
    name: &str,
    surroundings: &Surroundings<'_>,
) -> Option<Placed> {
    let kinds: Vec<(&'static str, &'static StrategyInfo)> =
        KINDS.iter().map(|k| (k.name, k)).collect();
    let info = s
        .required(
            "kind",
            "kind = \"polling\" (or \"dual-write\", \"cdc\", \"debezium\", \"external\")",
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
    let kind = (info.read)(&mut s, surroundings);
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
