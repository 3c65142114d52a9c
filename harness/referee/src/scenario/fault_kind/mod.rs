//! `kind` of a fault: one file a kind, with its keys, how they are read, and its line for `list`. Whether
//! it bit is judged elsewhere.

mod bandwidth;
mod down;
mod failover;
mod kill;
mod latency;
mod limit_data;
mod old_snapshot;
mod pause;
mod reset_peer;
mod restart;
mod slicer;
mod slow_close;
mod timeout;

use super::keys::{self, KeyInfo, Shape};
use super::limits;
use super::section::Section;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// This is the direction of a proxied connection that a toxic works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// The toxic works on what the client sends to the server.
    Upstream,
    /// The toxic works on what the server sends to the client (Toxiproxy's default).
    Downstream,
}

/// This is a Toxiproxy toxic with its own attributes, in Toxiproxy's units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "attributes")]
pub enum Toxic {
    /// Data arrives later.
    Latency {
        /// This is the mean delay, milliseconds.
        latency: u64,
        /// The delay is off its mean by this much at most, either way, milliseconds.
        jitter: u64,
    },
    /// A connection carries no more than so much a second.
    Bandwidth {
        /// This is the most that it carries, KB/s, of 1,000 bytes each.
        rate: u64,
    },
    /// The close of a connection is passed on later.
    SlowClose {
        /// This is how much later a close arrives, milliseconds.
        delay: u64,
    },
    /// All data is swallowed, and after `timeout` the connection is closed (0: only when the toxic is removed).
    Timeout {
        /// A connection is closed after this long, milliseconds; with 0, only when the toxic is removed.
        timeout: u64,
    },
    /// Connections are reset, each when `timeout` has passed.
    ResetPeer {
        /// This is how long after it was made a connection is reset, milliseconds.
        timeout: u64,
    },
    /// Cuts data into small pieces.
    Slicer {
        /// This is the mean size of a piece, bytes.
        average_size: u64,
        /// A piece is off that size by at most this many bytes, which are fewer than the mean.
        size_variation: u64,
        /// This is the time between two pieces, microseconds.
        delay: u64,
    },
    /// Ends a connection after so many bytes.
    LimitData {
        /// A connection ends after this many bytes.
        bytes: u64,
    },
}

/// This is what happens to the target of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// The proxy is disabled: connections cut, new ones refused.
    Down,
    /// A toxic works on every link of the target.
    Toxic {
        /// This is what the toxic does, with its attributes.
        toxic: Toxic,
        /// This is the direction of a connection that it works on.
        stream: Stream,
        /// It works on this share of connections, 0 to 1.
        toxicity: f32,
    },
    /// The process gets SIGKILL, and is started again when healed.
    Kill,
    /// The process is told to end, as at a deployment, and is started again when healed.
    Restart,
    /// The process gets SIGSTOP, and SIGCONT when healed.
    Pause,
    /// A session of the harness's holds a snapshot of the database, and nothing else, until healed.
    OldSnapshot,
    /// The database server gets SIGKILL, and its hot standby takes its place when healed.
    Failover,
}

/// This is a kind of fault, a row in the registry.
#[derive(Debug)]
pub struct FaultInfo {
    /// Scenario files name it so, as the `kind` of a fault.
    pub name: &'static str,
    /// This is its line of explanation, for `outbox-harness list`.
    pub what: &'static str,
    /// A scenario file writes it so, with its own keys.
    pub example: &'static str,
    /// What is its own.
    own: Own,
}

/// What a kind of fault works on, and the keys that it has beside those of every fault.
#[derive(Debug)]
enum Own {
    /// The kind works on a process, and has no keys.
    Process(FaultKind),
    /// The kind works on the database server alone, and has no keys.
    Database(FaultKind),
    /// The kind works on links, by switching their proxies, and has no keys.
    Links(FaultKind),
    /// The kind works on connections over links, by a toxic of their proxies.
    Toxic {
        /// These are the toxic's keys, beside those of every toxic.
        keys: &'static [KeyInfo],
        /// Reads the toxic's keys from the fault's table; `None` if one is missing or wrong, which the table notes.
        read: fn(&mut Section<'_>) -> Option<Toxic>,
    },
}

/// These are all kinds of faults, in the order of `list`.
pub const KINDS: [FaultInfo; 13] = [
    down::INFO,
    latency::INFO,
    bandwidth::INFO,
    slow_close::INFO,
    timeout::INFO,
    reset_peer::INFO,
    slicer::INFO,
    limit_data::INFO,
    kill::INFO,
    restart::INFO,
    pause::INFO,
    old_snapshot::INFO,
    failover::INFO,
];

/// Which directions there are.
const STREAMS: [(&str, Stream); 2] = [
    ("upstream", Stream::Upstream),
    ("downstream", Stream::Downstream),
];

fn stream_words() -> Vec<&'static str> {
    STREAMS.map(|(word, _)| word).to_vec()
}

/// A kind of fault works on such targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// Any process is its target.
    Process,
    /// The database server is its only target.
    Database,
    /// Links and sides are its targets.
    Links,
}

/// Every toxic has these keys.
const OF_TOXICS: [KeyInfo; 2] = [
    KeyInfo::usually(
        "toxicity",
        Shape::Number {
            least: 0.0,
            most: 1.0,
        },
        "1",
        "the share of connections, above 0, that it works on",
    ),
    KeyInfo::usually(
        "stream",
        Shape::Word(stream_words),
        "\"downstream\"",
        "which direction: `upstream` is client to server",
    ),
];

/// Returns the shape of a toxic's duration, from `least` on; it is whole milliseconds but for a slicer's.
const fn delay(least: Duration) -> Shape {
    Shape::Duration {
        least,
        most: limits::TOXIC_DELAY,
    }
}

const MS: Duration = Duration::from_millis(1);

impl FaultInfo {
    /// Tells what it works on.
    pub(super) fn ground(&self) -> Ground {
        match self.own {
            Own::Process(_) => Ground::Process,
            Own::Database(_) => Ground::Database,
            Own::Links(_) | Own::Toxic { .. } => Ground::Links,
        }
    }

    /// The keys that it has beside those of every fault.
    pub(super) fn keys(&self) -> Vec<&'static str> {
        keys::names(&self.rows())
    }

    /// Returns the rows of those keys: a toxic's own and those of every toxic; other kinds have none.
    pub(super) fn rows(&self) -> Vec<KeyInfo> {
        match self.own {
            Own::Process(_) | Own::Database(_) | Own::Links(_) => Vec::new(),
            Own::Toxic { keys, .. } => keys.iter().chain(&OF_TOXICS).copied().collect(),
        }
    }

    /// Reads these keys from the fault's table; `None` if one is missing or wrong, which the table notes.
    pub(super) fn read(&self, s: &mut Section<'_>) -> Option<FaultKind> {
        match self.own {
            Own::Process(kind) | Own::Database(kind) | Own::Links(kind) => Some(kind),
            Own::Toxic { read, .. } => {
                let toxic = read(s);
                let toxicity = toxicity(s);
                let stream = stream(s);
                Some(FaultKind::Toxic {
                    toxic: toxic?,
                    stream: stream?,
                    toxicity: toxicity?,
                })
            }
        }
    }
}

impl FaultKind {
    /// Returns the `kind` of scenario files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => down::INFO.name,
            Self::Kill => kill::INFO.name,
            Self::Restart => restart::INFO.name,
            Self::Pause => pause::INFO.name,
            Self::OldSnapshot => old_snapshot::INFO.name,
            Self::Failover => failover::INFO.name,
            Self::Toxic { toxic, .. } => match toxic {
                Toxic::Latency { .. } => latency::INFO.name,
                Toxic::Bandwidth { .. } => bandwidth::INFO.name,
                Toxic::SlowClose { .. } => slow_close::INFO.name,
                Toxic::Timeout { .. } => timeout::INFO.name,
                Toxic::ResetPeer { .. } => reset_peer::INFO.name,
                Toxic::Slicer { .. } => slicer::INFO.name,
                Toxic::LimitData { .. } => limit_data::INFO.name,
            },
        }
    }

    /// Returns a toxic's toxicity and direction; of other faults, which have neither, 1 and downstream.
    pub fn aim(self) -> (f32, Stream) {
        match self {
            Self::Toxic {
                stream, toxicity, ..
            } => (toxicity, stream),
            Self::Kill
            | Self::Restart
            | Self::Pause
            | Self::OldSnapshot
            | Self::Failover
            | Self::Down => (1.0, Stream::Downstream),
        }
    }
}

/// Reads the share of connections that a toxic works on, 1 by default; `None` if it is wrong, which is noted.
fn toxicity(s: &mut Section<'_>) -> Option<f32> {
    let Some(entry) = s.get("toxicity") else {
        return Some(1.0);
    };
    // Toxiproxy takes no more digits: of the least numbers nothing is left.
    let toxicity = s.number(entry, 0.0..=1.0)? as f32;
    if toxicity == 0.0 {
        s.problem(
            entry.span(),
            "`toxicity` is 0, or next to it: the fault works on no connection, so it cannot bite",
            "write a share above 0 and up to 1, or take the fault out",
        );
    }
    Some(toxicity)
}

/// Reads the direction that a toxic works on, downstream by default; `None` if it is wrong, which is noted.
fn stream(s: &mut Section<'_>) -> Option<Stream> {
    let Some(entry) = s.get("stream") else {
        return Some(Stream::Downstream);
    };
    s.word(entry, &STREAMS)
}

/// Reads a key as whole milliseconds, Toxiproxy's unit, at least `least`; 0 where it is left out and need not be
/// there, `None` if it is missing or wrong.
fn millis(
    s: &mut Section<'_>,
    key: &'static str,
    required: Option<&str>,
    least: u64,
) -> Option<u64> {
    let entry = match required {
        Some(example) => s.required(key, example)?,
        None => match s.get(key) {
            Some(entry) => entry,
            None => return Some(0),
        },
    };
    let range = Duration::from_millis(least)..=limits::TOXIC_DELAY;
    let duration = s.duration(entry, range)?;
    let ms = duration.as_millis() as u64;
    if duration != Duration::from_millis(ms) {
        s.problem(
            entry.span(),
            format!("`{key}` is not a whole number of milliseconds"),
            "Toxiproxy counts in milliseconds: write for example \"250ms\"",
        );
        return None;
    }
    Some(ms)
}
