use crate::sample;
use reports::record::Record;
use reports::terminal::Terminal;

fn rendered(record: &Record, width: usize) -> String {
    let colour = false;
    Terminal { colour, width }.render(record, None)
}

fn longest(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap()
}

#[test]
fn it_fits_into_80_and_120_columns() {
    for record in [sample::record(), sample::failed(), sample::unknown()] {
        assert!(longest(&rendered(&record, 80)) <= 80);
        assert!(longest(&rendered(&record, 120)) <= 120);
    }
}

#[test]
fn strategies_that_do_not_fit_come_below() {
    let mut record = sample::record();
    for n in 0..5 {
        let name = format!("another-strategy-{n}");
        record.strategies.push(sample::clean(&name, "polling"));
    }
    let text = rendered(&record, 80);
    assert!(longest(&text) <= 80, "{text}");
    for strategy in &record.strategies {
        assert!(text.contains(&strategy.name));
    }
    assert!(text.matches("\nverdict").count() > 1);
}

#[test]
fn the_last_lines_are_the_verdict_and_why() {
    let text = rendered(&sample::failed(), 120);
    let closing = text.rsplit("\n\n").next().unwrap();
    assert!(
        closing.starts_with("FAIL  cdc missed lost = 0"),
        "{closing}"
    );
    assert!(closing.contains("Missed: cdc: lost = 0 (saw 3)."));
    assert!(text.contains("  cdc: lost: expected 0, saw 3\n"));
}

#[test]
fn what_was_not_measured_is_a_dash() {
    let text = rendered(&sample::record(), 80);
    let drained = text.lines().find(|line| line.contains("drained")).unwrap();
    let figures: Vec<&str> = drained.split_whitespace().collect();
    assert_eq!(figures[..3], ["drained", "after", "–"]);
}

#[test]
fn drain_and_recovery_are_two_rows_and_recovery_is_shown_where_there_was_a_fault() {
    let row = |text: &str, name: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.contains(name));
        line.map_or_else(Vec::new, |line| {
            line.split_whitespace().map(str::to_owned).collect()
        })
    };
    let mut record = sample::record();
    let text = rendered(&record, 120);
    assert_eq!(
        row(&text, "drained after")[2..],
        ["–", "3.0", "ms", "3.0", "ms"]
    );
    assert_eq!(
        row(&text, "recovered after")[2..],
        ["–", "840", "ms", "350", "ms"]
    );
    record.strategies.iter_mut().for_each(|s| s.faults.clear());
    assert!(row(&rendered(&record, 120), "recovered after").is_empty());
}

#[test]
fn what_the_database_paid_stands_right_behind_the_latencies() {
    let text = rendered(&sample::record(), 120);
    let titles: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with(' ') && !line.is_empty())
        .collect();
    let of = |title: &str| titles.iter().position(|line| line.starts_with(title));
    let order = of("order, p50 / p99").unwrap();
    assert_eq!(of("cost to the database"), Some(order + 1));
    let row = |name: &str| -> Vec<&str> {
        let line = text.lines().find(|l| l.trim_start().starts_with(name));
        line.unwrap().trim()[name.len()..]
            .split_whitespace()
            .collect()
    };
    let wal = ["612", "B", "1.16", "KiB", "1.16", "KiB"];
    assert_eq!(row("WAL, each event"), wal);
    assert_eq!(row("rows changed, each event"), ["–", "1", "1"]);
    // Peaks are what they were, however long the run
    let peak = ["–", "235", "KiB", "235", "KiB"];
    assert_eq!(row("outbox table, peak"), peak);
    assert_eq!(row("dead tuples, peak"), ["–", "359", "359"]);
    assert_eq!(row("unconfirmed slot WAL, peak"), ["–", "–", "–"]);
}

#[test]
fn given_events_that_are_the_truth_when_shown_then_all_that_each_way_writes_and_keeps_stands_beside_it()
 {
    let mut record = sample::record();
    let names = [
        "rows written",
        "all tables, at the end",
        "projection rebuilt in",
    ];
    for strategy in &mut record.strategies {
        strategy.database.rows_written.per_event = Some(3.0);
        strategy.database.storage_end_bytes.total = Some(2048.0);
    }
    // Where nobody has any, these are in the record alone
    let text = rendered(&record, 120);
    assert!(names.iter().all(|name| !text.contains(name)), "{text}");
    record.strategies[2].database.rows_written.per_event = Some(1.03);
    record.strategies[2].kind = "event-sourcing".to_owned();
    let shown_in = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.contains(name)).unwrap();
        let cells = line
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty());
        cells.skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    // Also where no projection was rebuilt
    let text = rendered(&record, 120);
    assert_eq!(shown_in(&text, names[2]), ["–", "–", "–"]);
    record.strategies[2].database.rebuild_ms = Some(25.5);
    let text = rendered(&record, 120);
    assert_eq!(shown_in(&text, names[0]), ["3", "3", "1.03"]);
    assert_eq!(shown_in(&text, names[1]), ["2 KiB", "2 KiB", "2 KiB"]);
    assert_eq!(shown_in(&text, names[2]), ["–", "–", "25.5"]);
}

#[test]
fn given_a_strategy_that_leaves_transactions_in_doubt_when_shown_then_how_long_others_waited_for_them_stands_there()
 {
    let mut record = sample::record();
    // Where nothing can be in doubt, nothing is said of it
    assert!(!rendered(&record, 120).contains("in doubt"));
    record.strategies[1].in_doubt.blocked_orders_ms = Some(0.0);
    record.strategies[1].in_doubt.blocked_consumers_ms = Some(1612.0);
    let text = rendered(&record, 120);
    let after = text
        .split("longest blocked by what was in doubt")
        .nth(1)
        .unwrap();
    let shown: Vec<Vec<&str>> = after
        .lines()
        .skip(1)
        .take(2)
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(shown[0], ["orders", "–", "0.00 ms", "–"]);
    assert_eq!(shown[1], ["readers of the topic", "–", "1.61 s", "–"]);
}

#[test]
fn colours_only_when_asked_for_and_never_from_the_record() {
    let mut record = sample::record();
    record.description = "a \x1b[31mred\x1b[0m description".to_owned();
    record.strategies[0].name = "na\x1bive".to_owned();
    assert!(!rendered(&record, 100).contains('\x1b'));
    let coloured = Terminal {
        colour: true,
        width: 100,
    }
    .render(&record, None);
    assert!(coloured.contains("\x1b[1;32mPASS\x1b[0m"));
    assert!(!coloured.contains("\x1b[31mred"));
}

#[test]
fn a_miss_tells_what_happened_to_its_first_events_and_how_to_learn_more() {
    let mut record = sample::record();
    record.strategies[0].expectations[0].met = Some(false);
    let terminal = Terminal {
        colour: false,
        width: 80,
    };
    let text = terminal.render(&record, Some("runs/broker-outage-1"));
    assert_eq!(text.matches("  naive: order 0000").count(), 3, "{text}");
    let words: Vec<&str> = text.split_whitespace().collect();
    let said = words.join(" ");
    assert!(said.contains("(not persisted) while down kafka was in force"));
    assert!(
        text.contains("  what happened to each: outbox-harness explain runs/broker-outage-1\n")
    );
    assert!(longest(&text) <= 80);
}

#[test]
fn a_pass_only_says_how_to_learn_more_and_a_clean_one_not_even_that() {
    let folder = Some("runs/1");
    let terminal = Terminal {
        colour: false,
        width: 100,
    };
    let mut record = sample::record();
    let text = terminal.render(&record, folder);
    assert!(!text.contains("its publish failed"));
    assert!(text.contains("outbox-harness explain runs/1"));
    record.strategies.remove(0);
    assert!(!terminal.render(&record, folder).contains("explain"));
}
