//! Two-phase commits that are none: whose sides are not committed together, or not as it was decided.

use crate::case::{Case, Find, USUAL, cases};

/// Orders of one change each: no version is used again.
const LOAD: &str = "rate = 25\nduration = \"4s\"\nchanges_per_order = 1\nrollback_ratio = 0.2\n\
    min_committed_per_phase = 40";
const TWO_PHASE: &str = "kind = \"two-phase-commit\"";

/// With one change an order, nothing is known of any order.
const NO_ORDER: &[&str] = &["reordered: no two versions of an order were ever in flight together"];

cases! {
    given_a_broker_that_is_committed_before_the_decision_when_a_rule_forbids_it_then_it_is_phantom: Case {
        number: "54",
        defect: "commits-the-broker-first",
        what: "a two-phase commit that commits Kafka's side before it has decided",
        load: LOAD,
        strategy: TWO_PHASE,
        finds: &[Find {
            anomaly: "phantom",
            count: |ran| ran.admitted("phantom"),
            least: 5,
            words: "every change that a business rule forbade",
        }],
        inconclusive: NO_ORDER,
        open: &["reordered"],
        also: |ran| assert_eq!(ran.admitted("phantom"), ran.strategy().counts.rejected),
        ..USUAL
    };

    given_a_coordinator_that_decides_when_the_recoverer_has_aborted_then_the_events_are_lost: Case {
        number: "55",
        defect: "decides-unasked",
        what: "a coordinator of two-phase commits that decides although the recoverer has aborted Kafka's side",
        load: LOAD,
        strategy: TWO_PHASE,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("undone"),
            least: 4,
            words: "one of each ten published",
        }],
        inconclusive: NO_ORDER,
        open: &["reordered"],
        also: |ran| {
            // Aborted, each was on the topic and no event
            assert_eq!(ran.strategy().counts.aborted_records, Some(ran.admitted("undone")));
        },
        ..USUAL
    };
}
