//! The top of the page: the verdict, the sentence, and what became of each attempt.

use super::escape::{escaped, items};
use super::plot::strategy_class;
use super::tables::tone_class;
use crate::comparison::{self, Tone};
use crate::record::{Counts, Record, Strategy, Verdict};
use crate::{conclusion, figures};

/// A sentence longer than this is set smaller.
const LONG_CHARS: usize = 150;

/// Returns the top of the page, with the verdict and the sentence.
pub fn of(record: &Record) -> String {
    let verdict = figures::verdict(record.verdict);
    let stack = &record.stack;
    let sentence = conclusion::sentence(record);
    let long = if sentence.chars().count() > LONG_CHARS {
        " class=\"long\""
    } else {
        ""
    };
    let (harm, badges) = badges(record);
    let mut html = format!(
        "<header class=\"banner {verdict}{harm}\"><p class=\"scenario\">{}</p>\
         {badges}<h1{long}>{}</h1><p class=\"expected\">{}</p>",
        escaped(&record.scenario),
        escaped(&sentence),
        escaped(&conclusion::expectations(record))
    );
    html.push_str(&remarks(record));
    html.push_str(&format!(
        "<p class=\"lesson\">{}</p>",
        escaped(&record.description)
    ));
    if let Some(closed) = comparison::closed_loop(record) {
        html.push_str(&format!("<p class=\"lesson\">{}</p>", escaped(&closed)));
    }
    let named = |(name, version, _): (&str, &str, &str)| format!("{name} {version}");
    let servers = stack.used().map(named);
    let first = [
        record.started_at.clone(),
        format!("took {}", figures::seconds(Some(record.took_s))),
        format!("seed {}", record.seed),
        format!("{} stack", stack.provider),
        named(stack.database()),
    ];
    let facts: Vec<String> = first
        .into_iter()
        .chain(servers)
        .chain([format!("Toxiproxy {}", stack.toxiproxy.version)])
        .collect();
    html.push_str(&items("facts", &facts));
    html.push_str("</header>");
    html
}

/// Returns a class for the whole, and the badges: the verdict; before it, where the run passed because things went
/// wrong as they were expected to, what went wrong.
fn badges(record: &Record) -> (&'static str, String) {
    let (metric, of) = comparison::headline(record);
    let verdict = badge(record.verdict);
    let counts = record.strategies.iter().filter_map(|s| of(&s.counts));
    let harm: u64 = counts.sum();
    match (record.verdict, harm) {
        (Verdict::Pass, 1..) if is_of_loss(metric) => {
            let harm = figures::count(harm);
            let what = escaped(&figures::spoken(metric));
            let expected = match is_expected(record, metric, of) {
                true => ", as expected",
                false => "",
            };
            let badges = format!(
                "<p class=\"badge\">{harm} {what}{expected}</p><p class=\"chip pass\">{verdict}</p>"
            );
            (" harm", badges)
        }
        (Verdict::Pass | Verdict::Fail | Verdict::Unknown, _) => {
            ("", format!("<p class=\"badge\">{verdict}</p>"))
        }
    }
}

/// Whether every strategy that has any of it was expected to.
fn is_expected(record: &Record, metric: &str, of: fn(&Counts) -> Option<u64>) -> bool {
    let mut having = record
        .strategies
        .iter()
        .filter(|s| of(&s.counts).is_some_and(|n| n > 0));
    having.all(|strategy| comparison::is_as_expected(strategy, metric))
}

/// What no consumer can mend: it has the colour of loss even where it was expected.
fn is_of_loss(metric: &str) -> bool {
    ["lost", "phantom"].contains(&metric)
}

/// How a strategy's figure is coloured.
pub fn tone(strategy: &Strategy, metric: &str, count: Option<u64>) -> Tone {
    match (count, strategy.verdict) {
        (None, _) | (Some(0), Verdict::Unknown) => Tone::Faint,
        (Some(0), _) => Tone::Good,
        _ if is_of_loss(metric) => Tone::Bad,
        _ => comparison::harm_tone(strategy, metric, count),
    }
}

pub fn badge(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "Pass",
        Verdict::Fail => "Fail",
        Verdict::Unknown => "Unknown: nothing was proved",
    }
}

fn remarks(record: &Record) -> String {
    let remarks = conclusion::remarks(record);
    let items: String = remarks
        .iter()
        .map(|(strategy, remark)| {
            let (strategy, remark) = (escaped(strategy), escaped(remark));
            format!("<li><strong>{strategy}</strong> {remark}</li>")
        })
        .collect();
    if items.is_empty() {
        items
    } else {
        format!("<ul class=\"reasons\">{items}</ul>")
    }
}

/// Returns one card a strategy: the figure that the scenario is about, and the four outcomes.
pub fn cards(record: &Record) -> String {
    let (metric, of) = comparison::headline(record);
    let mut html = String::new();
    for (index, strategy) in record.strategies.iter().enumerate() {
        let count = of(&strategy.counts);
        let verdict = figures::verdict(strategy.verdict);
        let tone = tone(strategy, metric, count);
        let of_all = comparison::of_all(metric, strategy.counts.committed);
        html.push_str(&format!(
            "<article class=\"card {}\"><h3>{} <span class=\"kind\">{}</span> \
             <span class=\"chip {verdict}\">{verdict}</span></h3>\
             <p class=\"figure {}\"><b>{}</b> {}{}</p>{}</article>",
            strategy_class(index),
            escaped(&strategy.name),
            escaped(&strategy.what_else()),
            tone_class(tone),
            figures::count(count),
            escaped(&figures::spoken(metric)),
            of_all.map_or_else(String::new, |of| format!(" <small>{of}</small>")),
            matrix(strategy)
        ));
    }
    html
}

/// Returns the table of a strategy's outcomes: database yes or no, event yes or no.
fn matrix(strategy: &Strategy) -> String {
    let outcomes = &strategy.outcomes;
    let cell = |count: Option<u64>, tone: Tone, what: &str| {
        let none = matches!(count, None | Some(0));
        let class = tone_class(if none { Tone::Faint } else { tone });
        format!(
            "<td class=\"{class}\"><b>{}</b> <small>{what}</small></td>",
            figures::count(count)
        )
    };
    format!(
        "<table class=\"matrix\"><thead><tr><td></td><th scope=\"col\">event</th>\
         <th scope=\"col\">no event</th></tr></thead><tbody>\
         <tr><th scope=\"row\">in the database</th>{}{}</tr>\
         <tr><th scope=\"row\">not in the database</th>{}{}</tr></tbody></table>",
        cell(outcomes.db_event, Tone::Good, "delivered"),
        cell(outcomes.db_only, Tone::Bad, "undelivered"),
        cell(outcomes.event_only, Tone::Bad, "phantom"),
        cell(outcomes.neither, Tone::Plain, "neither")
    )
}
