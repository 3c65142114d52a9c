//! Systems that look broken and are correct: nothing that they do may be held against them.

use crate::bench::Ran;
use crate::case::{Case, Find, USUAL, cases};
use crate::disk;
use reports::record::Verdict;

/// What the odd ones have in common.
const ODD: Case = Case {
    defect: "honest",
    verdict: Verdict::Pass,
    ..USUAL
};

/// The relay went to each row of the outbox once more after it was inserted.
fn each_row_was_changed(ran: &Ran) {
    let changed = ran.strategy().database.rows_changed.total;
    assert_eq!(changed, Some(ran.committed() as f64));
}

/// Every event on the topic is in a batch of this codec, but for batches that it does not make
/// smaller, of which there are few.
fn compressed(ran: &Ran, codec: u16) {
    let (count, all) = (disk::compressed(ran, codec), ran.committed());
    assert!(count * 10 >= all * 9, "{count} of {all}");
}

cases! {
    given_a_full_replay_after_a_restart_when_judged_then_nothing_but_its_duplicates_is_counted: Case {
        defect: "replays",
        what: "publishes everything again from the start after a restart",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        finds: &[Find {
            anomaly: "duplicated",
            count: |ran| ran.admitted("replayed"),
            least: 200,
            words: "what was replayed",
        }],
        ..ODD
    };

    given_kafka_transactions_that_are_aborted_and_retried_when_judged_then_nothing_is_found: Case {
        defect: "aborts-and-retries",
        what: "publishes in Kafka transactions, aborts every third and sends it again",
        also: |ran| {
            let aborted = ran.strategy().counts.aborted_records;
            assert!(aborted >= Some(20), "{aborted:?}");
            assert_eq!(aborted, Some(ran.admitted("aborted")));
        },
        ..ODD
    };

    given_one_partition_when_judged_then_nothing_is_found: Case {
        what: "everything on one partition",
        also: |ran| assert_eq!(disk::partitions(ran), 1),
        load: "rate = 300\nduration = \"2s\"\npartitions = 1",
        ..ODD
    };

    given_any_order_across_orders_when_judged_then_nothing_is_found: Case {
        defect: "shuffles",
        what: "publishes orders in any order, the changes of each in theirs",
        strategy: "kind = \"polling\"\ninterval = \"100ms\"",
        also: |ran| assert!(ran.admitted("moved") >= 50),
        ..ODD
    };

    given_any_order_across_partitions_when_judged_then_nothing_was_overtaken: Case {
        defect: "by-partition",
        what: "publishes partition by partition, under a promise of order within a partition",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: "[expect.zoo]\novertaken = 0\n\n[drain]\nwithin = \"2s\"",
        also: |ran| assert!(ran.admitted("moved") >= 50),
        ..ODD
    };

    given_two_relays_at_a_hand_over_when_judged_then_nothing_but_duplicates_is_counted: Case {
        defect: "hands-over",
        what: "two relays work at the same time while one takes over from the other",
        finds: &[Find {
            anomaly: "duplicated",
            count: |ran| ran.admitted("twice"),
            least: 90,
            words: "what both published",
        }],
        ..ODD
    };

    given_bursts_within_the_bounds_when_judged_then_nothing_is_found: Case {
        defect: "bursts",
        what: "sleeps, then publishes in bursts, within `late_after`",
        more: "[drain]\nwithin = \"5s\"\nlate_after = \"3s\"",
        also: |ran| assert!(ran.admitted("burst") > 0),
        ..ODD
    };

    given_rows_that_are_deleted_when_judged_then_nothing_is_found: Case {
        what: "deletes what it published",
        strategy: "kind = \"polling\"\nafter_publish = \"delete\"",
        also: each_row_was_changed,
        ..ODD
    };

    given_rows_that_are_marked_when_judged_then_nothing_is_found: Case {
        what: "marks what it published, and leaves it in the outbox",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        also: each_row_was_changed,
        ..ODD
    };

    given_tables_that_are_truncated_and_late_commits_when_judged_then_nothing_is_found: Case {
        what: "truncates tables that take turns, while some hold their commit for longer than a turn",
        load: "rate = 200\nduration = \"3500ms\"\nhold_ratio = 0.02\nhold = \"1200ms\"",
        strategy: "kind = \"polling\"\nafter_publish = \"rotate\"\nperiod = \"1s\"",
        also: each_row_was_changed,
        ..ODD
    };

    given_events_that_stay_and_late_commits_when_judged_then_nothing_is_found: Case {
        what: "reads events that stay by their position, below the oldest transaction that is running, while some hold their commit",
        load: "rate = 300\nduration = \"2s\"\nhold_ratio = 0.2\nhold = \"50ms\"",
        strategy: "kind = \"event-sourcing\"",
        also: |ran| {
            let database = &ran.strategy().database;
            assert!(database.rebuild_ms.is_some() && database.dead_tuples_peak.total.is_some());
        },
        ..ODD
    };

    given_two_phase_commits_that_nothing_disturbs_when_judged_then_nothing_is_found: Case {
        what: "commits orders and their events in two phases, and forbids some",
        load: "rate = 60\nduration = \"2s\"\nhold_ratio = 0.3\nhold = \"50ms\"\nrollback_ratio = 0.2\n\
            min_committed_per_phase = 50",
        strategy: "kind = \"two-phase-commit\"",
        also: |ran| {
            assert!(ran.strategy().counts.rejected > 0);
            assert!(ran.strategy().in_doubt.blocked_orders_ms.is_some());
        },
        ..ODD
    };

    given_headers_of_any_kind_when_judged_then_nothing_is_found: Case {
        defect: "headers",
        what: "sends headers of its own, empty, repeated and binary ones",
        also: |ran| {
            let committed = ran.committed();
            for (header, times) in [("traceparent", 1), ("empty", 1), ("retry", 2), ("signature", 1)] {
                let count = disk::count(ran, header.as_bytes());
                assert_eq!(count, times * committed, "{header}");
            }
            assert_eq!(disk::count(ran, &[0xff, 0x00, 0xfe]), committed);
        },
        ..ODD
    };

    given_gzip_when_judged_then_nothing_is_found: Case {
        defect: "gzip",
        what: "compresses with gzip",
        also: |ran| compressed(ran, disk::GZIP),
        ..ODD
    };

    given_lz4_when_judged_then_nothing_is_found: Case {
        defect: "lz4",
        what: "compresses with lz4",
        second_of: Some("gzip"),
        also: |ran| compressed(ran, disk::LZ4),
        ..ODD
    };

    given_snappy_when_judged_then_nothing_is_found: Case {
        defect: "snappy",
        what: "compresses with snappy",
        second_of: Some("gzip"),
        also: |ran| compressed(ran, disk::SNAPPY),
        ..ODD
    };

    given_json_that_was_written_again_when_judged_then_nothing_is_found: Case {
        defect: "reserialises",
        what: "writes the JSON again, with other white space and its fields in another order",
        strategy: "kind = \"cdc\"",
        also: |ran| assert_eq!(disk::count(ran, b"\n  \"order_id\": "), ran.committed()),
        ..ODD
    };

    given_a_relay_that_restarts_every_second_when_judged_then_nothing_is_found: Case {
        defect: "restarts",
        what: "ends and starts again every second (polling)",
        load: "rate = 300\nduration = \"4s\"",
        also: |ran| assert!(ran.admitted("restarted") >= 3),
        ..ODD
    };

    given_a_cdc_relay_that_restarts_every_second_when_judged_then_nothing_is_found: Case {
        defect: "restarts",
        what: "ends and starts again every second (CDC)",
        load: "rate = 300\nduration = \"4s\"",
        strategy: "kind = \"cdc\"",
        also: |ran| assert!(ran.admitted("restarted") >= 3),
        ..ODD
    };
}
