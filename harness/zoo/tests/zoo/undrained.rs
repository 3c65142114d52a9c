//! Relays that leave events where they are.

use crate::case::{Case, Find, USUAL, cases};

cases! {
    given_a_relay_that_stops_silently_when_judged_then_the_rest_is_undrained: Case {
        number: "6",
        defect: "stops-silently",
        what: "stops silently after 250 events",
        finds: &[Find {
            anomaly: "undrained",
            count: |ran| ran.admitted("left"),
            least: 100,
            words: "all committed but 250",
        }],
        also: |ran| assert_eq!(ran.admitted("left") + 250, ran.committed()),
        ..USUAL
    };

    given_a_relay_that_parks_rows_when_an_outage_spends_their_retries_then_they_are_undrained: Case {
        number: "10",
        defect: "parks-after-5-retries",
        what: "parks rows after 5 retries in an outage",
        load: "rate = 300\nduration = \"4s\"",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: "\
[[fault]]
target = \"relay->kafka\"
kind = \"down\"
at = \"1s\"
for = \"2s\"

[drain]
within = \"2s\"",
        finds: &[Find {
            anomaly: "undrained",
            count: |ran| ran.admitted("given-up"),
            least: 100,
            words: "as many as it parked",
        }],
        ..USUAL
    };

    given_a_relay_without_an_interval_when_its_connection_is_cut_then_the_rest_is_undrained: Case {
        number: "26",
        defect: "notify-only",
        what: "NOTIFY only, no interval; its connection cut",
        load: "rate = 300\nduration = \"3s\"",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"\nnotify = true",
        more: "\
[[fault]]
target = \"relay->postgres\"
kind = \"down\"
at = \"1s\"
for = \"1s\"

[drain]
within = \"2s\"",
        finds: &[Find {
            anomaly: "undrained",
            // A part of a claim may be on the topic whose mark the cut took away.
            count: |ran| ran.committed() - ran.observed(),
            least: 100,
            words: "all committed but those published before the cut",
        }],
        inconclusive: &["no order was committed, acknowledged and seen after the last heal"],
        ..USUAL
    };
}
