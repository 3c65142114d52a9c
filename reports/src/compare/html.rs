//! Exporter: `compare.html`, one file that needs nothing else: what it comes to, what was found, each sentence linked to
//! its row, and the tables.

use super::{Compare, CompareRow, FailingArm, Finding, Side, Subject, words};
use crate::comparison::Tone;
use crate::figures;
use crate::html::escape::{escaped, filled, items};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("../html/style.css");

/// Returns the comparison as an HTML page.
pub fn render(compare: &Compare) -> String {
    let subjects: String = compare
        .subjects
        .iter()
        .enumerate()
        .map(|(index, subject)| section(index, subject))
        .collect();
    let unlike: Vec<String> = compare
        .unlike
        .iter()
        .map(|unlike| format!("Unlike, compared all the same: {unlike}"))
        .collect();
    let facts = [
        words::pairs(compare),
        compare.ran_on.clone(),
        match compare.max_regression {
            Some(limit) => format!("limit {}", words::share(limit)),
            None => "no limit".to_owned(),
        },
    ];
    filled(
        PAGE,
        &[
            ("style", STYLE),
            ("scenario", &escaped(&compare.scenario)),
            ("verdict", figures::verdict(compare.verdict)),
            ("headline", &escaped(&headline(compare))),
            ("unlike", &items("reasons bad", &unlike)),
            ("reasons", &items("reasons", &compare.reasons)),
            ("facts", &items("facts", &facts)),
            ("found", &found(compare)),
            ("subjects", &subjects),
            ("legend", &escaped(&words::legend(compare))),
            ("remarks", &items("limits", &compare.remarks)),
            ("sides", &sides(&compare.sides)),
            ("version", &escaped(&compare.harness_version)),
        ],
    )
}

/// How many rows are worse, better, and neither.
fn headline(compare: &Compare) -> String {
    let rows = || compare.subjects.iter().flat_map(words::shown);
    let count = |finding| rows().filter(|(_, row)| row.finding == finding).count() as u64;
    format!(
        "{} worse, {} better, {} cannot be told",
        figures::counted(count(Finding::Worse), "figure"),
        figures::count(count(Finding::Better)),
        figures::count(count(Finding::NotDistinguishable) + count(Finding::TooFewPairs))
    )
}

/// Returns the anchor of a row, by the places of its subject and of the row in it.
fn anchor(subject: usize, row: usize) -> String {
    format!("row-{subject}-{row}")
}

fn found(compare: &Compare) -> String {
    let mut sentences = String::new();
    for (index, subject) in compare.subjects.iter().enumerate() {
        for (at, row) in subject.rows.iter().enumerate() {
            if let Some(sentence) = words::sentence(subject, row) {
                sentences.push_str(&format!(
                    "<li><a href=\"#{}\">{}</a></li>",
                    anchor(index, at),
                    escaped(&sentence)
                ));
            }
        }
    }
    if sentences.is_empty() {
        sentences.push_str("<li>Nothing: no row shows a difference.</li>");
    }
    format!("<section><h2>What was found</h2><ul class=\"limits\">{sentences}</ul></section>\n")
}

fn section(index: usize, subject: &Subject) -> String {
    let counts: String = subject
        .safety
        .iter()
        .map(|row| {
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td>{}</tr>",
                escaped(&figures::spoken(&row.metric)),
                escaped(&words::counts(&row.base)),
                cell("number", &words::counts(&row.new), words::safety_tone(row))
            )
        })
        .collect();
    let heads = format!(
        "<th scope=\"col\" class=\"number\">{}</th><th scope=\"col\" class=\"number\">{}</th>",
        escaped(&subject.base),
        escaped(&subject.new)
    );
    let rows: String = words::shown(subject)
        .map(|(at, row)| figures_of(&anchor(index, at), row))
        .collect();
    let counts = boxed(&format!(
        "<table class=\"list\"><thead><tr><th scope=\"col\">counts</th>{heads}</tr></thead><tbody>{counts}</tbody></table>"
    ));
    let figures = boxed(&format!(
        "<table class=\"list\"><thead><tr><th scope=\"col\">figures, median and range</th><th scope=\"col\">found</th>{heads}\
         <th scope=\"col\" class=\"number\">change, interval</th><th scope=\"col\" class=\"number\">equal runs</th>\
         <th scope=\"col\" class=\"number\">smallest to be seen</th></tr></thead><tbody>{rows}</tbody></table>"
    ));
    format!(
        "<section><h2>{}</h2>{counts}<br>{figures}{}</section>\n",
        escaped(&subject.title),
        failing(subject)
    )
}

/// Shows each time with a fault in force, with its figures beside those of the time without.
fn failing(subject: &Subject) -> String {
    let times = words::failing(subject);
    if times.is_empty() {
        return String::new();
    }
    let bodies: String = times
        .iter()
        .map(|(during, rows)| {
            let rows: String = rows
                .iter()
                .map(|row| {
                    let sides = [&row.base, &row.new].map(|arm| failing_cells(arm, &row.unit));
                    let name = escaped(&row.name);
                    format!("<tr><th scope=\"row\">{name}</th>{}</tr>", sides.concat())
                })
                .collect();
            format!(
                "<tbody><tr class=\"section\"><th scope=\"rowgroup\" colspan=\"7\"><span>{}</span></th></tr>{rows}</tbody>",
                escaped(during)
            )
        })
        .collect();
    let sides = [&subject.base, &subject.new].map(|side| {
        format!(
            "<th scope=\"colgroup\" class=\"number\" colspan=\"3\">{}</th>",
            escaped(side)
        )
    });
    let columns = ["without", "during", "change"]
        .map(|column| format!("<th scope=\"col\" class=\"number\">{column}</th>"))
        .concat();
    let table = boxed(&format!(
        "<table class=\"list\"><thead><tr><th scope=\"col\" rowspan=\"2\">while failing, median and range</th>{}</tr>\
         <tr>{columns}{columns}</tr></thead>{bodies}</table>",
        sides.concat()
    ));
    format!(
        "<br>{table}<p class=\"lesson\">{}</p>",
        escaped(words::FAILING)
    )
}

/// Returns the cells of one side of a row, for [`failing`].
fn failing_cells(arm: &FailingArm, unit: &str) -> String {
    let figures = [&arm.without, &arm.during]
        .map(|figures| two_lines(&words::median_and_range(figures, unit)));
    let change = escaped(&words::failing_change(arm));
    format!("{}<td class=\"number\">{change}</td>", figures.concat())
}

/// A cell with what stands in brackets below the rest, where the column is narrow.
fn two_lines(words: &str) -> String {
    let words = escaped(words).replacen(" (", "<br>(", 1);
    format!("<td class=\"number\">{words}</td>")
}

fn figures_of(anchor: &str, row: &CompareRow) -> String {
    let arms: String = [&row.base, &row.new]
        .map(|arm| two_lines(&words::median_and_range(arm, &row.unit)))
        .concat();
    let share = |share: Option<f64>| share.map_or_else(|| figures::DASH.to_owned(), words::share);
    format!(
        "<tr id=\"{anchor}\"><th scope=\"row\">{}</th>{}{arms}{}\
         <td class=\"number\">{}</td><td class=\"number\">{}</td></tr>",
        escaped(&row.name),
        // Beside the name, so that a phone shows it too.
        cell("", words::plain_finding(row), words::tone(row)),
        two_lines(&words::change_and_interval(row)),
        escaped(&share(row.noise_floor)),
        escaped(&share(row.smallest)),
    )
}

fn cell(class: &str, words: &str, tone: Tone) -> String {
    let tone = match tone {
        Tone::Plain => "",
        Tone::Faint => " faint",
        Tone::Good => " good",
        Tone::Warning => " warning",
        Tone::Bad => " bad",
    };
    format!("<td class=\"{class}{tone}\">{}</td>", escaped(words))
}

fn sides(sides: &[Side]) -> String {
    let rows: String = sides
        .iter()
        .map(|side| {
            let began = match &side.began {
                Some((first, last)) => {
                    format!("{}<br>to {}", to_the_second(first), to_the_second(last))
                }
                None => figures::DASH.to_owned(),
            };
            format!(
                "<tr><th scope=\"row\">{}</th><td class=\"number\">{}</td><td>{}</td><td class=\"prose\">{}</td><td class=\"prose\">{}</td></tr>",
                escaped(&side.name),
                side.runs,
                began,
                escaped(&side.versions.join(", ")),
                escaped(&side.from)
            )
        })
        .collect();
    boxed(&format!(
        "<table class=\"list\"><thead><tr><th scope=\"col\"></th><th scope=\"col\" class=\"number\">runs</th>\
         <th scope=\"col\">began</th><th scope=\"col\">versions</th><th scope=\"col\">from</th></tr></thead><tbody>{rows}</tbody></table>"
    ))
}

/// Returns a moment without its fraction of a second, for a cell.
fn to_the_second(moment: &str) -> String {
    match moment.split_once('.') {
        Some((seconds, _)) => format!("{}Z", escaped(seconds)),
        None => escaped(moment),
    }
}

fn boxed(table: &str) -> String {
    format!("<div class=\"scroll\" tabindex=\"0\">{table}</div>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_comparison_when_rendered_then_the_page_is_whole_and_each_sentence_has_its_row() {
        let page = render(&super::super::sample::compare());
        assert!(page.ends_with("</html>\n") && !page.contains("{{"));
        assert!(!page.contains("<strategy>") && page.contains("a &lt;strategy&gt;"));
        assert!(page.contains("during down &lt;kafka&gt;") && page.contains("x2,000</td>"));
        assert!(page.contains("cannot be told</td>") && !page.contains("not told, &lt;33%</td>"));
        let links = page.matches("href=\"#row-").count();
        assert_eq!(links, 4);
        for at in [0, 1, 2, 4] {
            assert!(page.contains(&format!("id=\"row-0-{at}\"")));
        }
        let (top, _) = page.split_once("</header>").unwrap_or_default();
        assert!(
            top.contains("Unlike, compared all the same: cores"),
            "{top}"
        );
        assert!(!page.contains("src=") && !page.contains("<script"));
    }
}
