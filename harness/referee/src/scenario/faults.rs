//! `[[fault]]`: what hits what, when, and for how long.

use super::fault_kind::{FaultInfo, Ground, KINDS};
use super::keys::{self, KeyInfo, Shape};
use super::limits;
use super::section::{Entry, Section};
use super::source::nearest;
use super::strategies::name_problem;
use super::trigger::{self, Trigger};
use super::units::show_duration;
use super::{
    BrokerNode, ConsumerName, Fault, Instance, Link, NodeRole, Server, Start, Target, Topology,
    Victim, Workload,
};
use std::ops::Range;
use std::time::Duration;

/// Returns all targets by name; of the relays, and of their links, only those of the first are here, and of several
/// brokers of Kafka none by itself.
pub fn known_targets() -> Vec<(&'static str, Target)> {
    let servers = Server::ALL.into_iter().filter(|server| !server.is_node());
    let sides = servers.clone().map(Target::Side);
    let links = servers.clone().map(|server| {
        [
            Target::Link(Link::Orders(server)),
            Target::Link(Link::Relay(Instance::FIRST, server)),
        ]
    });
    let processes = [Victim::OrderService, Victim::RELAY].map(Target::Process);
    let servers = servers.map(|server| Target::Process(Victim::Server(server)));
    let all = sides.chain([Target::Broker]).chain(links.flatten());
    let all = all.chain(Link::OF_CONSUMERS.map(Target::Link));
    let all = all.chain(processes).chain(servers);
    let all = all.chain(NodeRole::ALL.map(Target::NodeRole));
    all.map(|target| (target.name(), target)).collect()
}

fn kind_words() -> Vec<&'static str> {
    KINDS.iter().map(|kind| kind.name).collect()
}

/// Every word that `target` can be.
fn target_words() -> Vec<&'static str> {
    [targets(false), targets(true)].concat()
}

/// Those that a kind of fault works on.
pub(super) fn targets_on(ground: Ground) -> Vec<&'static str> {
    match ground {
        Ground::Process => targets(true),
        Ground::Database => {
            let servers = Server::ALL.into_iter();
            let servers = servers.filter(|server| server.has_database_faults());
            servers.map(Server::process).collect()
        }
        Ground::Links => targets(false),
    }
}

/// Those that are processes, or those that are not.
pub(super) fn targets(processes: bool) -> Vec<&'static str> {
    let all = known_targets().into_iter().map(|(_, target)| target);
    let chosen = all.chain(targets_of_other_relays());
    let chosen = chosen.chain(targets_of_nodes());
    chosen
        .filter(|target| target.is_of_processes() == processes)
        .map(Target::name)
        .collect()
}

/// Every fault can have these keys.
pub(super) const KEYS: [KeyInfo; 6] = [
    KeyInfo::required(
        "target",
        Shape::Word(target_words),
        "what it hits: a link, a side (every link to one server), or a process; `consumer-NAME` is the process of a consumer",
    ),
    KeyInfo::required(
        "kind",
        Shape::Word(kind_words),
        "what happens to it: kill, restart and pause are of processes, old_snapshot and failover are of postgres-server, the others are of links",
    ),
    KeyInfo::optional(
        "at",
        Shape::Duration {
            least: Duration::ZERO,
            most: limits::DURATION,
        },
        "there is a `when`",
        "when it begins, from the start of the load",
    ),
    KeyInfo::optional(
        "when",
        Shape::Table,
        "there is an `at`",
        "what it waits for instead",
    ),
    KeyInfo::required(
        "for",
        Shape::Duration {
            least: Duration::from_millis(1),
            most: limits::DURATION,
        },
        "how long it is in force; it ends before the load does",
    ),
    KeyInfo::optional(
        "id",
        Shape::Name {
            longest: limits::FAULT_ID,
        },
        "none",
        "what others call it that wait for it",
    ),
];

/// Returns the keys of every fault, and those of each kind.
pub(super) fn known() -> Vec<&'static str> {
    let of_kinds = KINDS.iter().flat_map(FaultInfo::keys);
    keys::names(&KEYS).into_iter().chain(of_kinds).collect()
}

/// A fault and where the file has it.
#[derive(Debug, Clone)]
pub(super) struct PlacedFault {
    /// This is the fault as it was read.
    pub fault: Fault,
    /// This is where its table starts, as a range of bytes of the file.
    pub span: Range<usize>,
    /// This is where the value of its `kind` is, as a range of bytes.
    pub kind_span: Range<usize>,
    /// This is where the value of its `target` is, as a range of bytes.
    pub target_span: Range<usize>,
    /// This is where the value of its `at` or `when` is, as a range of bytes.
    pub start_span: Range<usize>,
    /// This is where the value of its `id` is, as a range of bytes; `None` if it has none.
    pub id_span: Option<Range<usize>>,
}

impl Fault {
    /// Whether it hits anything that a strategy has.
    pub fn concerns(&self, strategy: Topology) -> bool {
        match self.target {
            Target::Process(victim) => strategy.has(victim),
            Target::NodeRole(_) => strategy.has_nodes(),
            Target::Link(_) | Target::Side(_) | Target::Broker => {
                let mut links = self.target.links().into_iter();
                links.any(|link| strategy.uses(link))
            }
        }
    }

    /// Whether it hits consumers, and nothing that has to do with how events are published.
    pub fn is_of_consumers(&self) -> bool {
        match self.target {
            Target::Process(Victim::Consumer(_)) => true,
            Target::Link(link) => link.is_of_consumers(),
            Target::Process(_) | Target::NodeRole(_) | Target::Side(_) | Target::Broker => false,
        }
    }

    /// Returns the one consumer that it hits, if it hits one.
    pub fn consumer(&self) -> Option<ConsumerName> {
        match self.target {
            Target::Process(Victim::Consumer(name)) => Some(name),
            Target::Process(_)
            | Target::NodeRole(_)
            | Target::Link(_)
            | Target::Side(_)
            | Target::Broker => None,
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

    /// Returns it in words, e.g. `down on kafka from 4s to 8s`, `kill on relay for 1s, trigger: 1000 events`.
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
pub(super) fn read(mut s: Section<'_>, workload: Option<&Workload>) -> Option<PlacedFault> {
    let id_entry = s.get("id");
    let id = id_entry.and_then(|e| read_id(&s, e));
    let target_entry = s.required("target", "target = \"kafka\"");
    let target = target_entry.and_then(|e| read_target(&s, e));
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
        for known in KINDS.iter().flat_map(FaultInfo::keys) {
            s.get(known);
        }
        s.finish();
        return None;
    };
    let kind = info.read(&mut s);
    if let (Some(target), Some(target_entry)) = (target, target_entry) {
        match_target(&s, info, kind_entry, target, target_entry);
    }
    let placed = match (target, target_entry, kind, start, lasts) {
        (Some(target), Some(t), Some(kind), Some((start, start_entry)), Some(lasts)) => {
            Some(PlacedFault {
                fault: Fault {
                    id: id.map(str::to_owned),
                    target,
                    kind,
                    start,
                    lasts,
                },
                span: s.span(),
                kind_span: kind_entry.span(),
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

/// Reads one of [`known_targets`], or the same of another of a strategy's relays, or of one of several brokers; `None` if
/// it is none of these, which is noted.
fn read_target(s: &Section<'_>, entry: Entry<'_>) -> Option<Target> {
    let text = entry.value().as_str().unwrap_or_default();
    if let Some(target) = not_a_first(text) {
        return Some(target);
    }
    let number = text
        .strip_prefix("relay-")
        .map(|rest| rest.split_once("->"));
    let number = match number {
        Some(Some((number, _))) => Some(number),
        Some(None) => text.strip_prefix("relay-"),
        None => None,
    };
    if number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
        let (first, last) = (
            Instance::ALL[1].name(),
            Instance::ALL[Instance::MOST - 1].name(),
        );
        s.problem(
            entry.span(),
            format!("`{text}` is not a possible `{}`", entry.key),
            format!(
                "a strategy has {} relays at most: `relay`, then `{first}` to `{last}`; their links are \
                 `{first}->postgres`, `{first}->kafka` and `{first}->redis`, and so on",
                Instance::MOST
            ),
        );
        return None;
    }
    if let Some(name) = ConsumerName::of_process(text) {
        return Some(Target::Process(Victim::Consumer(name)));
    }
    s.word(entry, &known_targets())
}

fn not_a_first(text: &str) -> Option<Target> {
    let mut all = targets_of_other_relays().chain(targets_of_nodes());
    all.find(|target| target.name() == text)
}

/// What is of one of several brokers of Kafka; the links of all relays are there.
fn targets_of_nodes() -> impl Iterator<Item = Target> {
    let nodes = BrokerNode::ALL.into_iter().map(Server::BrokerNode);
    nodes.flat_map(|node| {
        let own = [
            Target::Side(node),
            Target::Process(Victim::Server(node)),
            Target::Link(Link::Orders(node)),
        ];
        let relays = Instance::ALL.map(|relay| Target::Link(Link::Relay(relay, node)));
        own.into_iter().chain(relays)
    })
}

fn targets_of_other_relays() -> impl Iterator<Item = Target> {
    Instance::ALL.into_iter().skip(1).flat_map(|instance| {
        let links = Link::of_relay(instance).into_iter();
        let links = links.filter(|link| !link.server().is_node());
        let links = links.map(Target::Link);
        std::iter::once(Target::Process(Victim::Relay(instance))).chain(links)
    })
}

/// Reads the `id` of a fault; `None` if it is no well-formed name, which is then noted as a problem.
fn read_id<'a>(s: &Section<'a>, entry: Entry<'a>) -> Option<&'a str> {
    let id = s.text(entry)?;
    if let Some(help) = name_problem(id, limits::FAULT_ID) {
        s.problem(entry.span(), "this cannot be the `id` of a fault", help);
        return None;
    }
    Some(id)
}

/// Reads when a fault begins, from exactly one of `at` and `when`, and gives the entry that says so too.
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

/// Processes are killed, restarted and paused, the database is read for long or taken over; links get everything else.
fn match_target(
    s: &Section<'_>,
    info: &FaultInfo,
    kind_entry: Entry<'_>,
    target: Target,
    target_entry: Entry<'_>,
) {
    match (target, info.ground()) {
        (Target::Process(Victim::Server(server)), Ground::Database)
            if server.has_database_faults() => {}
        (Target::Process(Victim::Server(Server::EVENTBRIDGE)), Ground::Process)
            if info.name != "pause" =>
        {
            s.problem(
                kind_entry.span(),
                format!(
                    "after `{}` the emulator of EventBridge has nothing any more, which says nothing of EventBridge: \
                     all it has is in memory",
                    info.name
                ),
                "write kind = \"pause\", or cut its link: target = \"eventbridge\", kind = \"down\"",
            );
        }
        (other, Ground::Database) => s.problem(
            target_entry.span(),
            format!(
                "`{}` works on the database server, and {} is not that",
                info.name,
                other.name()
            ),
            "write target = \"postgres-server\"",
        ),
        (Target::Process(_) | Target::NodeRole(_), Ground::Links) => s.problem(
            kind_entry.span(),
            format!(
                "`{}` does not work on a process, and {} is one",
                info.name,
                target.name()
            ),
            format!(
                "a process takes kill, restart or pause; for the network take a link or a side: {}",
                named(|target| !target.is_of_processes())
            ),
        ),
        (Target::Process(_) | Target::NodeRole(_), Ground::Process) | (_, Ground::Links) => {}
        (link, Ground::Process) => s.problem(
            target_entry.span(),
            format!(
                "`{}` works on a process, and {} is a link",
                info.name,
                link.name()
            ),
            format!(
                "target one of consumer-NAME, {}; or take kind = \"down\" to cut the link",
                named(|target| target.is_of_processes())
            ),
        ),
    }
}

/// Returns the names of some targets, separated by commas.
fn named(some: fn(&Target) -> bool) -> String {
    let all = known_targets().into_iter();
    let names = all.filter(|(_, target)| some(target)).map(|(name, _)| name);
    names.collect::<Vec<_>>().join(", ")
}

/// Why an attribute is not one of this kind.
fn foreign_attribute(key: &str, info: &FaultInfo) -> Option<(String, String)> {
    let owners: Vec<&str> = KINDS
        .iter()
        .filter(|k| k.keys().contains(&key))
        .map(|k| k.name)
        .collect();
    let own = info.keys();
    let takes = if own.is_empty() {
        "no attributes".to_owned()
    } else {
        own.join(", ")
    };
    let rest = format!(
        "a {} fault takes {} and {takes}",
        info.name,
        keys::names(&KEYS).join(", ")
    );
    if owners.is_empty() {
        let all: Vec<&str> = keys::names(&KEYS)
            .into_iter()
            .chain(own.iter().copied())
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
