//! From observations to a decision: one file a kind of fault, each a pure function.

mod bandwidth;
mod case;
mod demand;
mod down;
mod kill;
mod latency;
mod limit_data;
mod pause;
mod reset_peer;
mod slicer;
mod slow_close;
#[cfg(test)]
mod staged;
mod timeout;

use crate::checkers::Bite;
use crate::history::History;
use crate::nemesis::concerns;
use crate::scenario::{FaultKind, Target, Toxic};
use case::Case;
use demand::Demand;

/// What one place shows: `Ok` evidence, or `Err` what was missing.
type Finding = Result<String, String>;

/// One [`Bite`] a fault of the scenario that applies to this strategy (a fault on a link that the
/// strategy does not use applies to it not at all and counts as bitten, saying so).
pub fn bites(history: &History) -> Vec<Bite> {
    let demand = Demand::of(history);
    let strategy = history
        .meta
        .scenario
        .strategies
        .iter()
        .find(|s| s.name == history.meta.strategy);
    (0u32..)
        .zip(&history.meta.scenario.faults)
        .map(|(index, fault)| {
            let finding = match strategy {
                None => Err(format!(
                    "the scenario has no strategy {}",
                    history.meta.strategy
                )),
                Some(strategy) if !concerns(fault, &strategy.kind) => Ok(format!(
                    "does not concern this strategy: a {} strategy has no {}",
                    strategy.kind.name(),
                    match fault.target {
                        Target::Process(victim) => victim.name().to_owned(),
                        target => format!("link {}", target.name()),
                    }
                )),
                Some(strategy) => Case::new(history, &demand, index, fault, &strategy.kind)
                    .and_then(|case| decide(&case)),
            };
            let (bit, evidence) = match finding {
                Ok(evidence) => (true, evidence),
                Err(missing) => (false, missing),
            };
            Bite {
                fault: index,
                bit,
                evidence,
            }
        })
        .collect()
}

/// It bit if it bit in every place that it works on.
fn decide(case: &Case<'_>) -> Finding {
    let judge = match case.fault.kind {
        FaultKind::Kill => kill::judge,
        FaultKind::Pause => pause::judge,
        FaultKind::Down => down::judge,
        FaultKind::Toxic { toxic, .. } => match toxic {
            Toxic::Latency { .. } => latency::judge,
            Toxic::Bandwidth { .. } => bandwidth::judge,
            Toxic::SlowClose { .. } => slow_close::judge,
            Toxic::Timeout { .. } => timeout::judge,
            Toxic::ResetPeer { .. } => reset_peer::judge,
            Toxic::Slicer { .. } => slicer::judge,
            Toxic::LimitData { .. } => limit_data::judge,
        },
    };
    if case.aim().0 <= 0.0 {
        return Err("toxicity 0 leaves every connection alone".into());
    }
    let mut evidence = Vec::new();
    let mut missing = Vec::new();
    for place in case.places() {
        match judge(case, place) {
            Ok(found) => evidence.push(format!("{}: {found}", place.name())),
            Err(lacking) => missing.push(format!("{}: {lacking}", place.name())),
        }
    }
    if missing.is_empty() {
        Ok(evidence.join("; "))
    } else {
        Err(missing.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::staged::*;
    use crate::scenario::{FaultKind, Link, Target, Victim};
    use proptest::prelude::*;

    #[test]
    fn a_fault_on_what_the_strategy_does_not_have_says_so() {
        let target = Target::Link(Link::RelayKafka);
        Staged::new(target, FaultKind::Down, dual_write())
            .bit("does not concern this strategy: a dual-write strategy has no link relay->kafka");
        let target = Target::Process(Victim::Relay);
        Staged::new(target, FaultKind::Kill, dual_write()).bit("has no relay");
    }

    #[test]
    fn a_fault_that_was_never_in_force_or_never_healed_did_not_bite() {
        let mut staged = Staged::new(Target::Kafka, FaultKind::Down, polling());
        staged.0.faults[0].healed_ns = None;
        staged.did_not_bite("never healed");
        staged.0.faults[0].injected_ns = None;
        staged.did_not_bite("never in force");
        staged.0.faults.clear();
        staged.did_not_bite("never in force");
    }

    #[test]
    fn a_fault_on_a_side_must_bite_on_each_link_of_it() {
        let cut = |staged: Staged, link: &str| {
            staged
                .every(4.0..8.0, link, "probe_refused", |_| 1.0)
                .every(
                    3.0..8.0,
                    link,
                    "sockets",
                    |t| if t < 4.0 { 1.0 } else { 0.0 },
                )
        };
        let one = cut(
            Staged::new(Target::Postgres, FaultKind::Down, polling()),
            "orders->postgres",
        );
        one.did_not_bite("relay->postgres: no connection was tried");
        cut(one, "relay->postgres").bit("orders->postgres: 40 probes refused");
    }

    #[test]
    fn observations_and_records_of_another_fault_prove_nothing_of_this_one() {
        let cut = |staged: Staged| {
            staged
                .every(4.0..8.0, "relay->kafka", "probe_refused", |_| 1.0)
                .every(3.0..8.0, "relay->kafka", "sockets", |t| {
                    if t < 4.0 { 1.0 } else { 0.0 }
                })
        };
        let target = Target::Link(Link::RelayKafka);
        let mut staged = cut(Staged::new(target, FaultKind::Down, polling()));
        staged.bit("fell from 1 to 0");
        // When all of it was observed of a second fault, after this one
        staged.0.observations.iter_mut().for_each(|o| o.fault = 1);
        staged.did_not_bite("no connection was tried");
        // Or the only record is that of another fault
        let mut staged = cut(Staged::new(target, FaultKind::Down, polling()));
        staged.0.faults[0].fault = 1;
        staged.did_not_bite("never in force");
    }

    #[test]
    fn what_another_place_reported_proves_nothing_here() {
        let target = Target::Link(Link::RelayKafka);
        let refused = Staged::new(target, FaultKind::Down, polling())
            .every(4.0..8.0, "relay->kafka", "probe_refused", |_| 1.0)
            .every(3.0..8.0, "relay->kafka", "sockets", |_| 0.0);
        let elsewhere = refused.at(5.0, "orders->kafka", "client_failures", 3.0);
        elsewhere.did_not_bite("asked for none");
        // Nor what was reported before it or after it
        let earlier = elsewhere.at(3.0, "relay->kafka", "client_failures", 3.0);
        let later = earlier.at(9.0, "relay->kafka", "client_failures", 3.0);
        later.did_not_bite("asked for none");
        let meanwhile = later.at(5.0, "relay->kafka", "client_failures", 3.0);
        meanwhile.bit("reported 3 failures");
    }

    #[test]
    fn only_looks_between_injection_and_healing_are_of_the_time_in_force() {
        // Given looks in the middle of injecting and of healing, at which it was not in force
        let target = Target::Link(Link::RelayKafka);
        Staged::new(target, FaultKind::Down, polling())
            .every(4.0..8.0, "relay->kafka", "probe_refused", |_| 1.0)
            .every(3.0..8.0, "relay->kafka", "sockets", |t| {
                if t < 4.0 { 1.0 } else { 0.0 }
            })
            .at(3.995, "relay->kafka", "probe_refused", 0.0)
            .at(8.01, "relay->kafka", "probe_refused", 0.0)
            .at(9.0, "relay->kafka", "probe_refused", 0.0)
            .bit("40 probes refused");
        // Nor is it of the time before: no connection was there to be lost
        Staged::new(target, FaultKind::Down, polling())
            .every(4.0..8.0, "relay->kafka", "probe_refused", |_| 1.0)
            .every(4.0..8.0, "relay->kafka", "sockets", |_| 0.0)
            .at(3.995, "relay->kafka", "sockets", 1.0)
            .did_not_bite("asked for none");
    }

    #[test]
    fn the_strategy_is_the_one_that_was_run() {
        // Given a scenario whose other strategy has no relay
        let target = Target::Link(Link::RelayKafka);
        let mut staged = Staged::new(target, FaultKind::Down, polling());
        let mut other = staged.0.meta.scenario.strategies[0].clone();
        (other.name, other.kind) = ("naive".to_owned(), dual_write());
        staged.0.meta.scenario.strategies.insert(0, other);
        staged.did_not_bite("no connection was tried");
        staged.0.meta.strategy = "naive".to_owned();
        staged.bit("does not concern this strategy");
        staged.0.meta.strategy = "nobody".to_owned();
        staged.did_not_bite("has no strategy nobody");
    }

    proptest! {
        /// Whatever was observed, a fault of which nothing was observed in force did not bite.
        #[test]
        fn observations_from_outside_the_fault_prove_nothing(
            seconds in proptest::collection::vec(prop_oneof![0.0..3.9, 8.1..12.0], 0..40),
            value in -1.0..1e6,
        ) {
            for kind in every_kind() {
                let target = match kind {
                    FaultKind::Kill | FaultKind::Pause => Target::Process(Victim::Relay),
                    _ => Target::Kafka,
                };
                let mut staged = Staged::new(target, kind, polling());
                for second in &seconds {
                    for name in EVERY_NAME {
                        staged = staged.at(*second, "relay->kafka", name, value);
                        staged = staged.at(*second, "relay", name, value);
                    }
                }
                staged.did_not_bite("");
            }
        }
    }
}
