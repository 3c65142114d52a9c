//! Relays that lose events.

use crate::case::{Case, Find, USUAL, cases};

/// The relay is killed in the middle, and comes back.
pub const KILLED: &str = "\
[[fault]]
target = \"relay\"
kind = \"kill\"
at = \"1500ms\"
for = \"500ms\"

[drain]
within = \"2s\"";

pub const LOAD_AROUND_A_KILL: &str = "rate = 300\nduration = \"3s\"\nmin_committed_per_phase = 20";

/// A fifth of the transactions commit later than others that began after them.
const HOLDS: &str = "rate = 300\nduration = \"2s\"\nhold_ratio = 0.2\nhold = \"50ms\"";

/// The relay cannot reach the broker in the middle.
const OUTAGE_LOAD: &str = "rate = 300\nduration = \"3500ms\"";
const OUTAGE: &str = "\
[[fault]]
target = \"relay->kafka\"
kind = \"down\"
at = \"1s\"
for = \"1800ms\"

[drain]
within = \"2s\"";

cases! {
    given_a_relay_that_skips_every_100th_event_when_judged_then_those_are_lost: Case {
        number: "1",
        defect: "skips-every-100th",
        what: "skips every 100th event",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("skipped"),
            least: 4,
            words: "one of each hundred committed",
        }],
        also: |ran| assert_eq!(ran.admitted("skipped"), ran.committed() / 100),
        ..USUAL
    };

    given_a_relay_that_marks_then_publishes_when_killed_between_then_its_batch_is_lost: Case {
        number: "2",
        defect: "marks-then-publishes",
        what: "marks, then publishes; killed between",
        load: LOAD_AROUND_A_KILL,
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: KILLED,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("done-with"),
            least: 10,
            words: "10, the batch that was marked when it died",
        }],
        also: |ran| assert_eq!(ran.admitted("done-with"), 10),
        ..USUAL
    };

    given_a_relay_that_goes_on_past_a_failed_publish_when_kafka_is_down_then_what_failed_is_lost: Case {
        number: "3",
        defect: "goes-on-past-a-failed-publish",
        what: "goes on past a failed publish, in an outage of the broker",
        load: "rate = 300\nduration = \"3s\"",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: "\
[[fault]]
target = \"relay->kafka\"
kind = \"down\"
at = \"1s\"
for = \"1s\"

[drain]
within = \"2s\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("refused"),
            least: 100,
            words: "as many as its producer refused",
        }],
        ..USUAL
    };

    given_a_relay_with_a_cursor_when_some_transactions_commit_late_then_what_it_passed_by_is_lost: Case {
        number: "4",
        defect: "cursor",
        what: "cursor `id > last`, while some transactions hold their commit",
        load: HOLDS,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("passed-by"),
            least: 50,
            words: "as many as its clean-up deleted unread",
        }],
        ..USUAL
    };

    given_a_relay_that_marks_up_to_the_highest_when_some_commit_late_then_what_it_marked_unread_is_lost: Case {
        number: "31",
        defect: "marks-up-to-the-highest",
        what: "marks by `seq <= max`, while some transactions hold their commit",
        second_of: Some("cursor"),
        load: HOLDS,
        // Longer on the way: more comes between.
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"\nlinger = \"30ms\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("passed-by"),
            least: 20,
            words: "as many as it marked unread",
        }],
        ..USUAL
    };

    given_a_relay_with_a_cursor_on_created_at_when_some_commit_late_then_what_it_passed_by_is_lost: Case {
        number: "32",
        defect: "cursor-on-created-at",
        what: "cursor on `created_at`, while some transactions hold their commit",
        second_of: Some("cursor"),
        load: HOLDS,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("passed-by"),
            least: 50,
            words: "as many as its clean-up deleted unread",
        }],
        ..USUAL
    };

    given_a_relay_that_reads_events_by_number_when_some_transactions_commit_late_then_what_it_passed_by_is_lost: Case {
        number: "53",
        defect: "events-by-number",
        what: "reads events that stay by their number alone, while some transactions hold their commit",
        load: HOLDS,
        strategy: "kind = \"event-sourcing\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("passed-by"),
            least: 50,
            words: "as many as are in the table, behind its position, and were never published",
        }],
        ..USUAL
    };

    given_a_relay_that_skips_what_has_the_same_lsn_when_judged_then_all_rows_but_the_first_are_lost: Case {
        number: "29",
        defect: "skips-what-has-the-lsn",
        what: "several outbox rows in one transaction, and a relay that skips what has the LSN of the last",
        strategy: "kind = \"cdc\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("skipped"),
            least: 200,
            words: "all rows of a transaction but the first",
        }],
        ..USUAL
    };

    given_a_retention_by_age_when_kafka_is_down_then_what_was_too_old_is_lost: Case {
        number: "40",
        defect: "deletes-what-is-old",
        what: "a retention by `created_at`, during an outage of the broker",
        second_of: Some("deletes-after-5-retries"),
        load: OUTAGE_LOAD,
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: OUTAGE,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("too-old"),
            least: 50,
            words: "as many as it deleted unpublished",
        }],
        ..USUAL
    };

    given_tables_that_take_turns_when_one_is_truncated_in_an_outage_then_what_waited_in_it_is_lost: Case {
        number: "58",
        defect: "truncates-what-is-over",
        what: "tables that take turns, each truncated when its turn is over, during an outage of the broker",
        load: OUTAGE_LOAD,
        strategy: "kind = \"polling\"\nafter_publish = \"rotate\"",
        more: OUTAGE,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("truncated"),
            least: 50,
            words: "as many as waited in the tables that it truncated",
        }],
        ..USUAL
    };

    given_a_retry_budget_that_deletes_when_an_outage_spends_it_then_the_rows_are_lost: Case {
        number: "42",
        defect: "deletes-after-5-retries",
        what: "deletes rows after 5 retries in an outage",
        load: OUTAGE_LOAD,
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: OUTAGE,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("given-up"),
            least: 50,
            words: "as many as it gave up",
        }],
        ..USUAL
    };

    given_a_deduplication_by_order_and_type_when_judged_then_further_amendments_are_lost: Case {
        number: "41",
        defect: "deduplicates-by-type",
        what: "deduplicates by the wrong key: order and type of event",
        load: "rate = 300\nduration = \"2s\"\nchanges_per_order = 10",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("taken-for-known"),
            least: 100,
            words: "every amendment of an order after its first",
        }],
        ..USUAL
    };

    given_a_relay_that_drops_the_tail_of_its_batches_when_judged_then_the_tails_are_lost: Case {
        number: "5",
        defect: "drops-the-tail",
        what: "marks a batch, drops its tail",
        second_of: Some("skips-every-100th"),
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"\ninterval = \"100ms\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("dropped"),
            least: 20,
            words: "as many as were in the tails",
        }],
        ..USUAL
    };

    given_a_relay_that_acknowledges_the_newest_lsn_when_killed_then_the_older_ones_are_lost: Case {
        number: "7",
        defect: "acknowledges-the-newest-lsn",
        what: "acknowledges the newest LSN, not the contiguous prefix; killed",
        load: LOAD_AROUND_A_KILL,
        strategy: "kind = \"cdc\"",
        more: KILLED,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("slow"),
            least: 10,
            words: "10, the older ones that were still on their way",
        }],
        also: |ran| assert_eq!(ran.admitted("slow"), 10),
        ..USUAL
    };

    given_a_relay_that_marks_what_it_aborts_when_judged_then_what_it_aborted_is_lost: Case {
        number: "8",
        defect: "marks-what-it-aborts",
        what: "aborts its Kafka transaction, marks all the same",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("aborted"),
            least: 50,
            words: "as many as it aborted",
        }],
        also: |ran| {
            let aborted = ran.strategy().counts.aborted_records;
            assert_eq!(aborted, Some(ran.admitted("aborted")), "aborted records on the topic");
        },
        ..USUAL
    };

    given_a_relay_that_publishes_only_the_latest_version_when_judged_then_the_others_are_lost: Case {
        number: "9",
        defect: "latest-version-only",
        what: "publishes only the latest version of an order",
        strategy: "kind = \"polling\"\ninterval = \"200ms\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("superseded"),
            least: 100,
            words: "every version that had a later one in its batch",
        }],
        ..USUAL
    };

    given_a_relay_with_a_topic_of_its_own_when_judged_then_the_other_topic_is_named: Case {
        number: "19",
        defect: "wrong-topic",
        what: "wrong topic, for one type of event",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("elsewhere"),
            least: 100,
            words: "every event of that type, and the other topic is named",
        }],
        also: |ran| {
            let named = |reason: &String| reason.contains(zoo::relays::wrong_topic::ELSEWHERE);
            let reasons = &ran.strategy().reasons;
            assert!(reasons.iter().any(named), "{reasons:?}");
        },
        ..USUAL
    };
}
