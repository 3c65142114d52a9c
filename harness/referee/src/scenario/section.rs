//! One table of a scenario file: typed reads that note what is wrong, and, at the end, every key
//! that nobody asked for.

use super::source::{Problems, suggest};
use super::units::{
    BANDWIDTH_HELP, DURATION_HELP, SIZE_HELP, parse_bandwidth, parse_duration, parse_size,
    show_duration,
};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// An entry is a key and its value, with their places in the file.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    /// The entry's key has this name.
    pub key: &'a str,
    key_at: &'a Spanned<std::borrow::Cow<'a, str>>,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Entry<'a> {
    /// Where the key is.
    pub fn key_span(&self) -> Range<usize> {
        self.key_at.span()
    }
    /// Where the value is.
    pub fn span(&self) -> Range<usize> {
        self.value.span()
    }
    /// Returns the value as TOML has it, whatever its type.
    pub fn value(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }
}

/// A table that is being read.
pub(super) struct Section<'a> {
    /// Messages name the table like this: `[workload]`, `[[fault]] 2`, `the file`.
    title: String,
    span: Range<usize>,
    table: &'a DeTable<'a>,
    /// Every key that has a row.
    known: Vec<&'static str>,
    asked: Vec<&'static str>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// Starts reading a table whose header is at `span`; `known` names its rows.
    pub fn new(
        title: impl Into<String>,
        span: Range<usize>,
        table: &'a DeTable<'a>,
        known: Vec<&'static str>,
        problems: &'a Problems,
    ) -> Self {
        Self {
            title: title.into(),
            span,
            table,
            known,
            asked: Vec::new(),
            problems,
        }
    }

    /// Starts reading the table that is the value of a key; notes a problem, and returns `None`, when it is no table.
    pub fn of(
        entry: Entry<'a>,
        title: impl Into<String>,
        known: Vec<&'static str>,
        problems: &'a Problems,
    ) -> Option<Self> {
        let title = title.into();
        match entry.value() {
            DeValue::Table(table) => Some(Self::new(title, entry.span(), table, known, problems)),
            other => {
                problems.add(
                    entry.span(),
                    format!("`{}` is {}, not a table", entry.key, article(other)),
                    format!("write a table: {title}, and its keys on lines of their own"),
                );
                None
            }
        }
    }

    /// Returns the bytes of the file at which messages about the table as a whole point.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Returns the list to which this table's reads add what is wrong.
    pub fn problems(&self) -> &'a Problems {
        self.problems
    }

    /// Notes a problem: the bytes of the file that it is about, what is wrong, and what would be right.
    pub fn problem(&self, span: Range<usize>, what: impl Into<String>, help: impl Into<String>) {
        self.problems.add(span, what, help);
    }

    /// Returns all entries, in the file's order.
    pub fn entries(&self) -> Vec<Entry<'a>> {
        let mut entries: Vec<Entry<'a>> = self
            .table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref(),
                key_at: key,
                value,
            })
            .collect();
        entries.sort_by_key(|e| e.key_span().start);
        entries
    }

    /// Returns a key with its value, or `None` where the table has no such key; from then on the key is known.
    pub fn get(&mut self, key: &'static str) -> Option<Entry<'a>> {
        debug_assert!(
            self.known.contains(&key),
            "`{key}` of {} has no row among the keys, so no schema and no docs have it",
            self.title
        );
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let (key_at, value) = self.table.get_key_value(key)?;
        Some(Entry { key, key_at, value })
    }

    /// Like [`Section::get`], and a problem when the key is missing; `example` is a line that would do.
    pub fn required(&mut self, key: &'static str, example: &str) -> Option<Entry<'a>> {
        let entry = self.get(key);
        if entry.is_none() {
            self.problems.add(
                self.span(),
                format!("{} has no `{key}`", self.title),
                format!("add a line such as `{example}` to {}", self.title),
            );
        }
        entry
    }

    fn wrong_type(&self, entry: Entry<'_>, help: &str) {
        self.problems.add(
            entry.span(),
            format!(
                "`{}` is {}{}",
                entry.key,
                article(entry.value()),
                match entry.value() {
                    DeValue::Integer(_) | DeValue::Float(_) if help == DURATION_HELP =>
                        " without a unit",
                    _ => "",
                }
            ),
            help,
        );
    }

    fn in_range<T: PartialOrd>(
        &self,
        entry: Entry<'_>,
        value: T,
        range: &RangeInclusive<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        if range.contains(&value) {
            return Some(value);
        }
        self.problems.add(
            entry.span(),
            format!("`{}` is {}, out of bounds", entry.key, show(&value)),
            format!(
                "`{}` must be from {} to {}",
                entry.key,
                show(range.start()),
                show(range.end())
            ),
        );
        None
    }

    /// Returns the value if it is a text; otherwise notes a problem and returns `None`.
    pub fn text(&self, entry: Entry<'a>) -> Option<&'a str> {
        match entry.value() {
            DeValue::String(text) => Some(text),
            _ => {
                self.wrong_type(entry, "write a text in double quotes");
                None
            }
        }
    }

    /// Returns the value if it is a text and a valid regular expression; otherwise notes a problem.
    pub fn regex(&self, entry: Entry<'a>) -> Option<&'a str> {
        let text = self.text(entry)?;
        let Err(error) = regex::Regex::new(text) else {
            return Some(text);
        };
        // The lines before the last draw the expression.
        let error = error.to_string();
        let last = error.lines().last().unwrap_or_default();
        let key = entry.key;
        self.problems.add(
            entry.span(),
            format!(
                "`{key}` is no regular expression: {}",
                last.trim_start_matches("error: ")
            ),
            format!(
                "a bracket, star or question mark that is meant as it stands takes a backslash; \
                 write it in single quotes: {key} = 'up \\(ready\\)'"
            ),
        );
        None
    }

    /// Returns the value if it is a list of texts; otherwise notes a problem and returns `None`.
    pub fn texts(&self, entry: Entry<'a>) -> Option<Vec<String>> {
        let help = "write a list of texts: [\"...\", \"...\"]";
        let DeValue::Array(list) = entry.value() else {
            self.wrong_type(entry, help);
            return None;
        };
        let texts = list.iter().map(|value| match value.get_ref() {
            DeValue::String(text) => Some(text.clone().into_owned()),
            other => {
                let what = format!("`{}` has {} in it", entry.key, article(other));
                self.problems.add(value.span(), what, help);
                None
            }
        });
        // Each of them is looked at before the first that is wrong ends it.
        texts.collect::<Vec<_>>().into_iter().collect()
    }

    /// Returns the value if it is a table of texts, by name; otherwise notes a problem and returns `None`.
    pub fn texts_by_name(&self, entry: Entry<'a>) -> Option<BTreeMap<String, String>> {
        let title = format!("`{}`", entry.key);
        let table = Section::of(entry, title, Vec::new(), self.problems)?;
        let texts = table.entries().into_iter().map(|inner| {
            let text = table.text(inner)?;
            Some((inner.key.to_owned(), text.to_owned()))
        });
        texts.collect::<Vec<_>>().into_iter().collect()
    }

    /// Returns the value if it is a list of integers within `range`; otherwise notes a problem and returns `None`.
    pub fn integers<T>(&self, entry: Entry<'a>, range: RangeInclusive<T>) -> Option<Vec<T>>
    where
        T: TryFrom<i128> + Into<i128> + Copy + Display,
    {
        let DeValue::Array(list) = entry.value() else {
            self.wrong_type(entry, "write a list of integers: [0, 143]");
            return None;
        };
        let integers = list.iter().map(|value| {
            let inner = Entry { value, ..entry };
            self.integer(inner, range.clone())
        });
        integers.collect::<Vec<_>>().into_iter().collect()
    }

    /// Returns what the value stands for if it is one of `words`; otherwise notes a problem and returns `None`.
    pub fn word<T: Copy>(&self, entry: Entry<'a>, words: &[(&'static str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(w, _)| *w).collect();
        let DeValue::String(text) = entry.value() else {
            self.wrong_type(
                entry,
                &format!("write one of these in double quotes: {}", names.join(", ")),
            );
            return None;
        };
        let found = words.iter().find(|(w, _)| w == text).map(|(_, t)| *t);
        if found.is_none() {
            self.problems.add(
                entry.span(),
                format!("`{text}` is not a possible `{}`", entry.key),
                suggest(text, &names),
            );
        }
        found
    }

    /// Returns the value if it is `true` or `false`; otherwise notes a problem and returns `None`.
    pub fn flag(&self, entry: Entry<'a>) -> Option<bool> {
        match entry.value() {
            DeValue::Boolean(flag) => Some(*flag),
            _ => {
                self.wrong_type(entry, "write true or false, without quotes");
                None
            }
        }
    }

    /// Returns the value if it is an integer within `range`; otherwise notes a problem and returns `None`.
    pub fn integer<T>(&self, entry: Entry<'a>, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i128> + Into<i128> + Copy + Display,
    {
        let DeValue::Integer(digits) = entry.value() else {
            self.wrong_type(
                entry,
                &format!(
                    "write an integer from {} to {}, without quotes",
                    range.start(),
                    range.end()
                ),
            );
            return None;
        };
        // More digits than an i128 holds are out of every range.
        let value = i128::from_str_radix(digits.as_str(), digits.radix()).unwrap_or(i128::MAX);
        let bounds = (*range.start()).into()..=(*range.end()).into();
        let value = self.in_range(entry, value, &bounds, i128::to_string)?;
        T::try_from(value).ok()
    }

    /// Returns the value if it is a number within `range`, with or without a point; otherwise notes a problem.
    pub fn number(&self, entry: Entry<'a>, range: RangeInclusive<f64>) -> Option<f64> {
        let parsed: Option<f64> = match entry.value() {
            DeValue::Integer(digits) => i128::from_str_radix(digits.as_str(), digits.radix())
                .ok()
                .map(|i| i as f64),
            DeValue::Float(digits) => digits.as_str().parse().ok(),
            _ => None,
        };
        match parsed {
            Some(value) => self.in_range(entry, value, &range, f64::to_string),
            None => {
                self.wrong_type(
                    entry,
                    &format!(
                        "write a number from {} to {}, without quotes",
                        range.start(),
                        range.end()
                    ),
                );
                None
            }
        }
    }

    /// Returns the value if it is a duration with its unit, and within `range`; otherwise notes a problem.
    pub fn duration(&self, entry: Entry<'a>, range: RangeInclusive<Duration>) -> Option<Duration> {
        let DeValue::String(text) = entry.value() else {
            self.wrong_type(entry, DURATION_HELP);
            return None;
        };
        match parse_duration(text) {
            Some(value) => self.in_range(entry, value, &range, |d| {
                format!("\"{}\"", show_duration(*d))
            }),
            None => {
                self.problems.add(
                    entry.span(),
                    format!("`{}` is \"{text}\", which is no duration", entry.key),
                    DURATION_HELP,
                );
                None
            }
        }
    }

    /// Returns a size in bytes, which is written as an integer or a text with a unit; otherwise notes a problem.
    pub fn size(&self, entry: Entry<'a>, range: RangeInclusive<u64>) -> Option<u64> {
        self.quantity(entry, range, parse_size, "size", SIZE_HELP)
    }

    /// Returns a bandwidth in KB/s, which is written as an integer or a text with a unit; otherwise notes a problem.
    pub fn bandwidth(&self, entry: Entry<'a>, range: RangeInclusive<u64>) -> Option<u64> {
        self.quantity(entry, range, parse_bandwidth, "bandwidth", BANDWIDTH_HELP)
    }

    fn quantity(
        &self,
        entry: Entry<'a>,
        range: RangeInclusive<u64>,
        parse: fn(&str) -> Option<u64>,
        what: &str,
        help: &str,
    ) -> Option<u64> {
        match entry.value() {
            DeValue::Integer(_) => self.integer(entry, range),
            DeValue::String(text) => match parse(text) {
                Some(value) => self.in_range(entry, value, &range, u64::to_string),
                None => {
                    self.problems.add(
                        entry.span(),
                        format!("`{}` is \"{text}\", which is no {what}", entry.key),
                        help,
                    );
                    None
                }
            },
            _ => {
                self.wrong_type(entry, help);
                None
            }
        }
    }

    /// Notes every key that nobody asked for. `explain` may know why a key is wrong here (what, help).
    pub fn finish_with(self, explain: impl Fn(&str) -> Option<(String, String)>) {
        for entry in self.entries() {
            if self.asked.contains(&entry.key) {
                continue;
            }
            let (what, help) = explain(entry.key).unwrap_or_else(|| {
                (
                    format!("{} has no key `{}`", self.title, entry.key),
                    suggest(entry.key, &self.asked),
                )
            });
            self.problems.add(entry.key_span(), what, help);
        }
    }

    /// Notes every key that nobody asked for.
    pub fn finish(self) {
        self.finish_with(|_| None);
    }
}

/// The type of a value, as a person says it.
pub(super) fn article(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
