//! The comparison table: strategies side by side. A value; every format draws it in its own way.

use crate::figures::{self, DASH};
use crate::record::{
    Cache, Consumer, Counts, DatabaseCosts, Fault, InDoubt, Latency, LatencySet, Record, Strategy,
    Verdict,
};

/// A section has rows that belong together.
#[derive(Debug, Clone)]
pub struct Section {
    /// What they are about.
    pub title: &'static str,
    /// Each row has one figure of every strategy.
    pub rows: Vec<ComparisonRow>,
}

/// A row has one figure of every strategy.
#[derive(Debug, Clone)]
pub struct ComparisonRow {
    /// This names the figure, as the table's first column shows it.
    pub label: String,
    /// The cells stand in the record's order of strategies.
    pub cells: Vec<Cell>,
}

/// This is one figure of one strategy, ready to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// This is the figure, or a word, as it is shown; a dash stands where nothing was measured.
    pub text: String,
    /// This says how the figure should strike the reader.
    pub tone: Tone,
}

/// This says how a figure should strike the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// It is a figure like any other.
    Plain,
    /// There is nothing to see here: it is a zero or a dash.
    Faint,
    /// It is as it should be.
    Good,
    /// It is wrong, or not proved, but expected or harmless.
    Warning,
    /// Something is wrong that nobody expected.
    Bad,
}

impl Cell {
    fn new(text: impl Into<String>, tone: Tone) -> Self {
        Self {
            text: text.into(),
            tone,
        }
    }

    /// Faint where nothing was measured.
    fn figure(text: String) -> Self {
        let tone = if text == DASH {
            Tone::Faint
        } else {
            Tone::Plain
        };
        Self { text, tone }
    }
}

/// A percentile's name and where it is found.
pub type Percentile = (&'static str, fn(&Latency) -> Option<f64>);

/// These percentiles are enough to compare by.
pub const TYPICAL_AND_SLOW: [Percentile; 2] = [("p50", |l| l.p50), ("p99", |l| l.p99)];

/// A latency's name and where it is found.
pub type Kind = (&'static str, fn(&LatencySet) -> &Latency);

/// These are the three latencies; the one to compare strategies by comes first.
pub const LATENCIES: [Kind; 3] = [
    ("end to end", |set| &set.end_to_end),
    ("propagation", |set| &set.propagation),
    ("order", |set| &set.order),
];

fn row(
    record: &Record,
    label: impl Into<String>,
    cell: impl Fn(&Strategy) -> Cell,
) -> ComparisonRow {
    ComparisonRow {
        label: label.into(),
        cells: record.strategies.iter().map(cell).collect(),
    }
}

/// Returns the tone of a verdict.
pub fn verdict_tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Pass => Tone::Good,
        Verdict::Fail => Tone::Bad,
        Verdict::Unknown => Tone::Warning,
    }
}

/// Returns the section that says what came of each strategy.
pub fn verdicts(record: &Record) -> Section {
    Section {
        title: "",
        rows: vec![row(record, "verdict", |s| {
            Cell::new(figures::verdict(s.verdict), verdict_tone(s.verdict))
        })],
    }
}

/// Returns the section of what became of each attempt: database yes or no, event yes or no.
pub fn outcomes(record: &Record) -> Section {
    let cell = |count: Option<u64>, tone: Tone| {
        let tone = if is_some_of(count) { tone } else { Tone::Faint };
        Cell::new(figures::count(count), tone)
    };
    Section {
        title: "what became of each attempt",
        rows: vec![
            row(record, "database yes, event yes", |s| {
                cell(s.outcomes.db_event, Tone::Plain)
            }),
            row(record, "database yes, event no", |s| {
                let undelivered = s.outcomes.db_only;
                cell(undelivered, harm_tone(s, "lost", undelivered))
            }),
            row(record, "database no, event yes", |s| {
                let phantom = s.outcomes.event_only;
                cell(phantom, harm_tone(s, "phantom", phantom))
            }),
            row(record, "database no, event no", |s| {
                cell(s.outcomes.neither, Tone::Plain)
            }),
        ],
    }
}

/// A count by its metric's name, and whether it is wrong in itself.
type Harm = (&'static str, fn(&Counts) -> Option<u64>, bool);

/// These are shown whether they are zero or not.
const MAIN_HARMS: [Harm; 4] = [
    ("lost", |c| c.lost, true),
    ("phantom", |c| c.phantom, true),
    ("duplicated", |c| c.duplicated, false),
    ("reordered", |c| c.reordered, true),
];

/// Shown where a strategy has any.
const OTHER_HARMS: [Harm; 15] = [
    ("undrained", |c| c.undrained, true),
    ("corrupted", |c| c.corrupted, true),
    ("missing", |c| c.missing, true),
    ("double_applied", |c| c.double_applied, true),
    ("false_rejection", |c| c.false_rejection, true),
    ("foreign", |c| c.foreign, true),
    ("split", |c| c.split, true),
    ("stale", |c| c.stale, true),
    ("stale_reads", |c| c.stale_reads, false),
    ("overtaken", |c| c.overtaken, false),
    ("undecided", |c| c.undecided, false),
    ("unacknowledged", |c| c.unacknowledged, false),
    ("late", |c| c.late, false),
    ("unknown answers", |c| Some(c.unknown), false),
    ("aborted records", |c| c.aborted_records, false),
];

/// Those of them that are shown, zero or not, where a strategy has a cache.
const OF_CACHES: [&str; 2] = ["stale", "stale_reads"];

/// What can go wrong.
pub fn harms(record: &Record) -> Section {
    let any = |of: fn(&Counts) -> Option<u64>| {
        record.strategies.iter().any(|s| is_some_of(of(&s.counts)))
    };
    let has_cache = record.strategies.iter().any(|s| s.cache.is_some());
    let others = OTHER_HARMS
        .iter()
        .filter(|(metric, of, _)| any(*of) || (has_cache && OF_CACHES.contains(metric)));
    let rows = MAIN_HARMS
        .iter()
        .chain(others)
        .map(|(metric, of, wrong)| {
            row(record, figures::spoken(metric), |s| {
                let count = of(&s.counts);
                let tone = match count {
                    None | Some(0) => Tone::Faint,
                    _ if *wrong => harm_tone(s, metric, count),
                    _ => Tone::Plain,
                };
                Cell::new(figures::count(count), tone)
            })
        })
        .collect();
    Section {
        title: "what went wrong",
        rows,
    }
}

/// Returns the section of what consumers did, one row a consumer: `once each`, or what was wrong. Consumers are the
/// scenario's, so all strategies have the same.
pub fn consumers(record: &Record) -> Section {
    let of = |s: &Strategy, index: usize| s.consumers.get(index).cloned();
    let most = record.strategies.iter().map(|s| s.consumers.len()).max();
    let rows = (0..most.unwrap_or(0)).filter_map(|index| {
        let shown = record.strategies.iter().find_map(|s| of(s, index))?;
        // The section says that they are consumers.
        let name = shown.name.trim_start_matches("consumer-");
        let label = format!("{name} ({})", how(&shown));
        Some(row(record, label, |s| match of(s, index) {
            Some(consumer) => applied(s, &consumer),
            None => Cell::new(DASH, Tone::Faint),
        }))
    });
    Section {
        title: "what consumers did with the events",
        rows: rows.collect(),
    }
}

/// A figure of a cache: its label, where it is found and how it is written.
type CacheFigure = (&'static str, fn(&Cache) -> String);

const CACHE_FIGURES: [CacheFigure; 3] = [
    ("answered from the cache", |cache| {
        let share = cache.reads.share_from_cache();
        share.map_or_else(|| DASH.to_owned(), figures::share)
    }),
    ("longest staleness", |cache| {
        let longest = cache.longest_staleness_ms;
        longest.map_or_else(|| DASH.to_owned(), figures::milliseconds)
    }),
    ("service time p50 / p99", |cache| {
        let taken = &cache.reads.service_time_ms;
        let values: Vec<Option<f64>> = TYPICAL_AND_SLOW.iter().map(|(_, of)| of(taken)).collect();
        figures::percentiles(taken, &values)
    }),
];

/// This is a row only where there are some: a service time is of no read that failed.
const FAILED_READS: CacheFigure = ("failed reads", |cache| figures::count(cache.reads.failed));

/// Returns the section of reads through a cache; it has no rows where no strategy has one.
pub fn reads(record: &Record) -> Section {
    let caches = || record.strategies.iter().filter_map(|s| s.cache.as_ref());
    let figures = CACHE_FIGURES.iter().filter(|_| caches().next().is_some());
    let some_failed = caches().any(|cache| cache.reads.failed > 0);
    let failed = some_failed.then_some(&FAILED_READS);
    let rows = figures.chain(failed).map(|(label, written)| {
        row(record, *label, |s| {
            Cell::figure(s.cache.as_ref().map_or_else(|| DASH.to_owned(), written))
        })
    });
    Section {
        title: "reads",
        rows: rows.collect(),
    }
}

/// Returns how a consumer works: `insert, inbox`, or `insert, none, offset before`.
fn how(consumer: &Consumer) -> String {
    let before = match consumer.commit.as_str() {
        "before" => ", offset first",
        _ => "",
    };
    format!("{}, {}{before}", consumer.effect, consumer.idempotency)
}

/// Counts of a consumer, each with its metric and the words for it.
pub(crate) fn consumer_counts(
    consumer: &Consumer,
) -> [(&'static str, Option<u64>, &'static str); 4] {
    [
        ("unapplied", consumer.unapplied, "never"),
        ("applied_twice", consumer.applied_twice, "twice"),
        ("applied_unseen", consumer.applied_unseen, "unseen"),
        (
            "applied_out_of_order",
            consumer.applied_out_of_order,
            "out of order",
        ),
    ]
}

/// The words for nothing wrong. Where no copy was on the topic, a consumer had none to know but what it read again; and of a call it is never more than how it
/// went this time, as no transaction covers it.
fn once_each(consumer: &Consumer) -> &'static str {
    match (consumer.copies, consumer.effect.as_str()) {
        (Some(0), _) => "once each, no copy on topic",
        (_, "call") => "once each this time",
        (_, _) => "once each",
    }
}

fn applied(strategy: &Strategy, consumer: &Consumer) -> Cell {
    let counts = consumer_counts(consumer);
    let wrong: Vec<_> = counts
        .iter()
        .filter(|(_, count, _)| is_some_of(*count))
        .collect();
    let tones = wrong.iter().map(|(metric, count, _)| {
        let named = format!("{}.{metric}", consumer.name);
        harm_tone(strategy, &named, *count)
    });
    let worst = match tones.clone().any(|tone| tone == Tone::Bad) {
        true => Tone::Bad,
        false => Tone::Warning,
    };
    let said: Vec<String> = wrong
        .iter()
        .map(|(_, count, word)| format!("{} {word}", figures::count(*count)))
        .collect();
    // What has no order is never out of it.
    let has_order = consumer.effect == "state";
    let all_known = counts.iter().all(|(metric, count, _)| {
        count.is_some() || (*metric == "applied_out_of_order" && !has_order)
    });
    // One to which nothing came has done nothing right.
    let did_some = is_some_of(consumer.effects);
    match (said.is_empty(), all_known && did_some) {
        (false, _) => Cell::new(said.join(", "), worst),
        (true, true) => Cell::new(once_each(consumer), Tone::Good),
        (true, false) => Cell::new(DASH, Tone::Faint),
    }
}

/// How many offending events of a metric a strategy has, where that is counted.
pub fn harm_count(strategy: &Strategy, metric: &str) -> Option<u64> {
    let mut all = MAIN_HARMS.iter().chain(&OTHER_HARMS);
    let (_, of, _) = all.find(|(name, _, _)| *name == metric)?;
    of(&strategy.counts)
}

/// Whether there is any of it, as far as that is known.
fn is_some_of(count: Option<u64>) -> bool {
    count.is_some_and(|count| count > 0)
}

/// What is wrong strikes less where the scenario expects it.
pub fn harm_tone(strategy: &Strategy, metric: &str, count: Option<u64>) -> Tone {
    if !is_some_of(count) {
        return Tone::Faint;
    }
    if is_as_expected(strategy, metric) {
        Tone::Warning
    } else {
        Tone::Bad
    }
}

/// Whether something was expected of a metric, and was met.
pub fn is_as_expected(strategy: &Strategy, metric: &str) -> bool {
    let mut of_it = strategy.expectations.iter().filter(|e| e.metric == metric);
    of_it.any(|e| e.met == Some(true))
}

/// Names of the phases of all strategies, in order.
pub fn phases(record: &Record) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for phase in record.strategies.iter().flat_map(|s| &s.phases) {
        if !names.contains(&phase.name.as_str()) {
            names.push(&phase.name);
        }
    }
    names
}

/// Returns one section a latency, with one row a phase; without phases, its row is the whole run.
pub fn latencies(record: &Record, percentiles: &[Percentile]) -> Vec<Section> {
    let cell = |latency: Option<&Latency>| {
        let Some(latency) = latency else {
            return Cell::new(DASH, Tone::Faint);
        };
        let values: Vec<Option<f64>> = percentiles.iter().map(|(_, of)| of(latency)).collect();
        Cell::figure(figures::percentiles(latency, &values))
    };
    let phases = phases(record);
    LATENCIES
        .iter()
        .map(|(title, pick)| Section {
            title: latency_title(record, title),
            rows: if phases.is_empty() {
                vec![row(record, "whole run", |s| {
                    cell(Some(pick(&s.latency_ms)))
                })]
            } else {
                phases
                    .iter()
                    .map(|name| {
                        row(record, *name, |s| {
                            let phase = s.phases.iter().find(|phase| phase.name == *name);
                            cell(phase.map(|phase| pick(&phase.latency_ms)))
                        })
                    })
                    .collect()
            },
        })
        .collect()
}

/// Returns what a latency is called in this record.
pub fn latency_title(record: &Record, title: &'static str) -> &'static str {
    match title {
        "order" if record.clients().is_some() => SERVICE_TIME,
        other => other,
    }
}

/// A closed loop measures this in place of order latency: nothing was due before it was sent.
pub const SERVICE_TIME: &str = "service time";

/// Returns of what a headline's count is a part, in words; nothing of what is no change that was committed, such as a phantom, an
/// order or a read.
pub fn of_all(metric: &str, committed: Option<u64>) -> Option<String> {
    let is_part = [
        "lost",
        "undrained",
        "undecided",
        "unacknowledged",
        "missing",
        "late",
    ];
    let of = || format!("of {}", figures::counted(committed, "committed change"));
    is_part.contains(&metric).then(of)
}

/// What has to be known of a closed loop wherever its figures are read.
pub fn closed_loop(record: &Record) -> Option<String> {
    let clients = record.clients()?;
    Some(format!(
        "Closed loop, {clients} clients: each sends its next change when the one before is answered. \
         Times are service times, from the sending on; a system that stalls is asked less."
    ))
}

/// Returns the section that says how much was done, how fast, and how long it took.
pub fn work(record: &Record) -> Section {
    let mut rows = vec![
        row(record, "committed", |s| {
            Cell::figure(figures::count(s.counts.committed))
        }),
        row(record, "acknowledged", |s| {
            Cell::figure(figures::rate(s.throughput_per_s))
        }),
        row(record, "drained after", |s| {
            Cell::figure(figures::seconds(s.drain_s))
        }),
        row(record, "load on schedule", |s| {
            if s.generator.kept_schedule {
                Cell::new("yes", Tone::Plain)
            } else {
                Cell::new("no", Tone::Bad)
            }
        }),
        row(record, "generator lag p99", |s| {
            let lag = s.generator.lag_p99_ms;
            Cell::figure(lag.map_or_else(|| DASH.to_owned(), figures::milliseconds))
        }),
    ];
    if record.strategies.iter().any(|s| !s.faults.is_empty()) {
        let after_drained = 3;
        rows.insert(
            after_drained,
            row(record, "recovered after", |s| {
                Cell::figure(figures::seconds(s.recovery_s))
            }),
        );
    }
    // An event may well be quicker than the answer to its order; that is worth knowing, and nothing wrong.
    let overtaken = |s: &Strategy| s.counts.negative_propagation;
    if record.strategies.iter().any(|s| is_some_of(overtaken(s))) {
        rows.push(row(record, "seen before answered", |s| {
            Cell::figure(figures::count(overtaken(s)))
        }));
    }
    if record.strategies.iter().any(|s| s.generator.unoffered > 0) {
        rows.push(row(record, "not offered", |s| {
            let count = s.generator.unoffered;
            let tone = if count == 0 { Tone::Faint } else { Tone::Bad };
            Cell::new(figures::count(count), tone)
        }));
    }
    if record.strategies.iter().any(|s| s.generator.held_back > 0) {
        rows.push(row(record, "held back", |s| {
            let count = s.generator.held_back;
            let tone = if count == 0 { Tone::Faint } else { Tone::Bad };
            Cell::new(figures::count(count), tone)
        }));
    }
    Section {
        title: "work",
        rows,
    }
}

/// A fault as it is called in reports: `down kafka`.
pub fn fault_name(fault: &Fault) -> String {
    format!("{} {}", fault.kind, fault.target)
}

/// Returns the same with what the fault waited for, if anything: `kill relay, trigger: 1000 events`.
pub fn fault_title(fault: &Fault) -> String {
    match &fault.trigger {
        Some(trigger) => format!("{}, trigger: {trigger}", fault_name(fault)),
        None => fault_name(fault),
    }
}

/// Returns the section that says whether each fault bit. One with a time was in force at that time in every strategy;
/// one that waited for something was so in each at a time of its own.
pub fn faults(record: &Record) -> Section {
    // A strategy's list follows the scenario, so the n-th is the same fault in all of them.
    let most = record.strategies.iter().map(|s| s.faults.len()).max();
    let rows = (0..most.unwrap_or(0))
        .flat_map(|index| [fault(record, index), failover(record, index)])
        .flatten()
        .collect();
    Section {
        title: "faults",
        rows,
    }
}

/// Returns the row of the n-th fault of all strategies, and whether it bit; `None` if no strategy has one.
fn fault(record: &Record, index: usize) -> Option<ComparisonRow> {
    let mut all = record.strategies.iter().filter_map(|s| s.faults.get(index));
    let shown = all
        .clone()
        .find(|fault| fault.injected_s.is_some())
        .or_else(|| all.next())?;
    let label = match shown.trigger {
        Some(_) => fault_title(shown),
        None => format!("{} {}", fault_name(shown), fault_window(shown)),
    };
    Some(row(record, label, |s| match s.faults.get(index) {
        Some(fault) => bite_in_its_time(fault),
        None => Cell::new(DASH, Tone::Faint),
    }))
}

/// How long it took until another relay went on, where it was one of several.
fn failover(record: &Record, index: usize) -> Option<ComparisonRow> {
    let of = |s: &Strategy| s.faults.get(index).and_then(|fault| fault.failover_s);
    let any = record.strategies.iter().any(|s| of(s).is_some());
    any.then(|| {
        row(record, "fail-over after", |s| {
            Cell::figure(figures::seconds(of(s)))
        })
    })
}

/// `4.0–8.0 s`, with a space that no line is broken at.
pub fn fault_window(fault: &Fault) -> String {
    let from = figures::moment(fault.injected_s);
    match (fault.injected_s, fault.healed_s) {
        (None, _) => "never in force".to_owned(),
        (Some(_), None) => format!("from {from}\u{a0}s on"),
        (Some(_), healed) => format!("{from}–{}\u{a0}s", figures::moment(healed)),
    }
}

/// Returns whether a fault bit, as a cell; it has a dash where the fault does not concern the strategy.
pub fn bite(fault: &Fault) -> Cell {
    match fault.bit {
        Some(true) => Cell::new("bit", Tone::Good),
        Some(false) => Cell::new("did not bite", Tone::Bad),
        None => Cell::new(DASH, Tone::Faint),
    }
}

/// Whether a fault bit, and when, where that is not the same in every strategy.
fn bite_in_its_time(fault: &Fault) -> Cell {
    let cell = bite(fault);
    match (&fault.trigger, fault.injected_s) {
        (Some(_), Some(_)) => {
            Cell::new(format!("{} {}", cell.text, fault_window(fault)), cell.tone)
        }
        (Some(_), None) | (None, _) => cell,
    }
}

/// A cost's name, where it is found and how it is written.
type Expense = (
    &'static str,
    fn(&DatabaseCosts) -> Option<f64>,
    fn(Option<f64>) -> String,
);

/// These are what the database pays: flows by the event, of which a longer run has more, and peaks as they are, since
/// they do not grow with the run.
const EXPENSES: [Expense; 5] = [
    ("WAL, each event", |d| d.wal_bytes.per_event, figures::bytes),
    (
        "rows changed, each event",
        |d| d.rows_changed.per_event,
        figures::optional,
    ),
    (
        "outbox table, peak",
        |d| d.outbox_peak_bytes.total,
        figures::bytes,
    ),
    (
        "dead tuples, peak",
        |d| d.dead_tuples_peak.total,
        figures::optional,
    ),
    (
        "unconfirmed slot WAL, peak",
        |d| d.slot_wal_peak_bytes.total,
        figures::bytes,
    ),
];

/// The kind of strategy whose events are the truth.
const EVENT_SOURCING: &str = "event-sourcing";

/// These are said where events are the truth, beside those whose tables are an order's row and an outbox: what each
/// way writes, what it leaves, and how long it takes to have the orders again from their events.
const OF_EVENTS: [Expense; 3] = [
    (
        "rows written, each event",
        |d| d.rows_written.per_event,
        figures::optional,
    ),
    (
        "all tables, at the end",
        |d| d.storage_end_bytes.total,
        figures::bytes,
    ),
    (
        "projection rebuilt in, ms",
        |d| d.rebuild_ms,
        figures::optional,
    ),
];

/// This is said where a run is about keeping an outbox small, and how long it took to be what it had been.
const OF_HOUSEKEEPING: [Expense; 1] = [("vacuums of the outbox", |d| d.vacuums, figures::optional)];

/// `4.56 s`; `> 4.56 s` where it was not back when it was last looked at; a dash where that cannot be told.
fn back_to_normal(costs: &DatabaseCosts) -> String {
    match (costs.time_to_normal_s, costs.not_normal_for_s) {
        (None, Some(seconds)) => format!("> {}", figures::seconds(Some(seconds))),
        (took, _) => figures::seconds(took),
    }
}

/// Whether a snapshot was held, or it is expected that the outbox becomes what it was.
fn is_of_housekeeping(strategy: &Strategy) -> bool {
    let mut faults = strategy.faults.iter();
    let mut expectations = strategy.expectations.iter();
    faults.any(|fault| fault.kind == "old_snapshot")
        || expectations.any(|e| e.metric == "time_to_normal")
}

/// These are the flows in all, of the whole run.
const FLOWS: [Expense; 2] = [
    ("WAL, in all", |d| d.wal_bytes.total, figures::bytes),
    (
        "rows changed, in all",
        |d| d.rows_changed.total,
        figures::optional,
    ),
];

fn expenses<'a>(
    record: &'a Record,
    expenses: &'static [Expense],
) -> impl Iterator<Item = ComparisonRow> + use<'a> {
    let of_each = |of: fn(&DatabaseCosts) -> Option<f64>, written: fn(Option<f64>) -> String| {
        move |s: &Strategy| Cell::figure(written(of(&s.database)))
    };
    expenses
        .iter()
        .map(move |(name, of, written)| row(record, *name, of_each(*of, *written)))
}

/// Returns the section of what the events cost the database: it is to be read beside the latencies, which it pays
/// for.
pub fn database(record: &Record) -> Section {
    let mut all = record.strategies.iter();
    let of_events: &[Expense] = match all.any(|s| s.kind == EVENT_SOURCING) {
        true => &OF_EVENTS,
        false => &[],
    };
    let is_of_it = record.strategies.iter().any(is_of_housekeeping);
    let of_housekeeping: &[Expense] = if is_of_it { &OF_HOUSEKEEPING } else { &[] };
    let normality = is_of_it.then(|| {
        let of_each = |s: &Strategy| Cell::figure(back_to_normal(&s.database));
        row(record, "outbox back to normal", of_each)
    });
    let rows = expenses(record, &EXPENSES)
        .chain(expenses(record, of_events))
        .chain(expenses(record, of_housekeeping))
        .chain(normality);
    Section {
        title: "cost to the database",
        rows: rows.collect(),
    }
}

/// Who can be blocked by what is in doubt, and where it is found for how long.
type Blocked = (&'static str, fn(&InDoubt) -> Option<f64>);

const BLOCKED: [Blocked; 2] = [
    ("orders", |d| d.blocked_orders_ms),
    ("readers of the topic", |d| d.blocked_consumers_ms),
];

/// Returns the section of how long others were blocked by what was in doubt; it has no rows where nothing could be.
pub fn in_doubt(record: &Record) -> Section {
    let is_known = |s: &Strategy| BLOCKED.iter().any(|(_, of)| of(&s.in_doubt).is_some());
    let rows = BLOCKED.iter().map(|(label, of)| {
        row(record, *label, |s| {
            let ms = of(&s.in_doubt);
            Cell::figure(ms.map_or_else(|| DASH.to_owned(), figures::milliseconds))
        })
    });
    Section {
        title: "longest blocked by what was in doubt",
        rows: match record.strategies.iter().any(is_known) {
            true => rows.collect(),
            false => Vec::new(),
        },
    }
}

/// Returns the section of CPU and memory, and of what the database paid in all.
pub fn costs(record: &Record) -> Section {
    let mut names: Vec<&str> = Vec::new();
    for name in record.strategies.iter().flat_map(|s| s.costs.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let processes = names.into_iter().map(|name| {
        row(record, name, |s| {
            Cell::figure(figures::optional(s.costs.get(name).copied().flatten()))
        })
    });
    Section {
        title: "costs of the whole run",
        rows: processes.chain(expenses(record, &FLOWS)).collect(),
    }
}

/// The count that this record is about: the first of what can go wrong that did anywhere.
pub fn headline(record: &Record) -> (&'static str, fn(&Counts) -> Option<u64>) {
    let any = |of: fn(&Counts) -> Option<u64>| {
        record.strategies.iter().any(|s| is_some_of(of(&s.counts)))
    };
    let asked = |metric: &str| {
        let mut all = record.strategies.iter().flat_map(|s| &s.expectations);
        all.any(|e| e.metric == metric && !e.implicit)
    };
    let all = || MAIN_HARMS.iter().chain(&OTHER_HARMS);
    all()
        .find(|(_, of, wrong)| *wrong && any(*of))
        .or_else(|| all().find(|(metric, of, _)| any(*of) && asked(metric)))
        .map_or(("lost", |c: &Counts| c.lost), |(metric, of, _)| {
            (*metric, *of)
        })
}
