//! The run in one sentence, for somebody who has ten seconds.

use crate::record::{Counts, Expectation, Record, Strategy, Verdict};
use crate::{comparison, figures};

/// The sentence names so many missed expectations at most; the line below it has all of them.
const NAMED: usize = 3;

/// This is one clause for strategies that came to the same.
struct Clause {
    verdict: Verdict,
    names: Vec<String>,
    text: String,
    clean: bool,
    committed: Option<u64>,
}

/// Returns what the run came to: what missed something first, then what could not be run, then what proved nothing,
/// then what was as it should be.
pub fn sentence(record: &Record) -> String {
    let mut clauses: Vec<Clause> = Vec::new();
    for strategy in &record.strategies {
        let (text, clean) = clause(strategy);
        let committed = strategy.counts.committed;
        match clauses.iter_mut().find(|known| known.text == text) {
            Some(known) => {
                known.names.push(strategy.name.clone());
                let both = known.committed.zip(committed);
                known.committed = both.map(|(known, more)| known.saturating_add(more));
            }
            None => clauses.push(Clause {
                verdict: strategy.verdict,
                names: vec![strategy.name.clone()],
                text,
                clean,
                committed,
            }),
        }
    }
    clauses.sort_by_key(|clause| match clause.verdict {
        Verdict::Fail => 0,
        Verdict::Unknown => 1,
        Verdict::Pass => 2,
    });
    let alone = clauses.len() == 1;
    let spoken_of = |clause: &Clause| {
        let names: Vec<&str> = clause.names.iter().map(String::as_str).collect();
        // Figures of a clause are those of each of its strategies.
        let each = if names.len() > 1 && clause.text.contains(char::is_numeric) {
            "each "
        } else {
            ""
        };
        let mut text = format!("{} {each}{}", figures::list(&names), clause.text);
        if alone && clause.clean {
            // With nothing to compare with, "none" needs its "of how many".
            let changes = figures::counted(clause.committed, "committed change");
            text.push_str(&format!(" of {changes}"));
        }
        text
    };
    let is_miss = |clause: &&Clause| clause.verdict == Verdict::Fail;
    let misses = clauses.iter().filter(is_miss).map(spoken_of);
    let others = clauses.iter().filter(|c| !is_miss(c)).map(spoken_of);
    let spoken: Vec<String> = misses.chain(not_run(record)).chain(others).collect();
    if spoken.is_empty() {
        return "No strategy was run, so nothing was proved.".to_owned();
    }
    format!("{}.", spoken.join("; ").trim_end_matches('.'))
}

/// Returns what could not be run, and why: once where that is the same; else what ended the run when all of it had
/// been judged.
fn not_run(record: &Record) -> Vec<String> {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for strategy in &record.not_run {
        let why = head(&strategy.why);
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(&strategy.strategy),
            None => reasons.push((why, vec![&strategy.strategy])),
        }
    }
    let failure = record.failure.as_deref().filter(|_| reasons.is_empty());
    let spoken = |(why, names): &(&str, Vec<&str>)| {
        format!("{} could not be run: {why}", figures::list(names))
    };
    let of_all = failure.map(|why| format!("the run failed: {}", head(why)));
    reasons.iter().map(spoken).chain(of_all).collect()
}

/// Returns the reason without the lines of a log that come with it.
fn head(why: &str) -> &str {
    let first = why.trim().lines().next().unwrap_or_default();
    first.trim_end().trim_end_matches('.')
}

/// Every reason why the run is no pass, by what it is of: what was not run, then each strategy's; with
/// what is worth knowing of a strategy besides.
pub fn remarks(record: &Record) -> Vec<(&str, String)> {
    let not_run = record.not_run.iter();
    let not_run = not_run.map(|s| (s.strategy.as_str(), format!("could not be run: {}", s.why)));
    let failure = record.failure.iter().filter(|_| record.not_run.is_empty());
    let failure = failure.map(|why| ("the run", format!("failed: {why}")));
    let judged = record.strategies.iter().flat_map(|strategy| {
        let of_it = strategy.reasons.iter().chain(&strategy.remarks);
        of_it.map(move |reason| (strategy.name.as_str(), reason.clone()))
    });
    not_run.chain(failure).chain(judged).collect()
}

/// Returns how the expectations went: `7 of 7 expectations met.` What looks met where nothing was proved is not
/// called so.
pub fn expectations(record: &Record) -> String {
    let all: Vec<_> = record
        .strategies
        .iter()
        .flat_map(|s| s.expectations.iter().map(move |e| (s, e)))
        .collect();
    if all.is_empty() {
        return match record.strategies.as_slice() {
            [] => "No expectation was looked at.".to_owned(),
            [_, ..] => "Nothing was expected of it.".to_owned(),
        };
    }
    let met = all.iter().filter(|(_, e)| e.met == Some(true));
    let is_unproved = |met: &&(&Strategy, &Expectation)| met.0.verdict == Verdict::Unknown;
    let unproved = met.clone().filter(is_unproved).count();
    let proved = met.count() - unproved;
    let total = figures::counted(all.len() as u64, "expectation");
    let mut text = format!("{proved} of {total} met");
    if unproved > 0 {
        text.push_str(&format!(", {unproved} more without proof"));
    }
    text.push('.');
    for (verdict, word) in [(Some(false), "Missed"), (None, "Cannot be told")] {
        let named: Vec<String> = all
            .iter()
            .filter(|(_, e)| e.met == verdict)
            .map(|(s, e)| format!("{}: {}", s.name, named(e)))
            .collect();
        if !named.is_empty() {
            text.push_str(&format!(" {word}: {}.", named.join("; ")));
        }
    }
    if !record.not_run.is_empty() {
        let names: Vec<&str> = record.not_run.iter().map(|s| s.strategy.as_str()).collect();
        let names = figures::list(&names);
        text.push_str(&format!(" Those of {names} were not looked at."));
    }
    text
}

/// Returns an expectation with what was seen: `lost = 0 (saw 3)`.
fn named(expectation: &Expectation) -> String {
    let seen = figures::observed(expectation);
    format!("{} (saw {seen})", figures::expectation(expectation))
}

/// What came of a strategy, and whether nothing was wrong with it.
fn clause(strategy: &Strategy) -> (String, bool) {
    match strategy.verdict {
        Verdict::Fail => (failed(strategy), false),
        Verdict::Unknown => (unproved(strategy), false),
        Verdict::Pass => passed(strategy),
    }
}

/// What was missed, headed by a reason that is no expectation's own, such as a death.
fn failed(strategy: &Strategy) -> String {
    let missed: Vec<&Expectation> = strategy
        .expectations
        .iter()
        .filter(|e| e.met == Some(false))
        .collect();
    let head = leading(strategy).first();
    let mut named: Vec<String> = missed.iter().take(NAMED).map(|e| named(e)).collect();
    if missed.len() > NAMED {
        named.push(format!("{} more", missed.len() - NAMED));
    }
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let head = head.map(|reason| reason.trim().trim_end_matches('.'));
    match (named.is_empty(), head) {
        (false, None) => format!("missed {}", figures::list(&named)),
        (false, Some(head)) => format!("failed: {head}; it missed {}", figures::list(&named)),
        (true, Some(head)) => format!("failed: {head}"),
        (true, None) => "failed, and no reason was recorded".to_owned(),
    }
}

/// Returns the reasons of a strategy that stand before those of its expectations: a death, counts that do not add up.
pub(crate) fn leading(strategy: &Strategy) -> &[String] {
    let of_one = |reason: &String| {
        let mut all = strategy.expectations.iter();
        all.any(|e| *reason == format!("{}: {}", e.metric, e.reason))
    };
    let reasons = &strategy.reasons;
    let lead = reasons.iter().position(of_one).unwrap_or(reasons.len());
    &reasons[..lead]
}

fn unproved(strategy: &Strategy) -> String {
    match strategy.reasons.as_slice() {
        [] => "proved nothing, and no reason was recorded".to_owned(),
        [first, rest @ ..] => {
            let more = match rest.len() {
                0 => String::new(),
                n => format!(" (and {n} more)"),
            };
            let first = first.trim().trim_end_matches('.');
            format!("proved nothing: {first}{more}")
        }
    }
}

fn passed(strategy: &Strategy) -> (String, bool) {
    let counts = &strategy.counts;
    if counts.committed == Some(0) {
        return ("committed nothing".to_owned(), false);
    }
    let wrong = wrongs(counts);
    let mut parts: Vec<String> = Vec::new();
    if counts.lost == Some(0) {
        parts.push("lost none".to_owned());
    }
    parts.extend(wrong.iter().map(|(_, text)| text.clone()));
    let asked: Vec<(&str, String)> = allowed(counts)
        .into_iter()
        .filter(|(metric, _)| {
            let mut of_it = strategy.expectations.iter();
            of_it.any(|e| e.metric == *metric && !e.implicit)
        })
        .collect();
    parts.extend(asked.iter().map(|(_, text)| text.clone()));
    parts.extend(of_consumers(strategy));
    let clean = parts.len() == 1 && counts.lost == Some(0);
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut text = figures::list(&names);
    let as_expected = |(metric, _): &(&str, String)| comparison::is_as_expected(strategy, metric);
    if !wrong.is_empty() && wrong.iter().all(as_expected) {
        text.push_str(", as expected");
    }
    (text, clean)
}

/// What its consumers did with it, as far as something was wrong, those that did the same together:
/// `consumer-payments and consumer-inventory each applied 312 changes twice`.
fn of_consumers(strategy: &Strategy) -> Vec<String> {
    let mut told: Vec<(String, Vec<&str>)> = Vec::new();
    for consumer in &strategy.consumers {
        let all = [
            (consumer.unapplied, "did not apply", "change", ""),
            (consumer.applied_twice, "applied", "change", " twice"),
            (
                consumer.applied_unseen,
                "applied",
                "change",
                " without a valid event",
            ),
            // An effect that takes back is one, however many versions it takes back.
            (
                consumer.applied_out_of_order,
                "had",
                "effect",
                " out of order",
            ),
        ];
        let wrong = all
            .into_iter()
            .filter(|(count, ..)| count.is_some_and(|count| count > 0));
        for (count, did, of, how) in wrong {
            let what = format!("{did} {}{how}", figures::counted(count, of));
            match told.iter_mut().find(|(known, _)| *known == what) {
                Some((_, names)) => names.push(&consumer.name),
                None => told.push((what, vec![&consumer.name])),
            }
        }
    }
    let sentences = told.into_iter();
    let sentences = sentences.map(|(what, names)| {
        // Their counts are not one sum.
        let each = if names.len() > 1 { "each " } else { "" };
        format!("its {} {each}{what}", figures::list(&names))
    });
    sentences.collect()
}

/// What must not happen, with its metric, as far as it did.
fn wrongs(counts: &Counts) -> Vec<(&'static str, String)> {
    let committed = figures::counted(counts.committed, "committed change");
    let events = |n| figures::counted(n, "event");
    let changes = |n| figures::counted(n, "change");
    let all = [
        ("lost", counts.lost, {
            format!("lost {} of {committed}", figures::count(counts.lost))
        }),
        ("undrained", counts.undrained, {
            let n = figures::count(counts.undrained);
            format!("had not delivered {n} of {committed} in time")
        }),
        ("undecided", counts.undecided, {
            let n = figures::count(counts.undecided);
            format!("left {n} of {committed} undecided")
        }),
        ("phantom", counts.phantom, {
            format!("published {} without a commit", events(counts.phantom))
        }),
        ("reordered", counts.reordered, {
            format!("delivered {} out of order", events(counts.reordered))
        }),
        ("corrupted", counts.corrupted, {
            format!("damaged {}", events(counts.corrupted))
        }),
        ("foreign", counts.foreign, {
            format!("carried {} of another run", events(counts.foreign))
        }),
        ("split", counts.split, {
            let orders = figures::counted(counts.split, "order");
            format!("spread {orders} over several partitions")
        }),
        ("missing", counts.missing, {
            let changes = changes(counts.missing);
            format!("acknowledged {changes} that the database does not hold")
        }),
        ("double_applied", counts.double_applied, {
            format!("applied {} twice", changes(counts.double_applied))
        }),
        ("false_rejection", counts.false_rejection, {
            let changes = changes(counts.false_rejection);
            format!("refused {changes}, yet committed")
        }),
        ("stale", counts.stale, {
            let orders = figures::counted(counts.stale, "order");
            format!("left {orders} stale in its cache")
        }),
    ];
    seen(all)
}

/// What may happen, and is worth a word where the scenario asks for it.
fn allowed(counts: &Counts) -> Vec<(&'static str, String)> {
    let events = |n| figures::counted(n, "event");
    seen([
        ("duplicated", counts.duplicated, {
            format!("repeated {}", events(counts.duplicated))
        }),
        ("overtaken", counts.overtaken, {
            format!("let {} be overtaken", events(counts.overtaken))
        }),
        ("late", counts.late, {
            format!("delivered {} late", events(counts.late))
        }),
        ("unacknowledged", counts.unacknowledged, {
            let changes = figures::counted(counts.unacknowledged, "committed change");
            format!("left {changes} unanswered")
        }),
        ("stale_reads", counts.stale_reads, {
            let reads = figures::counted(counts.stale_reads, "read");
            format!("answered {reads} with what was old")
        }),
    ])
}

fn seen<const N: usize>(
    all: [(&'static str, Option<u64>, String); N],
) -> Vec<(&'static str, String)> {
    all.into_iter()
        .filter(|(_, count, _)| count.is_some_and(|count| count > 0))
        .map(|(metric, _, text)| (metric, text))
        .collect()
}
