//! The end of a run in lines: what was committed against what was seen, and one lost order, told from both sides.

use super::ending::{Ending, LostOrder};
use super::shown::Tone;
use crate::cli::terminal;
use reports::count;
use reports::explanation::Explanation;
use std::fmt::Write;

/// Longer lines are hard to read.
pub const WIDEST: usize = 100;
/// Names of strategies take so many columns, or more where one is longer.
const NAME_COLUMNS: usize = 8;
const LOSS: &str = "1;31";
const WARNING: &str = "35";
const KEPT: &str = "32";
const BOLD: &str = "1";
const DIM: &str = "2";

/// What it is written on.
#[derive(Debug, Clone, Copy)]
pub struct Paper {
    /// Whether it takes colours.
    pub colour: bool,
    /// The paper is so many columns wide, and sentences are wrapped there.
    pub width: usize,
}

impl Paper {
    /// Returns standard output as a paper: coloured if it may be, and at most [`WIDEST`] columns wide.
    pub fn of_results() -> Self {
        Self {
            colour: terminal::results_in_colour(),
            width: terminal::results_width().min(WIDEST),
        }
    }

    /// Returns the ending as lines of text, from what each strategy lost to where more is.
    pub fn tell(&self, ending: &Ending) -> String {
        let mut text = self.reconciliation(ending);
        if let Some(order) = &ending.order {
            text.push_str(&self.one_order(order));
        }
        if let Some(why) = &ending.no_order {
            let _ = writeln!(text, "{why}\n");
        }
        self.where_more_is(ending, &mut text);
        text
    }

    fn paint(&self, words: &str, code: &str) -> String {
        match self.colour {
            true => format!("\x1b[{code}m{words}\x1b[0m"),
            false => words.to_owned(),
        }
    }

    fn reconciliation(&self, ending: &Ending) -> String {
        let names = ending.rows.iter().map(|row| row.name.chars().count());
        let width = names.fold(NAME_COLUMNS, usize::max);
        let head = format!("  {:width$}  committed  with an event", "");
        let mut text = format!("\n{}\n", self.paint(&head, BOLD));
        for row in &ending.rows {
            let code = match row.tone {
                Tone::Loss => LOSS,
                Tone::Warning => WARNING,
                Tone::Kept => KEPT,
                Tone::Plain => BOLD,
            };
            let _ = writeln!(
                text,
                "  {:width$}  {:>9}  {:>13}  {}{}",
                row.name,
                count(row.committed),
                count(row.with_event),
                self.paint(&row.came_to, code),
                row.beside
            );
        }
        for missing in &ending.not_run {
            let _ = writeln!(text, "  {missing}");
        }
        text.push('\n');
        text
    }

    fn one_order(&self, order: &LostOrder) -> String {
        let explanation = Explanation {
            colour: self.colour,
            width: self.width,
        };
        format!(
            "{}\n  in the database  it is committed, and stays\n  on the topic     no event of it, to the \
             very end\n\n{}",
            self.paint(&order.head, BOLD),
            explanation.one(&order.offence)
        )
    }

    fn where_more_is(&self, ending: &Ending, text: &mut String) {
        self.wrapped(&ending.verdict, text);
        if let Some(last_words) = ending.last_words {
            self.wrapped(last_words, text);
        }
        // Names of files are not torn apart.
        for line in &ending.more {
            let _ = writeln!(text, "{}", self.paint(line, DIM));
        }
    }

    fn wrapped(&self, words: &str, text: &mut String) {
        for line in reports::wrap(words, self.width) {
            let _ = writeln!(text, "{}", self.paint(&line, DIM));
        }
    }
}
