//! Relays that break an order's order, repeat it, or are too slow.

use crate::case::{Case, Find, USUAL, cases};
use reports::record::Verdict;

cases! {
    given_a_relay_that_publishes_everything_twice_when_judged_then_all_is_duplicated_and_passes: Case {
        number: "11",
        defect: "everything-twice",
        what: "publishes everything twice",
        verdict: Verdict::Pass,
        finds: &[Find {
            anomaly: "duplicated",
            count: |ran| ran.admitted("twice"),
            least: 400,
            words: "as many as committed",
        }],
        also: |ran| assert_eq!(ran.admitted("twice"), ran.committed()),
        ..USUAL
    };

    given_a_relay_that_swaps_neighbours_when_judged_then_each_swap_is_reordered: Case {
        number: "12",
        defect: "swaps-neighbours",
        what: "swaps neighbours of one order",
        strategy: "kind = \"polling\"\ninterval = \"200ms\"",
        finds: &[Find {
            anomaly: "reordered",
            count: |ran| ran.admitted("overtaken"),
            least: 100,
            words: "one a swap",
        }],
        ..USUAL
    };

    given_a_relay_that_requeues_failures_at_the_end_when_judged_then_the_overtaken_are_reordered: Case {
        number: "13",
        defect: "requeues-at-the-end",
        what: "requeues failures at the end",
        second_of: Some("swaps-neighbours"),
        load: "rate = 300\nduration = \"2s\"\nchanges_per_order = 5",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        finds: &[Find {
            anomaly: "reordered",
            count: |ran| ran.admitted("overtaken"),
            least: 20,
            words: "every version that was handed over after a later one",
        }],
        ..USUAL
    };

    given_a_relay_that_holds_last_events_back_when_judged_then_they_are_overtaken_and_not_reordered: Case {
        number: "47",
        defect: "holds-back-last-events",
        what: "holds the last events of some orders back, under a promise of order within a partition",
        load: "rate = 300\nduration = \"6s\"\nchanges_per_order = 3",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: "[expect.zoo]\novertaken = 0\n\n[drain]\nwithin = \"2s\"",
        finds: &[Find {
            anomaly: "overtaken",
            count: |ran| ran.admitted("overtaken"),
            least: 10,
            words: "every event behind one of a change that was made 2 s later or more, of another order",
        }],
        ..USUAL
    };

    given_a_relay_that_takes_any_partition_when_judged_then_orders_are_split: Case {
        number: "14",
        defect: "any-partition",
        what: "random partition",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        finds: &[Find {
            anomaly: "split",
            count: |ran| ran.admitted("split"),
            least: 100,
            words: "every order with events on more than one partition",
        }],
        ..USUAL
    };

    given_a_partitioner_by_type_of_event_when_judged_then_orders_are_split: Case {
        number: "43",
        defect: "partition-by-type",
        what: "wrong partitioner: by the type of event",
        second_of: Some("any-partition"),
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        finds: &[Find {
            anomaly: "split",
            count: |ran| ran.admitted("split"),
            least: 100,
            words: "every order with events of types that have different partitions",
        }],
        ..USUAL
    };

    given_a_relay_that_sleeps_when_judged_then_what_waited_is_late: Case {
        number: "21",
        defect: "sleeps",
        what: "sleeps twice `late_after`",
        load: "rate = 300\nduration = \"1s\"",
        more: "\
[expect.zoo]
late = 0

[drain]
within = \"8s\"
late_after = \"1500ms\"",
        finds: &[Find {
            anomaly: "late",
            count: |ran| ran.admitted("overslept"),
            least: 200,
            words: "all committed, since the load ended before it woke",
        }],
        also: |ran| assert_eq!(ran.admitted("overslept"), ran.committed()),
        ..USUAL
    };
}
