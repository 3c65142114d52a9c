//! A scenario file's text and what is wrong with it: positions, and errors that show the line.

use std::cell::RefCell;
use std::fmt;
use std::ops::Range;

/// An error shows so many characters of a line at most, around its column.
const SHOWN_WIDTH: usize = 120;

/// Characters of a message that are shown at most; it may quote a value of any length.
const MESSAGE_WIDTH: usize = 1_000;

/// Errors of a file that are shown at most.
const SHOWN_PROBLEMS: usize = 50;

/// One thing that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Bytes it is about; `None` when it is about the file as a whole.
    pub span: Option<Range<usize>>,
    /// This says in one sentence what is wrong.
    pub what: String,
    /// What would be right.
    pub help: String,
}

/// Everything that is wrong with one file, in the file's order; its `Display` is what a person reads.
#[derive(Debug, Clone)]
pub struct ScenarioError {
    file: String,
    text: String,
    problems: Vec<Problem>,
    /// These are the errors of files that this one names.
    others: Vec<ScenarioError>,
}

impl ScenarioError {
    /// Sorts the problems by position.
    pub fn new(file: &str, text: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|p| p.span.as_ref().map_or(0, |s| s.start));
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            problems,
            others: Vec::new(),
        }
    }

    /// This one, followed by those of files that this file names.
    pub(super) fn and(mut self, others: Vec<ScenarioError>) -> Self {
        self.others.extend(others);
        self
    }

    /// What is wrong, by position.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl std::error::Error for ScenarioError {}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().take(SHOWN_PROBLEMS).enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            render(f, &self.file, &self.text, problem)?;
        }
        match self.problems.len().saturating_sub(SHOWN_PROBLEMS) {
            0 => {}
            more => writeln!(f, "\n{}: and {more} more", self.file)?,
        }
        for other in &self.others {
            write!(f, "\n{other}")?;
        }
        Ok(())
    }
}

/// Collects problems while a file is read, so that all of them are shown at once.
#[derive(Debug, Default)]
pub(super) struct Problems {
    own: RefCell<Vec<Problem>>,
    others: RefCell<Vec<ScenarioError>>,
}

impl Problems {
    /// Notes a problem of the file that is read: the bytes it is about, what is wrong, and what would be right.
    pub fn add(&self, span: Range<usize>, what: impl Into<String>, help: impl Into<String>) {
        self.own.borrow_mut().push(Problem {
            span: Some(span),
            what: what.into(),
            help: help.into(),
        });
    }

    /// Notes one about a file that this file names, with what is wrong in that one.
    pub fn of_another_file(
        &self,
        span: Range<usize>,
        what: impl Into<String>,
        help: impl Into<String>,
        error: ScenarioError,
    ) {
        self.add(span, what, help);
        let mut others = self.others.borrow_mut();
        // Several strategies may name one file.
        if others
            .iter()
            .all(|told| told.to_string() != error.to_string())
        {
            others.push(error);
        }
    }

    /// Returns all problems: this file's own, and those of the files that it names.
    pub fn into_parts(self) -> (Vec<Problem>, Vec<ScenarioError>) {
        (self.own.into_inner(), self.others.into_inner())
    }
}

/// Returns line and column (both from 1, the column in characters) of a byte, and the bytes of its line.
pub(super) fn locate(text: &str, byte: usize) -> (usize, usize, Range<usize>) {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    let start = text[..byte].rfind('\n').map_or(0, |i| i + 1);
    let end = text[byte..].find('\n').map_or(text.len(), |i| byte + i);
    let line = text[..start].matches('\n').count() + 1;
    let column = text[start..byte].chars().count() + 1;
    (line, column, start..end)
}

fn render(f: &mut fmt::Formatter<'_>, file: &str, text: &str, problem: &Problem) -> fmt::Result {
    let (what, help) = (printable(&problem.what), printable(&problem.help));
    let Some(span) = &problem.span else {
        writeln!(f, "{file}: {what}")?;
        return writeln!(f, "  = {help}");
    };
    let (line, column, range) = locate(text, span.start);
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    let shown = text[range.clone()].trim_end_matches('\r');
    let marked = text
        .get(span.start..span.end.clamp(span.start, range.end))
        .map_or(1, |s| s.trim_end().chars().count())
        .max(1);
    let (shown, before) = window(shown, column - 1);
    let room = shown.chars().count().saturating_sub(before).max(1);
    writeln!(f, "{file}:{line}:{column}: {what}")?;
    writeln!(f, "{gutter} |")?;
    writeln!(f, "{number} | {shown}")?;
    writeln!(
        f,
        "{gutter} | {}{}",
        " ".repeat(before),
        "^".repeat(marked.min(room))
    )?;
    writeln!(f, "{gutter} = {help}")
}

/// Returns the part of a line around a column, and how many characters of it come before the column.
fn window(line: &str, column: usize) -> (String, usize) {
    let skip = column.saturating_sub(SHOWN_WIDTH * 2 / 3);
    let mut shown = String::new();
    let mut before = column - skip;
    if skip > 0 {
        shown.push_str("...");
        before += 3;
    }
    let mut rest = line.chars().skip(skip);
    shown.extend(rest.by_ref().take(SHOWN_WIDTH).map(harmless));
    if rest.next().is_some() {
        shown.push_str("...");
    }
    (shown, before)
}

/// Returns a message without what acts on a terminal, and not endless.
fn printable(message: &str) -> String {
    let mut rest = message.chars();
    let mut shown: String = rest.by_ref().take(MESSAGE_WIDTH).map(harmless).collect();
    if rest.next().is_some() {
        shown.push_str("...");
    }
    shown
}

/// A tab would shift the caret, an escape would act on the terminal.
fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => char::REPLACEMENT_CHARACTER,
        c => c,
    }
}

/// The candidate that `word` was probably meant to be.
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.chars().count() > 64 {
        return None;
    }
    let word = word.to_lowercase().replace('_', "-");
    candidates
        .into_iter()
        .filter_map(|c| {
            let folded = c.to_lowercase().replace('_', "-");
            let near = distance(&word, &folded);
            let begun = word.len() > 2 && folded.starts_with(&word);
            let close = near <= (c.chars().count() / 3).clamp(1, 3);
            (begun || close).then_some((near, c))
        })
        .min_by_key(|(d, _)| *d)
        .map(|(_, c)| c)
}

/// Counts the edits (insert, delete, replace, swap neighbours) between two short words.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let replaced = above[j] + usize::from(a[i] != b[j]);
            let mut least = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

/// `did you mean `x`? ` (or nothing), then the list of what is possible.
pub(super) fn suggest(word: &str, possible: &[&str]) -> String {
    let list = possible.join(", ");
    match nearest(word, possible.iter().copied()) {
        Some(near) => format!("did you mean `{near}`? Possible: {list}"),
        None => format!("possible: {list}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_file_line_column_the_line_and_a_caret() {
        let text = "a = 1\n\tb = \"x\"\r\nc = 3";
        let error = ScenarioError::new(
            "s.toml",
            text,
            vec![Problem {
                span: Some(11..14),
                what: "wrong".into(),
                help: "right".into(),
            }],
        );
        assert_eq!(
            error.to_string(),
            "s.toml:2:6: wrong\n  |\n2 |  b = \"x\"\n  |      ^^^\n  = right\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_its_column() {
        let text = format!("x = \"{}\" ?", "y".repeat(5000));
        let at = text.len() - 1;
        let error = ScenarioError::new(
            "s.toml",
            &text,
            vec![Problem {
                span: Some(at..at + 1),
                what: "wrong".into(),
                help: "right".into(),
            }],
        );
        let shown = error.to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines.iter().all(|l| l.chars().count() < 200), "{shown}");
        assert_eq!(lines[2].find('?'), lines[3].find('^'));
    }

    #[test]
    fn what_a_file_contains_does_not_flood_or_steer_the_terminal() {
        let problem = Problem {
            span: None,
            what: format!("\u{1b}[2J{}", "x".repeat(100_000)),
            help: "right".into(),
        };
        let shown = ScenarioError::new("s.toml", "", vec![problem; 1_000]).to_string();
        assert!(!shown.contains('\u{1b}'));
        assert!(shown.len() < 100_000, "{}", shown.len());
        assert!(shown.ends_with("s.toml: and 950 more\n"));
    }

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        assert_eq!(nearest("durration", ["rate", "duration"]), Some("duration"));
        assert_eq!(nearest("late-after", ["late_after"]), Some("late_after"));
        assert_eq!(nearest("lsot", ["rate", "lost"]), Some("lost"));
        assert_eq!(
            nearest("commit", ["publish-then-commit", "commit-then-publish"]),
            Some("commit-then-publish")
        );
        assert_eq!(nearest("banana", ["rate", "duration"]), None);
    }
}
