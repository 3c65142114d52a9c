//! Relays that lose events.

use crate::case::{Case, Find, USUAL, cases};

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
}
