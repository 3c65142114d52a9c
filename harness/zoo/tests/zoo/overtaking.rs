//! Relays by which later versions of an order overtake earlier ones.

use crate::case::{Case, Find, USUAL, cases};

/// Orders that live as long as the run: whatever overtakes something overtakes its own order.
const LONG_LIVES: &str = "rate = 300\nduration = \"2s\"\nchanges_per_order = 1000";

/// As many as the relay found on the topic.
const OVERTAKEN: Find = Find {
    anomaly: "reordered",
    count: |ran| ran.admitted("overtaken"),
    least: 5,
    words: "every version that came to the topic after a later one",
};

cases! {
    given_two_workers_that_skip_locked_rows_when_one_is_slow_then_what_it_held_is_reordered: Case {
        number: "33",
        defect: "two-skip-locked-workers",
        what: "two SKIP LOCKED workers, of which one is slow",
        load: LONG_LIVES,
        finds: &[OVERTAKEN],
        ..USUAL
    };

    given_a_producer_with_several_requests_in_flight_when_some_are_refused_then_they_are_reordered: Case {
        number: "34",
        defect: "several-in-flight",
        what: "a producer without idempotence and with several requests in flight, of which the broker refuses \
            some for a while",
        load: "rate = 300\nduration = \"2s\"\nchanges_per_order = 1000\npartitions = 1",
        more: "[drain]\nwithin = \"8s\"",
        finds: &[OVERTAKEN],
        ..USUAL
    };

    given_events_that_time_out_one_by_one_when_kafka_is_down_then_the_later_ones_overtake_them: Case {
        number: "35",
        defect: "times-out-one-by-one",
        what: "a `message.timeout.ms` shorter than an outage, and what timed out is sent again",
        load: "rate = 300\nduration = \"4s\"\nchanges_per_order = 1000",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: "\
[[fault]]
target = \"relay->kafka\"
kind = \"down\"
at = \"1s\"
for = \"2s\"

[drain]
within = \"5s\"",
        // Beside another case nothing was overtaken in one run of four.
        alone: true,
        finds: &[
            OVERTAKEN,
            Find {
                anomaly: "duplicated",
                count: |ran| ran.admitted("again"),
                least: 0,
                words: "what had arrived when it was given up, as the relay found on the topic",
            },
        ],
        ..USUAL
    };

    given_a_paused_relay_when_it_publishes_after_its_successor_then_what_it_had_is_reordered: Case {
        number: "44",
        defect: "zombie",
        what: "a paused zombie that publishes what it had claimed after its successor",
        load: LONG_LIVES,
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: "[drain]\nwithin = \"10s\"",
        finds: &[OVERTAKEN],
        ..USUAL
    };

    given_a_producer_that_outlives_its_relay_when_it_sends_then_what_it_had_is_reordered: Case {
        number: "45",
        defect: "producer-lives-on",
        what: "a producer that outlives its relay, and sends what it had after the successor",
        load: LONG_LIVES,
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: "[drain]\nwithin = \"10s\"",
        finds: &[OVERTAKEN],
        ..USUAL
    };
}
