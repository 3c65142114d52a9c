//! Faults that cannot be in force together, faults that no strategy feels, and phases too short to
//! prove anything.

use super::faults::PlacedFault;
use super::limits;
use super::relay_file::OrderPromise;
use super::source::{Problems, suggest};
use super::units::show_duration;
use super::{
    Consumer, Fault, FaultKind, Link, Server, Strategy, Target, Topology, Victim, Workload,
};
use crate::topics::Topics;
use std::ops::Range;
use std::time::Duration;

impl Victim {
    /// Returns the links that end at this process.
    pub fn links(self) -> Vec<Link> {
        match self {
            Self::OrderService => Link::of_orders(),
            Self::Relay(instance) => Link::of_relay(instance),
            Self::Consumer(_) => Vec::new(),
            Self::Server(server) => Link::to(server),
        }
    }
}

/// Whether one begins before the other has ended. Touching counts: one would be healed while the
/// other is injected, in either order. Of a fault that waits for something this is not known before
/// the run: where two of them do meet then, the nemesis holds what they share until the last one's
/// end, and says what it could not inject.
fn meet(a: &Fault, b: &Fault) -> bool {
    let begins_before_end = |a: &Fault, b: &Fault| Some(a.at()? <= b.ends()?);
    begins_before_end(a, b) == Some(true) && begins_before_end(b, a) == Some(true)
}

/// Notes every pair of faults that cannot be in force together.
pub(super) fn between_faults(faults: &[PlacedFault], problems: &Problems) {
    for (i, later) in faults.iter().enumerate() {
        for earlier in &faults[..i] {
            if let Some((what, help)) = conflict(&earlier.fault, &later.fault) {
                problems.add(later.span.clone(), what, help);
            }
        }
    }
}

fn conflict(a: &Fault, b: &Fault) -> Option<(String, String)> {
    if a.target.is_of_processes() && b.target.is_of_processes() {
        return (are_the_same(a.target, b.target) && meet(a, b)).then(|| {
            (
                format!("{} meets {}", b.describe(), a.describe()),
                "a process is killed, restarted or paused by one fault at a time: leave a gap between them"
                    .to_owned(),
            )
        });
    }
    pause_on_link(a, b)
        .or_else(|| pause_on_link(b, a))
        .or_else(|| both_down(a, b))
        .or_else(|| swallowed(a, b))
        .or_else(|| swallowed(b, a))
}

/// Whether two targets that are processes are certainly one process, or have one. Which of several brokers leads is known
/// when a fault begins, and that may be one that another fault names.
fn are_the_same(a: Target, b: Target) -> bool {
    let role = |target| match target {
        Target::NodeRole(role) => Some(role),
        Target::Process(_) | Target::Link(_) | Target::Side(_) | Target::Broker => None,
    };
    let is_of_all =
        |target| matches!(target, Target::Process(Victim::Server(all)) if all.can_have_nodes());
    match (role(a), role(b)) {
        (Some(x), Some(y)) => x == y,
        (Some(_), None) => is_of_all(b),
        (None, Some(_)) => is_of_all(a),
        (None, None) => {
            let of_b = b.processes();
            a.processes().iter().any(|victim| of_b.contains(victim))
        }
    }
}

/// Toxiproxy can wedge when a toxic is added or removed while a peer of the connection does not read.
fn pause_on_link(pause: &Fault, other: &Fault) -> Option<(String, String)> {
    let FaultKind::Pause = pause.kind else {
        return None;
    };
    let stopped = pause.target.processes();
    let (shared, victim) = other.target.links().into_iter().find_map(|link| {
        let victim = stopped.iter().find(|v| v.links().contains(&link))?;
        Some((link, *victim))
    })?;
    meet(pause, other).then(|| {
        (
            format!(
                "{} meets {}, and {} ends at {}",
                other.describe(),
                pause.describe(),
                shared.name(),
                victim.name()
            ),
            "changing a proxy while a process at its end is stopped can wedge Toxiproxy: leave a gap between the two faults, or take another link".to_owned(),
        )
    })
}

fn both_down(a: &Fault, b: &Fault) -> Option<(String, String)> {
    let both = a.kind == FaultKind::Down && b.kind == FaultKind::Down;
    let shared = both
        .then(|| {
            b.target
                .links()
                .into_iter()
                .find(|l| a.target.links().contains(l))
        })
        .flatten()?;
    meet(a, b).then(|| {
        (
            format!("{} meets {} on {}", b.describe(), a.describe(), shared.name()),
            "a link is down by one fault at a time (healing one would end the other): leave a gap, or make them one fault"
                .to_owned(),
        )
    })
}

/// Whether both have times, and those of one are within the other's.
fn lies_within(inner: &Fault, outer: &Fault) -> bool {
    let planned = |fault: &Fault| fault.at().zip(fault.ends());
    planned(inner)
        .zip(planned(outer))
        .is_some_and(|(inner, outer)| outer.0 <= inner.0 && inner.1 <= outer.1)
}

/// A toxic that is only ever in force while its links are down.
fn swallowed(down: &Fault, toxic: &Fault) -> Option<(String, String)> {
    let all_down = down.kind == FaultKind::Down
        && matches!(toxic.kind, FaultKind::Toxic { .. })
        && toxic
            .target
            .links()
            .iter()
            .all(|l| down.target.links().contains(l))
        && lies_within(toxic, down);
    all_down.then(|| {
        (
            format!(
                "{} lies within {}: it cannot bite",
                toxic.describe(),
                down.describe()
            ),
            "give the two faults times of their own".to_owned(),
        )
    })
}

/// Notes every fault that no strategy can feel.
pub(super) fn without_victim(faults: &[PlacedFault], strategies: &[Topology], problems: &Problems) {
    if strategies.is_empty() {
        return;
    }
    for placed in faults {
        if strategies.iter().any(|s| placed.fault.concerns(*s)) {
            continue;
        }
        let name = placed.fault.target.name();
        if let Some((why, help)) = without_nodes(placed.fault.target, strategies) {
            problems.add(
                placed.target_span.clone(),
                format!("no strategy feels a fault on {name}: {why}"),
                help,
            );
            continue;
        }
        // On a link to a broker, only those count that publish there.
        let strategies: Vec<Topology> = match placed.fault.target {
            Target::Link(link) => strategies
                .iter()
                .filter(|s| !link.server().is_broker() || s.has_server(link.server()))
                .copied()
                .collect(),
            Target::Side(_) | Target::Broker | Target::Process(_) | Target::NodeRole(_) => {
                strategies.to_vec()
            }
        };
        let strategies = strategies.as_slice();
        let most_relays = strategies.iter().map(|s| s.relays).max().unwrap_or(0);
        let (why, help) = if let Some(lacking) = without_system(placed.fault.target, strategies) {
            lacking
        } else if let Target::Link(Link::Orders(Server::Broker(_) | Server::BrokerNode(_))) =
            placed.fault.target
        {
            (
                "only a dual write, a two-phase commit, or a [service] without a [relay], publishes from the order service"
                    .to_owned(),
                format!(
                    "add a strategy with kind = \"dual-write\", or target {} or {}",
                    name.replace("orders", "relay"),
                    name.replace("orders->", "")
                ),
            )
        } else if let Some(lacking) = without_cache(placed.fault.target, strategies) {
            lacking
        } else if let Some(number) =
            number_of_relay(placed.fault.target).filter(|_| most_relays > 0)
        {
            (
                format!("no strategy of this file has {number} relays"),
                format!(
                    "give a strategy `instances = {number}` (polling and cdc have that key, and [relay] of a \
                     relay's file), or take `{}`",
                    name.replacen(&format!("relay-{number}"), "relay", 1)
                ),
            )
        } else if strategies.iter().any(|s| s.relays_inside()) {
            (
                "the order service publishes by itself, and no strategy of this file has a relay"
                    .to_owned(),
                "target what it has: order-service, orders->kafka, orders->postgres".to_owned(),
            )
        } else {
            (
                "no strategy of this file has a relay".to_owned(),
                "add a strategy with kind = \"polling\" or \"cdc\", or target a link of orders"
                    .to_owned(),
            )
        };
        problems.add(
            placed.target_span.clone(),
            format!("no strategy feels a fault on {name}: {why}"),
            help,
        );
    }
}

/// Why nobody feels a fault on a broker or a database, or on a way to one, that no strategy has; `None` for a fault on
/// anything else.
fn without_system(target: Target, strategies: &[Topology]) -> Option<(String, String)> {
    let server = target.server()?;
    if strategies.iter().any(|s| s.has_server(server)) {
        return None;
    }
    match server {
        Server::Broker(kind) => Some((
            format!("no strategy of this file publishes to {}", kind.title()),
            format!(
                "give a strategy `broker = \"{}\"`, or target `broker`, which is whichever broker each strategy has",
                kind.name()
            ),
        )),
        Server::Database(kind) => Some((
            format!(
                "no strategy of this file has its orders in {}",
                kind.title()
            ),
            format!("give a strategy `database = \"{}\"`", kind.name()),
        )),
        Server::Redis | Server::BrokerNode(_) => None,
    }
}

/// Why nobody feels a fault on one of several brokers of Kafka; `None` for a fault on anything else, and where there are
/// several.
fn without_nodes(target: Target, strategies: &[Topology]) -> Option<(String, String)> {
    if matches!(target, Target::Link(Link::Consumer(server)) if server.can_have_nodes())
        && strategies.iter().any(|s| s.has_nodes())
    {
        return Some((
            "consumers reach the brokers of a Kafka of several around all proxies".to_owned(),
            "target the consumer's process, a broker's (kafka-server-2), or take one broker"
                .to_owned(),
        ));
    }
    let is_node = target.server().is_some_and(Server::is_node);
    let of_nodes = is_node || matches!(target, Target::NodeRole(_));
    if !of_nodes || strategies.iter().any(|s| s.has_nodes()) {
        return None;
    }
    let none = !(strategies.iter()).any(|s| Server::Broker(s.broker).can_have_nodes());
    Some(match none {
        true => (
            "no strategy of this file publishes to Kafka".to_owned(),
            "give a strategy `broker = \"kafka\"`, or target `broker`".to_owned(),
        ),
        false => (
            "this Kafka is one broker".to_owned(),
            "write `[stack]` and below it `kafka = { brokers = 3 }`; or target kafka, or kafka-server, which are there"
                .to_owned(),
        ),
    })
}

/// Why nobody feels a fault on the cache, or on a way to it, and what to do; `None` for a fault on anything else.
fn without_cache(target: Target, strategies: &[Topology]) -> Option<(String, String)> {
    if target.server() != Some(Server::Redis) {
        return None;
    }
    let of_relay = matches!(target, Target::Link(Link::Relay(..)));
    if !strategies.iter().any(|s| s.has_cache) {
        let help = "give a strategy `cache = \"invalidate-after-commit\"` (kinds dual-write, polling, cdc and logical-message have that key), and [workload] a `read_share`";
        return Some((
            "no strategy of this file has a cache".to_owned(),
            help.to_owned(),
        ));
    }
    // One whose relay invalidates may still have fewer relays than the fault asks for.
    (of_relay && !strategies.iter().any(|s| s.relay_invalidates)).then(|| {
        (
            "the relay has to do with the cache only where it invalidates it".to_owned(),
            "give a strategy `cache = \"invalidate-by-relay\"`, or target orders->redis or redis"
                .to_owned(),
        )
    })
}

/// Notes faults on consumers that the file does not have.
pub(super) fn without_consumer(
    faults: &[PlacedFault],
    consumers: &[Consumer],
    problems: &Problems,
) {
    for placed in faults {
        if let Target::Link(Link::Consumer(_)) = placed.fault.target
            && consumers.is_empty()
        {
            problems.add(
                placed.target_span.clone(),
                format!(
                    "nobody feels a fault on {}: the file has no consumers",
                    placed.fault.target.name()
                ),
                "add a table such as [consumer.payments], or target a link of orders or relay",
            );
        }
        let Target::Process(Victim::Consumer(name)) = placed.fault.target else {
            continue;
        };
        let names: Vec<String> = consumers.iter().map(Consumer::process).collect();
        if names.iter().any(|known| known == name.process()) {
            continue;
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let help = match names.as_slice() {
            [] => "the file has none: add a table such as [consumer.payments]".to_owned(),
            [..] => suggest(name.process(), &names),
        };
        let what = format!("there is no `{}`", name.process());
        problems.add(placed.target_span.clone(), what, help);
    }
}

/// Notes faults that wait for the log of a process that a strategy which feels them does not have.
pub(super) fn without_speaker(
    faults: &[PlacedFault],
    strategies: &[Strategy],
    problems: &Problems,
) {
    for placed in faults {
        let Some(of) = placed.fault.trigger().and_then(|t| t.speaker()) else {
            continue;
        };
        let speaks = |s: &&Strategy| match of {
            Victim::Relay(instance) => instance.index() < usize::from(s.topology().relays),
            Victim::OrderService | Victim::Server(_) | Victim::Consumer(_) => true,
        };
        let mut feel = strategies
            .iter()
            .filter(|s| placed.fault.concerns(s.topology()));
        if let Some(mute) = feel.find(|s| !speaks(s)) {
            problems.add(
                placed.start_span.clone(),
                format!(
                    "`{}` feels this fault and has no {}, for whose log it waits: there it is never \
                     injected",
                    mute.name,
                    of.name()
                ),
                "let it wait for the order-service's log, or for a count; or give that strategy a \
                 scenario of its own",
            );
        }
    }
}

/// Notes faults that wait for an answer of PostgreSQL where a strategy that feels them has another database.
pub(super) fn unasked(faults: &[PlacedFault], strategies: &[Strategy], problems: &Problems) {
    for placed in faults {
        if placed.fault.trigger().is_none_or(|t| t.query().is_none()) {
            continue;
        }
        let mut feel = strategies
            .iter()
            .filter(|s| placed.fault.concerns(s.topology()));
        if let Some(other) = feel.find(|s| !s.database.answers_triggers()) {
            problems.add(
                placed.start_span.clone(),
                format!(
                    "`{}` feels this fault, and its database is {}: only PostgreSQL is asked a query",
                    other.name,
                    other.database.title()
                ),
                "let it wait for a count or for a log; or give that strategy a scenario of its own",
            );
        }
    }
}

/// Returns which relay, from 1, a fault hits, itself or on a link of it; `None` for a fault on anything else.
fn number_of_relay(target: Target) -> Option<usize> {
    let victim = match target {
        Target::Process(victim) => victim,
        Target::Link(link) => link.client()?,
        Target::Side(_) | Target::Broker | Target::NodeRole(_) => return None,
    };
    match victim {
        Victim::Relay(instance) => Some(instance.index() + 1),
        Victim::OrderService | Victim::Server(_) | Victim::Consumer(_) => None,
    }
}

/// Notes the phases (before the first fault, during each, after the last) in which fewer changes
/// are intended than the run needs to prove anything. Faults that wait for something make phases of
/// their own, within these, that only the run shows: what is too little for the whole is too little.
pub(super) fn short_phases(
    faults: &[PlacedFault],
    workload: &Workload,
    workload_span: Range<usize>,
    problems: &Problems,
) {
    let committed = |from, until| {
        (workload.planned_until(until) - workload.planned_until(from))
            * (1.0 - workload.rollback_ratio)
    };
    let zero = Duration::ZERO;
    let timed: Vec<(Duration, Duration, &PlacedFault)> = faults
        .iter()
        .filter_map(|p| Some((p.fault.at()?, p.fault.ends()?, p)))
        .collect();
    let first = timed.iter().min_by_key(|(at, _, _)| *at);
    let last = timed.iter().max_by_key(|(_, ends, _)| *ends);
    let mut phases = Vec::new();
    match (first, last) {
        (Some((first_at, _, first)), Some((_, end, last))) => {
            let before = "before the first fault".to_owned();
            phases.push((zero, *first_at, before, first.start_span.clone()));
            for (at, ends, p) in &timed {
                let (kind, target) = (p.fault.kind.name(), p.fault.target.name());
                let name = format!("during {kind} on {target}");
                phases.push((*at, *ends, name, p.span.clone()));
            }
            let after = "after the last fault".to_owned();
            phases.push((*end, workload.duration, after, last.start_span.clone()));
        }
        _ => phases.push((
            zero,
            workload.duration,
            "of the load".to_owned(),
            workload_span,
        )),
    }
    for (from, until, name, span) in phases {
        let expected = committed(from, until);
        // A phase of no length does not exist; one outside the run has its own error.
        if from < until
            && until <= workload.duration
            && workload.clients.is_none()
            && expected < workload.min_committed_per_phase as f64
        {
            problems.add(
                span,
                format!(
                    "the phase {name} ({} to {}) has about {expected:.0} changes to commit, fewer than the {} that prove something",
                    show_duration(from),
                    show_duration(until),
                    workload.min_committed_per_phase
                ),
                "make the phase longer, raise `rate`, or set `min_committed_per_phase` in [workload] to what this lesson needs",
            );
        }
    }
}

/// Who does not test the order expects nothing of it.
pub(super) fn order_not_tested(strategies: &[Strategy], span: Range<usize>, problems: &Problems) {
    let expected = strategies.iter().find_map(|strategy| {
        let mut of_it = strategy.expectations.iter();
        let of_order = of_it.find(|e| e.metric.is_of_order() && !e.implicit)?;
        Some((&strategy.name, of_order.metric.name()))
    });
    if let Some((strategy, metric)) = expected {
        problems.add(
            span,
            format!(
                "`order` is \"not-tested\", and [expect.{strategy}] expects something of `{metric}`"
            ),
            format!("leave `order` out, or take `{metric}` out of the expectations"),
        );
    }
}

/// Across partitions there is no order that anyone could keep.
pub(super) fn total_order(
    strategies: &[Strategy],
    partitions: i32,
    span: Range<usize>,
    problems: &Problems,
) {
    for strategy in strategies {
        let Some(relay) = strategy.kind.relay_file() else {
            continue;
        };
        if partitions > 1 && relay.promises.order == OrderPromise::Total {
            let place = relay.total_order_place.as_deref().unwrap_or(&relay.name);
            problems.add(
                span.clone(),
                format!(
                    "the topic has {partitions} partitions, and the relay of `{}` promises `order = \"total\"` \
                     ({place}): across partitions there is no order to keep",
                    strategy.name
                ),
                "write `partitions = 1` in [workload]; or let the relay promise \"partition\", the order \
                 within each",
            );
        }
    }
}

/// Several topics have partitions each, of which the referee reads all.
pub(super) fn too_many_partitions(
    strategies: &[Strategy],
    partitions: i32,
    span: Range<usize>,
    problems: &Problems,
) {
    for strategy in strategies {
        let topics = Topics::new(strategy.kind.topics(""), partitions);
        if topics.partitions() > limits::PARTITIONS {
            problems.add(
                span.clone(),
                format!(
                    "`{}` publishes to {} topics of {partitions} partitions, {} together",
                    strategy.name,
                    topics.names().len(),
                    topics.partitions()
                ),
                format!("take {} together at most", limits::PARTITIONS),
            );
        }
    }
}

/// A drain that is over before a lease is says of an honest relay that it lost what it was about to take
/// up again.
pub(super) fn impatient_drain(
    strategies: &[Strategy],
    within: Duration,
    span: Range<usize>,
    problems: &Problems,
) {
    for strategy in strategies {
        let Some(relay) = strategy.kind.relay_file() else {
            continue;
        };
        let lease = relay.promises.lease;
        if within <= lease && !lease.is_zero() {
            problems.add(
                span.clone(),
                format!(
                    "the drain lasts {}, and the relay of `{}` may hold an event for {} when it dies \
                     (`lease` of {})",
                    show_duration(within),
                    strategy.name,
                    show_duration(lease),
                    relay.name
                ),
                format!("write `[drain] within` as \"{}\" or more", show_duration(lease * 2)),
            );
        }
    }
}
