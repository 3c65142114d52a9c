//! Order services that lose, invent and repeat, or tell their clients what is not so.

use crate::case::{Case, Find, USUAL, cases};

/// A dual write of this order, by which a broken service is configured.
pub(super) const COMMIT_FIRST: &str = "kind = \"dual-write\"\norder = \"commit-then-publish\"";
pub(super) const PUBLISH_FIRST: &str = "kind = \"dual-write\"\norder = \"publish-then-commit\"";
/// What is expected of a dual write, of which nothing is expected by itself.
const CLEAN: &str = "[expect.zoo]\nlost = 0\nphantom = 0\nduplicated = 0\nsplit = 0\ncorrupted = 0\n\
    missing = 0\ndouble_applied = 0\nunacknowledged = 0";

/// Acknowledgements of the broker take half a second, while the events reach it at once. Some two
/// hundred requests wait at a time.
const AMBIGUOUS_LOAD: &str = "rate = 200\nduration = \"3200ms\"\nconnections = 256";
const AMBIGUOUS: &str = "[[fault]]\ntarget = \"orders->kafka\"\nkind = \"latency\"\nlatency = \"500ms\"\n\
    stream = \"downstream\"\nat = \"1s\"\nfor = \"1200ms\"\n\n[expect.zoo]\nlost = 0\nphantom = 0\n\
    duplicated = 0\nsplit = 0\ncorrupted = 0\nmissing = 0\ndouble_applied = 0\nunacknowledged = 0";

cases! {
    given_a_service_that_publishes_what_a_rule_then_forbids_when_judged_then_it_is_phantom: Case {
        number: "15",
        defect: "publishes-early",
        what: "publishes attempts that are then rolled back",
        // An order whose first change is refused is left alone: no version is used again.
        load: "rate = 300\nduration = \"2s\"\nchanges_per_order = 1",
        strategy: PUBLISH_FIRST,
        more: CLEAN,
        finds: &[Find {
            anomaly: "phantom",
            count: |ran| ran.admitted("phantom"),
            least: 5,
            words: "every change that a business rule forbade",
        }],
        also: |ran| assert_eq!(ran.admitted("phantom"), ran.strategy().counts.rejected),
        ..USUAL
    };

    given_a_version_that_was_published_and_rolled_back_when_it_is_used_again_then_it_is_phantom_and_no_duplicate: Case {
        number: "16",
        defect: "publishes-and-reuses",
        what: "publishes a change, rolls it back, and uses its version for the next one",
        // In whichever order the answers come, the first changes of some orders are forbidden.
        load: "rate = 300\nduration = \"2s\"\nrollback_ratio = 0.3\nchanges_per_order = 10",
        strategy: COMMIT_FIRST,
        more: CLEAN,
        finds: &[Find {
            anomaly: "phantom",
            count: |ran| ran.admitted("phantom"),
            least: 1,
            words: "1, and not the other event of that version, and no duplicate",
        }],
        also: |ran| assert_eq!((ran.admitted("phantom"), ran.admitted("used-again")), (1, 1)),
        ..USUAL
    };

    given_a_service_that_acknowledges_and_rolls_back_when_judged_then_it_is_missing: Case {
        number: "22",
        defect: "acknowledges-early",
        what: "acknowledges a change, then rolls it back",
        finds: &[Find {
            anomaly: "missing",
            count: |ran| ran.admitted("broken-promise"),
            least: 5,
            words: "one of each fifty written",
        }],
        ..USUAL
    };

    given_a_service_that_rejects_what_it_committed_when_judged_then_it_is_a_false_rejection: Case {
        number: "23",
        defect: "rejects-late",
        what: "answers \"rejected\" after the commit",
        more: "[expect.zoo]\nfalse_rejection = 0",
        finds: &[Find {
            anomaly: "false_rejection",
            count: |ran| ran.admitted("false-rejection"),
            least: 5,
            words: "one of each fifty committed",
        }],
        also: |ran| assert_eq!(ran.admitted("false-rejection"), ran.committed() / 50),
        ..USUAL
    };

    given_order_and_outbox_row_in_two_transactions_when_killed_between_then_the_events_are_lost: Case {
        number: "24",
        defect: "two-transactions",
        what: "order and outbox row in two transactions; killed between",
        // Once ten changes stand between, all others stand before: the kill takes nothing else.
        load: "rate = 200\nduration = \"3s\"\nmin_committed_per_phase = 0",
        // They must stand there before the kill.
        alone: true,
        more: "[[fault]]\ntarget = \"order-service\"\nkind = \"kill\"\nat = \"1500ms\"\nfor = \"500ms\"\n\n\
            [drain]\nwithin = \"2s\"",
        finds: &[
            Find {
                anomaly: "lost",
                count: |ran| ran.admitted("torn"),
                least: 10,
                words: "10, as many as stood between the two at the kill",
            },
            Find {
                anomaly: "unacknowledged",
                count: |ran| ran.admitted("torn"),
                least: 10,
                words: "the same 10, whose clients were told nothing",
            },
        ],
        also: |ran| assert_eq!(ran.admitted("torn"), 10),
        ..USUAL
    };

    given_a_savepoint_that_is_rolled_back_with_its_outbox_row_when_judged_then_the_event_is_lost: Case {
        number: "30",
        defect: "rolls-back-to-a-savepoint",
        what: "rolls back to a savepoint, the outbox row with it, and commits",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("unannounced"),
            least: 8,
            words: "one of each fifty written",
        }],
        ..USUAL
    };

    given_a_dual_write_that_repeats_the_change_after_a_timeout_when_judged_then_it_is_applied_twice: Case {
        number: "25a",
        defect: "repeats-the-change",
        what: "a dual write that repeats the whole change after an ambiguous timeout of the publish, \
            without an idempotency check",
        load: AMBIGUOUS_LOAD,
        strategy: COMMIT_FIRST,
        more: AMBIGUOUS,
        // Requests must not time out, and publishes must.
        alone: true,
        finds: &[Find {
            anomaly: "double_applied",
            count: |ran| ran.admitted("repeated"),
            least: 100,
            words: "every change that was repeated",
        }],
        ..USUAL
    };

    given_a_dual_write_that_repeats_the_publish_after_a_timeout_when_judged_then_it_is_duplicated: Case {
        number: "25b",
        defect: "repeats-the-publish",
        what: "the same, repeating the publish alone",
        load: AMBIGUOUS_LOAD,
        strategy: COMMIT_FIRST,
        more: AMBIGUOUS,
        // Requests must not time out, and publishes must.
        alone: true,
        finds: &[Find {
            anomaly: "duplicated",
            count: |ran| ran.admitted("repeated"),
            least: 100,
            words: "every publish that was repeated",
        }],
        ..USUAL
    };

    given_outbox_rows_that_are_merged_when_the_broker_is_away_then_the_merged_changes_are_lost: Case {
        number: "46",
        defect: "merges-rows",
        what: "outbox rows merged by an upsert: one an order",
        load: "rate = 300\nduration = \"4s\"\nmin_committed_per_phase = 50",
        // Rows wait for the relay: what comes to an order meanwhile finds one.
        more: "\
[[fault]]
target = \"relay->kafka\"
kind = \"down\"
at = \"1s\"
for = \"1500ms\"

[drain]
within = \"5s\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("merged"),
            least: 100,
            words: "every change whose order had a row already",
        }],
        ..USUAL
    };
}
