//! Why a cache answered what was old.

use super::given::*;
use crate::checkers::fixture::*;
use crate::history::{ReadSource, Stage};
use crate::scenario::{FaultKind, Link, Metric, Target};

/// Order 3 is at version 3. Its invalidation failed, and the cache holds version 2, which a read had put there.
fn forgotten() -> crate::history::History {
    let mut history = cached(20);
    let (second, third) = (attempt(&history, 3, 2), attempt(&history, 3, 3));
    for made in [second, third] {
        service(&mut history, made, 200, Stage::Received, 0);
        service(&mut history, made, 500, Stage::Committed, 0);
        service(&mut history, made, 1_000, Stage::Answered, 200);
    }
    service(&mut history, second, 700, Stage::Invalidated, 0);
    service(&mut history, third, 900, Stage::InvalidationFailed, 0);
    history.cached.open()[3].version = 2;
    let mut reads = history.reads.open();
    for read in reads.iter_mut().filter(|r| r.order == 3) {
        match read.version {
            2 => read.source = ReadSource::Database,
            3 => read.version = 2,
            _ => {}
        }
    }
    drop(reads);
    let target = Target::Link(Link::ORDERS_REDIS);
    add_fault(&mut history, target, FaultKind::Down, 20 * MS, 40 * MS);
    history
}

#[test]
fn given_an_invalidation_that_failed_when_the_order_is_stale_then_the_sentence_says_who_and_when() {
    assert_eq!(
        sentence(&forgotten(), Metric::Stale),
        "version 3 was committed at 0.029 s; its invalidation by the order service failed at 0.029 s while \
         down orders->redis was in force (0.020 s to 0.040 s); a read sent at 0.027 s had found version 2 in \
         the database, and was answered, the cache filled, at 0.028 s; meanwhile down orders->redis was in \
         force (0.020 s to 0.040 s): at the end the cache holds version 2: stale"
    );
}

#[test]
fn given_a_stale_read_then_the_sentence_says_what_had_been_known_and_what_was_answered() {
    assert_eq!(
        sentence(&forgotten(), Metric::StaleReads),
        "version 3 was committed at 0.029 s, and a client knew of it, or of a later one, at 0.029 s; its \
         invalidation by the order service failed at 0.029 s while down orders->redis was in force (0.020 s \
         to 0.040 s); a read sent at 0.027 s had found version 2 in the database, and was answered, the cache \
         filled, at 0.028 s; the read sent at 0.029 s was answered version 2 from the cache at 0.030 s; \
         meanwhile down orders->redis was in force (0.020 s to 0.040 s): a stale read"
    );
}

#[test]
fn given_something_stale_then_its_timeline_has_its_reads_and_what_the_cache_held() {
    for metric in [Metric::Stale, Metric::StaleReads] {
        let steps = explained(&forgotten(), metric).timeline;
        let said: Vec<String> = steps
            .iter()
            .map(|s| format!("{}: {}", s.who, s.what))
            .collect();
        let has = |what: &str| said.iter().any(|step| step.contains(what));
        assert!(
            has("order service: its invalidation in the cache failed"),
            "{said:#?}"
        );
        assert!(has("answered version 2 from the database"), "{said:#?}");
        assert!(has("answered version 2 from the cache"), "{said:#?}");
        assert!(has("cache: final read: it holds version 2"), "{said:#?}");
        assert!(has("fault: down orders->redis begins"), "{said:#?}");
    }
}

#[test]
fn given_a_trace_without_an_invalidation_when_an_order_is_stale_then_the_sentence_says_so() {
    let mut history = forgotten();
    let third = attempt(&history, 3, 3);
    history
        .trace
        .open()
        .retain(|row| row.attempt != third || row.stage != Stage::InvalidationFailed);
    let said = sentence(&history, Metric::Stale);
    assert!(
        said.contains("nobody wrote of an invalidation for it"),
        "{said}"
    );
    // Without a trace nobody wrote of anything.
    history.trace.open().clear();
    let said = sentence(&history, Metric::Stale);
    assert!(!said.contains("invalidation"), "{said}");
}
