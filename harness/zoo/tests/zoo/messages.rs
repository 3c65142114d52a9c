//! Relays of events that are in the log alone, in no table.

use crate::case::{Case, Find, USUAL, cases};
use reports::record::Verdict;

const MESSAGES: &str = "kind = \"logical-message\"";

cases! {
    given_a_relay_that_skips_messages_of_the_log_when_judged_then_those_are_lost: Case {
        number: "56",
        defect: "skips-every-100th",
        what: "skips every 100th event, which is a message in the log and in no table",
        strategy: MESSAGES,
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("skipped"),
            least: 4,
            words: "one of each hundred committed",
        }],
        also: |ran| assert_eq!(ran.admitted("skipped"), ran.committed() / 100),
        ..USUAL
    };

    given_a_relay_that_repeats_messages_of_the_log_when_judged_then_they_are_duplicates: Case {
        number: "57",
        defect: "everything-twice",
        what: "tries everything a second time, of events that are messages in the log",
        strategy: MESSAGES,
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
}
