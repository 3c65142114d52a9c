//! Exporter: `report.html`, one file that needs nothing else: no network, no script, no font.

pub(crate) mod axis;
mod banner;
pub(crate) mod charts;
pub(crate) mod escape;
mod offences;
mod picture;
pub(crate) mod plot;
mod scope;
mod stage;
mod tables;

use crate::record::Record;
use crate::{ExportError, Exporter, figures};
use escape::{escaped, filled};

const PAGE: &str = include_str!("html/page.html");
const STYLE: &str = include_str!("html/style.css");
/// How the report is on paper; after the other one, which it overrides.
const PRINT: &str = include_str!("html/print.css");

/// This exporter writes `report.html`.
#[derive(Debug, Clone, Copy)]
pub struct Html;

impl Exporter for Html {
    fn file_name(&self) -> &'static str {
        "report.html"
    }

    fn export(&self, record: &Record) -> Result<Vec<u8>, ExportError> {
        let charts = charts::figures(record).map_err(|reason| ExportError {
            format: "report.html",
            reason: format!("drawing a chart: {reason}"),
        })?;
        let verdict = figures::verdict(record.verdict);
        let title = format!("{}: {verdict} – outbox-harness", record.scenario);
        let page = filled(
            PAGE,
            &[
                ("title", &escaped(&title)),
                ("style", &[STYLE, PRINT].concat()),
                ("banner", &banner::of(record)),
                ("stage", &stage::of(record)),
                ("outcomes", &banner::cards(record)),
                ("charts", &or_none(charts, "No series were recorded.")),
                ("comparison", &tables::comparison(record)),
                ("latencies", &tables::latencies(record)),
                (
                    "expectations",
                    &or_none(tables::expectations(record), "Nothing was expected."),
                ),
                (
                    "faults",
                    &or_none(tables::faults(record), "The scenario has no faults."),
                ),
                ("offences", &or_none(offences::of(record), "None.")),
                ("clocks", clocks(record)),
                ("limits", &scope::limits(record)),
                ("environment", &scope::environment(record)),
                ("wiring", &scope::wiring(record)),
                ("version", &escaped(&record.harness_version)),
            ],
        );
        Ok(page.into_bytes())
    }
}

/// From when on latencies count.
fn clocks(record: &Record) -> &'static str {
    match record.clients() {
        None => {
            "From when the order was due to its event seen; from its answer to its event seen; from when it was due to its \
             answer. All count from when the load was due, not from when it could be sent, so a stalled system cannot hide \
             its stall."
        }
        Some(_) => {
            "From when the order was sent to its event seen; from its answer to its event seen; from when it was sent to its \
             answer. Nothing is due in a closed loop: a system that stalls is asked less, and its stall is one slow answer a \
             client."
        }
    }
}

fn or_none(html: String, otherwise: &str) -> String {
    if html.is_empty() {
        format!("<p class=\"none\">{otherwise}</p>")
    } else {
        html
    }
}
