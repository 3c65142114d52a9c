//! What consumers did with the events, and what is said of it.

mod model;
mod order;

use crate::checkers::context::Context;
use crate::checkers::fixture::*;
use crate::checkers::{ConsumerJudgement, Judgement, Verdict, each_offence};
use crate::history::{ConsumerEnd, Death, EffectRow, History, NONE};
use crate::scenario::{
    BrokerChoice, Comparison, Consumer, ConsumerExpectations, ConsumerName, Expectation, FaultKind,
    Metric, Server, StrategyKind, Target, Victim,
};
use contract::consumer::{EffectKind, Idempotency, OffsetCommit};
use std::collections::BTreeMap;

/// A clean run of a relay, with one consumer that has applied every event a millisecond after it came.
fn consumed(orders: u32, expectations: Vec<Expectation>) -> History {
    let mut history = clean(orders, StrategyKind::Cdc {});
    history.meta.scenario.consumers.push(Consumer {
        name: "payments".to_owned(),
        effect: EffectKind::Insert,
        idempotency: Idempotency::None,
        commit: OffsetCommit::After,
        rabbitmq: None,
    });
    let strategy = &mut history.meta.scenario.strategies[0];
    strategy.of_consumers.push(ConsumerExpectations {
        consumer: "payments".to_owned(),
        expectations,
    });
    let effects = history.log.iter().map(|row| {
        let intended_ns = history.requests.at(row.attempt as usize).intended_ns;
        EffectRow {
            consumer: 0,
            order: row.order,
            version: row.version,
            attempt: row.attempt,
            at_ns: intended_ns + 4 * MS,
        }
    });
    let mut effects: Vec<EffectRow> = effects.collect();
    effects.sort_by_key(|effect| effect.at_ns);
    history.effects = effects.into_iter().collect();
    let read = history
        .partitions
        .iter()
        .map(|p| (p.partition, p.end_offset));
    let committed = read.collect();
    history.meta.consumers.push(ConsumerEnd {
        name: "payments".to_owned(),
        was_alive: true,
        was_killed: false,
        committed,
        queued: None,
        unread: None,
    });
    history
}

fn of_consumer(judgement: &Judgement) -> &ConsumerJudgement {
    &judgement.consumers[0]
}

/// What was found, by name, as far as it is any; and what is not known, or not wholly.
fn found(judgement: &Judgement) -> (BTreeMap<String, u64>, Vec<String>) {
    let findings = &of_consumer(judgement).findings;
    let some = findings.iter().filter(|f| f.count > 0);
    let unread = findings.iter().filter(|f| f.unread.is_some());
    (
        some.map(|f| (f.metric.name(), f.count)).collect(),
        unread.map(|f| f.metric.name()).collect(),
    )
}

fn only(metric: Metric, count: u64) -> (BTreeMap<String, u64>, Vec<String>) {
    (BTreeMap::from([(metric.name(), count)]), Vec::new())
}

/// The effect of an order's version is done once more at this time of the load.
fn apply_again(history: &mut History, order: u32, version: u32, at_ns: i64) {
    let effect = EffectRow {
        consumer: 0,
        order,
        version,
        attempt: attempt(history, order, version),
        at_ns: FROM + at_ns,
    };
    history.effects.push(effect);
}

fn zeros() -> Vec<Expectation> {
    let all = [
        Metric::Unapplied,
        Metric::AppliedTwice,
        Metric::AppliedUnseen,
    ];
    let all = all.into_iter();
    all.map(|metric| expect(metric, Comparison::Equal, 0.0))
        .collect()
}

#[test]
fn given_each_event_applied_once_when_judged_then_nothing_is_found_and_all_is_met() {
    let judgement = judged(&consumed(40, zeros()));
    assert_eq!(found(&judgement), (BTreeMap::new(), Vec::new()));
    assert_eq!(of_consumer(&judgement).effects, Some(120));
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
}

#[test]
fn given_effects_that_are_wrong_when_each_offence_is_asked_for_then_all_of_them_come_by_the_consumers_name()
 {
    let mut history = consumed(40, zeros());
    for at_ns in [500, 510, 520, 530, 540, 550, 560] {
        apply_again(&mut history, 3, 2, at_ns * MS);
    }
    let context = Context::new(&history);
    let mut visited = Vec::new();
    let counts = each_offence(&context, u64::MAX, &mut |name, _, offence| {
        visited.push((name.to_owned(), offence.order, offence.version));
    });
    let twice = "consumer-payments.applied_twice".to_owned();
    let some: Vec<_> = counts.into_iter().filter(|(_, count)| *count > 0).collect();
    assert_eq!(some, [(twice.clone(), 7)]);
    // A judgement keeps the first five
    assert_eq!(visited, vec![(twice, 3, 2); 7]);
    // And nothing is handed over of one whose effects were not read
    history.meta.consumers[0].unread = Some("gone".to_owned());
    let context = Context::new(&history);
    each_offence(&context, u64::MAX, &mut |name, _, _| panic!("{name}"));
}

#[test]
fn given_an_effect_that_is_done_again_when_judged_then_it_is_applied_twice_and_said_by_name() {
    let mut history = consumed(40, zeros());
    apply_again(&mut history, 3, 2, 500 * MS);
    apply_again(&mut history, 3, 2, 510 * MS);
    let judgement = judged(&history);
    assert_eq!(found(&judgement), only(Metric::AppliedTwice, 2));
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(
        judgement.reasons,
        ["consumer-payments.applied_twice: expected Equal 0, saw 2"]
    );
    let said = &of_consumer(&judgement).findings[1].examples[0].what;
    assert_eq!(
        said,
        "order 3 version 2: applied at 0.030 s, and again at 0.500 s"
    );
}

#[test]
fn given_an_event_without_an_effect_when_judged_then_it_is_unapplied_only_if_it_was_read() {
    let mut history = consumed(40, zeros());
    let left_out = attempt(&history, 5, 1);
    history.effects.open().retain(|e| e.attempt != left_out);
    assert_eq!(found(&judged(&history)), only(Metric::Unapplied, 1));
    // The same where its consumer had not come so far.
    let row = history.log.at(log_row(&history, left_out));
    let end = &mut history.meta.consumers[0];
    end.committed.insert(row.partition, row.offset);
    let of_later = |e: &EffectRow| {
        let rows = history.log.iter().filter(|r| r.attempt == e.attempt);
        let (partition, offset) = (row.partition, row.offset);
        rows.clone()
            .all(|r| r.partition != partition || r.offset < offset)
    };
    let kept: Vec<EffectRow> = history.effects.iter().filter(of_later).collect();
    history.effects = kept.into_iter().collect();
    let judgement = judged(&history);
    let (counts, unread) = found(&judgement);
    assert_eq!(counts, BTreeMap::new());
    assert_eq!(unread, ["unapplied", "applied_twice", "applied_unseen"]);
    assert_eq!(
        judgement.verdict,
        Verdict::Unknown,
        "{:?}",
        judgement.reasons
    );
}

#[test]
fn given_a_consumer_that_lives_and_is_behind_when_it_left_out_what_it_had_read_then_it_is_to_blame()
{
    let mut history = consumed(40, zeros());
    let left_out = attempt(&history, 0, 1);
    history.effects.open().retain(|e| e.attempt != left_out);
    for at in history.meta.consumers[0].committed.values_mut() {
        *at -= 1;
    }
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Fail);
    let unapplied = &of_consumer(&judgement).expectations[0];
    assert_eq!(unapplied.met, Some(false), "{}", unapplied.reason);
    assert_eq!(unapplied.reason, "expected Equal 0, saw 1 at least");
    // One that is dead need not be: it may have died before it came to it.
    history.meta.consumers[0].was_alive = false;
    let judgement = judged(&history);
    let unapplied = &of_consumer(&judgement).expectations[0];
    assert_eq!((unapplied.met, unapplied.observed), (None, None));
    assert_eq!(judgement.verdict, Verdict::Unknown);
    // But where all is committed, and what is committed was done before, it left that out.
    for at in history.meta.consumers[0].committed.values_mut() {
        *at += 1;
    }
    let judgement = judged(&history);
    let unapplied = &of_consumer(&judgement).expectations[0];
    assert_eq!(unapplied.met, Some(false), "{}", unapplied.reason);
    history.meta.scenario.consumers[0].commit = OffsetCommit::Before;
    let judgement = judged(&history);
    assert_eq!(of_consumer(&judgement).expectations[0].met, None);
}

#[test]
fn given_an_effect_without_an_event_when_judged_then_it_is_applied_unseen() {
    let mut history = consumed(40, zeros());
    let gone = attempt(&history, 5, 3);
    unpublish(&mut history, gone);
    finish(&mut history);
    let nobodys = EffectRow {
        consumer: 0,
        order: NONE,
        version: 1,
        attempt: NONE,
        at_ns: FROM,
    };
    history.effects.push(nobodys);
    let judgement = judged(&history);
    assert_eq!(found(&judgement).0, only(Metric::AppliedUnseen, 2).0);
}

#[test]
fn given_a_group_with_queues_when_something_is_left_in_them_then_what_was_left_out_is_not_known() {
    let mut history = consumed(40, zeros());
    let left_out = attempt(&history, 0, 1);
    history.effects.open().retain(|e| e.attempt != left_out);
    // With nothing left everything was read, so it is to blame
    history.meta.consumers[0].queued = Some(0);
    assert_eq!(found(&judged(&history)), only(Metric::Unapplied, 1));
    // With something left nobody knows whether it was that
    let end = &mut history.meta.consumers[0];
    end.committed.clear();
    end.queued = Some(3);
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    let unapplied = &of_consumer(&judgement).expectations[0];
    assert!(
        unapplied.reason.contains("3 records were left"),
        "{}",
        unapplied.reason
    );
    assert_eq!(of_consumer(&judgement).copies, None);
}

#[test]
fn given_a_group_with_a_queue_whose_server_is_killed_when_nobody_publishes_again_then_what_is_left_out_blames_nobody()
 {
    let rabbitmq = |confirms| BrokerChoice::RabbitMq {
        queue: contract::rabbitmq::QueueKind::Classic,
        confirms,
        mandatory: true,
    };
    let unapplied = |history: &History| {
        let judgement = judged(history);
        let checked = &of_consumer(&judgement).expectations[0];
        (checked.met, checked.reason.clone())
    };
    let mut history = consumed(40, zeros());
    let left_out = attempt(&history, 0, 1);
    history.effects.open().retain(|e| e.attempt != left_out);
    history.meta.consumers[0].queued = Some(0);
    // A relay that goes by confirms publishes again: each place has all
    history.meta.scenario.strategies[0].broker = rabbitmq(true);
    let server = Target::Process(Victim::Server(Server::RABBITMQ));
    add_fault(&mut history, server, FaultKind::Kill, 150 * MS, 200 * MS);
    assert_eq!(unapplied(&history).0, Some(false));
    // One that does not leaves them apart
    history.meta.scenario.strategies[0].broker = rabbitmq(false);
    let (met, reason) = unapplied(&history);
    assert_eq!(met, None);
    assert!(
        reason.contains("the broker's server was killed"),
        "{reason}"
    );
    // And without the kill it is to blame
    history.faults.clear();
    assert_eq!(unapplied(&history).0, Some(false));
}

#[test]
fn given_effects_that_were_not_read_when_judged_then_nothing_is_known_of_the_consumer() {
    let mut history = consumed(40, zeros());
    history.meta.consumers[0].unread = Some("the database is away".to_owned());
    let judgement = judged(&history);
    assert_eq!(found(&judgement).0, BTreeMap::new());
    assert_eq!(of_consumer(&judgement).effects, None);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    // And where the fence itself failed, whatever the effects say.
    let mut history = consumed(40, zeros());
    apply_again(&mut history, 3, 2, 500 * MS);
    history.fences[7].ok = false;
    let judgement = judged(&history);
    assert_eq!(found(&judgement).0, BTreeMap::new());
    assert_eq!(judgement.verdict, Verdict::Unknown);
}

#[test]
fn given_a_lesson_when_effects_are_done_twice_then_only_what_a_fault_overlaps_counts() {
    let lesson = || vec![expect(Metric::AppliedTwice, Comparison::AtLeast, 1.0)];
    let crash = |history: &mut History| {
        let relay = Target::Process(Victim::RELAY);
        add_fault(history, relay, FaultKind::Kill, 150 * MS, 200 * MS);
    };
    let met = |history: &History| of_consumer(&judged(history)).expectations[0].met;
    // Applied before the crash, and again after it.
    let mut history = consumed(120, lesson());
    crash(&mut history);
    apply_again(&mut history, 17, 3, 300 * MS);
    assert_eq!(met(&history), Some(true), "{:?}", judged(&history).reasons);
    // Both after it: no lesson of that crash.
    let mut history = consumed(120, lesson());
    crash(&mut history);
    apply_again(&mut history, 60, 3, 600 * MS);
    assert_eq!(met(&history), Some(false));
    // Some of it before: the consumer does that by itself.
    let mut history = consumed(120, lesson());
    crash(&mut history);
    apply_again(&mut history, 17, 3, 300 * MS);
    apply_again(&mut history, 0, 1, 20 * MS);
    assert_eq!(met(&history), None);
    // No fault at all: nothing can be the effect of one.
    let mut history = consumed(120, lesson());
    apply_again(&mut history, 17, 3, 300 * MS);
    assert_eq!(met(&history), None);
}

#[test]
fn given_faults_on_consumers_when_judged_then_they_explain_what_that_consumer_did_and_nothing_else()
{
    let hit = |history: &mut History, process: &str| {
        let name = ConsumerName::of_process(process).unwrap();
        let target = Target::Process(Victim::Consumer(name));
        add_fault(history, target, FaultKind::Kill, 150 * MS, 200 * MS);
    };
    let lesson = |metric| vec![expect(metric, Comparison::AtLeast, 1.0)];
    for (process, met) in [("consumer-payments", Some(true)), ("consumer-other", None)] {
        let mut history = consumed(120, lesson(Metric::AppliedTwice));
        hit(&mut history, process);
        apply_again(&mut history, 17, 3, 300 * MS);
        let judgement = judged(&history);
        let checked = &of_consumer(&judgement).expectations[0];
        assert_eq!(checked.met, met, "{process}: {}", checked.reason);
    }
    // What the relay did has no such fault to explain it.
    let mut history = consumed(120, Vec::new());
    hit(&mut history, "consumer-payments");
    let again = attempt(&history, 17, 3);
    publish(&mut history, again, 3);
    finish(&mut history);
    expecting(&mut history, lesson(Metric::Duplicated));
    let judgement = judged(&history);
    assert_eq!(judgement.expectations[0].met, None);
    assert!(
        judgement.expectations[0]
            .reason
            .contains("nothing can be the effect of a fault")
    );
    assert_eq!(judgement.recovery_s, None);
}

#[test]
fn given_a_consumer_that_died_when_the_relay_lost_something_then_the_relay_is_to_blame() {
    let mut history = consumed(40, zeros());
    let lost = attempt(&history, 5, 3);
    unpublish(&mut history, lost);
    history.effects.open().retain(|e| e.attempt != lost);
    finish(&mut history);
    let end = &mut history.meta.consumers[0];
    end.was_alive = false;
    for at in end.committed.values_mut() {
        *at -= 1;
    }
    history.meta.deaths.push(Death {
        process: "consumer-payments".to_owned(),
        at_ns: FROM + 500 * MS,
        exit: 9,
        how: "was ended by signal 9".to_owned(),
        last_words: String::new(),
    });
    let judgement = judged(&history);
    let of_lost = judgement
        .expectations
        .iter()
        .find(|e| e.expectation.metric == Metric::Lost);
    assert_eq!(of_lost.unwrap().met, Some(false));
    assert!(
        !judgement.reasons[0].contains("undelivered"),
        "{}",
        judgement.reasons[0]
    );
    assert_eq!(of_consumer(&judgement).expectations[0].met, None);
}

#[test]
fn given_a_consumer_that_had_to_be_killed_when_something_is_unapplied_then_it_is_not_to_blame() {
    let mut history = consumed(40, zeros());
    let left_out = attempt(&history, 0, 1);
    history.effects.open().retain(|e| e.attempt != left_out);
    history.meta.consumers[0].was_killed = true;
    let unapplied = of_consumer(&judged(&history)).expectations[0].met;
    assert_eq!(unapplied, None);
}

#[test]
fn given_nothing_expected_but_of_a_consumer_when_judged_then_something_is_expected() {
    let pass = |of_consumer: Vec<Expectation>| {
        let mut history = consumed(40, of_consumer);
        expecting(&mut history, Vec::new());
        judged(&history).verdict
    };
    assert_eq!(pass(zeros()), Verdict::Pass);
    assert_eq!(pass(Vec::new()), Verdict::Unknown);
}

#[test]
fn given_both_copies_applied_at_once_after_a_fault_then_the_fault_explains_them() {
    let mut history = consumed(
        120,
        vec![expect(Metric::AppliedTwice, Comparison::AtLeast, 1.0)],
    );
    let relay = Target::Process(Victim::RELAY);
    add_fault(&mut history, relay, FaultKind::Kill, 150 * MS, 200 * MS);
    let late = attempt(&history, 17, 3);
    for effect in history
        .effects
        .open()
        .iter_mut()
        .filter(|e| e.attempt == late)
    {
        effect.at_ns = FROM + 300 * MS;
    }
    apply_again(&mut history, 17, 3, 300 * MS);
    assert_eq!(
        of_consumer(&judged(&history)).expectations[0].met,
        Some(true)
    );
}

#[test]
fn given_an_expected_zero_when_nothing_came_twice_then_it_is_met_and_said_to_be_untried() {
    let mut history = consumed(40, zeros());
    let told = |history: &History| {
        let judgement = judged(history);
        let consumer = of_consumer(&judgement);
        let of_twice = consumer.expectations[1].clone();
        (
            consumer.copies,
            of_twice.met,
            of_twice.reason,
            judgement.verdict,
        )
    };
    let untried = "no event was on the topic twice, so this was not tried";
    let expected = (Some(0), Some(true), untried.to_owned(), Verdict::Pass);
    assert_eq!(told(&history), expected);
    // With a copy that it has read, it is.
    let again = attempt(&history, 17, 3);
    publish(&mut history, again, 3);
    finish(&mut history);
    let ends = history
        .partitions
        .iter()
        .map(|p| (p.partition, p.end_offset));
    history.meta.consumers[0].committed = ends.collect();
    assert_eq!(
        told(&history),
        (Some(1), Some(true), String::new(), Verdict::Pass)
    );
    // One that it did not read says nothing of it.
    let (partition, offset) = {
        let rows = history.log.iter().filter(|r| r.attempt == again);
        rows.map(|r| (r.partition, r.offset)).max().unwrap()
    };
    history.meta.consumers[0]
        .committed
        .insert(partition, offset);
    assert_eq!(of_consumer(&judged(&history)).copies, Some(0));
}

#[test]
fn given_a_consumer_that_may_have_read_again_by_itself_when_nothing_came_twice_then_nothing_is_said_of_untried()
 {
    let told = |history: &History| of_consumer(&judged(history)).expectations[1].clone();
    let hit = |target| {
        let mut history = consumed(40, zeros());
        add_fault(&mut history, target, FaultKind::Kill, 50 * MS, 60 * MS);
        history
    };
    let name = ConsumerName::of_process("consumer-payments").unwrap();
    let other = ConsumerName::of_process("consumer-other").unwrap();
    let mut died = consumed(40, zeros());
    died.meta.deaths.push(Death {
        process: "consumer-payments".to_owned(),
        at_ns: FROM + 50 * MS,
        exit: 9,
        how: "was ended by signal 9".to_owned(),
        last_words: String::new(),
    });
    let mut killed = consumed(40, zeros());
    killed.meta.consumers[0].was_killed = true;
    let killed = of_consumer(&judged(&killed)).expectations[1].reason.clone();
    assert!(!killed.contains("not tried"), "{killed}");
    for disturbed in [
        hit(Target::Process(Victim::Consumer(name))),
        hit(Target::Process(Victim::POSTGRES)),
        died,
    ] {
        let of_twice = told(&disturbed);
        assert_eq!((of_twice.met, &*of_twice.reason), (Some(true), ""));
    }
    // What hits another one does nothing to it.
    let of_twice = told(&hit(Target::Process(Victim::Consumer(other))));
    assert!(of_twice.reason.contains("not tried"), "{of_twice:?}");
}
