//! The exporters, from outside.
#![allow(clippy::unwrap_used)]

mod arbitrary;
mod caches;
mod charts;
mod consumers;
mod explanation;
mod github;
mod headlines;
mod html;
mod index;
mod json;
mod junit;
mod sample;
mod summary;
mod terminal;

use proptest::prelude::*;
use reports::Exporter;
use reports::terminal::Terminal;

/// Every format of a run's folder, and the terminal's.
fn every_format() -> Vec<Box<dyn Exporter>> {
    let mut all = reports::all();
    for (colour, width) in [(false, 80), (true, 120), (false, 0)] {
        all.push(Box::new(Terminal { colour, width }));
    }
    all
}

#[test]
fn a_run_folder_gets_the_four_files_that_the_contract_names() {
    let mut names: Vec<&str> = reports::all().iter().map(|e| e.file_name()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["junit.xml", "record.json", "report.html", "summary.md"]
    );
}

#[test]
fn none_lost_says_of_how_many_when_there_is_nothing_to_compare_with() {
    let mut record = sample::record();
    record.strategies.remove(0);
    assert_eq!(
        reports::conclusion(&record),
        "polling and cdc lost none of 11,760 committed changes."
    );
}

#[test]
fn a_run_of_nothing_still_has_reports_and_claims_nothing() {
    let mut record = sample::record();
    record.strategies.clear();
    for exporter in every_format() {
        assert!(!exporter.export(&record).unwrap().is_empty());
    }
    assert!(reports::conclusion(&record).contains("nothing was proved"));
}

#[test]
fn one_strategy_without_phases_and_series_is_fine() {
    let mut record = sample::record();
    record.strategies = vec![sample::clean("only", "cdc")];
    for exporter in every_format() {
        assert!(!exporter.export(&record).unwrap().is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_record_makes_an_exporter_panic(record in arbitrary::record()) {
        for exporter in every_format() {
            prop_assert!(exporter.export(&record).is_ok(), "{}", exporter.file_name());
        }
    }

    #[test]
    fn what_is_written_as_json_is_read_back(record in arbitrary::record()) {
        let bytes = reports::json::Json.export(&record).unwrap();
        let back = reports::json::parse(&bytes).unwrap();
        prop_assert_eq!(reports::json::Json.export(&back).unwrap(), bytes);
    }

    #[test]
    fn text_of_a_record_is_never_markup(name in "[<>&\"'|`a-z]{1,12}", what in "\\PC{0,40}") {
        let mut record = sample::failed();
        record.strategies[2].name = format!("<script>{name}");
        let offence = &mut record.strategies[2].offences[0];
        offence.sentence = Some(format!("</summary></details>{what}"));
        offence.timeline = vec![reports::record::Step {
            at_s: 1.5,
            who: format!("</th>{what}"),
            what: format!("</td></table>{what}"),
        }];
        let html = html::rendered(&record);
        prop_assert!(!html.contains("<script"));
        for element in ["table", "details", "summary"] {
            let (open, close) = (format!("<{element}"), format!("</{element}>"));
            prop_assert_eq!(html.matches(&close).count(), html.matches(&open).count());
        }
    }
}
