//! Of the live observer.

use super::*;

#[test]
fn an_observer_that_was_late() {
    let mut history = cdc();
    let slow = |history: &mut History, ms: i64| {
        for sighting in history.sightings.open().iter_mut().step_by(50) {
            sighting.seen_ns += ms * MS;
        }
    };
    slow(&mut history, 90);
    assert_eq!(judged(&history).verdict, Verdict::Pass);
    slow(&mut history, 20);
    assert_inconclusive(&judged(&history), "ms after they were there at p99");
}

#[test]
fn an_observer_is_not_blamed_for_a_broker_that_was_killed() {
    let mut history = cdc();
    let broker = Target::Process(Victim::KAFKA);
    add_fault(&mut history, broker, FaultKind::Kill, 400 * MS, 500 * MS);
    for sighting in history.sightings.open().iter_mut() {
        if sighting.seen_ns > FROM + 300 * MS {
            sighting.seen_ns += S;
        }
    }
    assert_eq!(
        judged(&history).verdict,
        Verdict::Pass,
        "{:?}",
        judged(&history).reasons
    );
}

#[test]
fn an_observer_is_blamed_for_what_no_fault_of_the_broker_explains() {
    // Given sights a second late after the load's middle
    let slow = |history: &mut History| {
        let mut sightings = history.sightings.open();
        let late = sightings.iter_mut().filter(|s| s.seen_ns > FROM + 700 * MS);
        late.for_each(|s| s.seen_ns += S);
        drop(sightings);
    };
    // When the fault was on the links, not of the broker
    let mut history = outage();
    slow(&mut history);
    assert_inconclusive(
        &judged(&history),
        "(more than 100 ms): what was measured is the observer",
    );
    // Or when the broker's own fault was long over
    let mut history = clean(1_000, StrategyKind::Cdc {});
    let broker = Target::Process(Victim::KAFKA);
    add_fault(&mut history, broker, FaultKind::Kill, 400 * MS, 500 * MS);
    let mut sightings = history.sightings.open();
    let late = sightings.iter_mut().filter(|s| s.seen_ns > FROM + 500 * MS);
    late.for_each(|s| s.seen_ns += S);
    drop(sightings);
    assert_inconclusive(
        &judged(&history),
        "around the faults of kafka-server left out",
    );
}

#[test]
fn a_record_without_an_append_time_says_nothing_of_the_observer() {
    let mut history = cdc();
    history.log.open().iter_mut().for_each(|r| r.append_ms = -1);
    assert_eq!(judged(&history).verdict, Verdict::Pass);
}

#[test]
fn the_sight_of_a_repetition_is_no_late_sight_of_the_first() {
    // Given events that were not seen, and seen when they were published again a second later
    let mut history = cdc();
    for row in history.log.clone().iter().step_by(20) {
        let place = (row.partition, row.offset);
        history
            .sightings
            .open()
            .retain(|s| (s.partition, s.offset) != place);
        append(
            &mut history,
            row.partition,
            row.attempt,
            row.version,
            FROM + 2 * S,
        );
    }
    finish(&mut history);
    assert_inconclusive(&judged(&history), "that the observer never saw");
}

#[test]
fn an_observer_watches_until_the_drain_is_over() {
    // Given an event that came after the load and was not seen
    let mut history = cdc();
    let end_ns = history.meta.load_until_ns;
    let last = history.log.open().pop().unwrap();
    history
        .sightings
        .open()
        .retain(|s| (s.partition, s.offset) != (last.partition, last.offset));
    append(
        &mut history,
        last.partition,
        last.attempt,
        last.version,
        end_ns + 1_500 * MS,
    );
    history.sightings.open().pop();
    finish(&mut history);
    history.meta.load_until_ns = end_ns;
    // When the observer watched until a second after it, or no longer than itself
    let with_drain_until = |ns: i64| {
        let mut history = history.clone();
        history.fences[4].ended_ns = ns;
        judged(&history)
    };
    assert_inconclusive(
        &with_drain_until(end_ns + 3 * S),
        "1 events are on the topic that the observer never saw",
    );
    assert_eq!(with_drain_until(end_ns + 2 * S).verdict, Verdict::Pass);
    // To the nanosecond
    assert_eq!(with_drain_until(end_ns + 2_500 * MS).verdict, Verdict::Pass);
    assert_inconclusive(
        &with_drain_until(end_ns + 2_500 * MS + 1),
        "1 events are on the topic that the observer never saw",
    );
}

#[test]
fn an_observer_that_read_half() {
    let mut history = cdc();
    history.meta.load_until_ns += S;
    history.sightings.open().truncate(180);
    for step in &mut history.fences {
        step.ended_ns += S;
    }
    expecting(
        &mut history,
        vec![
            expect(Metric::Lost, Comparison::Equal, 0.0),
            expect(
                Metric::Latency(LatencyKind::EndToEnd, Percentile::P99),
                Comparison::AtMost,
                1000.0,
            ),
        ],
    );
    // Then a bound that its blindness made look missed is not called missed
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    assert_eq!(judgement.expectations[0].met, Some(true));
    assert_eq!(judgement.expectations[1].met, None);
    assert!(
        judgement
            .reasons
            .iter()
            .any(|r| r.contains("that the observer never saw"))
    );
}

#[test]
fn a_record_that_was_seen_and_is_gone() {
    // Given a duplicate that was seen live, and is not in the final read
    let mut history = cdc();
    let mut ghost = history.sightings.at(100);
    ghost.offset = 10_000;
    history.sightings.open().insert(101, ghost);
    assert_inconclusive(&judged(&history), "the broker's loss, not the strategy's");
}

#[test]
fn of_records_that_are_gone_the_first_is_named_and_a_kill_among_other_ends() {
    let mut history = cdc();
    for (at, offset) in [(101, 10_000), (102, 20_000)] {
        let mut ghost = history.sightings.at(100);
        ghost.offset = offset;
        history.sightings.open().insert(at, ghost);
    }
    let ends = crate::history::Life::Exited;
    process(&mut history, "relay", FROM + S, ends, 0);
    process(&mut history, "kafka-server", FROM + S, ends, 9);
    let partition = history.sightings.at(100).partition;
    let first = format!(
        "2 records were seen live and are gone from the final read (first: partition {partition} offset 10000)"
    );
    assert_inconclusive(&judged(&history), &first);
    assert_inconclusive(&judged(&history), "kafka-server was killed in this run");
}
