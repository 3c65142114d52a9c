use crate::sample;
use reports::Exporter;
use reports::record::Record;
use reports::summary::Summary;

fn rendered(record: &Record) -> String {
    String::from_utf8(Summary.export(record).unwrap()).unwrap()
}

#[test]
fn the_verdict_and_the_sentence_come_first() {
    let text = rendered(&sample::failed());
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("## ❌ broker-outage: fail"));
    assert!(text.contains("Missed: cdc: lost = 0 (saw 3)."));
    assert!(text.contains("- **cdc**: lost: expected 0, saw 3"));
}

#[test]
fn every_row_of_a_table_has_as_many_cells_as_its_head() {
    let mut record = sample::failed();
    record.strategies[1].name = "a|b".to_owned();
    record.strategies[2].expectations[0].reason = "x | y\n| z".to_owned();
    let text = rendered(&record);
    let cells = |line: &str| line.replace("\\|", "").matches('|').count();
    let mut width = None;
    for line in text.lines() {
        if line.starts_with('|') {
            let expected = *width.get_or_insert_with(|| cells(line));
            assert_eq!(cells(line), expected, "{line}");
        } else {
            width = None;
        }
    }
}

#[test]
fn text_is_not_markup() {
    let mut record = sample::record();
    record.description = "<img src=x onerror=y> @everyone".to_owned();
    let text = rendered(&record);
    assert!(!text.contains("<img"));
    assert!(text.contains("&lt;img"));
}

#[test]
fn what_each_event_cost_the_database_stands_right_behind_the_latencies() {
    let text = rendered(&sample::record());
    let rows: Vec<&str> = text.lines().filter(|l| l.starts_with("| ")).collect();
    let cost = rows.iter().position(|l| l.starts_with("| database: "));
    let cost = cost.unwrap();
    assert!(rows[cost - 1].starts_with("| order p50 / p99: "));
    assert_eq!(
        rows[cost],
        "| database: WAL, each event | 612 B | 1.16 KiB | 1.16 KiB |"
    );
}
