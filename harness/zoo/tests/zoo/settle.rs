//! Relays whose misdeed comes after the last event that was waited for.

use crate::case::{Case, Find, USUAL, cases};

cases! {
    given_a_relay_that_repeats_all_after_the_load_when_it_goes_on_for_a_while_then_that_counts: Case {
        number: "11b",
        defect: "repeats-later",
        what: "publishes everything once more, 1.5 s after the last event",
        strategy: "kind = \"polling\"\nafter_publish = \"mark\"",
        more: "\
[expect.zoo]
duplicated = 0

[drain]
within = \"2s\"
settle = \"3s\"",
        finds: &[Find {
            anomaly: "duplicated",
            count: |ran| ran.committed(),
            least: 100,
            words: "all committed",
        }],
        also: |ran| assert_eq!(ran.admitted("repeated"), ran.committed()),
        ..USUAL
    };
}
