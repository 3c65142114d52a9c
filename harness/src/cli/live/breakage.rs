//! What breaks something, as it is shown: a fault of the scenario, or a key of the demo.

use crate::scenario::{Fault, FaultKind, Instance, Server, Target, Topology, Toxic, Victim};
use crate::view::fault_name;
use std::borrow::Cow;

/// A part of what is tested: a process, or what is at the other end of its links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SystemPart {
    /// The order service.
    Service,
    /// PostgreSQL, and every way to it.
    Database,
    /// One of the relays.
    Relay(Instance),
    /// Kafka, and every way to it.
    Broker,
    /// Redis, and every way to it.
    Cache,
    /// The consumers of the events, all together.
    Consumers,
}

impl SystemPart {
    /// Returns the parts of a strategy, in the order in which they are shown.
    pub fn of(topology: Topology) -> Vec<Self> {
        let relays = Instance::first(topology.relays).map(Self::Relay);
        [Self::Service, Self::Database]
            .into_iter()
            .chain(relays)
            .chain([Self::Broker])
            .chain(topology.has_cache.then_some(Self::Cache))
            .collect()
    }

    /// What it is called, e.g. `relay`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Database => "database",
            Self::Relay(instance) => instance.name(),
            Self::Broker => "broker",
            Self::Cache => "cache",
            Self::Consumers => "consumers",
        }
    }

    fn at(server: Server) -> Self {
        match server {
            Server::Database(_) => Self::Database,
            Server::Broker(_) | Server::BrokerNode(_) => Self::Broker,
            Server::Redis => Self::Cache,
        }
    }

    fn hit_by(target: Target) -> Self {
        match target {
            Target::Process(Victim::OrderService) => Self::Service,
            Target::Process(Victim::Relay(instance)) => Self::Relay(instance),
            Target::Process(Victim::Consumer(_)) => Self::Consumers,
            Target::Broker | Target::NodeRole(_) => Self::Broker,
            Target::Process(Victim::Server(server)) | Target::Side(server) => Self::at(server),
            Target::Link(link) => Self::at(link.server()),
        }
    }
}

/// One thing that breaks something.
#[derive(Debug, Clone, PartialEq)]
pub struct Breakage {
    /// It stands for it on the timeline; in a demo it is its key.
    pub mark: char,
    /// Whether pressing the key of that name begins it.
    pub is_key: bool,
    /// What it does, e.g. `cut the broker`.
    pub does: Cow<'static, str>,
    /// It works on this.
    pub target: Target,
    /// This is what happens to the target.
    pub kind: FaultKind,
}

impl Breakage {
    /// Returns a fault of a scenario; those that come first have figures for their marks, from 1, then letters.
    pub fn of(number: usize, fault: &Fault) -> Self {
        let figure = u32::try_from(number + 1).ok();
        Self {
            mark: figure.and_then(|n| char::from_digit(n, 36)).unwrap_or('+'),
            is_key: false,
            does: Cow::Owned(fault_name(fault)),
            target: fault.target,
            kind: fault.kind,
        }
    }

    /// The part that it breaks.
    pub fn part(&self) -> SystemPart {
        SystemPart::hit_by(self.target)
    }

    /// What is the matter with that part, in one word.
    pub fn word(&self) -> &'static str {
        match self.kind {
            FaultKind::Down => "CUT",
            FaultKind::Kill | FaultKind::Failover => "KILLED",
            FaultKind::Restart => "RESTARTS",
            FaultKind::Pause => "PAUSED",
            FaultKind::OldSnapshot => "HELD",
            FaultKind::Toxic { toxic, .. } => match toxic {
                Toxic::Timeout { .. } => "MUTE",
                Toxic::Latency { .. } | Toxic::Bandwidth { .. } | Toxic::SlowClose { .. } => "SLOW",
                Toxic::Slicer { .. } => "SLICED",
                Toxic::ResetPeer { .. } => "RESET",
                Toxic::LimitData { .. } => "LIMITED",
            },
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::scenario::{Link, Start};
    use std::time::Duration;

    fn fault(target: Target, kind: FaultKind) -> Fault {
        Fault {
            id: None,
            target,
            kind,
            start: Start::At(Duration::ZERO),
            lasts: Duration::from_secs(1),
        }
    }

    #[test]
    fn given_faults_of_a_scenario_then_each_has_a_mark_its_name_and_the_part_that_it_breaks() {
        let second = Instance::ALL[1];
        for (target, kind, does, part, word) in [
            (
                Target::KAFKA,
                FaultKind::Down,
                "down kafka",
                SystemPart::Broker,
                "CUT",
            ),
            (
                Target::Process(Victim::Relay(second)),
                FaultKind::Kill,
                "kill relay-2",
                SystemPart::Relay(second),
                "KILLED",
            ),
            (
                Target::Link(Link::Relay(second, Server::POSTGRES)),
                FaultKind::Pause,
                "pause relay-2->postgres",
                SystemPart::Database,
                "PAUSED",
            ),
        ] {
            let breakage = Breakage::of(1, &fault(target, kind));
            assert_eq!((breakage.mark, breakage.is_key), ('2', false));
            assert_eq!(breakage.does, does);
            assert_eq!((breakage.part(), breakage.word()), (part, word));
        }
        let marks = [9, 34, 35, usize::MAX - 1];
        let marks = marks.map(|n| Breakage::of(n, &fault(Target::KAFKA, FaultKind::Down)).mark);
        assert_eq!(marks, ['a', 'z', '+', '+']);
    }
}
