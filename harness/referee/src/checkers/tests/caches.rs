//! What a cache answers: small histories whose answer is plain, and a slow model that asks every read about every
//! answer that a client had.

use crate::checkers::fixture::*;
use crate::checkers::{Judgement, Verdict};
use crate::history::{
    CacheEnd, CachedRow, History, Intent, Outcome, Pending, PendingState, ReadOutcome, ReadRow,
    ReadSource, Rows,
};
use crate::scenario::{
    Comparison, Expectation, FaultKind, Link, Metric, StrategyKind, Target, Unit,
};
use crate::view::Join;
use contract::cache::CacheMode;
use proptest::prelude::*;
use proptest::sample::select;

/// What is done to a history, and what is said of it then.
type Spoil = (fn(&mut History), &'static str);

/// What was found of the cache: stale orders, stale reads, and the longest staleness in milliseconds.
fn found(judgement: &Judgement) -> (u64, u64, Option<f64>) {
    (
        count(judgement, Metric::Stale),
        count(judgement, Metric::StaleReads),
        judgement.longest_staleness_ms,
    )
}

/// The read that saw this version of an order.
fn read_number(history: &History, order: u32, version: u32) -> usize {
    let saw = |r: ReadRow| (r.order, r.version) == (order, version);
    history.reads.iter().position(saw).unwrap()
}

/// Has the read of an order's version answered another one.
fn answer(history: &mut History, order: u32, version: u32, instead: u32) {
    let number = read_number(history, order, version);
    history.reads.open()[number].version = instead;
}

fn hold(history: &mut History, order: u32, version: u32) {
    history.cached.open()[order as usize].version = version;
}

/// Expects these of the cache beside everything else.
fn expecting_too(history: &mut History, more: &[(Metric, Comparison, f64)]) {
    let of_it = &mut history.meta.scenario.strategies[0].expectations;
    let more = more
        .iter()
        .map(|(metric, comparison, value)| expect(*metric, *comparison, *value));
    of_it.extend(more);
}

fn none_stale() -> [(Metric, Comparison, f64); 3] {
    [
        (Metric::Stale, Comparison::Equal, 0.0),
        (Metric::StaleReads, Comparison::Equal, 0.0),
        (Metric::LongestStaleness, Comparison::AtMost, 5.0),
    ]
}

fn met(judgement: &Judgement, metric: Metric) -> Option<bool> {
    let mut all = judgement.expectations.iter();
    all.find(|c| c.expectation.metric == metric).unwrap().met
}

#[test]
fn given_a_cache_that_answers_what_is_committed_when_judged_then_nothing_is_stale() {
    let mut history = cached(40);
    expecting_too(&mut history, &none_stale());
    let judgement = judged(&history);
    assert_eq!(found(&judgement), (0, 0, Some(0.0)));
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    assert_eq!(judgement.counts.stale, Some(0));
    assert_eq!(judgement.counts.stale_reads, Some(0));
}

#[test]
fn given_an_entry_that_is_not_the_committed_version_when_judged_then_its_order_is_stale() {
    let mut history = cached(40);
    expecting_too(&mut history, &none_stale());
    hold(&mut history, 3, 2);
    // Newer than anything committed, unreadable, and of an order that nobody changed
    hold(&mut history, 5, 4);
    hold(&mut history, 6, 0);
    history.cached.push(CachedRow {
        order: 99,
        version: 1,
    });
    let judgement = judged(&history);
    assert_eq!(found(&judgement), (4, 0, Some(0.0)));
    assert_eq!(judgement.verdict, Verdict::Fail);
    let stale = judgement
        .findings
        .iter()
        .find(|f| f.metric == Metric::Stale);
    let first = &stale.unwrap().examples[0];
    assert_eq!((first.order, first.version, first.against), (3, 3, 2));
    assert!(
        first
            .what
            .contains("at the end the cache holds version 2, and version 3 is the committed one"),
        "{}",
        first.what
    );
}

#[test]
fn given_a_cache_that_lost_everything_when_judged_then_what_it_misses_is_not_stale() {
    let mut history = cached(40);
    expecting_too(&mut history, &none_stale());
    history.cached = Rows::new();
    let judgement = judged(&history);
    assert_eq!(found(&judgement), (0, 0, Some(0.0)));
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
}

#[test]
fn given_reads_that_saw_less_than_had_been_acknowledged_when_judged_then_each_is_a_stale_read() {
    let mut history = cached(40);
    answer(&mut history, 3, 3, 1);
    answer(&mut history, 4, 2, 1);
    let missing = read_number(&history, 5, 1);
    let failed = read_number(&history, 6, 1);
    {
        let mut reads = history.reads.open();
        (reads[missing].outcome, reads[missing].version) = (ReadOutcome::NotFound, 0);
        (reads[failed].outcome, reads[failed].version) = (ReadOutcome::Failed, 0);
    }
    let judgement = judged(&history);
    // Version 2 had been acknowledged 2 ms before version 3: the read of that saw neither.
    assert_eq!(found(&judgement), (0, 3, Some(2.51)));
    let finding = judgement
        .findings
        .iter()
        .find(|f| f.metric == Metric::StaleReads);
    let first = &finding.unwrap().examples[0];
    assert_eq!((first.order, first.version, first.against), (3, 3, 1));
    assert_eq!(first.read.map(|n| n as usize), Some(11));
    assert!(
        first.what.contains("was answered version 1 from the cache"),
        "{}",
        first.what
    );
}

#[test]
fn given_a_read_that_was_sent_before_the_acknowledgement_when_it_sees_the_older_version_then_it_may()
 {
    let mut history = cached(40);
    answer(&mut history, 3, 3, 2);
    let number = history
        .reads
        .iter()
        .position(|r| (r.order, r.version) == (3, 2))
        .unwrap()
        + 1;
    let told_ns = history
        .requests
        .at(attempt(&history, 3, 3) as usize)
        .ended_ns;
    history.reads.open()[number].sent_ns = told_ns;
    assert_eq!(found(&judged(&history)).1, 0);
    history.reads.open()[number].sent_ns = told_ns + 1;
    assert_eq!(found(&judged(&history)).1, 1);
    // What nobody was told of need not be seen.
    let made = attempt(&history, 3, 3);
    tell_nothing(&mut history, made);
    assert_eq!(found(&judged(&history)).1, 0);
}

#[test]
fn given_a_read_that_saw_what_was_committed_and_not_yet_acknowledged_when_judged_then_it_is_fresh()
{
    let mut history = cached(40);
    expecting_too(&mut history, &none_stale());
    answer(&mut history, 3, 1, 2);
    let judgement = judged(&history);
    assert_eq!(found(&judgement), (0, 0, Some(0.0)));
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
}

#[test]
fn given_a_cache_that_was_not_read_when_judged_then_stale_is_unknown_and_stale_reads_are_not() {
    for unread in [None, Some("the connection was refused".to_owned())] {
        let mut history = cached(40);
        expecting_too(&mut history, &none_stale());
        history.cached = Rows::new();
        history.meta.cache = unread.clone().map(|why| CacheEnd {
            unread: Some(why),
            ..CacheEnd::default()
        });
        let judgement = judged(&history);
        assert_eq!(judgement.verdict, Verdict::Unknown);
        assert_eq!(met(&judgement, Metric::Stale), None);
        assert_eq!(met(&judgement, Metric::StaleReads), Some(true));
        assert_eq!(judgement.counts.stale, None);
        assert_eq!(judgement.counts.stale_reads, Some(0));
        let said = judgement.reasons.join(" ");
        let why = unread.unwrap_or_else(|| "was not read after the fence".to_owned());
        assert!(said.contains(&why), "{said}");
    }
    // What was found before it failed stands.
    let mut history = cached(40);
    expecting_too(&mut history, &none_stale());
    hold(&mut history, 3, 2);
    let gone = "the connection was lost".to_owned();
    history.meta.cache = Some(CacheEnd {
        unread: Some(gone),
        ..CacheEnd::default()
    });
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(judgement.counts.stale, Some(1));
    assert_eq!(met(&judgement, Metric::Stale), Some(false));
}

#[test]
fn given_a_cache_that_let_entries_go_by_itself_when_judged_then_what_readers_were_answered_blames_nobody()
 {
    let mut history = cached(40);
    expecting_too(&mut history, &none_stale());
    answer(&mut history, 3, 3, 2);
    assert_eq!(judged(&history).verdict, Verdict::Fail);
    history.cached = Rows::new();
    history.meta.cache = Some(CacheEnd {
        unread: Some("Redis refused 12 commands".to_owned()),
        has_overflowed: true,
    });
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    for (metric, ..) in none_stale() {
        assert_eq!(met(&judgement, metric), None, "{metric:?}");
    }
    assert_eq!(judgement.counts.stale_reads, None);
}

/// A relay that may mark nothing publishes again what it has published, and nothing behind it.
#[test]
fn given_a_cache_that_refused_a_relay_when_judged_then_what_that_did_not_publish_blames_nobody() {
    let refusing = |mode: CacheMode| {
        let mut history = cached(40);
        if let Some(cache) = &mut history.meta.scenario.strategies[0].cache {
            cache.mode = mode;
        }
        let attempt = attempt(&history, 3, 3);
        unpublish(&mut history, attempt);
        finish(&mut history);
        history.pending.push(Pending {
            attempt,
            state: PendingState::OutboxRow,
            lsn: 0,
        });
        history
    };
    let mut history = refusing(CacheMode::InvalidateByRelay);
    assert_eq!(judged(&history).verdict, Verdict::Fail);
    let refused = CacheEnd {
        unread: Some("Redis refused 12 commands".to_owned()),
        has_overflowed: true,
    };
    history.meta.cache = Some(refused.clone());
    let judgement = judged(&history);
    assert_eq!(
        judgement.verdict,
        Verdict::Unknown,
        "{:?}",
        judgement.reasons
    );
    let said = judgement.reasons.join(" ");
    assert!(said.contains("refused what the relay marks"), "{said}");
    // What it is, it is
    assert_eq!(judgement.counts.undrained, Some(1));
    // A service that may invalidate nothing holds up no relay
    let mut history = refusing(CacheMode::InvalidateAfterCommit);
    history.meta.cache = Some(refused);
    assert_eq!(judged(&history).verdict, Verdict::Fail);
}

#[test]
fn given_a_fence_that_did_not_wait_when_judged_then_a_stale_entry_blames_nobody() {
    let mut history = cached(40);
    expecting_too(&mut history, &[(Metric::Stale, Comparison::Equal, 0.0)]);
    hold(&mut history, 3, 2);
    history.fences[4].ok = false;
    let judgement = judged(&history);
    assert_eq!(
        judgement.verdict,
        Verdict::Unknown,
        "{:?}",
        judgement.reasons
    );
    assert_eq!(met(&judgement, Metric::Stale), None);
}

#[test]
fn given_no_read_that_the_cache_answered_when_judged_then_a_zero_proves_nothing() {
    let mut history = cached(40);
    expecting_too(&mut history, &none_stale());
    for read in history.reads.open().iter_mut() {
        read.source = ReadSource::Fallback;
    }
    let judgement = judged(&history);
    assert_eq!(judgement.verdict, Verdict::Unknown);
    for (metric, ..) in none_stale() {
        assert_eq!(met(&judgement, metric), None, "{metric:?}");
    }
    assert!(
        judgement
            .reasons
            .join(" ")
            .contains("of 120 reads none was answered from the cache"),
        "{:?}",
        judgement.reasons
    );
    // And what was stale is so, wherever it came from.
    answer(&mut history, 3, 3, 2);
    assert_eq!(judged(&history).verdict, Verdict::Fail);
}

#[test]
fn given_readers_that_were_late_held_back_or_stopped_when_judged_then_the_run_is_unknown() {
    let spoils: [Spoil; 3] = [
        (
            |history| {
                for read in history.reads.open().iter_mut().take(10) {
                    read.lag_ns = 200 * MS;
                }
            },
            "reads were sent 200 ms late at p99",
        ),
        (
            |history| {
                for read in history.reads.open().iter_mut().take(10) {
                    read.held_back = true;
                }
            },
            "10 of 120 reads were held back",
        ),
        (
            |history| history.reads.open().truncate(50),
            "the readers came to 50 of 107 planned reads",
        ),
    ];
    for (spoil, said) in spoils {
        let mut history = cached(40);
        expecting_too(&mut history, &none_stale());
        spoil(&mut history);
        let judgement = judged(&history);
        assert_eq!(judgement.verdict, Verdict::Unknown, "{said}");
        assert_eq!(met(&judgement, Metric::StaleReads), None, "{said}");
        let reasons = judgement.reasons.join(" ");
        assert!(reasons.contains(said), "{reasons}");
        // A stale read is one all the same.
        answer(&mut history, 3, 3, 2);
        assert_eq!(judged(&history).verdict, Verdict::Fail, "{said}");
    }
}

#[test]
fn given_a_strategy_without_a_cache_when_judged_then_nothing_is_said_of_one() {
    let judgement = judged(&clean(40, StrategyKind::Cdc {}));
    assert_eq!(judgement.counts.stale, None);
    assert_eq!(judgement.counts.stale_reads, None);
    assert_eq!(judgement.longest_staleness_ms, None);
    assert!(!judgement.findings.iter().any(|f| f.metric.is_of_cache()));
    assert!(judgement.unread.is_empty(), "{:?}", judgement.unread);
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
}

/// Each of what a cache can be expected to do wrong, with a bound from below that is easily reached.
fn lessons() -> [(Metric, Comparison, f64); 3] {
    [
        (Metric::Stale, Comparison::AtLeast, 1.0),
        (Metric::StaleReads, Comparison::AtLeast, 1.0),
        (Metric::LongestStaleness, Comparison::AtLeast, 1.0),
    ]
}

/// Order 20 is stale at the end, and a read of it had been, of a change sent 164 ms after the begin.
fn stale_once() -> History {
    let mut history = cached(40);
    expecting_too(&mut history, &lessons());
    hold(&mut history, 20, 2);
    answer(&mut history, 20, 3, 1);
    history
}

#[test]
fn given_a_file_without_faults_when_a_cache_goes_stale_by_itself_then_that_meets_a_lesson() {
    let judgement = judged(&stale_once());
    for (metric, ..) in lessons() {
        assert_eq!(met(&judgement, metric), Some(true), "{metric:?}");
    }
    let mut history = cached(40);
    expecting_too(&mut history, &lessons());
    let judgement = judged(&history);
    for (metric, ..) in lessons() {
        assert_eq!(met(&judgement, metric), Some(false), "{metric:?}");
    }
}

#[test]
fn given_a_fault_on_the_cache_when_it_overlaps_what_went_stale_then_that_is_its_effect_and_else_not()
 {
    let during = |from: i64, until: i64| {
        let mut history = stale_once();
        let target = Target::Link(Link::RELAY_REDIS);
        add_fault(&mut history, target, FaultKind::Down, from * MS, until * MS);
        judged(&history)
    };
    let judgement = during(150, 170);
    for (metric, ..) in lessons() {
        assert_eq!(
            met(&judgement, metric),
            Some(true),
            "{metric:?}: {:?}",
            judgement.reasons
        );
    }
    let judgement = during(250, 300);
    for (metric, ..) in lessons() {
        assert_eq!(met(&judgement, metric), Some(false), "{metric:?}");
    }
    // One more before it: the strategy was not clean.
    let mut history = stale_once();
    hold(&mut history, 1, 2);
    answer(&mut history, 1, 3, 1);
    let target = Target::Link(Link::RELAY_REDIS);
    add_fault(&mut history, target, FaultKind::Down, 150 * MS, 170 * MS);
    let judgement = judged(&history);
    for (metric, ..) in lessons() {
        assert_eq!(met(&judgement, metric), None, "{metric:?}");
    }
}

#[test]
fn given_the_longest_staleness_then_it_is_a_time_in_milliseconds() {
    assert_eq!(Metric::LongestStaleness.unit(), Unit::Milliseconds);
    let mut history = stale_once();
    history.meta.scenario.strategies[0].expectations =
        vec![expect(Metric::LongestStaleness, Comparison::AtMost, 2.0)];
    let judgement = judged(&history);
    let checked = &judgement.expectations[0];
    assert_eq!((checked.met, checked.observed), (Some(false), Some(2.51)));
    assert_eq!(checked.reason, "expected AtMost 2, saw 2.510 ms");
}

/// Word for word: since when a client had been told of a version above the one that a read was answered, if that was
/// before the read was sent.
fn stale_since(history: &History, join: &Join<'_>, read: ReadRow) -> Option<i64> {
    let saw = match read.outcome {
        ReadOutcome::Answered => read.version,
        ReadOutcome::NotFound => 0,
        ReadOutcome::NotSent | ReadOutcome::Failed => return None,
    };
    let told = |slot: usize| {
        let row = join.truth.at(slot);
        let change = history.requests.get(row.attempt as usize)?.change;
        let all = history.requests.iter();
        all.filter(|r| r.outcome == Outcome::Committed && r.change == change)
            .filter(|r| (r.order, r.told_version) == (row.order, row.version))
            .map(|r| r.ended_ns)
            .min()
    };
    let above = |slot: &usize| {
        let row = join.truth.at(*slot);
        row.order == read.order && row.version > saw
    };
    let slots = (0..join.truth.len()).filter(above);
    slots.filter_map(told).min().filter(|ns| *ns < read.sent_ns)
}

/// What the slow model finds.
fn model(history: &History) -> (u64, u64, Option<f64>) {
    let join = Join::new(history);
    let is_stale = |row: &CachedRow| {
        let versions = history.truth.iter().filter(|t| t.order == row.order);
        versions.map(|t| t.version).max() != Some(row.version)
    };
    let stale = history.cached.iter().filter(is_stale).count() as u64;
    let since: Vec<(ReadRow, i64)> = history
        .reads
        .iter()
        .filter_map(|read| Some((read, stale_since(history, &join, read)?)))
        .collect();
    let longest = since.iter().map(|(read, ns)| read.ended_ns - ns).max();
    let answered = [ReadOutcome::Answered, ReadOutcome::NotFound];
    let any = history.reads.iter().any(|r| answered.contains(&r.outcome));
    let longest = any.then(|| longest.unwrap_or(0) as f64 / 1e6);
    (stale, since.len() as u64, longest)
}

fn any_read() -> impl Strategy<Value = ReadRow> {
    let outcomes = vec![
        ReadOutcome::Answered,
        ReadOutcome::Answered,
        ReadOutcome::Answered,
        ReadOutcome::NotFound,
        ReadOutcome::Failed,
        ReadOutcome::NotSent,
    ];
    let times = (0..40i64, 0..20i64);
    (0..7u32, 0..5u32, times, select(outcomes)).prop_map(|(order, version, (at, took), outcome)| {
        let sent_ns = FROM + at * MS;
        ReadRow {
            outcome,
            ended_ns: sent_ns + took * MS,
            ..read_of(order, version, sent_ns)
        }
    })
}

prop_compose! {
    /// Some orders of three versions, of which some clients were told nothing, or only at a repetition, and any reads
    /// and entries at all.
    fn any_cache()(
        orders in 0..5u32,
        silent in prop::collection::vec((0..5u32, 1..4u32, prop::option::of(1..20i64)), 0..6),
        reads in prop::collection::vec(any_read(), 0..30),
        entries in prop::collection::btree_map(0..7u32, 0..5u32, 0..7),
    ) -> History {
        let mut history = cached(orders);
        for (order, version, again) in silent {
            let made = history.truth.iter().find(|t| (t.order, t.version) == (order, version));
            let Some(made) = made else { continue };
            let change = history.requests.at(made.attempt as usize).change;
            tell_nothing(&mut history, made.attempt);
            if let Some(after_ms) = again {
                let attempt = offer(&mut history, order, Intent::Commit, Outcome::Committed);
                let request = &mut history.requests.open()[attempt as usize];
                (request.change, request.told_version) = (change, version);
                request.ended_ns = FROM + after_ms * MS;
            }
        }
        history.reads = reads.into_iter().collect();
        history.cached = entries
            .into_iter()
            .map(|(order, version)| CachedRow { order, version })
            .collect();
        finish(&mut history);
        history
    }
}

proptest! {
    #![proptest_config(cases(256))]
    #[test]
    fn any_reads_and_entries_are_judged_as_the_slow_model_does(history in any_cache()) {
        prop_assert_eq!(found(&judged(&history)), model(&history));
    }
}

#[test]
fn given_the_promise_of_a_cache_then_it_is_held_to_without_being_asked() {
    let text = |fill: &str, mode: &str| {
        format!(
            "name = \"x\"\n[workload]\nduration = \"6s\"\nread_share = 0.5\n[strategy.a]\nkind = \"cdc\"\n\
             cache = \"{mode}\"\ncache_fill = \"{fill}\"\n"
        )
    };
    let held = |text: &str| {
        let scenario = crate::scenario::parse("s.toml", text).unwrap();
        let all: Vec<Expectation> = scenario.strategies[0].expectations.clone();
        all.iter().any(|e| e.metric == Metric::Stale && e.implicit)
    };
    assert!(held(&text("newer", "invalidate-by-relay")));
    assert!(!held(&text("any", "invalidate-by-relay")));
    assert!(!held(&text("newer", "write-through")));
    let over = text("newer", "invalidate-by-relay") + "[expect.a]\nstale = \"<= 5\"\n";
    assert!(!held(&over));
}

#[test]
fn given_a_stale_order_whose_newest_change_the_source_still_holds_when_judged_then_it_is_open_where_a_relay_invalidates()
 {
    let held = |mode: CacheMode| {
        let mut history = cached(40);
        expecting_too(&mut history, &[(Metric::Stale, Comparison::Equal, 0.0)]);
        if let Some(cache) = &mut history.meta.scenario.strategies[0].cache {
            cache.mode = mode;
        }
        hold(&mut history, 3, 2);
        let attempt = attempt(&history, 3, 3);
        history.pending.push(Pending {
            attempt,
            state: PendingState::OutboxRow,
            lsn: 0,
        });
        history
    };
    let judgement = judged(&held(CacheMode::InvalidateByRelay));
    assert_eq!(judgement.counts.stale, Some(0));
    assert_eq!(met(&judgement, Metric::Stale), None);
    let said = judgement.reasons.join(" ");
    assert!(said.contains("an old version of 1 orders"), "{said}");
    // What is awaited may still make an exact count true that is above it.
    let mut history = held(CacheMode::InvalidateByRelay);
    expecting_too(&mut history, &[(Metric::Stale, Comparison::Equal, 1.0)]);
    let exact = judged(&history);
    let exact = exact
        .expectations
        .iter()
        .rfind(|e| e.expectation.metric == Metric::Stale);
    assert_eq!(exact.map(|e| e.met), Some(None));
    // Another one is stale all the same.
    let mut history = held(CacheMode::InvalidateByRelay);
    hold(&mut history, 4, 2);
    assert_eq!(met(&judged(&history), Metric::Stale), Some(false));
    // Where the service invalidates, what the outbox holds changes nothing.
    let judgement = judged(&held(CacheMode::InvalidateAfterCommit));
    assert_eq!(judgement.counts.stale, Some(1));
    assert_eq!(met(&judgement, Metric::Stale), Some(false));
}

#[test]
fn given_hits_only_before_the_last_heal_when_judged_then_a_zero_proves_nothing() {
    let mut history = cached(40);
    expecting_too(&mut history, &none_stale());
    let target = Target::Link(Link::RELAY_REDIS);
    add_fault(&mut history, target, FaultKind::Down, 150 * MS, 170 * MS);
    assert_eq!(met(&judged(&history), Metric::Stale), Some(true));
    let healed_ns = crate::measure::last_heal_ns(&history).unwrap();
    for read in history.reads.open().iter_mut() {
        if read.sent_ns > healed_ns {
            read.source = ReadSource::Database;
        }
    }
    let judgement = judged(&history);
    for (metric, ..) in none_stale() {
        assert_eq!(met(&judgement, metric), None, "{metric:?}");
    }
    let said = judgement.reasons.join(" ");
    assert!(
        said.contains("after the last heal was answered from the cache"),
        "{said}"
    );
}

#[test]
fn given_few_answered_reads_or_many_that_failed_without_a_fault_when_judged_then_no_stale_read_proves_nothing()
 {
    let spoils: [Spoil; 2] = [
        (
            |history| history.meta.scenario.workload.min_committed_per_phase = 1_000,
            "120 of the reads sent in phase `whole run` were answered, fewer than the 667",
        ),
        (
            |history| {
                for read in history.reads.open().iter_mut().take(2) {
                    (read.outcome, read.source) = (ReadOutcome::Failed, ReadSource::Unknown);
                }
            },
            "2 of 120 reads that were due while no fault was in force were not answered",
        ),
    ];
    for (spoil, said) in spoils {
        let mut history = cached(40);
        expecting_too(&mut history, &none_stale());
        spoil(&mut history);
        let judgement = judged(&history);
        let reasons = judgement.reasons.join(" ");
        assert!(reasons.contains(said), "{reasons}");
        assert_eq!(met(&judgement, Metric::StaleReads), None, "{said}");
        assert_eq!(met(&judgement, Metric::LongestStaleness), None, "{said}");
        // Nor is a lesson missed that more answers might have shown.
        let mut lesson = cached(40);
        expecting_too(
            &mut lesson,
            &[(Metric::StaleReads, Comparison::AtLeast, 1.0)],
        );
        spoil(&mut lesson);
        assert_eq!(met(&judged(&lesson), Metric::StaleReads), None, "{said}");
        // What the cache holds at the end is not known from reads.
        assert_eq!(met(&judgement, Metric::Stale), Some(true), "{said}");
        answer(&mut history, 3, 3, 2);
        assert_eq!(judged(&history).verdict, Verdict::Fail, "{said}");
    }
    // One in a hundred and twenty is no more than may be.
    let mut history = cached(40);
    expecting_too(&mut history, &none_stale());
    history.reads.open()[0].outcome = ReadOutcome::Failed;
    assert_eq!(judged(&history).verdict, Verdict::Pass);
}
