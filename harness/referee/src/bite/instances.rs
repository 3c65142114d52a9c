//! A fault on one of several relays: whether that one did the work when it was hit, and who took over; and
//! one on the links of all of them.
//!
//! Several relays of one strategy may share its work, or one does it and the others stand by. Who did it
//! is what the kernel counted on their sockets, and no word of theirs: bytes that a relay sent to anywhere
//! but the database. One that stands by sends next to nothing, and a fault on it has no effect.

use super::PlaceEvidence;
use super::case::{Case, Place, When, count};
use super::lack::{IN_DOUBT, ITS_TURN, LOCAL, Lack, lack};
use super::node;
use crate::bite::name;
use crate::scenario::{Instance, Target, Victim};

/// Less than this share of what was sent is the small talk of one that stands by.
const SHARE: f64 = 0.1;

/// In words, who took over from a relay that was hit; nothing where it has no like, or where nobody did
/// before it was healed. It is lacking where it stood by itself.
pub(super) fn taken_over(case: &Case<'_>, victim: Victim) -> Result<Option<String>, Lack> {
    let Victim::Relay(hit) = victim else {
        return Ok(None);
    };
    if case.strategy.relays < 2 {
        return Ok(None);
    }
    let (own, all) = worked_before(case, hit)?;
    let others = Instance::first(case.strategy.relays).filter(|relay| *relay != hit);
    let working: Vec<&str> = others
        .filter(|relay| sent_meanwhile(case, *relay) >= SHARE * own)
        .map(Instance::name)
        .collect();
    let seen = case.demand.carried(case.injected_ns..=case.healing_ns);
    if working.is_empty() || seen == 0 {
        return Ok(None);
    }
    Ok(Some(format!(
        "it had sent {:.0} % of what the relays sent to the broker in the second before, and {} took \
         over: {} sent after it and seen before it was healed",
        own / all * 100.0,
        working.join(" and "),
        count(seen, "change")
    )))
}

/// Checks, of a fault on a link of one of several relays, that this relay worked; the error says that it stood by, so
/// that nobody needed the link then.
pub(super) fn needed(case: &Case<'_>) -> Result<(), Lack> {
    let Target::Link(link) = case.fault.target else {
        return Ok(());
    };
    match link.client() {
        Some(Victim::Relay(hit)) if case.strategy.relays > 1 => {
            worked_before(case, hit).map(|_| ())
        }
        Some(Victim::Relay(_) | Victim::OrderService | Victim::Server(_) | Victim::Consumer(_))
        | None => Ok(()),
    }
}

/// What a relay sent to the broker in the second before, and what all of them did; it is lacking where that one stood
/// by.
fn worked_before(case: &Case<'_>, hit: Instance) -> Result<(f64, f64), Lack> {
    let before: Vec<f64> = Instance::first(case.strategy.relays)
        .map(|relay| sent_before(case, relay).unwrap_or(0.0))
        .collect();
    let Some(own) = sent_before(case, hit) else {
        let what = "what each relay sent was not measured in the second before it";
        return Err(lack(what, LOCAL));
    };
    let all: f64 = before.iter().sum();
    if own <= 0.0 || own < SHARE * all {
        let what = format!(
            "it stood by: of {all} bytes that the relays sent to the broker in the second before, it \
             sent {own}"
        );
        return Err(lack(what, ITS_TURN));
    }
    Ok((own, all))
}

/// Returns, of the links of a fault on a whole side, those of relays that stood by: nothing was asked of these, and
/// so much more of another relay's that it tells what the fault did.
pub(super) fn standing_by(case: &Case<'_>) -> Vec<Place> {
    let on_a_side = matches!(case.fault.target, Target::Side(_) | Target::Broker);
    let several = case.strategy.relays > 1;
    let unneeded = match case.strategy.has_nodes() {
        true => node::idle_links(case),
        false => Vec::new(),
    };
    if !on_a_side || !several && !case.strategy.recovers() {
        return unneeded;
    }
    let places = case.places();
    let of_relays = places.iter().filter(
        |place| matches!(place, Place::Link(link) if matches!(link.client(), Some(Victim::Relay(_)))),
    );
    if case.strategy.recovers() {
        // The work is the order service's.
        return of_relays.copied().chain(unneeded).collect();
    }
    let crossed = |place: Place| case.last(place, name::NEAR_BYTES).unwrap_or(0.0);
    let most = of_relays.clone().map(|place| crossed(*place));
    let most = most.fold(0.0, f64::max);
    let idle = of_relays.filter(|place| crossed(**place) < SHARE * most);
    idle.copied().chain(unneeded).collect()
}

/// Checks, of a place of a relay that only finishes what the order service leaves in doubt, that something in doubt
/// waited for it, and adds that to what was found. Events pass by without it: that some were on their way when the
/// fault was healed, or that its own looks were in the way, says nothing.
pub(super) fn recovered(case: &Case<'_>, place: Place, found: String) -> PlaceEvidence {
    let client = match place {
        Place::Link(link) => link.client(),
        Place::Process(victim) => Some(victim),
    };
    if !case.strategy.recovers() || !matches!(client, Some(Victim::Relay(_))) {
        return Ok(found);
    }
    match case.demand.left_in_doubt(case.healing_ns) {
        0 => {
            let what =
                "it stood by: no committed change whose client was told nothing waited for it";
            Err(lack(what, IN_DOUBT))
        }
        left => Ok(format!(
            "{found}; {} left in doubt, and seen only when it was healed",
            count(left, "committed change")
        )),
    }
}

/// What a relay sent before the injection, in the time that was looked at.
fn sent_before(case: &Case<'_>, relay: Instance) -> Option<f64> {
    let place = Place::Process(Victim::Relay(relay));
    let sent = case.values(place, name::SENT_BYTES, When::Before);
    // One look cannot tell what was sent between looks.
    (sent.len() > 1).then(|| sent[sent.len() - 1] - sent[0])
}

/// What it sent while the fault was in force.
fn sent_meanwhile(case: &Case<'_>, relay: Instance) -> f64 {
    let place = Place::Process(Victim::Relay(relay));
    case.last(place, name::SENT_BYTES).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::history::{Life, Outcome, TruthRow};
    use crate::scenario::{FaultKind, Instance, Link, Server, Stream, Target, Toxic, Victim};

    /// Two relays: what each sends a second before the fault, and what each has sent by its end.
    fn relays(kind: FaultKind, before: [f64; 2], during: [f64; 2]) -> Staged {
        let mut staged = Staged::new(Target::Process(Victim::RELAY), kind, polling());
        staged.0.meta.scenario.strategies[0].instances = 2;
        Instance::first(2).fold(staged, |staged, relay| {
            let (before, during) = (before[relay.index()], during[relay.index()]);
            staged
                .every(3.0..4.0, relay.name(), name::SENT_BYTES, |t| {
                    (t - 3.0) * before
                })
                .at(7.9, relay.name(), name::SENT_BYTES, during)
        })
    }

    fn killed(before: [f64; 2], during: [f64; 2]) -> Staged {
        relays(FaultKind::Kill, before, during)
            .life("relay", 0.1, Life::Ready, 0)
            .life("relay", 3.995, Life::Exited, 9)
            .life("relay", 8.0, Life::Started, 0)
            .life("relay", 8.01, Life::Ready, 0)
            // And the load goes on
            .request(9.0, 9.1, Outcome::Committed, Some(9.2))
    }

    fn paused(before: [f64; 2], during: [f64; 2]) -> Staged {
        let names = [name::THREADS, name::THREADS_STOPPED, name::CPU_TICKS];
        names
            .into_iter()
            .fold(relays(FaultKind::Pause, before, during), |s, name| {
                s.every(4.0..8.0, "relay", name, |_| 5.0)
            })
    }

    /// A change that another relay published while the first one was away.
    fn carried(staged: Staged) -> Staged {
        staged.request(5.0, 5.1, Outcome::Committed, Some(5.2))
    }

    const LEADS: [f64; 2] = [90_000.0, 40.0];
    const STANDS_BY: [f64; 2] = [40.0, 90_000.0];
    const OTHER: [f64; 2] = [0.0, 300_000.0];

    #[test]
    fn given_a_relay_that_did_the_work_when_it_is_killed_or_paused_then_the_one_that_took_over_is_named()
     {
        for staged in [killed(LEADS, OTHER), paused(LEADS, OTHER)] {
            carried(staged).bit("it had sent 100 % of what the relays sent");
        }
        carried(killed(LEADS, OTHER)).bit("relay-2 took over: 1 change sent after it");
        // Two that share the work, too
        carried(killed([300.0, 100.0], OTHER)).bit("it had sent 75 %");
    }

    #[test]
    fn given_a_relay_that_stood_by_when_it_is_hit_then_that_did_nothing() {
        for staged in [killed(STANDS_BY, OTHER), paused(STANDS_BY, OTHER)] {
            // Even though something was on its way at that moment
            let staged = carried(staged).request(3.9, 3.95, Outcome::Committed, Some(9.0));
            staged.did_not_bite("it stood by: of ");
            staged.did_not_bite("let it hit the relay that does the work");
        }
        carried(killed([0.0, 0.0], OTHER)).did_not_bite("it stood by: of 0 bytes");
    }

    #[test]
    fn given_a_recoverer_when_a_whole_side_is_cut_then_its_own_link_is_left_out() {
        let (orders, relay) = (Link::ORDERS_KAFKA.name(), Link::RELAY_KAFKA.name());
        let staged = Staged::new(Target::KAFKA, FaultKind::Down, two_phase())
            .every(4.0..8.0, orders, name::PROBE_REFUSED, |_| 1.0)
            .every(3.0..8.0, orders, name::SOCKETS, |t| {
                if t < 4.0 { 8.0 } else { 0.0 }
            });
        let bit = "orders->kafka: 40 probes refused, the system's connections fell from 8 to 0; \
                   relay->kafka: it stood by";
        staged.bit(bit);
        // A fault on that link alone is judged by what it did there
        let mut alone = staged.every(4.0..8.0, relay, name::PROBE_REFUSED, |_| 1.0);
        alone.0.meta.scenario.faults[0].target = Target::Link(Link::RELAY_KAFKA);
        alone.did_not_bite("were not counted");
    }

    /// A load that goes on all the time: of each change the event is seen 50 ms after its answer.
    fn steady(staged: Staged) -> Staged {
        (0..480).fold(staged, |staged, n| {
            let sent = 0.5 + f64::from(n) * 0.025;
            staged.request(sent, sent + 0.05, Outcome::Committed, Some(sent + 0.1))
        })
    }

    /// A change that a dead coordinator had decided, which nobody finished before the fault was healed.
    fn in_doubt(staged: Staged) -> Staged {
        let mut staged = staged.request(5.0, 5.5, Outcome::Unknown, Some(8.5));
        let attempt = staged.0.requests.len() as u32 - 1;
        staged.0.truth.push(TruthRow {
            order: attempt,
            version: 1,
            attempt,
            change: attempt,
        });
        staged
    }

    #[test]
    fn given_a_recoverer_that_has_nothing_to_do_when_it_or_its_links_are_hit_then_it_stood_by() {
        let of = |staged: Staged| {
            let mut staged = staged;
            staged.0.meta.scenario.strategies[0].kind = two_phase();
            staged.0.meta.scenario.strategies[0].instances = 1;
            steady(staged)
        };
        let timeout = toxic(Toxic::Timeout { timeout: 0 }, Stream::Downstream);
        let link = Link::RELAY_POSTGRES;
        let swallowed = Staged::new(Target::Link(link), timeout, two_phase())
            .at(7.0, link.name(), name::IN_BYTES, 500.0)
            .at(7.0, link.name(), name::OUT_BYTES, 0.0);
        let idle = [0.0, 0.0];
        for staged in [
            of(killed(idle, idle)),
            of(paused(idle, idle)),
            of(swallowed),
        ] {
            // Even though events are on their way at any moment
            staged.did_not_bite("it stood by: no committed change whose client was told nothing");
            in_doubt(staged)
                .bit("1 committed change left in doubt, and seen only when it was healed");
        }
    }

    #[test]
    fn given_a_link_of_one_of_two_relays_when_it_is_cut_then_it_is_needed_by_the_one_that_works_alone()
     {
        let link = Link::Relay(Instance::ALL[1], Server::KAFKA);
        let cut = |before| {
            let mut staged = relays(FaultKind::Down, before, OTHER);
            staged.0.meta.scenario.faults[0].target = Target::Link(link);
            staged
                .every(4.0..8.0, link.name(), name::PROBE_REFUSED, |_| 1.0)
                .every(3.0..8.0, link.name(), name::SOCKETS, |t| {
                    if t < 4.0 { 1.0 } else { 0.0 }
                })
        };
        // Even though its connection was there and went away
        cut(LEADS).did_not_bite("it stood by: of ");
        cut(STANDS_BY).bit("fell from 1 to 0");
    }

    #[test]
    fn given_nobody_who_took_over_when_it_was_hit_then_it_is_judged_by_what_waited_for_it() {
        let waited = |s: Staged| s.request(5.0, 5.1, Outcome::Committed, Some(9.0));
        for idle in [[0.0, 0.0], [0.0, 200.0]] {
            waited(killed(LEADS, idle)).bit("1 change committed meanwhile and seen only after it");
            waited(paused(LEADS, idle)).bit("the event of 1 change waited");
            killed(LEADS, idle).did_not_bite("nothing was on its way");
            paused(LEADS, idle).did_not_bite("nothing waited for it");
        }
        // Nor did anybody whose bytes brought nothing
        waited(killed(LEADS, OTHER)).bit("seen only after it");
    }

    #[test]
    fn what_was_not_measured_did_not_bite_and_one_relay_needs_no_measure() {
        let unmeasured = |s: Staged| carried(s).without(name::SENT_BYTES);
        unmeasured(killed(LEADS, OTHER)).did_not_bite("was not measured");
        let mut alone = unmeasured(killed(LEADS, OTHER));
        alone.0.meta.scenario.strategies[0].instances = 1;
        alone.did_not_bite("nothing was on its way");
    }

    #[test]
    fn given_a_fault_on_a_side_when_one_relay_stands_by_then_the_link_of_the_other_tells() {
        // A link that is cut off, and so many bytes on it meanwhile
        let cut = |staged: Staged, link: &str, bytes: f64, before: f64| {
            staged
                .every(4.0..8.0, link, name::PROBE_REFUSED, |_| 1.0)
                .every(3.0..8.0, link, name::SOCKETS, move |t| {
                    if t < 4.0 { before } else { 0.0 }
                })
                .at(7.9, link, name::NEAR_BYTES, bytes)
        };
        let kafka = |bytes: [f64; 2]| {
            let mut staged = Staged::new(Target::KAFKA, FaultKind::Down, polling());
            staged.0.meta.scenario.strategies[0].instances = 2;
            let staged = cut(staged, "relay->kafka", bytes[0], 1.0);
            cut(staged, "relay-2->kafka", bytes[1], 0.0)
        };
        kafka([9_000.0, 80.0]).bit("relay-2->kafka: it stood by");
        // Where both did something, or nobody did, both must have bitten
        kafka([9_000.0, 900.0]).did_not_bite("relay-2->kafka: the system had no connection");
        kafka([0.0, 0.0]).did_not_bite("relay-2->kafka: the system had no connection");
        // And it is no excuse for the one that did the work
        kafka([80.0, 9_000.0]).did_not_bite("relay-2->kafka: the system had no connection");
    }

    #[test]
    fn a_fault_on_a_relay_that_the_strategy_does_not_have_says_so() {
        let second = Target::Process(Victim::Relay(Instance::ALL[1]));
        let staged = Staged::new(second, FaultKind::Kill, polling());
        staged.bit(
            "does not concern this strategy: a polling strategy with one relay has no relay-2",
        );
        let mut staged = staged;
        staged.0.meta.scenario.strategies[0].instances = 2;
        staged.did_not_bite("its exit was not seen");
    }
}
