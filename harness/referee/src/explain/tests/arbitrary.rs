//! Any history at all, with any trace and any lives: every offence gets a sentence and a timeline.

use crate::checkers::context::Context;
use crate::checkers::fixture::*;
use crate::checkers::tests::arbitrary::arbitrary;
use crate::explain::Explainer;
use crate::history::{History, Life, NONE, ProcessEvent, Stage, TraceRow, Tracer};
use crate::scenario::{FaultKind, Target};
use proptest::prelude::*;

fn trace_row() -> impl Strategy<Value = TraceRow> {
    (
        any::<bool>(),
        0..4u32,
        -S..50 * S,
        prop_oneof![9 => 0..14u32, 1 => Just(NONE)],
        0..5u32,
        0..Stage::ALL.len(),
        prop_oneof![9 => 0..30u64, 1 => any::<u64>()],
    )
        .prop_map(
            |(service, pid, at_ns, attempt, version, stage, detail)| TraceRow {
                tracer: if service {
                    Tracer::OrderService
                } else {
                    Tracer::Relay
                },
                pid,
                at_ns,
                attempt,
                version,
                stage: Stage::ALL[stage],
                detail,
            },
        )
}

fn life() -> impl Strategy<Value = ProcessEvent> {
    (0..3usize, 0..4u32, -S..50 * S, 0..6usize, -300..30i32).prop_map(
        |(process, pid, at_ns, life, exit)| ProcessEvent {
            process: ["order-service", "relay", "kafka-server"][process].to_owned(),
            pid,
            at_ns,
            life: [
                Life::Started,
                Life::Ready,
                Life::Paused,
                Life::Resumed,
                Life::Terminating,
                Life::Exited,
            ][life],
            exit,
        },
    )
}

fn arbitrary_explained() -> impl Strategy<Value = History> {
    (
        arbitrary(),
        prop::collection::vec(trace_row(), 0..40),
        prop::collection::vec(life(), 0..12),
        prop::option::of((0..10 * S, 10 * S..20 * S)),
        any::<bool>(),
        prop::option::of(0..50 * S),
    )
        .prop_map(|(mut history, trace, lives, fault, no_time, cut)| {
            history.trace = trace.into_iter().collect();
            history.meta.trace_cut_ns = cut;
            history.processes.extend(lives);
            if let Some((at_ns, until_ns)) = fault {
                add_fault(
                    &mut history,
                    Target::KAFKA,
                    FaultKind::Down,
                    at_ns,
                    until_ns,
                );
            }
            if let (true, Some(row)) = (no_time, history.log.open().first_mut()) {
                row.append_ms = -1;
            }
            history
        })
}

proptest! {
    #![proptest_config(cases(400))]
    #[test]
    fn every_offence_of_any_history_has_a_sentence_and_a_sorted_timeline(
        history in arbitrary_explained()
    ) {
        let judgement = judged(&history);
        let context = Context::new(&history);
        let explainer = Explainer::new(&context).unwrap();
        let mut offences = Vec::new();
        let counts = explainer.each(u64::MAX, &mut |offence| offences.push(offence));
        for finding in &judgement.findings {
            let counted = counts.iter().find(|(name, _)| *name == finding.metric.name());
            prop_assert_eq!(counted.map(|(_, count)| *count), Some(finding.count));
            let told = offences.iter().filter(|o| o.metric == finding.metric.name());
            prop_assert_eq!(told.count() as u64, finding.count);
        }
        for offence in &offences {
            let sentence = offence.sentence.as_deref().unwrap_or_default();
            prop_assert!(sentence.len() > 10, "{:?}", offence);
            prop_assert!(offence.timeline.is_sorted_by(|a, b| a.at_s <= b.at_s));
            prop_assert!(offence.timeline.iter().all(|s| s.at_s.is_finite()));
        }
        for order in 0..5 {
            let told = explainer.order(order);
            prop_assert!(told.timeline.is_sorted_by(|a, b| a.at_s <= b.at_s));
        }
    }
}
