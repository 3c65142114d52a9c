//! What a demo runs: its scenario, and what its keys do.

use super::occasion::occasion;
use crate::cli::live::board::Board;
use crate::cli::live::breakage::Breakage;
use crate::cli::live::now::LaneOrder;
use crate::scenario::{
    Comparison, Expectation, Fault, FaultKind, Link, Metric, Scenario, Server, Start, Stream,
    Target, Toxic, Trigger, Victim, parse,
};
use relays::config::{BrokerKind, DatabaseKind};
use std::time::Duration;

/// A demo begins with these lines.
pub const INTRODUCTION: &str = "\
outbox-harness demo: one load, three ways to announce it (figures for show)
  naive    commits an order, then publishes its event: two writes
  polling  writes order and event in one transaction; a relay polls the events
  cdc      the same; its relay reads them from the log of the database
";

const FILE: &str = include_str!("demo.toml");

/// The cut is longer than a dual write goes on trying: it gives up, and what it gives up on is lost.
const CUT: Duration = Duration::from_secs(4);

/// The load of a demo that somebody plays lasts so long: with its start and its end, less than a minute.
const BY_HAND: Duration = Duration::from_secs(35);

/// This target is the service's way to its database.
const DATABASE: Target = Target::Link(Link::Orders(Server::Database(DatabaseKind::USUAL)));

/// And this is every way to its broker.
const BROKER: Target = Target::Side(Server::Broker(BrokerKind::USUAL));

/// What a key does.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// The action begins when this key is pressed.
    pub key: char,
    /// These words tell what the action does, e.g. `cut the broker`.
    pub does: &'static str,
    /// The action works on this.
    pub target: Target,
    /// This kind of fault happens to the target.
    pub kind: FaultKind,
    /// For so long, unless it is healed.
    pub lasts: Duration,
    /// The key works so often in one demo.
    pub presses: u64,
}

impl Action {
    /// Returns what the action breaks, as it is shown.
    fn breakage(&self) -> Breakage {
        Breakage {
            mark: self.key,
            is_key: true,
            does: self.does.into(),
            target: self.target,
            kind: self.kind,
        }
    }
}

/// Returns what a fault breaks: with the words of its key where a key of a demo began it.
pub fn breakage_of(number: usize, fault: &Fault) -> Breakage {
    let is_of = |action: &Action| match fault.trigger() {
        Some(Trigger::Key { key, .. }) => {
            (*key, fault.target, fault.kind) == (action.key, action.target, action.kind)
        }
        Some(
            Trigger::Events(_)
            | Trigger::Committed(_)
            | Trigger::Backlog(_)
            | Trigger::After { .. }
            | Trigger::Log { .. }
            | Trigger::Sql { .. },
        )
        | None => false,
    };
    let action = actions().into_iter().find(is_of);
    action.map_or_else(|| Breakage::of(number, fault), |action| action.breakage())
}

/// Returns every action, in the order of the screen.
pub fn actions() -> [Action; 6] {
    let toxic = |toxic, stream| FaultKind::Toxic {
        toxic,
        stream,
        toxicity: 1.0,
    };
    let (latency, jitter) = (400, 0);
    let slow = toxic(Toxic::Latency { latency, jitter }, Stream::Upstream);
    // A commit arrives, and nobody hears of it.
    let unanswered = toxic(Toxic::Timeout { timeout: 0 }, Stream::Downstream);
    let relay = Target::Process(Victim::RELAY);
    let service = Target::Process(Victim::OrderService);
    let action = |key, does, target, kind, lasts, presses| Action {
        key,
        does,
        target,
        kind,
        lasts,
        presses,
    };
    let seconds = Duration::from_secs;
    [
        action('b', "cut the broker", BROKER, FaultKind::Down, CUT, 3),
        action('s', "slow the broker", BROKER, slow, seconds(4), 2),
        action(
            'd',
            "mute the database",
            DATABASE,
            unanswered,
            seconds(3),
            2,
        ),
        action('k', "kill the relay", relay, FaultKind::Kill, seconds(1), 2),
        action(
            'p',
            "pause the relay",
            relay,
            FaultKind::Pause,
            seconds(3),
            2,
        ),
        action(
            'x',
            "kill the service",
            service,
            FaultKind::Kill,
            seconds(1),
            2,
        ),
    ]
}

/// A programme is a scenario with a fault for each press of each key.
pub struct Programme {
    /// The demo runs this scenario.
    pub scenario: Scenario,
    /// What each of its faults breaks.
    pub breakages: Vec<Breakage>,
}

impl Programme {
    /// Returns a programme that plays by itself: its dual write is expected to lose.
    pub fn scripted() -> Result<Self, String> {
        let mut programme = Self::new()?;
        let naive = programme.scenario.strategies.first_mut();
        if let Some(naive) = naive {
            naive.expectations.push(Expectation {
                metric: Metric::Lost,
                comparison: Comparison::AtLeast,
                value: 1.0,
                text: ">= 1".to_owned(),
                implicit: false,
            });
        }
        Ok(programme)
    }

    /// Returns a programme that somebody plays: what is lost in it, and whether anything is, is up to them.
    pub fn by_hand() -> Result<Self, String> {
        let mut programme = Self::new()?;
        programme.scenario.workload.duration = BY_HAND;
        Ok(programme)
    }

    /// Returns a board on which nothing of the programme has happened yet.
    pub fn board(&self) -> Board {
        Board::new(
            occasion(),
            LaneOrder::Together,
            &self.scenario.strategies,
            self.breakages.iter().cloned(),
        )
    }

    fn new() -> Result<Self, String> {
        let mut scenario = parse("demo.toml", FILE).map_err(|e| e.to_string())?;
        for action in actions() {
            for press in 1..=action.presses {
                scenario.faults.push(Fault {
                    id: None,
                    target: action.target,
                    kind: action.kind,
                    start: Start::When(Trigger::Key {
                        key: action.key,
                        press,
                    }),
                    lasts: action.lasts,
                });
            }
        }
        let faults = scenario.faults.iter().enumerate();
        let breakages = faults.map(|(number, fault)| breakage_of(number, fault));
        Ok(Self {
            breakages: breakages.collect(),
            scenario,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn given_the_demos_own_file_then_each_press_of_each_key_is_one_of_its_faults() {
        let programme = Programme::scripted().unwrap();
        let presses: u64 = actions().iter().map(|a| a.presses).sum();
        assert_eq!(programme.scenario.faults.len() as u64, presses);
        let keys: BTreeSet<char> = actions().iter().map(|a| a.key).collect();
        assert_eq!(keys.len(), actions().len());
        assert_eq!(programme.breakages.len(), programme.scenario.faults.len());
        assert!(programme.breakages.iter().all(|breakage| breakage.is_key));
    }

    #[test]
    fn given_the_cut_of_the_broker_then_it_outlasts_what_a_dual_write_waits_for() {
        let programme = Programme::scripted().unwrap();
        assert!(CUT > programme.scenario.workload.request_timeout);
    }
}
