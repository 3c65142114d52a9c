//! The charts as files: pictures that stand alone, tables with the figures behind them.

use super::sample::record;
use reports::charts::files;

fn text(name: &str) -> String {
    let files = files(&record()).unwrap();
    let file = files.iter().find(|file| file.name == name);
    String::from_utf8(file.unwrap().bytes.clone()).unwrap()
}

#[test]
fn given_a_run_then_every_chart_is_a_picture_and_a_table() {
    let files = files(&record()).unwrap();
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let charts = [
        "acknowledged",
        "published",
        "backlog",
        "propagation",
        "end-to-end",
        "order",
    ];
    let expected = charts
        .iter()
        .flat_map(|name| [format!("{name}.svg"), format!("{name}.csv")]);
    assert_eq!(names, expected.collect::<Vec<_>>());
}

#[test]
fn given_a_picture_then_it_has_its_title_and_every_strategy_and_needs_nothing_else() {
    let svg = text("propagation.svg");
    let record = record();
    assert!(svg.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\""));
    assert!(svg.contains(">Propagation over time</text>") && svg.contains(">p99</text>"));
    for strategy in &record.strategies {
        assert!(
            svg.contains(&format!(">{}</text>", strategy.name)),
            "{}",
            strategy.name
        );
    }
    assert_eq!(svg.matches("<svg ").count(), svg.matches("</svg>").count());
}

#[test]
fn given_a_table_then_it_has_each_bin_of_each_strategy_and_nothing_for_what_was_not_measured() {
    let record = record();
    let csv = text("propagation.csv");
    let mut lines = csv.lines();
    assert_eq!(
        lines.next(),
        Some("strategy,at_s,propagation_p50_ms,propagation_p99_ms")
    );
    let series = record.strategies.iter().map(|strategy| &strategy.series);
    let bins: usize = series
        .clone()
        .map(|series| series.propagation_p50_ms.len())
        .sum();
    let gaps: usize = series
        .map(|series| {
            series
                .propagation_p50_ms
                .iter()
                .filter(|ms| ms.is_none())
                .count()
        })
        .sum();
    assert!(bins > 0 && gaps > 0);
    assert_eq!(lines.clone().count(), bins);
    let cells = lines.map(|line| line.split(',').collect::<Vec<_>>());
    assert_eq!(cells.filter(|cells| cells[2].is_empty()).count(), gaps);
}
