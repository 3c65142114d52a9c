//! Did a fault bite? A pure function of the observations that were taken while it was in force (see
//! [`name`]) decides, one file a kind of fault. What was not measured did not bite.
//!
//! Beside them the history itself tells what a fault met: requests without an answer, committed events
//! that were not seen, or seen again. Demand that the fault prevents is demand, so this alone decides
//! where nothing can flow; what failed or was lost before the fault tells nothing.

mod bandwidth;
mod case;
mod consumer;
mod demand;
mod down;
mod failover;
mod instances;
mod kill;
mod lack;
mod latency;
mod limit_data;
pub mod name;
mod needs;
mod node;
#[cfg(test)]
mod of_cache;
mod old_snapshot;
mod pause;
mod reset_peer;
mod restart;
mod slicer;
mod slow_close;
#[cfg(test)]
mod staged;
mod succession;
mod timeout;
mod trigger;
mod unmet;

use crate::history::History;
use crate::scenario::{FaultKind, Strategy, Target, Topology, Toxic, Victim};
use crate::view::strategy;
use case::{Case, Place};
use demand::Demand;
use lack::{FITTING, LOGS, Lack, STRONGER, lack};
pub use needs::{LinkNeeds, LinkReading, Question};
pub(crate) use trigger::{cut_short, fired_ns, fired_on};

/// A bite tells whether a fault bit, from the observations alone.
#[derive(Debug, Clone)]
pub struct Bite {
    /// This is the index of the fault in `scenario.faults`, from 0.
    pub fault: u32,
    /// This is true if the fault bit wherever it works, or if it does not concern this strategy.
    pub bit: bool,
    /// The evidence, or what was missing, in one sentence.
    pub evidence: String,
}

/// This is what one place shows: `Ok` has the evidence, `Err` what was missing.
type PlaceEvidence = Result<String, Lack>;

/// One [`Bite`] a fault of the scenario that applies to this strategy (a fault on a link that the
/// strategy does not use applies to it not at all and counts as bitten, saying so).
pub fn bites(history: &History) -> Vec<Bite> {
    let demand = Demand::of(history);
    let strategy = strategy(history).zip(history.meta.topology());
    (0u32..)
        .zip(&history.meta.scenario.faults)
        .map(|(index, fault)| {
            let finding = match strategy {
                None => {
                    let what = format!("the scenario has no strategy {}", history.meta.strategy);
                    Err(lack(what, FITTING))
                }
                Some((strategy, topology)) if !fault.concerns(topology) => Ok(format!(
                    "does not concern this strategy: {} has no {}",
                    whose((strategy, topology), fault.target),
                    match fault.target {
                        target if target.is_of_processes() => target.name().to_owned(),
                        target => format!("link {}", target.name()),
                    }
                )),
                Some((_, topology)) => Case::new(history, &demand, index, fault, topology)
                    .and_then(|case| decide(&case)),
            };
            let finding = match trigger::circumstances(history, index, fault) {
                Some(more) => with(finding, &more),
                None => finding,
            };
            let (bit, evidence) = match finding {
                Ok(evidence) => (true, evidence),
                Err(Lack { what, change }) => (
                    false,
                    format!("{what} ({}: {change})", when(history, index)),
                ),
            };
            Bite {
                fault: index,
                bit,
                evidence,
            }
        })
        .collect()
}

/// Describes a strategy: `a polling strategy`; where it lacks a relay of several, with how many it has.
fn whose((strategy, topology): (&Strategy, Topology), lacking: Target) -> String {
    let kind = strategy.kind.name();
    let of_relay = match lacking {
        Target::Process(victim) => matches!(victim, Victim::Relay(_)),
        Target::Link(link) => matches!(link.client(), Some(Victim::Relay(_))),
        Target::Side(_) | Target::Broker | Target::NodeRole(_) => false,
    };
    match topology.relays {
        1 if of_relay => format!("a {kind} strategy with one relay"),
        relays if of_relay && relays > 1 => format!("a {kind} strategy with {relays} relays"),
        _ => format!("a {kind} strategy"),
    }
}

/// The same with what is to be said beside what a fault did, or did not do.
fn with(finding: PlaceEvidence, more: &str) -> PlaceEvidence {
    match finding {
        Ok(evidence) => Ok(format!("{evidence}; {more}")),
        Err(Lack { what, change }) => Err(lack(format!("{what}; {more}"), change)),
    }
}

/// When a fault was in force, as the reports count.
fn when(history: &History, index: u32) -> String {
    let from_start = |ns: i64| {
        let since = ns.saturating_sub(history.meta.load_from_ns);
        format!("{:.1} s", since as f64 / 1e9)
    };
    let record = history.faults.iter().find(|r| r.fault == index);
    let in_vain = trigger::missed(history, index).is_some();
    match record.map(|r| (r.injected_ns, r.healed_ns, r.planned_at_ns)) {
        Some((Some(from_ns), Some(until_ns), _)) => {
            format!(
                "in force from {} to {}",
                from_start(from_ns),
                from_start(until_ns)
            )
        }
        Some((Some(from_ns), None, _)) => format!("in force from {}", from_start(from_ns)),
        Some((None, _, until_ns)) if in_vain => {
            format!("waited for until {}", from_start(until_ns))
        }
        Some((None, _, planned_ns)) => format!("planned for {}", from_start(planned_ns)),
        None => "nothing was recorded of it".to_owned(),
    }
}

/// Judges what one place shows of a kind of fault.
type Judge = fn(&Case<'_>, Place) -> PlaceEvidence;

/// Returns what a kind of fault needs to have observed, and by what it is judged.
fn row(kind: FaultKind) -> (LinkNeeds, Judge) {
    match kind {
        FaultKind::Kill => (LinkNeeds::NOTHING, kill::judge),
        FaultKind::Restart => (LinkNeeds::NOTHING, restart::judge),
        FaultKind::Pause => (LinkNeeds::NOTHING, pause::judge),
        FaultKind::OldSnapshot => (LinkNeeds::NOTHING, old_snapshot::judge),
        FaultKind::Failover => (LinkNeeds::NOTHING, failover::judge),
        FaultKind::Down => (down::NEEDS, down::judge),
        FaultKind::Toxic { toxic, .. } => match toxic {
            Toxic::Latency { latency, jitter } => (
                latency::needs(latency.saturating_add(jitter)),
                latency::judge,
            ),
            Toxic::Bandwidth { .. } => (bandwidth::NEEDS, bandwidth::judge),
            Toxic::SlowClose { delay } => (slow_close::needs(delay), slow_close::judge),
            Toxic::Timeout { .. } => (timeout::NEEDS, timeout::judge),
            Toxic::ResetPeer { timeout } => (reset_peer::needs(timeout), reset_peer::judge),
            Toxic::Slicer { .. } => (slicer::NEEDS, slicer::judge),
            Toxic::LimitData { .. } => (limit_data::NEEDS, limit_data::judge),
        },
    }
}

/// Returns what must be observed of the links of a fault of this kind.
pub fn needs(kind: FaultKind) -> LinkNeeds {
    row(kind).0
}

/// It bit if it bit in every place that it works on.
fn decide(case: &Case<'_>) -> PlaceEvidence {
    let (_, judge) = row(case.fault.kind);
    if case.fault.kind.aim().0 <= 0.0 {
        return Err(lack("toxicity 0 leaves every connection alone", STRONGER));
    }
    instances::needed(case)?;
    if case.places().is_empty() {
        return Err(lack("nothing says which process it hit", LOGS));
    }
    let mut evidence = Vec::new();
    let mut missing = Vec::new();
    let idle = instances::standing_by(case);
    for place in case.places() {
        if idle.contains(&place) {
            evidence.push(format!("{}: it stood by", place.name()));
            continue;
        }
        match judge(case, place)
            .and_then(|found| instances::recovered(case, place, found))
            .and_then(|found| node::needed(case, found))
        {
            Ok(found) => evidence.push(format!("{}: {found}", place.name())),
            Err(lacking) => missing.push((place, lacking)),
        }
    }
    let Some((_, Lack { change, .. })) = missing.first() else {
        return Ok(evidence.join("; "));
    };
    let what = missing
        .iter()
        .map(|(place, lacking)| format!("{}: {}", place.name(), lacking.what));
    Err(lack(what.collect::<Vec<_>>().join("; "), change))
}

#[cfg(test)]
mod tests {
    use super::staged::*;
    use crate::bite::name;
    use crate::history::{Life, Outcome};
    use crate::scenario::{FaultKind, Link, Target, Toxic, Victim};
    use proptest::prelude::*;

    #[test]
    fn a_fault_on_what_the_strategy_does_not_have_says_so() {
        let target = Target::Link(Link::RELAY_KAFKA);
        Staged::new(target, FaultKind::Down, dual_write())
            .bit("does not concern this strategy: a dual-write strategy has no link relay->kafka");
        let target = Target::Process(Victim::RELAY);
        Staged::new(target, FaultKind::Kill, dual_write()).bit("has no relay");
    }

    #[test]
    fn a_fault_that_was_never_in_force_or_never_healed_did_not_bite() {
        let mut staged = Staged::new(Target::KAFKA, FaultKind::Down, polling());
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
            Staged::new(Target::POSTGRES, FaultKind::Down, polling()),
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
        let target = Target::Link(Link::RELAY_KAFKA);
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
        let target = Target::Link(Link::RELAY_KAFKA);
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
        let target = Target::Link(Link::RELAY_KAFKA);
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
        let target = Target::Link(Link::RELAY_KAFKA);
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

    #[test]
    fn given_a_fault_that_did_not_bite_then_its_time_is_named_and_what_to_change() {
        let target = Target::Link(Link::RELAY_KAFKA);
        let mut staged = Staged::new(target, FaultKind::Down, polling());
        staged.0.meta.load_from_ns = ns(1.0);
        staged.did_not_bite("(in force from 3.0 s to 7.0 s: give it a longer `for`)");
        staged.0.faults[0].healed_ns = None;
        staged.did_not_bite("(in force from 3.0 s: see `logs/`");
        staged.0.faults[0].injected_ns = None;
        staged.did_not_bite("(planned for 3.0 s: see `logs/`");
        staged.0.faults.clear();
        staged.did_not_bite("(nothing was recorded of it: see `logs/`");
    }

    /// A fault of this kind that bit, with no more observed of it than that takes.
    fn bitten(kind: FaultKind) -> Staged {
        let link = "relay->kafka";
        let target = match kind {
            FaultKind::Kill | FaultKind::Restart | FaultKind::Pause => {
                Target::Process(Victim::RELAY)
            }
            FaultKind::OldSnapshot | FaultKind::Failover => Target::Process(Victim::POSTGRES),
            FaultKind::Down | FaultKind::Toxic { .. } => Target::KAFKA,
        };
        let staged =
            Staged::new(target, kind, polling()).request(5.0, 5.1, Outcome::Committed, Some(9.0));
        let counted = |staged: Staged, values: &[(&str, f64)]| {
            let values = values.iter();
            values.fold(staged, |s, (name, value)| s.at(7.0, link, name, *value))
        };
        match kind {
            FaultKind::Kill => staged
                .life("relay", 0.1, Life::Ready, 0)
                .life("relay", 3.995, Life::Exited, 9)
                .life("relay", 8.0, Life::Started, 0)
                .life("relay", 8.01, Life::Ready, 0),
            FaultKind::Restart => staged
                .life("relay", 0.1, Life::Ready, 0)
                .life("relay", 3.991, Life::Terminating, 0)
                .life("relay", 3.995, Life::Exited, -1)
                .life("relay", 8.0, Life::Started, 0)
                .life("relay", 8.01, Life::Ready, 0),
            FaultKind::Pause => [name::THREADS, name::THREADS_STOPPED, name::CPU_TICKS]
                .into_iter()
                .fold(staged, |s, name| s.every(4.0..8.0, "relay", name, |_| 5.0)),
            FaultKind::OldSnapshot => [3.9, 4.5, 6.0, 7.5]
                .into_iter()
                .fold(staged, |s, at| s.horizon(at, 1.0).dead_rows(at, at)),
            FaultKind::Failover => staged
                .life("postgres-server", 0.1, Life::Ready, 0)
                .life("postgres-server", 3.995, Life::Exited, 9)
                .life("postgres-server", 8.0, Life::Started, 0)
                .life("postgres-server", 8.01, Life::Ready, 0)
                .request(5.0, 7.0, Outcome::Unknown, None)
                .request(8.5, 8.6, Outcome::Committed, Some(8.7))
                .at(8.015, "postgres-server", name::TIMELINE_FOLLOWED, 1.0)
                .at(8.015, "postgres-server", name::TIMELINE_TAKEN_UP, 2.0),
            FaultKind::Down => staged
                .at(3.5, link, name::SOCKETS, 1.0)
                .at(5.0, link, name::SOCKETS, 0.0)
                .at(5.0, link, name::PROBE_REFUSED, 1.0),
            FaultKind::Toxic { toxic, .. } => match toxic {
                Toxic::Latency { .. } => counted(
                    staged.at(3.5, link, name::CROSSING_MS, 0.4),
                    &[(name::CROSSING_MS, 150.0), (name::NEAR_BYTES, 5.0)],
                ),
                Toxic::Bandwidth { .. } => counted(
                    staged,
                    &[(name::MOST_OUT_BYTES, 3_900.0), (name::QUEUED_BYTES, 9.0)],
                ),
                Toxic::SlowClose { .. } => [
                    (5.0, 2.0, 2.0),
                    (5.1, 1.0, 2.0),
                    (5.2, 1.0, 2.0),
                    (5.3, 1.0, 1.0),
                ]
                .into_iter()
                .fold(staged, |s, (at, near, far)| {
                    s.at(at, link, name::SOCKETS, near)
                        .at(at, link, name::FAR_SOCKETS, far)
                }),
                Toxic::Timeout { .. } => {
                    counted(staged, &[(name::IN_BYTES, 500.0), (name::OUT_BYTES, 0.0)])
                }
                Toxic::ResetPeer { .. } => {
                    counted(staged, &[(name::PROBE_RESET, 1.0), (name::ENDED, 1.0)])
                }
                Toxic::Slicer { .. } => counted(
                    staged,
                    &[
                        (name::IN_BYTES, 900.0),
                        (name::IN_SEGMENTS, 1.0),
                        (name::OUT_BYTES, 900.0),
                        (name::OUT_SEGMENTS, 90.0),
                    ],
                ),
                Toxic::LimitData { .. } => counted(
                    staged,
                    &[
                        (name::MOST_OUT_BYTES, 100.0),
                        (name::ENDED, 1.0),
                        (name::OPENED, 1.0),
                    ],
                ),
            },
        }
    }

    #[test]
    fn given_each_kind_when_enough_was_observed_in_force_then_it_bit() {
        for kind in every_kind() {
            bitten(kind).bit("");
        }
    }

    proptest! {
        /// What shows that a fault bit shows nothing when it was observed outside of its time.
        #[test]
        fn observations_from_outside_the_fault_prove_nothing(
            seconds in proptest::collection::vec(prop_oneof![0.0..3.9, 8.1..12.0], 1..40),
        ) {
            for kind in every_kind() {
                let mut staged = bitten(kind);
                let mut outside = seconds.iter().cycle().map(|second| ns(*second));
                let of_it = |name: &str| name != name::INJECTING && name != name::HEALING;
                for seen in staged.0.observations.iter_mut().filter(|o| of_it(&o.name)) {
                    seen.at_ns = outside.next().unwrap_or(0);
                }
                for event in &mut staged.0.processes {
                    event.at_ns = outside.next().unwrap_or(0);
                }
                for sample in &mut staged.0.samples {
                    sample.at_ns = outside.next().unwrap_or(0);
                }
                staged.did_not_bite("");
            }
        }
    }

    #[test]
    fn a_look_at_the_very_moment_is_of_the_time_that_ends_or_begins_with_it() {
        let target = Target::Link(Link::RELAY_KAFKA);
        let link = "relay->kafka";
        let down = |probe: f64, refused: f64| {
            Staged::new(target, FaultKind::Down, polling())
                .every(4.5..7.5, link, "probe_refused", |_| 1.0)
                .every(4.5..7.5, link, "sockets", |_| 0.0)
                .at(3.99, link, "sockets", 1.0)
                .at(probe, link, "probe_refused", refused)
        };
        down(4.0, 1.0).bit("31 probes refused");
        down(8.0, 1.0).bit("31 probes refused");
        down(4.0, 0.0).did_not_bite("1 of 31 probes were not refused");
        down(8.0, 0.0).did_not_bite("1 of 31 probes were not refused");
        // What was opened again at the end of the healing is of the time after it
        let limit = toxic(
            Toxic::LimitData { bytes: 100 },
            crate::scenario::Stream::Upstream,
        );
        Staged::new(target, limit, polling())
            .at(5.0, link, name::MOST_OUT_BYTES, 90.0)
            .at(5.0, link, name::ENDED, 1.0)
            .at(8.02, link, name::OPENED, 1.0)
            .bit("the system opened 1 anew");
    }

    #[test]
    fn of_two_faults_that_did_not_bite_each_has_its_own_time() {
        let target = Target::Link(Link::RELAY_KAFKA);
        let mut staged = Staged::new(target, FaultKind::Down, polling());
        let scenario = &mut staged.0.meta.scenario;
        scenario.faults.push(scenario.faults[0].clone());
        let mut second = staged.0.faults[0];
        (second.fault, second.injected_ns, second.healed_ns) = (1, Some(ns(9.0)), Some(ns(10.0)));
        staged.0.faults.push(second);
        let bites = super::bites(&staged.0);
        for (bite, time) in bites.iter().zip(["4.0 s to 8.0 s", "9.0 s to 10.0 s"]) {
            let said = format!("(in force from {time}: give it a longer `for`)");
            assert!(bite.evidence.contains(&said), "{}", bite.evidence);
        }
    }
}
