//! The first offending events of each kind: what happened, and each one's way to unfold.

use super::escape::escaped;
use super::plot::{strategy_class, swatch};
use crate::comparison;
use crate::figures::{self, DASH};
use crate::record::{Offence, Record, Step, Strategy};

/// Returns one block a strategy and kind; nothing where nothing was wrong.
pub fn of(record: &Record) -> String {
    let mut html = String::new();
    for (index, strategy) in record.strategies.iter().enumerate() {
        for metric in metrics(strategy) {
            let of_it: Vec<&Offence> = strategy
                .offences
                .iter()
                .filter(|o| o.metric == metric)
                .collect();
            html.push_str(&format!(
                "<section class=\"offences {}\"><h3>{}{} <small>{}</small></h3>",
                strategy_class(index),
                swatch(index),
                escaped(&strategy.name),
                escaped(&heading(strategy, metric, of_it.len() as u64))
            ));
            for offence in of_it {
                html.push_str(&one(offence));
            }
            html.push_str("</section>");
        }
    }
    html
}

/// Returns the heading of a block: `453 lost, the first 5`.
fn heading(strategy: &Strategy, metric: &str, shown: u64) -> String {
    let kind = figures::spoken(metric);
    match comparison::harm_count(strategy, metric) {
        Some(count) if count > shown => {
            format!("{} {kind}, the first {shown}", figures::count(count))
        }
        Some(count) => format!("{} {kind}", figures::count(count)),
        None => kind,
    }
}

/// Returns the kinds in the order in which they come first.
fn metrics(strategy: &Strategy) -> Vec<&str> {
    let mut metrics: Vec<&str> = Vec::new();
    for offence in &strategy.offences {
        if !metrics.contains(&offence.metric.as_str()) {
            metrics.push(&offence.metric);
        }
    }
    metrics
}

fn one(offence: &Offence) -> String {
    let version = offence.version.map(|version| version.to_string());
    format!(
        "<details class=\"offence\"><summary>{}</summary>\
         <ul class=\"facts\"><li>order <code>{}</code></li><li>version {}</li>\
         <li>attempt <code>{}</code></li></ul>{}</details>",
        escaped(offence.told()),
        escaped(offence.order_id.as_deref().unwrap_or(DASH)),
        version.as_deref().unwrap_or(DASH),
        escaped(offence.attempt.as_deref().unwrap_or(DASH)),
        timeline(&offence.timeline)
    )
}

/// Returns the way of an event through all processes, a row a step; nothing where none is known.
pub fn timeline(steps: &[Step]) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let mut html = "<table class=\"timeline\" cellpadding=\"4\"><tbody>".to_owned();
    for step in steps {
        html.push_str(&format!(
            "<tr{}><td class=\"number\">{:.3}\u{a0}s</td><th scope=\"row\">{}</th><td>{}</td></tr>",
            if step.who == "fault" {
                " class=\"fault\""
            } else {
                ""
            },
            step.at_s,
            escaped(&step.who),
            escaped(&step.what)
        ));
    }
    html.push_str("</tbody></table>");
    html
}
