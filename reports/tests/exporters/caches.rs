//! What a cache answered, in every format; a strategy without one shows a dash.

use crate::sample;
use reports::Exporter;
use reports::html::Html;
use reports::record::{Cache, Latency, Reads, Record};
use reports::summary::Summary;
use reports::terminal::Terminal;

/// Two strategies: one whose cache was stale, and one that has none.
fn record() -> Record {
    let mut cached = sample::clean("cached", "polling");
    (cached.counts.stale, cached.counts.stale_reads) = (Some(3), Some(41));
    cached.cache = Some(Cache {
        mode: "invalidate-after-commit".to_owned(),
        fill: "any".to_owned(),
        fill_hold_ms: 0.0,
        held_at_the_end: Some(1900),
        longest_staleness_ms: Some(3512.0),
        reads: Reads {
            due: 6000,
            answered: 6000,
            from_cache: 4500,
            missed: 1500,
            service_time_ms: Latency {
                count: 6000,
                p50: Some(0.61),
                p99: Some(2.1),
                ..Latency::default()
            },
            ..Reads::default()
        },
    });
    let mut record = sample::record();
    record.strategies = vec![cached, sample::clean("plain", "polling")];
    record
}

fn shown(record: &Record) -> String {
    let colour = false;
    Terminal { colour, width: 120 }.render(record, None)
}

/// The cells of the row with this label.
fn row(text: &str, label: &str) -> Vec<String> {
    let mut lines = text.lines().map(str::trim);
    let cells = lines.find_map(|line| line.strip_prefix(label));
    let cells = cells.unwrap_or_else(|| panic!("no {label}:\n{text}"));
    let cells = cells.split("  ").map(str::trim);
    cells.filter(|c| !c.is_empty()).map(str::to_owned).collect()
}

#[test]
fn given_a_cache_when_the_record_is_shown_then_its_figures_are_there_and_a_dash_for_who_has_none() {
    let text = shown(&record());
    assert_eq!(row(&text, "stale reads"), ["41", "–"]);
    assert_eq!(row(&text, "answered from the cache"), ["75%", "–"]);
    assert_eq!(row(&text, "longest staleness"), ["3.51 s", "–"]);
    assert_eq!(row(&text, "service time p50 / p99"), ["0.61 / 2.1 ms", "–"]);
    let html = String::from_utf8(Html.export(&record()).unwrap()).unwrap();
    let summary = String::from_utf8(Summary.export(&record()).unwrap()).unwrap();
    for page in [&html, &summary] {
        assert!(
            page.contains("answered from the cache") && page.contains("75%"),
            "{page}"
        );
    }
}

#[test]
fn given_reads_that_failed_when_shown_then_they_have_a_row_and_none_where_there_are_none() {
    let mut failed = record();
    assert!(!shown(&failed).contains("failed reads"));
    if let Some(cache) = &mut failed.strategies[0].cache {
        (cache.reads.answered, cache.reads.failed) = (5_988, 12);
    }
    assert_eq!(row(&shown(&failed), "failed reads"), ["12", "–"]);
}

#[test]
fn given_orders_that_are_stale_when_concluded_then_the_sentence_says_how_many() {
    let text = shown(&record());
    let said = "cached lost none and left 3 orders stale in its cache";
    assert!(text.contains(said), "{text}");
}

#[test]
fn given_a_cache_that_was_never_stale_when_shown_then_its_zeros_are_there() {
    let mut record = record();
    let counts = &mut record.strategies[0].counts;
    (counts.stale, counts.stale_reads) = (Some(0), Some(0));
    let text = shown(&record);
    assert_eq!(row(&text, "stale reads"), ["0", "–"]);
}

#[test]
fn given_no_cache_when_the_record_is_shown_then_nothing_is_said_of_one() {
    let text = shown(&sample::record());
    assert!(!text.contains("stale") && !text.contains("cache"), "{text}");
}
