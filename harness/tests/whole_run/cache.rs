//! A cache in a whole run: each way to keep it up to date, on servers of somebody's own, of which nothing is left; and what
//! is said where there is no Redis.

use super::installed::lacks;
use super::{on_schedule, only_run, record, run_beside, says_what_brings, theirs};
use harness::history::{self, ReadSource};
use harness::scenario::Server;
use relays::cache::read_all;
use relays::config::CacheTarget;
use reports::record::Verdict;
use std::sync::Mutex;

/// One strategy of each mode, and of each fill of those that a relay keeps up to date.
const MODES: &str = r#"
name = "cache-modes"
description = "Each way to keep a cache up to date, and nothing fails."
seed = 7

[workload]
rate = 100
read_share = 0.5
duration = "1500ms"
changes_per_order = 5

[drain]
settle = "200ms"

[strategy.after]
kind = "dual-write"
order = "commit-then-publish"
cache = "invalidate-after-commit"
cache_fill = "newer"

[strategy.before]
kind = "polling"
cache = "invalidate-before-commit"

[strategy.through]
kind = "logical-message"
cache = "write-through"
cache_fill = "newer"

[strategy.relay]
kind = "cdc"
cache = "invalidate-by-relay"
cache_fill = "newer"
cache_fill_hold = "1ms"

[expect.after]
lost = 0

[expect.before]
lost = 0

[expect.through]
lost = 0
"#;

#[test]
fn given_each_mode_of_a_cache_when_it_is_run_then_reads_are_answered_from_it_and_nothing_is_left() {
    if lacks(Server::Redis) {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let left = Mutex::new(Vec::new());
    let output = on_schedule(home.path(), |turn| {
        let output = run_beside(turn, home.path(), MODES);
        let redis = theirs(turn).stack.info().redis.clone().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let all = CacheTarget {
            address: redis.address,
            prefix: "oh.".into(),
        };
        *left.lock().unwrap() = runtime.block_on(read_all(&all)).unwrap();
        output
    });
    assert_eq!(*left.lock().unwrap(), []);
    let folder = only_run(home.path());
    let record = record(&folder);
    assert_eq!(record.verdict, Verdict::Pass, "{output:?}");
    for strategy in &record.strategies {
        let history = folder.join("history").join(&strategy.name);
        let history = history::load(&history).unwrap().history;
        let from_cache = history
            .reads
            .iter()
            .filter(|r| r.source == ReadSource::Cache);
        assert!(from_cache.count() > 10, "{}", strategy.name);
        assert!(history.cached.len() > 3, "{}", strategy.name);
        assert_eq!(history.meta.cache.unwrap().unread, None);
        // Nothing failed, so what is invalidated when the version is known is never old
        if strategy.name != "before" {
            assert_eq!(strategy.counts.stale, Some(0), "{}", strategy.name);
        }
        // A client is told of its change only when its entry is gone, or new
        if matches!(&*strategy.name, "after" | "through") {
            assert_eq!(strategy.counts.stale_reads, Some(0), "{}", strategy.name);
        }
    }
}

#[test]
fn given_no_redis_when_a_scenario_has_a_cache_then_the_stack_says_what_brings_it() {
    says_what_brings("redis", MODES);
}
