//! The run in one sentence, for somebody who has ten seconds.

use crate::figures;
use crate::record::{Counts, Record, Strategy, Verdict};

/// One clause for strategies that came to the same.
struct Clause {
    names: Vec<String>,
    text: String,
    clean: bool,
    committed: Option<u64>,
}

/// What the run came to.
pub fn sentence(record: &Record) -> String {
    if record.strategies.is_empty() {
        return "No strategy was run, so nothing was proved.".to_owned();
    }
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
                names: vec![strategy.name.clone()],
                text,
                clean,
                committed,
            }),
        }
    }
    let alone = clauses.len() == 1;
    let spoken: Vec<String> = clauses
        .iter()
        .map(|clause| {
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
        })
        .collect();
    format!("{}.", spoken.join("; ").trim_end_matches('.'))
}

/// How the expectations went: `7 of 7 expectations met.`
pub fn expectations(record: &Record) -> String {
    let all: Vec<_> = record
        .strategies
        .iter()
        .flat_map(|s| s.expectations.iter().map(move |e| (s, e)))
        .collect();
    if all.is_empty() {
        return "Nothing was expected of it.".to_owned();
    }
    let met = all.iter().filter(|(_, e)| e.met == Some(true)).count();
    let total = figures::counted(all.len() as u64, "expectation");
    let mut text = format!("{met} of {total} met.");
    for (verdict, word) in [(Some(false), "Missed"), (None, "Cannot be told")] {
        let named: Vec<String> = all
            .iter()
            .filter(|(_, e)| e.met == verdict)
            .map(|(s, e)| {
                let seen = figures::observed(e);
                format!("{}: {} (saw {seen})", s.name, figures::expectation(e))
            })
            .collect();
        if !named.is_empty() {
            text.push_str(&format!(" {word}: {}.", named.join("; ")));
        }
    }
    text
}

/// What went wrong with a strategy, and whether nothing did.
fn clause(strategy: &Strategy) -> (String, bool) {
    if strategy.verdict == Verdict::Unknown {
        // The reasons stand beside the sentence in every format.
        return ("proved nothing".to_owned(), false);
    }
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
    let clean = parts.len() == 1 && counts.lost == Some(0);
    let names: Vec<&str> = parts.iter().map(String::as_str).collect();
    let mut text = figures::list(&names);
    let met = |metric: &str| {
        let mut of_it = strategy.expectations.iter().filter(|e| e.metric == metric);
        of_it.any(|e| e.met == Some(true))
    };
    if !wrong.is_empty() && wrong.iter().all(|(metric, _)| met(metric)) {
        text.push_str(", as expected");
    }
    (text, clean)
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
        ("late", counts.late, {
            format!("delivered {} late", events(counts.late))
        }),
        ("unacknowledged", counts.unacknowledged, {
            let changes = figures::counted(counts.unacknowledged, "committed change");
            format!("left {changes} unanswered")
        }),
        ("undecided", counts.undecided, {
            format!("left {} undecided", events(counts.undecided))
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
