//! A fault on some of several brokers of Kafka: whether events, or requests, were held up by it.
//!
//! Another broker takes the place of one that is gone, so nothing waits for its return. What waits does so while nobody
//! has noticed yet: for the next leader, or, since a record counts only when every replica in sync has it, for a follower
//! to be given up.

use super::PlaceEvidence;
use super::case::{Case, Place, count};
use super::lack::{LOAD, Lack, lack};
use crate::bite::name;
use crate::scenario::{Server, Target, Victim};

/// Less than this share of what was sent on the busiest way is the small talk of a way that nobody needs.
const SHARE: f64 = 0.1;
/// A wait shorter than this, in nanoseconds, may be anybody's.
const WORTH_NS: i64 = 250_000_000;

/// Says in words how much was held up; it is lacking where nothing was. What is held up waits longer than anything did in
/// the second before the fault, or had waited when it began, and than a busy machine explains.
pub(super) fn held_up(case: &Case<'_>) -> Result<String, Lack> {
    let (from_ns, until_ns) = (case.injecting_ns, case.healing_ns);
    let held = match case.strategy.publishes_in_request() {
        true => {
            let hung = case.demand.hung(case.injected_ns, until_ns);
            let late = case.demand.answered_late(from_ns, until_ns, WORTH_NS);
            (hung.max(late), "request")
        }
        false => {
            let usual_ns = case.demand.longest_before(from_ns).max(WORTH_NS);
            (case.demand.seen_late(from_ns..=until_ns, usual_ns), "event")
        }
    };
    match held {
        (0, _) => Err(lack(
            "nothing was held up: the others went on without it",
            LOAD,
        )),
        (n, thing) => Ok(format!("{} held up", count(n, thing))),
    }
}

/// Whether a fault is on the ways to one of several brokers alone.
fn is_on_ways_to_one(case: &Case<'_>) -> bool {
    match case.fault.target {
        Target::Link(link) => link.server().is_node(),
        Target::Side(server) => server.is_node(),
        Target::Broker | Target::Process(_) | Target::NodeRole(_) => false,
    }
}

/// Checks, of a fault on the ways to one of several brokers, that something was held up by it, and adds that to what was
/// found: a client keeps a connection to a broker that it does not need.
pub(super) fn needed(case: &Case<'_>, found: String) -> PlaceEvidence {
    match is_on_ways_to_one(case) {
        true => held_up(case).map(|held| format!("{found}; {held}")),
        false => Ok(found),
    }
}

/// Returns, of the links of a fault on several brokers, those by which next to nothing goes: a client talks to the brokers
/// that lead something, and to the others it said good day once. What was not measured is not among them.
pub(super) fn idle_links(case: &Case<'_>) -> Vec<Place> {
    if is_on_ways_to_one(case) {
        return Vec::new();
    }
    let places = case.places();
    let client = |place: &Place| match place {
        Place::Link(link) if matches!(link.server(), Server::BrokerNode(_)) => link.client(),
        Place::Link(_) | Place::Process(_) => None,
    };
    let crossed = |place: Place| case.last_before(place, name::NEAR_BYTES);
    let most = |of: Victim| {
        let same = places.iter().filter(|place| client(place) == Some(of));
        let crossed = same.filter_map(|place| crossed(*place));
        crossed.fold(0.0, f64::max)
    };
    let idle = places.iter().filter(|place| {
        let own = client(place).zip(crossed(**place));
        own.is_some_and(|(of, bytes)| bytes < SHARE * most(of))
    });
    idle.copied().collect()
}

#[cfg(test)]
mod tests {
    use crate::bite::demand::Demand;
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::history::{Life, Outcome};
    use crate::scenario::{
        BrokerChoice, BrokerNode, FaultKind, KafkaSettings, NodeRole, Server, StrategyKind, Target,
        Victim,
    };
    use proptest::prelude::*;

    /// A fault on this target of a Kafka of three brokers.
    fn of_three(target: Target, kind: FaultKind, strategy: StrategyKind) -> Staged {
        let mut staged = Staged::new(target, kind, strategy);
        staged.0.meta.scenario.strategies[0].broker = BrokerChoice::Kafka(KafkaSettings {
            brokers: 3,
            ..KafkaSettings::default()
        });
        staged
    }

    fn node(index: usize) -> Victim {
        Victim::Server(Server::BrokerNode(BrokerNode::ALL[index]))
    }

    /// The leader is killed; it is the second broker, as the nemesis says.
    fn killed(strategy: StrategyKind) -> Staged {
        let (target, name) = (Target::NodeRole(NodeRole::Leader), node(1).name());
        of_three(target, FaultKind::Kill, strategy)
            .at(4.0, name, name::HIT, 1.0)
            .life(name, 0.0, Life::Started, 0)
            .life(name, 0.1, Life::Ready, 0)
            .life(name, 3.995, Life::Exited, 9)
            .life(name, 8.0, Life::Started, 0)
            .life(name, 8.01, Life::Ready, 0)
            .request(9.0, 9.1, Outcome::Committed, Some(9.2))
    }

    #[test]
    fn given_a_leader_that_dies_when_events_wait_for_the_next_one_then_it_bit_though_they_came_before_its_return()
     {
        let held = |at| killed(polling()).request(5.0, 5.1, Outcome::Committed, at);
        held(Some(7.2)).bit("kafka-server-2: pid");
        held(Some(7.2)).bit("1 event held up");
        held(Some(5.2)).did_not_bite("nothing was held up");
        // What is lost is held up by nobody
        held(None).did_not_bite("nothing was held up");
        // What waited as long before waits so by itself
        let before = held(Some(7.2)).request(1.0, 1.1, Outcome::Committed, Some(3.9));
        before.did_not_bite("nothing was held up");
        // And what waited already when it began was held up by something else
        let held_already = killed(polling()).request(3.0, 3.1, Outcome::Committed, Some(7.2));
        held_already.did_not_bite("nothing was held up");
        let by_another = held(Some(7.2)).request(1.0, 1.1, Outcome::Committed, Some(7.2));
        by_another.did_not_bite("nothing was held up");
    }

    #[test]
    fn given_a_dual_write_when_its_requests_wait_for_the_next_leader_then_it_bit() {
        let waits = |sent: f64, ended: f64| {
            let answered = killed(dual_write()).request(3.2, 3.3, Outcome::Committed, Some(3.3));
            answered.request(sent, ended, Outcome::Committed, Some(ended))
        };
        waits(5.0, 6.5).bit("1 request held up");
        waits(5.0, 5.2).did_not_bite("nothing was held up");
        waits(2.0, 3.5).did_not_bite("nothing was held up");
    }

    #[test]
    fn given_some_of_several_brokers_when_nothing_says_which_were_hit_then_it_did_not_bite() {
        let mut staged = killed(polling()).request(5.0, 5.1, Outcome::Committed, Some(7.2));
        staged.0.observations.retain(|o| o.name != name::HIT);
        staged.did_not_bite("nothing says which process it hit");
    }

    #[test]
    fn given_followers_that_are_paused_then_both_must_stand_still_and_something_must_wait() {
        let paused = |second_moves: bool, seen: f64| {
            let target = Target::NodeRole(NodeRole::Followers);
            let staged = of_three(target, FaultKind::Pause, polling());
            let staged = [0, 2].into_iter().fold(staged, |staged, index| {
                let place = node(index).name();
                let stopped = if second_moves && index == 2 { 4.0 } else { 5.0 };
                staged
                    .at(4.0, place, name::HIT, 1.0)
                    .every(4.0..8.0, place, name::THREADS, |_| 5.0)
                    .every(4.0..8.0, place, name::THREADS_STOPPED, move |_| stopped)
                    .every(4.0..8.0, place, name::CPU_TICKS, |_| 7.0)
            });
            staged.request(5.0, 5.1, Outcome::Committed, Some(seen))
        };
        paused(false, 8.1).bit("kafka-server-1: all 5 threads");
        paused(false, 8.1).bit("kafka-server-3: all 5 threads");
        paused(true, 8.1).did_not_bite("kafka-server-3: not every thread");
        paused(false, 5.2).did_not_bite("nothing was held up");
    }

    #[test]
    fn given_all_brokers_cut_off_then_a_way_that_nobody_needs_is_left_out_and_alone_it_is_not() {
        let cut = |target: Target| {
            let staged = of_three(target, FaultKind::Down, polling());
            let ways = [("relay->kafka-1", 9_000.0), ("relay->kafka-2", 80.0)];
            let ways = ways.into_iter().chain([("relay->kafka-3", 8_000.0)]);
            ways.fold(staged, |staged, (place, bytes)| {
                let busy = bytes > 100.0;
                let staged = staged.every(3.0..4.0, place, name::NEAR_BYTES, move |_| bytes);
                match busy {
                    true => staged
                        .every(4.0..8.0, place, "probe_refused", |_| 1.0)
                        .every(3.0..8.0, place, "sockets", |t| f64::from(t < 4.0)),
                    false => staged,
                }
            })
        };
        cut(Target::KAFKA).bit("relay->kafka-2: it stood by");
        let second = Server::BrokerNode(BrokerNode::ALL[1]);
        cut(Target::Side(second)).did_not_bite("relay->kafka-2");
    }

    #[test]
    fn given_one_broker_that_is_cut_off_when_nothing_waits_for_it_then_its_idle_connection_proves_nothing()
     {
        let cut = |seen: f64| {
            let second = Target::Side(Server::BrokerNode(BrokerNode::ALL[1]));
            of_three(second, FaultKind::Down, polling())
                .every(4.0..8.0, "relay->kafka-2", "probe_refused", |_| 1.0)
                .every(3.0..8.0, "relay->kafka-2", "sockets", |t| {
                    f64::from(t < 4.0)
                })
                .request(5.0, 5.1, Outcome::Committed, Some(seen))
        };
        cut(8.2).bit("1 event held up");
        cut(5.2).did_not_bite("nothing was held up");
    }

    proptest! {
        /// What is held up, counted change by change.
        #[test]
        fn given_any_changes_then_as_many_are_held_up_as_a_slow_count_finds(
            changes in prop::collection::vec((0u8..100, 1u8..100, prop::option::of(0u8..80)), 0..40),
        ) {
            let seconds = |tenths: u8| f64::from(tenths) / 10.0;
            let mut staged = of_three(Target::KAFKA, FaultKind::Kill, polling());
            let mut model = Vec::new();
            for (sent, took, waits) in changes {
                let ended = seconds(sent) + seconds(took);
                let seen = waits.map(|waits| ended + seconds(waits));
                staged = staged.request(seconds(sent), ended, Outcome::Committed, seen);
                model.push((ns(ended), seen.map(ns)));
            }
            let (from, until) = (ns(4.0), ns(8.0));
            let mut longest = 0;
            for (ended, seen) in &model {
                // Seen in the second before, or waiting still.
                let waited = seen.filter(|seen| *seen >= from - ns(1.0) && *ended < from);
                longest = waited.map_or(longest, |seen| longest.max(seen.min(from) - ended));
            }
            let mut late = 0;
            for (ended, seen) in &model {
                let waited = seen.map(|seen| seen - *ended);
                let is_of_it = *ended >= from && *ended <= until;
                if is_of_it && waited.is_some_and(|waited| waited > ns(0.5)) {
                    late += 1;
                }
            }
            let demand = Demand::of(&staged.0);
            prop_assert_eq!(demand.longest_before(from), longest);
            prop_assert_eq!(demand.seen_late(from..=until, ns(0.5)), late);
        }
    }
}
