//! Relays that publish what nobody committed: damaged events, and other people's.

use crate::case::{Case, Find, USUAL, cases};

cases! {
    given_a_relay_that_flips_a_bit_when_judged_then_those_are_corrupted_and_lost: Case {
        number: "17",
        defect: "flips-a-bit",
        what: "flips a bit of the content, in every 50th event",
        finds: &[
            Find {
                anomaly: "corrupted",
                count: |ran| ran.admitted("flipped"),
                least: 8,
                words: "one of each fifty committed",
            },
            Find {
                anomaly: "lost",
                count: |ran| ran.admitted("flipped"),
                least: 8,
                words: "the same",
            },
        ],
        also: |ran| assert_eq!(ran.admitted("flipped"), ran.committed() / 50),
        ..USUAL
    };

    given_a_relay_with_the_wrong_key_when_judged_then_all_is_corrupted_and_lost: Case {
        number: "18",
        defect: "wrong-key",
        what: "wrong key: the event's id",
        finds: &[
            Find {
                anomaly: "corrupted",
                count: |ran| ran.admitted("keyed"),
                least: 400,
                words: "all committed",
            },
            Find {
                anomaly: "lost",
                count: |ran| ran.admitted("keyed"),
                least: 400,
                words: "the same",
            },
        ],
        also: |ran| assert_eq!(ran.admitted("keyed"), ran.committed()),
        inconclusive: &["reordered: no two versions of an order were ever in flight together"],
        open: &["reordered"],
        ..USUAL
    };

    given_a_relay_with_another_runs_rows_when_judged_then_those_are_foreign: Case {
        number: "20",
        defect: "rows-of-another-run",
        what: "publishes another run's rows",
        finds: &[Find {
            anomaly: "foreign",
            count: |_| u64::from(zoo::relays::another_run::LEFT),
            least: 25,
            words: "25, the rows that were left",
        }],
        ..USUAL
    };
}
