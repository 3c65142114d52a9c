//! Relays that lose events.

use crate::case::{Case, Find, USUAL, cases};

/// The relay is killed in the middle, and comes back.
const KILLED: &str = "\
[[fault]]
target = \"relay\"
kind = \"kill\"
at = \"2s\"
for = \"500ms\"

[drain]
within = \"2s\"";

const LOAD_AROUND_A_KILL: &str = "rate = 300\nduration = \"3s\"";

cases! {
    given_a_relay_that_skips_every_100th_event_when_judged_then_those_are_lost: Case {
        number: "1",
        defect: "skips-every-100th",
        what: "skips every 100th event",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.committed() / 100,
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
            count: |_| 10,
            words: "10, the batch that was marked when it died",
        }],
        also: |ran| assert_eq!(ran.admitted("marked"), 10),
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
            words: "as many as its producer refused",
        }],
        ..USUAL
    };

    given_a_relay_with_a_cursor_when_some_transactions_commit_late_then_what_it_passed_by_is_lost: Case {
        number: "4",
        defect: "cursor",
        what: "cursor `id > last`, while some transactions hold their commit",
        load: "rate = 300\nduration = \"2s\"\nhold_ratio = 0.2\nhold = \"50ms\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("passed-by"),
            words: "as many as its clean-up deleted unread",
        }],
        ..USUAL
    };

    given_a_relay_that_drops_the_tail_of_its_batches_when_judged_then_the_tails_are_lost: Case {
        number: "5",
        defect: "drops-the-tail",
        what: "marks a batch, drops its tail",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"\ninterval = \"100ms\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("dropped"),
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
            count: |_| 10,
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
