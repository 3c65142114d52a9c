//! One line of explanation for everything a scenario can name: for `outbox-harness list`.

use super::brokers::BROKERS;
use super::databases::DATABASES;
use super::keys::names;
use super::metric::Unit;
use super::{
    CACHE_COUNTS, CONSUMER_COUNTS, COUNTS, LatencyKind, Link, Metric, Server, Target, Victim,
    fault_kind, faults, strategies, trigger::TRIGGERS as ALL_TRIGGERS,
};

/// Makes of each row of a registry a pair: how a file writes it, and its line of explanation.
macro_rules! lines {
    ($registry:expr, $written:ident) => {{
        let mut lines = [("", ""); $registry.len()];
        let mut n = 0;
        while n < lines.len() {
            lines[n] = ($registry[n].$written, $registry[n].what);
            n += 1;
        }
        lines
    }};
}

/// These are the kinds of strategies: each as a file writes it, with one line of explanation.
pub const STRATEGIES: [(&str, &str); strategies::KINDS.len()] = lines!(strategies::KINDS, name);

/// Returns what a fault can hit: each as a file writes it, with one line of explanation.
pub fn explained_targets() -> Vec<(&'static str, &'static str)> {
    let targets = faults::known_targets().into_iter();
    targets
        .map(|(name, target)| (name, what_is(target)))
        .collect()
}

fn what_is(target: Target) -> &'static str {
    let of = |server: Server| server.whats();
    match target {
        Target::NodeRole(role) => role.what(),
        Target::Broker => "every link to a broker, whichever each strategy has",
        Target::Side(server) => of(server)[0],
        Target::Link(Link::Orders(server)) => of(server)[1],
        Target::Link(Link::Relay(_, server)) => of(server)[2],
        Target::Link(Link::Consumer(server)) => of(server)[3],
        Target::Process(Victim::Server(server)) => of(server)[4],
        Target::Process(Victim::OrderService) => {
            "the order service's process (kill, restart, pause); in the same way consumer-NAME is that of the consumer of that name"
        }
        Target::Process(Victim::Relay(_)) => {
            "the relay's process (kill, restart, pause); where a strategy has several `instances`, the second is relay-2, with links of its own, such as relay-2->kafka"
        }
        Target::Process(Victim::Consumer(_)) => "the process of a consumer (kill, restart, pause)",
    }
}

/// These are the kinds of faults: each as a file writes it, with one line of explanation.
pub const FAULTS: [(&str, &str); fault_kind::KINDS.len()] = lines!(fault_kind::KINDS, name);

/// What a fault can wait for instead of a time.
pub const TRIGGERS: [(&str, &str); ALL_TRIGGERS.len()] = lines!(ALL_TRIGGERS, example);

const LONGEST_STALENESS: &str = "of all stale reads the longest time from when the oldest version that it should have seen had been acknowledged to its answer";
const DRAIN: &str = "time from the end of the load to the last event";
const RECOVERY: &str = "time from the last heal until everything committed before it has been seen, under whatever load goes on";

const LATENCIES: (&str, &str) = (
    "{order,propagation,end_to_end}_{p50,p90,p99,p999,max}",
    "latency: intended start to answer; answer to first sight; intended start to first sight",
);

/// Something that a file can name.
#[derive(Debug, Clone)]
pub struct Named {
    /// A file writes it in this way.
    pub name: String,
    /// This line of explanation says what it is.
    pub what: &'static str,
    /// These are lines of a file with it, separated by commas.
    pub example: String,
}

/// Returns the kinds of strategies, each with an example.
pub fn strategies() -> Vec<Named> {
    let rows = strategies::KINDS.iter();
    rows.map(|row| named(row.name, row.what, row.example))
        .collect()
}

/// Returns the brokers to which events can go, each with an example.
pub fn brokers() -> Vec<Named> {
    let rows = BROKERS.iter();
    rows.map(|row| named(row.kind.name(), row.what, row.example))
        .collect()
}

/// Returns the databases in which orders can be, each with an example.
pub fn databases() -> Vec<Named> {
    let rows = DATABASES.iter();
    rows.map(|row| named(row.kind.name(), row.what, row.example))
        .collect()
}

/// What a fault can hit, each with an example.
pub fn targets() -> Vec<Named> {
    let rows = explained_targets();
    rows.iter()
        .map(|(name, what)| named(name, what, &format!("target = \"{name}\"")))
        .collect()
}

/// Returns the kinds of faults, each with an example.
pub fn faults() -> Vec<Named> {
    let rows = fault_kind::KINDS.iter();
    rows.map(|row| named(row.name, row.what, row.example))
        .collect()
}

/// What a fault can wait for, each with an example.
pub fn triggers() -> Vec<Named> {
    let rows = ALL_TRIGGERS.iter();
    rows.map(|row| named(&names(row.keys).join(", "), row.what, row.example))
        .collect()
}

/// What can be expected of, each with an example.
pub fn metrics() -> Vec<Named> {
    let all = Metric::all().into_iter();
    all.map(|metric| {
        let name = metric.name();
        let example = match metric.unit() {
            Unit::Count => format!("{name} = 0"),
            Unit::Seconds => format!("{name} = \"<= 10s\""),
            Unit::Milliseconds => format!("{name} = \"<= 250ms\""),
            Unit::Microseconds => format!("{name} = \"<= 400us\""),
            Unit::Bytes => format!("{name} = \"<= 64MB\""),
        };
        named(&name, of_metric(metric), &example)
    })
    .collect()
}

/// What can be expected of a consumer, each with an example.
pub fn of_consumers() -> Vec<Named> {
    let all = CONSUMER_COUNTS.iter();
    all.map(|row| {
        let name = format!("consumer-NAME.{}", row.name);
        let who = match row.metric == Metric::AppliedOutOfOrder {
            true => "shipping",
            false => "payments",
        };
        let example = format!("consumer-{who}.{} = 0", row.name);
        named(&name, row.what, &example)
    })
    .collect()
}

fn named(name: &str, what: &'static str, example: &str) -> Named {
    Named {
        name: name.to_owned(),
        what,
        example: example.to_owned(),
    }
}

/// What a metric is.
pub(super) fn of_metric(metric: Metric) -> &'static str {
    match metric {
        Metric::LongestStaleness => LONGEST_STALENESS,
        Metric::Drain => DRAIN,
        Metric::Recovery => RECOVERY,
        Metric::Cost(kind) => kind.info().what,
        Metric::Latency(kind, _) => match kind {
            LatencyKind::Order => "intended start to answer",
            LatencyKind::Propagation => "answer to first sight",
            LatencyKind::EndToEnd => "intended start to first sight",
        },
        Metric::Lost
        | Metric::Undrained
        | Metric::Undecided
        | Metric::Phantom
        | Metric::Foreign
        | Metric::Duplicated
        | Metric::Reordered
        | Metric::Overtaken
        | Metric::Split
        | Metric::Corrupted
        | Metric::Missing
        | Metric::DoubleApplied
        | Metric::FalseRejection
        | Metric::Unacknowledged
        | Metric::Late
        | Metric::Unapplied
        | Metric::AppliedTwice
        | Metric::AppliedUnseen
        | Metric::AppliedOutOfOrder
        | Metric::Stale
        | Metric::StaleReads => COUNTS
            .iter()
            .chain(&CONSUMER_COUNTS)
            .chain(&CACHE_COUNTS)
            .find(|row| row.metric == metric)
            .map_or("", |row| row.what),
    }
}

/// Counts, then times, that can be expected of, the latencies with all their percentiles in one row.
pub fn invariants() -> Vec<Named> {
    let single = metrics().into_iter().filter(|row| {
        Metric::parse(&row.name).is_some_and(|metric| !matches!(metric, Metric::Latency(..)))
    });
    let (name, what) = LATENCIES;
    let latencies = named(name, what, "end_to_end_p99 = \"<= 250ms\"");
    single.chain([latencies]).collect()
}

/// Whether every relay strategy is held to 0 of the invariant of this name.
pub fn is_implicit(name: &str) -> bool {
    Metric::parse(name).is_some_and(|m| super::implicit().contains(&m))
}
