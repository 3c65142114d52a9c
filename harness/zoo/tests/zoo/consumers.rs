//! What consumers make of systems that are broken: each count of theirs, to the number.

use super::services::{COMMIT_FIRST, PUBLISH_FIRST};
use crate::case::{Case, Find, USUAL, cases};

cases! {
    given_a_relay_that_publishes_everything_twice_when_consumed_without_idempotence_then_all_is_applied_twice: Case {
        number: "48",
        defect: "everything-twice",
        what: "publishes everything twice, and the consumer has no idempotence",
        more: "\
[consumer.shop]
effect = \"increment\"

[expect.zoo]
consumer-shop.applied_twice = 0

[drain]
within = \"2s\"",
        finds: &[
            Find {
                anomaly: "duplicated",
                count: |ran| ran.admitted("twice"),
                least: 400,
                words: "as many as committed",
            },
            Find {
                anomaly: "applied_twice",
                count: |ran| ran.admitted("twice"),
                least: 400,
                words: "the same",
            },
        ],
        also: |ran| assert_eq!(ran.admitted("twice"), ran.committed()),
        ..USUAL
    };

    given_a_service_that_publishes_what_a_rule_then_forbids_when_consumed_then_that_is_applied_unseen: Case {
        number: "49",
        defect: "publishes-early",
        what: "publishes attempts that are then rolled back, and the consumer has an inbox",
        load: "rate = 300\nduration = \"2s\"\nchanges_per_order = 1",
        strategy: PUBLISH_FIRST,
        more: "\
[consumer.shop]
effect = \"insert\"
idempotency = \"inbox\"

[expect.zoo]
phantom = 0",
        finds: &[
            Find {
                anomaly: "phantom",
                count: |ran| ran.admitted("phantom"),
                least: 5,
                words: "every change that a business rule forbade",
            },
            Find {
                anomaly: "applied_unseen",
                count: |ran| ran.admitted("phantom"),
                least: 5,
                words: "the same",
            },
        ],
        ..USUAL
    };

    given_a_version_that_was_rolled_back_and_used_again_when_it_is_the_consumers_key_then_the_right_event_is_unapplied: Case {
        number: "50",
        defect: "publishes-and-reuses",
        what: "publishes a change, rolls it back, and uses its version for the next one, and the consumer goes by order and version",
        load: "rate = 300\nduration = \"2s\"\nrollback_ratio = 0.3\nchanges_per_order = 10",
        strategy: COMMIT_FIRST,
        more: "\
[consumer.shop]
effect = \"insert\"
idempotency = \"key\"

[expect.zoo]
phantom = 0",
        finds: &[
            Find {
                anomaly: "phantom",
                count: |ran| ran.admitted("phantom"),
                least: 1,
                words: "1",
            },
            Find {
                anomaly: "applied_unseen",
                count: |ran| ran.admitted("phantom"),
                least: 1,
                words: "the same",
            },
            Find {
                anomaly: "unapplied",
                count: |ran| ran.admitted("used-again"),
                least: 1,
                words: "1, the other event of that version, whose key was taken",
            },
        ],
        also: |ran| assert_eq!((ran.admitted("phantom"), ran.admitted("used-again")), (1, 1)),
        ..USUAL
    };

    given_a_relay_that_swaps_neighbours_when_a_consumer_with_an_inbox_keeps_the_state_then_it_goes_back: Case {
        number: "51",
        defect: "swaps-neighbours",
        what: "swaps neighbours of one order, and the consumer keeps the order's state, with an inbox",
        strategy: "kind = \"polling\"\ninterval = \"200ms\"",
        more: "\
[consumer.shop]
effect = \"state\"
idempotency = \"inbox\"

[drain]
within = \"2s\"",
        finds: &[
            Find {
                anomaly: "reordered",
                count: |ran| ran.admitted("overtaken"),
                least: 100,
                words: "one a swap",
            },
            Find {
                anomaly: "applied_out_of_order",
                count: |ran| ran.admitted("overtaken"),
                least: 100,
                words: "the same, since none of them is a copy",
            },
        ],
        ..USUAL
    };

    given_a_relay_that_swaps_neighbours_when_a_consumer_goes_by_the_version_then_the_older_is_unapplied: Case {
        number: "52",
        defect: "swaps-neighbours",
        what: "swaps neighbours of one order, and the consumer keeps the order's state, and sets no version that is not higher",
        strategy: "kind = \"polling\"\ninterval = \"200ms\"",
        more: "\
[consumer.shop]
effect = \"state\"
idempotency = \"key\"

[drain]
within = \"2s\"",
        finds: &[
            Find {
                anomaly: "reordered",
                count: |ran| ran.admitted("overtaken"),
                least: 100,
                words: "one a swap",
            },
            Find {
                anomaly: "unapplied",
                count: |ran| ran.admitted("overtaken"),
                least: 100,
                words: "the same, since a higher version was there",
            },
        ],
        ..USUAL
    };
}
