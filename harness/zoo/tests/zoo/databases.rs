//! Relays that walk into a trap of their own database's, and some that only look as if they did.

use crate::bench::Ran;
use crate::case::{Case, Find, USUAL, cases};
use relays::config::DatabaseKind;
use reports::record::Verdict;
use std::collections::HashSet;

/// Some of it is rolled back, and some is long undecided.
const LOAD: &str =
    "rate = 120\nduration = \"2s\"\nrollback_ratio = 0.2\nhold_ratio = 0.2\nhold = \"50ms\"";

const OF_MARIADB: Case = Case {
    load: LOAD,
    strategy: "kind = \"cdc\"",
    database: DatabaseKind::MariaDb,
    ..USUAL
};

/// The attempts of which the broken parts say this.
fn attempts<'r>(ran: &'r Ran, what: &str) -> HashSet<&'r str> {
    let lines = ran.confession.iter();
    let words = lines.filter_map(|line| line.split_once(' '));
    words
        .filter(|(said, _)| *said == what)
        .map(|(_, attempt)| attempt)
        .collect()
}

cases! {
    given_a_relay_of_mariadbs_log_that_publishes_at_the_rows_when_xa_transactions_are_rolled_back_then_they_are_phantoms: Case {
        number: "63",
        defect: "publishes-at-the-rows",
        what: "MariaDB: publishes rows where they are in the binlog, of an XA transaction when it is prepared and not yet decided",
        finds: &[Find {
            anomaly: "phantom",
            count: |ran| attempts(ran, "published").intersection(&attempts(ran, "undone")).count() as u64,
            least: 20,
            words: "every event of a transaction that was rolled back",
        }],
        ..OF_MARIADB
    };

    given_a_service_that_decides_later_when_our_relay_reads_mariadbs_log_then_nothing_is_found: Case {
        defect: "decides-later",
        what: "MariaDB: an order service whose XA transactions are prepared first, and committed or rolled back later",
        second_of: Some("honest"),
        verdict: Verdict::Pass,
        also: |ran| assert!(attempts(ran, "undone").len() >= 20, "{:?}", ran.confession.len()),
        ..OF_MARIADB
    };

    given_a_relay_that_keeps_its_place_in_a_file_when_it_reads_mariadbs_log_anew_then_nothing_is_found: Case {
        defect: "remembers-by-itself",
        what: "MariaDB: the same service, and a relay that keeps its place in the binlog in a file, begins to read anew every second, and leaves what is published in the outbox",
        second_of: Some("honest"),
        verdict: Verdict::Pass,
        also: |ran| assert!(attempts(ran, "read-from").len() >= 2, "{:?}", ran.confession),
        ..OF_MARIADB
    };
}
