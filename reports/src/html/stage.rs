//! The run on stage: a screen a step, for a room. `report.html#stage` shows it in place of the page; Page Down, Space
//! and the arrows go on, as they scroll any page, so that it needs no script.

use super::escape::escaped;
use super::plot::strategy_class;
use super::tables::tone_class;
use super::{banner, offences};
use crate::comparison;
use crate::record::{Offence, Record, Strategy};
use crate::{conclusion, figures};

/// Steps of a timeline that a room can read; the page has all of them.
const STEPS_MAX: usize = 9;

/// What was tried, each strategy's figure, one event's story, the sentence.
pub fn of(record: &Record) -> String {
    let mut slides = vec![slide(
        "",
        &format!(
            "<h2>{}</h2><p class=\"what\">{}</p><p class=\"how\">Page Down, Space or ↓ goes on; ↑ goes back. \
             <a href=\"#outcomes\">The whole report</a></p>",
            escaped(&record.scenario),
            escaped(&record.description)
        ),
    )];
    for (index, strategy) in record.strategies.iter().enumerate() {
        slides.push(figure(record, index, strategy));
    }
    slides.extend(story(record));
    slides.push(slide(
        "",
        &format!(
            "<h2>{}</h2><p class=\"what\">{} {}</p>",
            escaped(&conclusion::sentence(record)),
            banner::badge(record.verdict),
            escaped(&conclusion::expectations(record))
        ),
    ));
    slides.concat()
}

fn slide(class: &str, html: &str) -> String {
    format!("<div class=\"slide {class}\">{html}</div>\n")
}

fn figure(record: &Record, index: usize, strategy: &Strategy) -> String {
    let (metric, of) = comparison::headline(record);
    let count = of(&strategy.counts);
    let of_all = comparison::of_all(metric, strategy.counts.committed);
    let html = format!(
        "<h2>{} <span class=\"kind\">{}</span></h2><p class=\"figure {}\"><b>{}</b> {}</p>{}",
        escaped(&strategy.name),
        escaped(&strategy.what_else()),
        tone_class(banner::tone(strategy, metric, count)),
        figures::count(count),
        escaped(&figures::spoken(metric)),
        of_all.map_or_else(String::new, |of| format!("<p class=\"what\">{of}</p>"))
    );
    slide(&strategy_class(index), &html)
}

/// What became of the first event of the kind that this record is about.
fn story(record: &Record) -> Option<String> {
    let (metric, _) = comparison::headline(record);
    let of_it = |offence: &&Offence| offence.metric == metric;
    let (index, offence) = record
        .strategies
        .iter()
        .enumerate()
        .find_map(|(index, strategy)| Some((index, strategy.offences.iter().find(of_it)?)))?;
    let name = &record.strategies[index].name;
    let first = &offence.timeline[..offence.timeline.len().min(STEPS_MAX)];
    let timeline = offences::timeline(first);
    let more = match offence.timeline.len().saturating_sub(STEPS_MAX) {
        0 => String::new(),
        _ => "<p class=\"how\">The rest of its way is in the report.</p>".to_owned(),
    };
    let html = format!(
        "<h2>{}: one {} order</h2><p class=\"told\">{}</p>{timeline}{more}",
        escaped(name),
        escaped(&figures::spoken(metric)),
        escaped(offence.told())
    );
    Some(slide(&strategy_class(index), &html))
}
