//! `cache` of a strategy, `read_share` of the load, and faults on the cache.

use super::*;
use crate::scenario::{Link, Topology};
use contract::cache::{CacheFill, CacheMode};

const READS: &str = "read_share = 0.5\n";

fn cached(lines: &str) -> String {
    format!("{CDC}{lines}\n")
}

/// With reads and a cdc strategy that has these lines.
fn with_cache(lines: &str) -> String {
    file(&[HEAD, LOAD, READS, &cached(lines)])
}

fn with_cache_and_fault(lines: &str, target: &str) -> String {
    let kind = match target {
        "redis-server" => "kill",
        _ => "down",
    };
    let fault = fault(&format!("target = \"{target}\"\nkind = \"{kind}\""));
    file(&[HEAD, LOAD, READS, &fault, NAIVE, &cached(lines)])
}

#[test]
fn given_a_cache_then_its_keys_are_read_and_what_is_left_out_has_its_default() {
    let whole = "cache = \"write-through\"\ncache_fill = \"newer\"\ncache_fill_hold = \"50ms\"";
    let scenario = parse("s.toml", &with_cache(whole)).unwrap();
    let cache = scenario.strategies[0].cache.unwrap();
    assert_eq!(cache.mode, CacheMode::WriteThrough);
    assert_eq!(cache.fill, CacheFill::Newer);
    assert_eq!(cache.fill_hold, Duration::from_millis(50));
    assert_eq!(scenario.workload.read_share, 0.5);
    // Half of all are reads: as many as there are changes.
    assert_eq!(scenario.workload.reads_a_second(), scenario.workload.rate);
    assert_eq!(
        scenario.workload.planned_reads(),
        scenario.workload.planned()
    );

    let least = with_cache("cache = \"invalidate-by-relay\"");
    let scenario = parse("s.toml", &least).unwrap();
    let cache = scenario.strategies[0].cache.unwrap();
    assert_eq!(cache.fill, CacheFill::Any);
    assert_eq!(cache.fill_hold, Duration::ZERO);
    assert!(!cache.converges());

    let none = parse("s.toml", &file(&[HEAD, LOAD, CDC])).unwrap();
    assert_eq!(none.strategies[0].cache, None);
    assert_eq!(none.workload.reads_a_second(), 0.0);
}

#[test]
fn given_a_strategy_with_a_cache_then_its_links_and_its_server_are_part_of_it() {
    let topology = |lines: &str| -> Topology {
        parse("s.toml", &with_cache(lines)).unwrap().strategies[0].topology()
    };
    let by_relay = topology("cache = \"invalidate-by-relay\"");
    let by_service = topology("cache = \"invalidate-after-commit\"");
    for topology in [by_relay, by_service] {
        assert!(topology.uses(Link::ORDERS_REDIS) && topology.has(Victim::REDIS));
    }
    assert!(by_relay.uses(Link::RELAY_REDIS) && !by_service.uses(Link::RELAY_REDIS));
    let none = StrategyKind::Cdc {}.topology();
    assert!(!none.uses(Link::ORDERS_REDIS) && !none.has(Victim::REDIS));
}

#[test]
fn given_faults_on_the_cache_then_they_are_taken_where_a_strategy_feels_them() {
    for target in ["redis", "redis-server", "orders->redis", "relay->redis"] {
        let text = with_cache_and_fault("cache = \"invalidate-by-relay\"", target);
        let scenario = parse("s.toml", &text).unwrap();
        let fault = &scenario.faults[0];
        assert_eq!(fault.target.name(), target);
        let of = |n: usize| fault.concerns(scenario.strategies[n].topology());
        assert_eq!((of(0), of(1)), (false, true), "{target}");
    }
    let text = with_cache_and_fault("cache = \"invalidate-after-commit\"", "relay->redis");
    refused(
        &text,
        "\"relay->redis\"",
        &["only where it invalidates it", "invalidate-by-relay"],
    );
    let none = "target = \"redis\"";
    refused(
        &with_fault(none),
        "\"redis\"",
        &["no strategy of this file has a cache", "cache = "],
    );
}

#[test]
fn given_keys_of_a_cache_that_do_not_fit_then_each_is_refused_with_what_to_do() {
    let naive = format!("{NAIVE}cache = \"invalidate-by-relay\"\n");
    refused(
        &file(&[HEAD, LOAD, READS, &naive]),
        "\"invalidate-by-relay\"",
        &["no relay that could invalidate", "polling"],
    );
    for line in ["cache_fill = \"newer\"", "cache_fill_hold = \"1ms\""] {
        let key = line.split(' ').next().unwrap();
        refused(
            &with_cache(line),
            key,
            &["there is no cache to fill", "add `cache = "],
        );
    }
    for kind in [DEBEZIUM, EVENTS] {
        refused(
            &file(&[HEAD, LOAD, READS, kind, "cache = \"write-through\"\n"]),
            "cache",
            &[
                "belongs to dual-write and polling and cdc and logical-message",
                "only these kinds",
            ],
        );
    }
    let slow = "cache = \"write-through\"\ncache_fill_hold = \"2s\"";
    refused(
        &with_cache(slow),
        "\"write-through\"",
        &["`cache_fill_hold` (2s)", "`request_timeout` (2s)"],
    );
    // A load under which ever more fills would wait at once than a service has room for
    let many = with_cache("cache = \"write-through\"\ncache_fill_hold = \"1900ms\"")
        .replace("read_share = 0.5", "read_share = 0.95");
    refused(
        &many,
        "\"write-through\"",
        &[
            "that each wait 1900ms",
            "no more than 4096",
            "lower `rate` or `read_share`",
        ],
    );
}

#[test]
fn given_reads_without_a_cache_or_a_cache_without_reads_then_the_file_is_refused() {
    refused(
        &file(&[HEAD, LOAD, READS, CDC]),
        "0.5",
        &[
            "no strategy of this file has a cache",
            "leave `read_share` out",
        ],
    );
    let cache = cached("cache = \"write-through\"");
    refused(
        &file(&[HEAD, LOAD, &cache]),
        "\"write-through\"",
        &["nobody reads", "read_share = 0.5"],
    );
    let none = file(&[HEAD, LOAD, "read_share = 0\n", &cache]);
    refused(&none, "\"write-through\"", &["nobody reads"]);
    let closed = file(&[
        HEAD,
        LOAD,
        "load = \"closed\"\nclients = 8\n",
        READS,
        &cache,
    ]);
    refused(
        &closed,
        "read_share",
        &["this load is closed", "a schedule of their own"],
    );
    let many = "rate = 100000\nread_share = 0.95\n";
    let day = LOAD.replace("6s", "100s");
    refused(
        &file(&[HEAD, &day, many, &cache]),
        "0.95",
        &["reads", "at most 50000000"],
    );
    refused(
        &file(&[HEAD, LOAD, "read_share = 1\n", &cache]),
        "1",
        &["out of bounds"],
    );
}
