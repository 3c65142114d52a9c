//! Exporter: a comparison in GitHub-flavoured markdown, for a CI job's summary or a pull request.

use super::{Compare, Subject, words};
use crate::comparison::Tone;
use crate::figures;
use crate::summary::{escaped, mark, table};

/// Returns the comparison as markdown.
pub fn render(compare: &Compare) -> String {
    let mut text = format!(
        "## {} {}: {}\n\n",
        mark(compare.verdict),
        escaped(&compare.scenario),
        figures::verdict(compare.verdict)
    );
    for unlike in &compare.unlike {
        let unlike = escaped(unlike);
        text.push_str(&format!(
            "> **Unlike, compared all the same:** {unlike}\n\n"
        ));
    }
    list(&compare.reasons, &mut text);
    let found: Vec<String> = compare
        .subjects
        .iter()
        .flat_map(|subject| {
            subject
                .rows
                .iter()
                .filter_map(move |row| words::sentence(subject, row))
        })
        .collect();
    list(&found, &mut text);
    text.push_str(&format!(
        "{}; {}\n\n",
        escaped(&words::pairs(compare)),
        escaped(&compare.ran_on)
    ));
    for subject in &compare.subjects {
        text.push_str(&format!("### {}\n\n", escaped(&subject.title)));
        text.push_str(&counts(subject));
        text.push_str(&rows(subject));
        text.push_str(&failing(subject));
    }
    text.push_str(&format!("{}\n\n", escaped(&words::legend(compare))));
    list(&compare.remarks, &mut text);
    text
}

fn list(texts: &[String], text: &mut String) {
    for one in texts {
        text.push_str(&format!("- {}\n", escaped(one)));
    }
    if !texts.is_empty() {
        text.push('\n');
    }
}

fn counts(subject: &Subject) -> String {
    let rows: String = subject
        .safety
        .iter()
        .map(|row| {
            format!(
                "| {} | {} | {} |\n",
                escaped(&figures::spoken(&row.metric)),
                escaped(&words::counts(&row.base)),
                toned(&words::counts(&row.new), words::safety_tone(row))
            )
        })
        .collect();
    let head = format!(
        "| counts | {} | {} |\n|:--|--:|--:|\n",
        escaped(&subject.base),
        escaped(&subject.new)
    );
    ended(table(&head, rows))
}

fn rows(subject: &Subject) -> String {
    let rows: String = words::shown(subject)
        .map(|(_, row)| {
            format!(
                "| {} | {} | {} | {} | {} |\n",
                escaped(&row.name),
                escaped(&words::median_and_range(&row.base, &row.unit)),
                escaped(&words::median_and_range(&row.new, &row.unit)),
                escaped(&words::change_and_interval(row)),
                toned(&words::finding(row), words::tone(row))
            )
        })
        .collect();
    let head = format!(
        "| figures | {} | {} | change | |\n|:--|--:|--:|--:|:--|\n",
        escaped(&subject.base),
        escaped(&subject.new)
    );
    ended(table(&head, rows))
}

/// Every time with a fault in force has its rows; its name stands in each, since a table of Markdown has one head.
fn failing(subject: &Subject) -> String {
    let rows: String = words::failing(subject)
        .into_iter()
        .flat_map(|(during, rows)| rows.into_iter().map(move |row| (during, row)))
        .map(|(during, row)| {
            let sides = [&row.base, &row.new].map(|arm| {
                format!(
                    " {} | {} | {} |",
                    escaped(&words::median(&arm.without, &row.unit)),
                    escaped(&words::median(&arm.during, &row.unit)),
                    escaped(&words::failing_change(arm))
                )
            });
            let name = escaped(&format!("{during}: {}", row.name));
            format!("| {name} |{}\n", sides.concat())
        })
        .collect();
    if rows.is_empty() {
        return rows;
    }
    let sides = [&subject.base, &subject.new].map(|side| {
        let side = escaped(side);
        format!(" {side}, without | {side}, during | change |")
    });
    let head = format!(
        "| while failing |{}\n|:--|--:|--:|--:|--:|--:|--:|\n",
        sides.concat()
    );
    format!(
        "{}{}\n\n",
        ended(table(&head, rows)),
        escaped(words::FAILING)
    )
}

fn ended(table: String) -> String {
    if table.is_empty() {
        table
    } else {
        format!("{table}\n")
    }
}

fn toned(words: &str, tone: Tone) -> String {
    let words = escaped(words);
    match tone {
        Tone::Bad | Tone::Warning | Tone::Good => format!("**{words}**"),
        Tone::Plain | Tone::Faint => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_comparison_when_rendered_then_its_tables_are_whole_and_its_texts_stay_text() {
        let text = render(&super::super::sample::compare());
        assert!(
            !text.contains("<scenario>") && !text.contains("<new>"),
            "{text}"
        );
        for part in [
            "Unlike, compared all the same:** cores: base 2, new 4",
            "| propagation p50 | 2.0 ms (1.9 ms to 2.1 ms) |",
            "**worse**",
            "not told, &lt;33%",
            "| during down &lt;kafka&gt;: end to end p99 | 2.0 ms | 4.00 s | x2,000 | – | 4.00 s | – |",
        ] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
        let columns = |line: &&str| line.matches('|').count();
        let figures: Vec<usize> = text
            .lines()
            .skip_while(|line| !line.starts_with("| figures"))
            .take_while(|line| line.starts_with('|'))
            .map(|line| columns(&line))
            .collect();
        assert!(
            figures.iter().all(|n| *n == 6) && figures.len() == 7,
            "{text}"
        );
    }
}
