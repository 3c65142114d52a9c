//! Relays that lose events when they are started, or started again.

use crate::case::{Case, Find, USUAL, cases};
use crate::lost::{KILLED, LOAD_AROUND_A_KILL};

cases! {
    given_a_relay_that_acknowledges_after_the_first_row_when_killed_then_the_others_are_lost: Case {
        number: "28",
        defect: "acknowledges-after-the-first-row",
        what: "several outbox rows in one transaction, acknowledged after the first; killed",
        load: LOAD_AROUND_A_KILL,
        strategy: "kind = \"cdc\"",
        more: KILLED,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("held-back"),
            least: 2,
            words: "the other rows of that transaction",
        }],
        ..USUAL
    };

    given_a_relay_that_stores_its_offset_first_when_killed_then_its_batch_is_lost: Case {
        number: "36",
        defect: "stores-its-offset-first",
        what: "an own offset, stored before the delivery; killed between",
        load: LOAD_AROUND_A_KILL,
        more: KILLED,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("unpublished"),
            least: 10,
            words: "the 10 that were before the offset when it died, and what was committed there late",
        }],
        also: |ran| assert_eq!(ran.admitted("done-with"), 10),
        ..USUAL
    };

    given_a_relay_that_makes_its_slot_after_the_snapshot_when_judged_then_the_gap_is_lost: Case {
        number: "37",
        defect: "snapshot-then-slot",
        what: "a snapshot, then the stream of a slot that is made after it",
        strategy: "kind = \"cdc\"",
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("missed"),
            least: 20,
            words: "what was committed between the two",
        }],
        ..USUAL
    };

    given_a_relay_that_makes_its_slot_anew_when_started_again_then_what_it_held_is_lost: Case {
        number: "38",
        defect: "new-slot-at-a-restart",
        what: "hangs and is killed; at its restart the slot is dropped and made again",
        load: LOAD_AROUND_A_KILL,
        strategy: "kind = \"cdc\"",
        more: KILLED,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("missed"),
            least: 100,
            words: "what the old slot held, and what came before the new one",
        }],
        ..USUAL
    };

    given_a_relay_that_deletes_then_publishes_when_killed_between_then_its_batch_is_lost: Case {
        number: "39",
        defect: "deletes-then-publishes",
        what: "deletes, commits that, then publishes; killed between",
        second_of: Some("marks-then-publishes"),
        load: LOAD_AROUND_A_KILL,
        more: KILLED,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("done-with"),
            least: 10,
            words: "10, the batch that was deleted when it died",
        }],
        also: |ran| assert_eq!(ran.admitted("done-with"), 10),
        ..USUAL
    };
}
