//! `[[fault]]`: what hits what, when, and for how long.

use super::limits;
use super::section::{Entry, Section};
use super::source::nearest;
use super::strategies::name_problem;
use super::trigger::{self, Trigger};
use super::units::show_duration;
use super::{Fault, FaultKind, Link, Start, StrategyKind, Stream, Target, Toxic, Victim, Workload};
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

/// The keys of every fault.
const KEYS: [&str; 6] = ["target", "kind", "at", "when", "for", "id"];

/// A kind of fault and the attributes that are its own.
#[derive(Debug)]
pub struct FaultInfo {
    /// The `kind` of scenario files.
    pub name: &'static str,
    /// Its own keys, beside those of every fault.
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
    /// The value of its `at` or `when`.
    pub start_span: Range<usize>,
    /// The value of its `id`.
    pub id_span: Option<Range<usize>>,
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

    /// When it is planned to begin, from the start of the workload; nobody knows that of a fault that
    /// waits for something.
    pub fn at(&self) -> Option<Duration> {
        match self.start {
            Start::At(at) => Some(at),
            Start::When(_) => None,
        }
    }

    /// When it is planned to be healed, from the start of the workload.
    pub fn ends(&self) -> Option<Duration> {
        self.at().map(|at| at + self.lasts)
    }

    /// What it waits for, if it has no time.
    pub fn trigger(&self) -> Option<&Trigger> {
        match &self.start {
            Start::At(_) => None,
            Start::When(trigger) => Some(trigger),
        }
    }

    /// e.g. `down on kafka from 4s to 8s`, `kill on relay for 1s, trigger: 1000 events`.
    pub fn describe(&self) -> String {
        let what = format!("{} on {}", self.kind.name(), self.target.name());
        let lasts = show_duration(self.lasts);
        match &self.start {
            Start::At(at) => format!(
                "{what} from {} to {}",
                show_duration(*at),
                show_duration(*at + self.lasts)
            ),
            Start::When(trigger) => format!("{what} for {lasts}, trigger: {}", trigger.describe()),
        }
    }
}

/// Reads one fault; `workload` where that is known.
pub(super) fn read(mut s: Section<'_>, workload: Option<&Workload>) -> Option<Placed> {
    let id_entry = s.get("id");
    let id = id_entry.and_then(|e| read_id(&s, e));
    let target_entry = s.required("target", "target = \"kafka\"");
    let target = target_entry.and_then(|e| s.word(e, &TARGETS));
    let kind_entry = s.required("kind", "kind = \"down\"");
    let start = read_start(&mut s, workload);
    let for_entry = s.required("for", "for = \"4s\"");
    let lasts = for_entry.and_then(|e| s.duration(e, Duration::from_millis(1)..=limits::DURATION));
    if let (Some((start, start_entry)), Some(lasts), Some(for_entry), Some(workload)) =
        (&start, lasts, for_entry, workload)
    {
        let spans = (start_entry.span(), for_entry.span());
        ends_within(&s, start, lasts, spans, workload.duration);
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
    let placed = match (target, target_entry, kind, start, lasts) {
        (Some(target), Some(t), Some(kind), Some((start, start_entry)), Some(lasts)) => {
            Some(Placed {
                fault: Fault {
                    id: id.map(str::to_owned),
                    target,
                    kind,
                    start,
                    lasts,
                },
                span: s.span(),
                target_span: t.span(),
                start_span: start_entry.span(),
                id_span: id_entry.map(|e| e.span()),
            })
        }
        _ => None,
    };
    s.finish_with(|key| foreign_attribute(key, info));
    placed
}

/// A plain name.
fn read_id<'a>(s: &Section<'a>, entry: Entry<'a>) -> Option<&'a str> {
    let id = s.text(entry)?;
    if let Some(help) = name_problem(id, limits::FAULT_ID) {
        s.problem(entry.span(), "this cannot be the `id` of a fault", help);
        return None;
    }
    Some(id)
}

/// Exactly one of `at` and `when`.
fn read_start<'a>(s: &mut Section<'a>, workload: Option<&Workload>) -> Option<(Start, Entry<'a>)> {
    let when = s.get("when");
    let at = match when {
        None => s.required("at", "at = \"4s\" (or `when = { events = 1000 }`)"),
        Some(_) => s.get("at"),
    };
    if let (Some(at), Some(_)) = (at, when) {
        s.problem(
            at.key_span(),
            "the fault has both `at` and `when`",
            "a fault begins at a time, or when something happens: leave one of the two out",
        );
    }
    let timed = at.and_then(|e| {
        let at = s.duration(e, Duration::ZERO..=limits::DURATION)?;
        Some((Start::At(at), e))
    });
    let triggered = when.and_then(|e| {
        let trigger = trigger::read(s, e, workload.map(Workload::planned))?;
        Some((Start::When(trigger), e))
    });
    timed.or(triggered)
}

/// A fault is healed before the load is over. Of one that waits for something no more is known than how
/// long it lasts: what is left of it when the load ends is cut off, which the run then says.
fn ends_within(
    s: &Section<'_>,
    start: &Start,
    lasts: Duration,
    (start_span, for_span): (Range<usize>, Range<usize>),
    load: Duration,
) {
    match start {
        Start::At(at) if *at + lasts > load => s.problem(
            if *at >= load { start_span } else { for_span },
            format!(
                "the fault ends at {}, outside the run: the workload lasts {}",
                show_duration(*at + lasts),
                show_duration(load)
            ),
            "`at` plus `for` must be at most the workload's `duration`: shorten the fault, begin it earlier, or lengthen the workload",
        ),
        Start::When(_) if lasts >= load => s.problem(
            for_span,
            format!(
                "the fault lasts {}, and the workload no longer than {}: it cannot be healed in time",
                show_duration(lasts),
                show_duration(load)
            ),
            "`for` must be shorter than the workload's `duration`: shorten the fault, or lengthen the workload",
        ),
        Start::At(_) | Start::When(_) => {}
    }
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
        "a {} fault takes {} and {takes}",
        info.name,
        KEYS.join(", ")
    );
    if owners.is_empty() {
        let all: Vec<&str> = KEYS
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
