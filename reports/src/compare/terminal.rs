//! Exporter: a comparison on a terminal, within its width; last, where the eye ends, what it comes to.

use super::{Compare, CompareRow, FailingRow, SafetyRow, Subject, words};
use crate::comparison::{Tone, verdict_tone};
use crate::figures;
use crate::terminal::code;
use crate::text::{BOLD, DIM, Paper, cut, padded};

const INDENT: usize = 2;
/// Of what is being measured, and of the figures on each side.
const NAME: usize = 21;
const FIGURE: usize = 9;
const CHANGE: usize = 22;
/// The counts of one side have so many columns of the terminal.
const COUNTS: usize = 20;
/// A figure while failing, and one without, has so many columns; how they differ has [`DIFFERS`].
const BESIDE: usize = 10;
const DIFFERS: usize = 8;

/// This writes a comparison as text for a terminal.
#[derive(Debug, Clone, Copy)]
pub struct CompareText {
    /// This says whether the text is coloured with ANSI escape codes.
    pub colour: bool,
    /// The terminal is so many columns wide.
    pub width: usize,
}

impl CompareText {
    /// Returns the comparison as text, its lines ended by `\n`.
    pub fn render(&self, compare: &Compare) -> String {
        let mut text = String::new();
        let paper = self.paper();
        let head = format!("compare: {}", compare.scenario);
        text.push_str(&paper.paint(&head, BOLD));
        text.push('\n');
        for unlike in &compare.unlike {
            let line = format!("UNLIKE, compared all the same: {unlike}");
            paper.wrapped(&line, 0, code(Tone::Bad), &mut text);
        }
        paper.wrapped(&compare.ran_on, 0, Some(DIM), &mut text);
        for side in &compare.sides {
            let runs = figures::counted(u64::from(side.runs), "run");
            let versions = side.versions.join(", ");
            let line = format!("{}: {runs} of {versions} from {}", side.name, side.from);
            paper.wrapped(&line, 0, Some(DIM), &mut text);
        }
        let style = if compare.in_turns { DIM } else { "33" };
        paper.wrapped(&words::pairs(compare), 0, Some(style), &mut text);
        for subject in &compare.subjects {
            text.push('\n');
            self.subject(subject, &mut text);
        }
        text.push('\n');
        paper.wrapped(&words::legend(compare), 0, Some(DIM), &mut text);
        if compare
            .subjects
            .iter()
            .any(|subject| !subject.failing.is_empty())
        {
            paper.wrapped(words::FAILING, 0, Some(DIM), &mut text);
        }
        for remark in &compare.remarks {
            paper.wrapped(remark, 0, None, &mut text);
        }
        text.push('\n');
        self.closing(compare, &mut text);
        text
    }

    fn paper(&self) -> Paper {
        Paper {
            colour: self.colour,
            width: self.width,
        }
    }

    fn subject(&self, subject: &Subject, text: &mut String) {
        let paper = self.paper();
        text.push_str(&paper.paint(&cut(&subject.title, self.width), BOLD));
        text.push('\n');
        if !subject.safety.is_empty() {
            let head = [&subject.base, &subject.new].map(|name| right(name, COUNTS));
            let head = format!(
                "{}  {}{}",
                " ".repeat(INDENT),
                padded("counts", NAME),
                head.concat()
            );
            text.push_str(&paper.paint(head.trim_end(), DIM));
            text.push('\n');
        }
        for row in &subject.safety {
            self.safety(row, text);
        }
        let head = [
            right(&subject.base, FIGURE),
            right(&subject.new, FIGURE),
            right("change", CHANGE),
        ];
        let head = format!(
            "{}{}{}",
            " ".repeat(INDENT),
            padded("figures", NAME),
            head.concat()
        );
        text.push_str(&paper.paint(head.trim_end(), DIM));
        text.push('\n');
        for (_, row) in words::shown(subject) {
            self.row(row, text);
        }
        self.failing(subject, text);
    }

    /// Each time with a fault in force, the two sides of each figure next to what they are without.
    fn failing(&self, subject: &Subject, text: &mut String) {
        let paper = self.paper();
        let indent = " ".repeat(INDENT);
        let times = words::failing(subject);
        if times.is_empty() {
            return;
        }
        let sides = [&subject.base, &subject.new].map(|side| right(side, 2 * BESIDE + DIFFERS));
        let head = format!(
            "{indent}{}{}",
            padded("while failing", NAME),
            sides.concat()
        );
        text.push_str(&paper.paint(head.trim_end(), DIM));
        text.push('\n');
        let columns = format!(
            "{}{}{}",
            right("without", BESIDE),
            right("during", BESIDE),
            right("change", DIFFERS)
        );
        let head = format!("{indent}{}{}", " ".repeat(NAME), columns.repeat(2));
        text.push_str(&paper.paint(head.trim_end(), DIM));
        text.push('\n');
        for (during, rows) in times {
            let during = cut(during, self.width.saturating_sub(INDENT));
            text.push_str(&format!("{indent}{during}\n"));
            rows.iter().for_each(|row| Self::failing_row(row, text));
        }
    }

    fn failing_row(row: &FailingRow, text: &mut String) {
        let inner = 2;
        let name = NAME.saturating_sub(inner);
        let sides = [&row.base, &row.new].map(|arm| {
            format!(
                "{}{}{}",
                right(&words::median(&arm.without, &row.unit), BESIDE),
                right(&words::median(&arm.during, &row.unit), BESIDE),
                right(&words::failing_change(arm), DIFFERS)
            )
        });
        text.push_str(&format!(
            "{}{}{}\n",
            " ".repeat(INDENT + inner),
            padded(&cut(&row.name, name), name),
            sides.concat()
        ));
    }

    fn safety(&self, row: &SafetyRow, text: &mut String) {
        let name = padded(&cut(&figures::spoken(&row.metric), NAME), NAME);
        let base = right(&words::counts(&row.base), COUNTS);
        let new = right(&words::counts(&row.new), COUNTS);
        let new = self.toned(&new, words::safety_tone(row));
        let harm = if row.harm { "  harm" } else { "" };
        let harm = self.toned(harm, Tone::Bad);
        text.push_str(&format!("{}{name}{base}{new}{harm}\n", " ".repeat(INDENT)));
    }

    fn row(&self, row: &CompareRow, text: &mut String) {
        let figures =
            [&row.base, &row.new].map(|arm| right(&words::median(arm, &row.unit), FIGURE));
        let line = format!(
            "{}{}{}{}",
            " ".repeat(INDENT),
            padded(&cut(&row.name, NAME), NAME),
            figures.concat(),
            right(&narrow(row), CHANGE)
        );
        text.push_str(&line);
        text.push_str("  ");
        text.push_str(&self.toned(&words::finding(row), words::tone(row)));
        text.push('\n');
    }

    fn closing(&self, compare: &Compare, text: &mut String) {
        let verdict = figures::verdict(compare.verdict).to_uppercase();
        text.push_str(&self.toned(&verdict, verdict_tone(compare.verdict)));
        text.push('\n');
        for subject in &compare.subjects {
            for row in &subject.rows {
                if let Some(sentence) = words::sentence(subject, row) {
                    self.paper().wrapped(&sentence, INDENT, None, text);
                }
            }
        }
        for reason in &compare.reasons {
            self.paper().wrapped(reason, INDENT, Some(BOLD), text);
        }
    }

    fn toned(&self, words: &str, tone: Tone) -> String {
        match code(tone) {
            Some(code) => self.paper().paint(words, code),
            None => crate::text::plain(words),
        }
    }
}

/// As the terminal's table has it: the percent sign of an interval once, where both its ends have one.
fn narrow(row: &CompareRow) -> String {
    let words = words::change_and_interval(row);
    match words.ends_with("%)") {
        true => words.replace("% to ", " to "),
        false => words,
    }
}

/// Aligns words to the right, with the gap before them, and cuts them where they are too long.
fn right(words: &str, width: usize) -> String {
    let shown = cut(words, width.saturating_sub(1));
    let room = width.saturating_sub(shown.chars().count());
    format!("{}{shown}", " ".repeat(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_comparison_when_rendered_then_it_fits_eighty_columns_and_says_what_it_found() {
        let text = CompareText {
            colour: false,
            width: 80,
        }
        .render(&super::super::sample::compare());
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
        for part in [
            "UNLIKE, compared all the same: cores: base 2, new 4",
            "2.0 ms",
            "+20% (+15 to +25%)  worse",
            "not told, <33%",
            "1 in 1 of 12  harm",
            "FAIL\n",
            "12 pairs, run in turns",
            "  during down <kafka>\n    events",
            "2.0 ms    4.00 s  x2,000",
        ] {
            assert!(text.contains(part), "`{part}` is not in:\n{text}");
        }
        // What must be known of all that follows is said before it
        assert!(text.find("UNLIKE") < text.find("2.0 ms"));
    }

    #[test]
    fn no_colour_no_escape_and_what_is_compared_cannot_steer_the_terminal() {
        let mut compare = super::super::sample::compare();
        compare.subjects[0].title = "a\x1b[31m".to_owned();
        compare.reasons = vec!["b\x1b[31m".to_owned()];
        let text = CompareText {
            colour: false,
            width: 80,
        }
        .render(&compare);
        assert!(!text.contains('\x1b'), "{text}");
    }
}
