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
    assert!(closing.starts_with("FAIL  naive lost 453"), "{closing}");
    assert!(closing.contains("Missed: cdc: lost = 0 (saw 3)."));
    assert!(text.contains("cdc: lost = 0 was missed"));
}

#[test]
fn what_was_not_measured_is_a_dash() {
    let text = rendered(&sample::record(), 80);
    let drained = text.lines().find(|line| line.contains("drained")).unwrap();
    let figures: Vec<&str> = drained.split_whitespace().collect();
    assert_eq!(figures[..3], ["drained", "after", "–"]);
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
