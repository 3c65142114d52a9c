//! `[strategy.NAME]`: how events get from the database to the broker.

mod cdc;
mod debezium;
mod dual_write;
mod event_sourcing;
mod external;
mod logical_message;
mod polling;
mod two_phase_commit;

use super::keys::{self, KeyInfo, Shape};
use super::section::Section;
use super::{BrokerChoice, Instance, Strategy, StrategyKind};
use super::{brokers, cache, databases, limits};
use contract::broker::BrokerKind;
use contract::config::CommitMode;
use contract::database::DatabaseKind;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// This is the row that a kind of strategy has in the registry.
#[derive(Debug)]
pub struct StrategyInfo {
    /// Scenario files name the kind like this, in `kind`.
    pub name: &'static str,
    /// This explains the kind in one line, for `outbox-harness list`.
    pub what: &'static str,
    /// A scenario file writes such a strategy like this, with the kind's own keys.
    pub example: &'static str,
    /// These are the kind's own keys, beside `kind` and `linger`, and beside those of its broker.
    pub keys: &'static [KeyInfo],
    /// Whether its events can go to any broker; else they go to Kafka.
    pub any_broker: bool,
    /// Whether its orders can be in any database; else they are in PostgreSQL.
    pub any_database: bool,
    /// Reads them, but for `synchronous_commit`, `instances` and those of a cache.
    read: fn(&mut Section<'_>, &Surroundings<'_>) -> Option<StrategyKind>,
}

/// Every kind of strategy has a row here.
pub const KINDS: [StrategyInfo; 8] = [
    dual_write::INFO,
    polling::INFO,
    cdc::INFO,
    logical_message::INFO,
    event_sourcing::INFO,
    debezium::INFO,
    two_phase_commit::INFO,
    external::INFO,
];

fn kind_words() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

/// Every strategy can have these keys, whatever its kind.
pub(super) const KEYS: [KeyInfo; 2] = [
    KeyInfo::required("kind", Shape::Word(kind_words), "how it works"),
    KeyInfo::usually(
        "linger",
        Shape::Duration {
            least: Duration::ZERO,
            most: limits::LINGER,
        },
        "\"0s\"",
        "so long its producer waits for more events to send together (`linger.ms`)",
    ),
];

/// The transactions of a relay of our own commit in one of these modes.
const COMMIT_MODES: [CommitMode; 2] = [CommitMode::Off, CommitMode::On];

fn commit_words() -> Vec<&'static str> {
    COMMIT_MODES.map(CommitMode::name).to_vec()
}

/// This key of our own relays says whether their transactions wait for the disk.
const SYNCHRONOUS_COMMIT: KeyInfo = KeyInfo::usually(
    "synchronous_commit",
    Shape::Word(commit_words),
    "\"off\"",
    "whether the relay's own transactions, in which it deletes or marks rows, wait for the disk",
);

/// This key of our own relays says how many of them run; one works, and the others stand by.
const INSTANCES: KeyInfo = KeyInfo::usually(
    "instances",
    Shape::Integer {
        least: 1,
        most: Instance::MOST as i64,
    },
    "1",
    "so many relays, of which one works and the others stand by",
);

/// This key of who reads the log by a replication slot says whether a hot standby has the slot as well.
const FAILOVER_SLOT: KeyInfo = KeyInfo::usually(
    "failover_slot",
    Shape::Flag,
    "false",
    "whether the hot standby has the replication slot as well (`failover` of `pg_create_logical_replication_slot`), so that it is there when that takes the server's place",
);

/// Returns the names of the keys of every strategy, and of those of each kind.
pub(super) fn known() -> Vec<&'static str> {
    let of_kinds = KINDS.iter().flat_map(|kind| keys::names(&kind.all_keys()));
    keys::names(&KEYS).into_iter().chain(of_kinds).collect()
}

impl StrategyInfo {
    /// Returns the kind's own keys, with those of brokers and databases where it can have any.
    pub fn all_keys(&self) -> Vec<KeyInfo> {
        let of_brokers = match self.any_broker {
            true => brokers::keys(),
            false => Vec::new(),
        };
        let of_databases = match self.any_database {
            true => vec![databases::DATABASE],
            false => Vec::new(),
        };
        [self.keys.to_vec(), of_brokers, of_databases].concat()
    }

    /// Whether it has a key of its own of this name.
    fn has(&self, key: &str) -> bool {
        self.all_keys().iter().any(|own| own.name == key)
    }
}

/// What a strategy's keys are read beside.
pub(super) struct Surroundings<'a> {
    /// This is the scenario file's folder: paths in the file begin there.
    pub folder: &'a Path,
}

/// A strategy without its expectations, and where the file has it.
pub(super) struct PlacedStrategy {
    /// The table was read into this strategy, whose expectations are still empty.
    pub strategy: Strategy,
    /// The strategy's header stands at these bytes of the file; strategies are sorted by it.
    pub span: Range<usize>,
    /// The value of its `cache` stands at these bytes; `None` where it has none.
    pub cache_span: Option<Range<usize>>,
    /// The value of its `failover_slot` stands at these bytes; `None` where it has none, or none that asks for one.
    pub failover_slot_span: Option<Range<usize>>,
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

fn kind_example() -> String {
    let others = kind_words().into_iter().filter(|kind| *kind != "polling");
    let others: Vec<String> = others.map(|kind| format!("\"{kind}\"")).collect();
    format!("kind = \"polling\" (or {})", others.join(", "))
}

/// Reads one `[strategy.NAME]`; what is wrong is noted in the section, and `None` means that no strategy came of it.
pub(super) fn read(
    mut s: Section<'_>,
    name: &str,
    surroundings: &Surroundings<'_>,
) -> Option<PlacedStrategy> {
    let kinds: Vec<(&'static str, &'static StrategyInfo)> =
        KINDS.iter().map(|k| (k.name, k)).collect();
    let info = s
        .required("kind", &kind_example())
        .and_then(|e| s.word(e, &kinds));
    let linger_entry = s.get("linger");
    let linger = linger_entry
        .and_then(|e| s.duration(e, Duration::ZERO..=limits::LINGER))
        .unwrap_or_default();
    let Some(info) = info else {
        for key in KINDS.iter().flat_map(StrategyInfo::all_keys) {
            s.get(key.name);
        }
        s.finish();
        return None;
    };
    let relay_commit = if info.has("synchronous_commit") {
        relay_commit(&mut s)
    } else {
        CommitMode::default()
    };
    let instances = if info.has("instances") {
        instances(&mut s)
    } else {
        1
    };
    let failover_slot = match info.has(FAILOVER_SLOT.name) {
        true => failover_slot(&mut s),
        false => None,
    };
    let kind = (info.read)(&mut s, surroundings);
    let has_relay = kind.as_ref().is_none_or(StrategyKind::has_relay);
    let cached = match info.has("cache") {
        true => cache::read(&mut s, has_relay),
        false => None,
    };
    let (cache, cache_span) = cached.unzip();
    let broker = match info.any_broker {
        true => brokers::read(&mut s),
        false => Some(BrokerChoice::default()),
    };
    let database = match info.any_database {
        true => databases::read(&mut s, kind.as_ref()),
        false => DatabaseKind::default(),
    };
    if let (Some(entry), Some(timeout)) = (
        linger_entry,
        kind.as_ref().and_then(StrategyKind::publish_timeout),
    ) && linger >= timeout
    {
        // librdkafka refuses such a configuration, and it could publish nothing.
        s.problem(
            entry.span(),
            "`linger` is not shorter than `publish_timeout`: every publish would time out while it waits for its batch",
            "make `linger` shorter or `publish_timeout` longer",
        );
    }
    if let Some(entry) = linger_entry
        && let Some(broker) = broker.as_ref().map(BrokerChoice::kind)
        && broker != BrokerKind::Kafka
    {
        s.problem(
            entry.key_span(),
            format!(
                "`linger` is of Kafka's producer, and the events of `{name}` go to {}",
                broker.title()
            ),
            "remove the line: each event goes out when it is there",
        );
    }
    let span = s.span();
    s.finish_with(|key| {
        let owners: Vec<&str> = KINDS
            .iter()
            .filter(|k| k.has(key))
            .map(|k| k.name)
            .collect();
        if owners.is_empty() {
            return None;
        }
        let own = info.all_keys();
        let takes = format!("kind, linger, {}", keys::names(&own).join(", "));
        Some((
            format!(
                "`{key}` belongs to {}, and `{name}` is {}",
                owners.join(" and "),
                info.name
            ),
            match cache::has_key(key) {
                true => cache::ELSEWHERE.to_owned(),
                false => format!("a {} strategy takes {takes}", info.name),
            },
        ))
    });
    Some(PlacedStrategy {
        strategy: Strategy {
            name: name.to_owned(),
            kind: kind?,
            linger_ms: linger.as_nanos() as f64 / 1e6,
            // Each commit there waits for the disk.
            relay_commit: match database.has_commit_modes() {
                true => relay_commit,
                false => CommitMode::On,
            },
            failover_slot: failover_slot.is_some(),
            instances,
            broker: broker?,
            database,
            cache,
            expectations: Vec::new(),
            of_consumers: Vec::new(),
        },
        span,
        cache_span,
        failover_slot_span: failover_slot,
    })
}

/// Returns where the file asks for a slot that a standby has as well.
fn failover_slot(s: &mut Section<'_>) -> Option<Range<usize>> {
    let entry = s.get(FAILOVER_SLOT.name)?;
    s.flag(entry)?.then(|| entry.span())
}

fn instances(s: &mut Section<'_>) -> u8 {
    s.get("instances")
        .and_then(|e| s.integer(e, 1..=Instance::MOST as u8))
        .unwrap_or(1)
}

fn relay_commit(s: &mut Section<'_>) -> CommitMode {
    let words = COMMIT_MODES.map(|mode| (mode.name(), mode));
    s.get("synchronous_commit")
        .and_then(|e| s.word(e, &words))
        .unwrap_or_default()
}
