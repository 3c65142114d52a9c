//! Services whose cache answers what is old, and one whose cache does nothing wrong.

use crate::case::{Case, Find, USUAL, cases};
use reports::record::Verdict;

/// An order service with a cache, and readers.
const CACHED: Case = Case {
    needs_cache: true,
    load: "rate = 300\nduration = \"2s\"\nread_share = 0.5",
    strategy: "kind = \"polling\"\ncache = \"write-through\"",
    more: "[expect.zoo]\nstale = 0\nstale_reads = 0\n\n[drain]\nwithin = \"2s\"",
    ..USUAL
};

cases! {
    given_a_service_that_forgets_to_invalidate_when_judged_then_each_such_order_is_stale: Case {
        number: "59",
        defect: "forgets-to-invalidate",
        what: "writes what it commits into the cache, but for the later versions of one order in twenty, which it reads past the cache",
        finds: &[Find {
            anomaly: "stale",
            count: |ran| ran.admitted("forgotten"),
            least: 5,
            words: "one an order that was forgotten and changed since",
        }],
        ..CACHED
    };

    given_a_service_that_answers_what_was_when_judged_then_each_such_read_is_stale_and_the_cache_is_not: Case {
        number: "60",
        defect: "answers-what-was",
        what: "answers every tenth read of an order that has rested for 250 ms with the version before the last; its cache is as it should be",
        // Those that changed last are read, so that few of them have rested.
        load: "rate = 100\nduration = \"3s\"\nread_share = 0.8",
        // Clients must have their answers within that time.
        alone: true,
        finds: &[Find {
            anomaly: "stale_reads",
            count: |ran| ran.admitted("lagged"),
            least: 10,
            words: "each read that it answered so",
        }],
        also: |ran| {
            let cache = ran.strategy().cache.as_ref().expect("it has a cache");
            let longest = cache.longest_staleness_ms;
            assert!(longest.is_some_and(|ms| ms > 200.0), "{longest:?}");
        },
        ..CACHED
    };

    given_a_cache_that_loses_entries_and_knows_more_than_clients_when_judged_then_nothing_is_stale: Case {
        defect: "evicts",
        what: "a cache that loses every second entry, and answers readers what clients have not been told yet",
        verdict: Verdict::Pass,
        also: |ran| {
            let cache = ran.strategy().cache.as_ref().expect("it has a cache");
            assert!(cache.reads.missed > 20, "{:?}", cache.reads);
            assert!(ran.admitted("evicted") > 100 && ran.admitted("kept-waiting") > 20);
            assert_eq!(cache.longest_staleness_ms, Some(0.0));
        },
        ..CACHED
    };
}
