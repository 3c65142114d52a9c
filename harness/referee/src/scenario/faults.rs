//! `[[fault]]`: what hits what, when, and for how long.

use super::limits;
use super::section::{Entry, Section};
use super::source::nearest;
use super::units::show_duration;
use super::{Fault, FaultKind, Link, StrategyKind, Stream, Target, Toxic, Victim};
use std::ops::Range;
use std::time::Duration;

/// Every target by its name.
pub const TARGETS: [(&str, Target); 10] = [
    ("kafka", Target::Kafka),
    ("postgres", Target::Postgres),
    ("orders->postgres", Target::Link(Link::OrdersPostgres)),
    ("orders->kafka", Target::Link(Link::OrdersKafka)),
    ("relay->postgres", Target::Link(Link::RelayPostgres)),
    ("relay->kafka", Target::Link(Link::RelayKafka)),
    ("order-service", Target::Process(Victim::OrderService)),
    ("relay", Target::Process(Victim::Relay)),
    ("postgres-server", Target::Process(Victim::PostgresServer)),
    ("kafka-server", Target::Process(Victim::KafkaServer)),
];

/// A kind of fault and the attributes that are its own.
#[derive(Debug)]
pub struct FaultInfo {
    /// The `kind` of scenario files.
    pub name: &'static str,
    /// Its own keys, beside `target`, `kind`, `at` and `for`.
    pub attributes: &'static [&'static str],
}

/// Every kind of fault.
pub const KINDS: [FaultInfo; 10] = [
    kind("down", &[]),
    kind("latency", &["latency", "jitter", "toxicity", "stream"]),
    kind("bandwidth", &["rate", "toxicity", "stream"]),
    kind("slow_close", &["delay", "toxicity", "stream"]),
    kind("timeout", &["timeout", "toxicity", "stream"]),
    kind("reset_peer", &["timeout", "toxicity", "stream"]),
    kind(
        "slicer",
        &[
            "average_size",
            "size_variation",
            "delay",
            "toxicity",
            "stream",
        ],
    ),
    kind("limit_data", &["bytes", "toxicity", "stream"]),
    kind("kill", &[]),
    kind("pause", &[]),
];

const fn kind(name: &'static str, attributes: &'static [&'static str]) -> FaultInfo {
    FaultInfo { name, attributes }
}

/// A fault and where the file has it.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    /// The fault.
    pub fault: Fault,
    /// Its header.
    pub span: Range<usize>,
    /// The value of its `target`.
    pub target_span: Range<usize>,
    /// The value of its `at`.
    pub at_span: Range<usize>,
}

impl Fault {
    /// Whether it hits anything that a strategy of this kind has.
    pub fn concerns(&self, strategy: &StrategyKind) -> bool {
        match self.target {
            Target::Process(Victim::Relay) => strategy.has_relay(),
            Target::Process(
                Victim::OrderService | Victim::PostgresServer | Victim::KafkaServer,
            ) => true,
            Target::Link(_) | Target::Kafka | Target::Postgres => {
                let mut links = self.target.links().into_iter();
                links.any(|link| strategy.uses(link))
            }
        }
    }

    /// When it is healed, from the start of the workload.
    pub fn ends(&self) -> Duration {
        self.at + self.lasts
    }

    /// e.g. `down on kafka from 4s to 8s`.
    pub fn describe(&self) -> String {
        format!(
            "{} on {} from {} to {}",
            self.kind.name(),
            self.target.name(),
            show_duration(self.at),
            show_duration(self.ends())
        )
    }
}

/// Reads one fault; `load` is the load's duration, where that is known.
pub(super) fn read(mut s: Section<'_>, load: Option<Duration>) -> Option<Placed> {
    let target_entry = s.required("target", "target = \"kafka\"");
    let target = target_entry.and_then(|e| s.word(e, &TARGETS));
    let kind_entry = s.required("kind", "kind = \"down\"");
    let at_entry = s.required("at", "at = \"4s\"");
    let at = at_entry.and_then(|e| s.duration(e, Duration::ZERO..=limits::DURATION));
    let for_entry = s.required("for", "for = \"4s\"");
    let lasts = for_entry.and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::DURATION));

    if let (Some(at), Some(at_entry), Some(lasts), Some(for_entry), Some(load)) =
        (at, at_entry, lasts, for_entry, load)
        && at + lasts > load
    {
        let late = if at >= load { at_entry } else { for_entry };
        s.problem(
            late.span(),
            format!(
                "the fault ends at {}, outside the run: the workload lasts {}",
                show_duration(at + lasts),
                show_duration(load)
            ),
            "`at` plus `for` must be at most the workload's `duration`: shorten the fault, begin it earlier, or lengthen the workload",
        );
    }

    let kinds: Vec<(&'static str, &'static FaultInfo)> =
        KINDS.iter().map(|k| (k.name, k)).collect();
    let Some((info, kind_entry)) = kind_entry.and_then(|e| s.word(e, &kinds).map(|info| (info, e)))
    else {
        // Without its kind nothing can be said of its attributes, except those that no kind has.
        for known in KINDS.iter().flat_map(|k| k.attributes) {
            s.get(known);
        }
        s.finish();
        return None;
    };
    let kind = read_kind(&mut s, info);
    if let (Some(target), Some(target_entry)) = (target, target_entry) {
        match_target(&s, info, kind_entry, target, target_entry);
    }
    let placed = match (target, target_entry, kind, at, at_entry, lasts) {
        (Some(target), Some(t), Some(kind), Some(at), Some(a), Some(lasts)) => Some(Placed {
            fault: Fault {
                target,
                kind,
                at,
                lasts,
            },
            span: s.span(),
            target_span: t.span(),
            at_span: a.span(),
        }),
        _ => None,
    };
    s.finish_with(|key| foreign_attribute(key, info));
    placed
}

/// Processes are killed and paused; links get everything else.
fn match_target(
    s: &Section<'_>,
    info: &FaultInfo,
    kind_entry: Entry<'_>,
    target: Target,
    target_entry: Entry<'_>,
) {
    let on_process = matches!(info.name, "kill" | "pause");
    match (target, on_process) {
        (Target::Process(victim), false) => s.problem(
            kind_entry.span(),
            format!("`{}` does not work on a process, and {} is one", info.name, victim.name()),
            "a process takes kill or pause; for the network take a link (orders->postgres, orders->kafka, relay->postgres, relay->kafka) or a side (kafka, postgres)",
        ),
        (Target::Process(_), true) | (_, false) => {}
        (link, true) => s.problem(
            target_entry.span(),
            format!("`{}` works on a process, and {} is a link", info.name, link.name()),
            "target one of order-service, relay, postgres-server, kafka-server; or take kind = \"down\" to cut the link",
        ),
    }
}

/// Why an attribute is not one of this kind.
fn foreign_attribute(key: &str, info: &FaultInfo) -> Option<(String, String)> {
    let owners: Vec<&str> = KINDS
        .iter()
        .filter(|k| k.attributes.contains(&key))
        .map(|k| k.name)
        .collect();
    let takes = if info.attributes.is_empty() {
        "no attributes".to_owned()
    } else {
        info.attributes.join(", ")
    };
    let rest = format!(
        "a {} fault takes target, kind, at, for and {takes}",
        info.name
    );
    if owners.is_empty() {
        let all: Vec<&str> = ["target", "kind", "at", "for"]
            .into_iter()
            .chain(info.attributes.iter().copied())
            .collect();
        let near = nearest(key, all.iter().copied());
        return Some((
            format!("a fault has no key `{key}`"),
            near.map_or(rest.clone(), |n| format!("did you mean `{n}`? {rest}")),
        ));
    }
    Some((
        format!(
            "`{key}` belongs to {}, and this fault is a {}",
            owners.join(", "),
            info.name
        ),
        rest,
    ))
}

/// Whole milliseconds, at least one: Toxiproxy's unit.
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

fn read_kind(s: &mut Section<'_>, info: &FaultInfo) -> Option<FaultKind> {
    let toxic = match info.name {
        "down" => return Some(FaultKind::Down),
        "kill" => return Some(FaultKind::Kill),
        "pause" => return Some(FaultKind::Pause),
        "latency" => {
            let latency = millis(s, "latency", Some("latency = \"200ms\""), 1);
            let jitter = millis(s, "jitter", None, 0);
            if let (Some(latency), Some(jitter), Some(entry)) = (latency, jitter, s.get("jitter"))
                && jitter > latency
            {
                s.problem(
                    entry.span(),
                    format!("`jitter` ({jitter}ms) is more than `latency` ({latency}ms)"),
                    "the delay is latency plus or minus jitter: make `jitter` at most `latency`",
                );
            }
            latency
                .zip(jitter)
                .map(|(latency, jitter)| Toxic::Latency { latency, jitter })
        }
        "bandwidth" => s
            .required("rate", "rate = \"100KB/s\"")
            .and_then(|e| s.bandwidth(e, 1..=limits::TOXIC_AMOUNT))
            .map(|rate| Toxic::Bandwidth { rate }),
        "slow_close" => {
            millis(s, "delay", Some("delay = \"500ms\""), 1).map(|delay| Toxic::SlowClose { delay })
        }
        "timeout" => millis(s, "timeout", None, 0).map(|timeout| Toxic::Timeout { timeout }),
        "reset_peer" => millis(s, "timeout", None, 0).map(|timeout| Toxic::ResetPeer { timeout }),
        "slicer" => slicer(s),
        "limit_data" => s
            .required("bytes", "bytes = \"64KB\"")
            .and_then(|e| s.size(e, 1..=limits::TOXIC_AMOUNT))
            .map(|bytes| Toxic::LimitData { bytes }),
        _ => None,
    };
    let toxicity_entry = s.get("toxicity");
    let toxicity = toxicity_entry.map_or(Some(1.0), |e| s.number(e, 0.0..=1.0));
    if let Some(entry) = toxicity_entry
        && toxicity == Some(0.0)
    {
        s.problem(
            entry.span(),
            "`toxicity` is 0: the fault works on no connection, so it cannot bite",
            "write a share above 0 and up to 1, or take the fault out",
        );
    }
    let stream = s.get("stream").map_or(Some(Stream::Downstream), |e| {
        s.word(
            e,
            &[
                ("upstream", Stream::Upstream),
                ("downstream", Stream::Downstream),
            ],
        )
    });
    Some(FaultKind::Toxic {
        toxic: toxic?,
        stream: stream?,
        toxicity: toxicity? as f32,
    })
}

fn slicer(s: &mut Section<'_>) -> Option<Toxic> {
    let average_entry = s.required("average_size", "average_size = 64");
    // With an average of 0 Toxiproxy 2.12 itself dies.
    let average = average_entry.and_then(|e| s.size(e, 1..=limits::TOXIC_AMOUNT));
    let variation_entry = s.get("size_variation");
    let variation = variation_entry.map_or(Some(0), |e| s.size(e, 0..=limits::TOXIC_AMOUNT));
    if let (Some(average), Some(variation), Some(entry)) = (average, variation, variation_entry)
        && variation >= average
    {
        s.problem(
            entry.span(),
            format!("`size_variation` ({variation}) is not below `average_size` ({average})"),
            "pieces are average_size plus or minus size_variation bytes, at least one: make it smaller",
        );
    }
    let delay = s.get("delay").map_or(Some(Duration::ZERO), |e| {
        s.duration(e, Duration::ZERO..=limits::TOXIC_DELAY)
    });
    Some(Toxic::Slicer {
        average_size: average?,
        size_variation: variation?,
        delay: delay?.as_micros() as u64,
    })
}
