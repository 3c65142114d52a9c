//! What a file can say: one row a key, beside the code that reads it. JSON Schema and docs/scenario.md are made
//! of these rows, and tests hold them against the parser in both directions: it asks for no key that has no
//! row, and of each row's values it takes and refuses what the row says.

use super::units::show_duration;
use std::time::Duration;

/// This is the row of a key of a file.
#[derive(Debug, Clone, Copy)]
pub struct KeyInfo {
    /// This is the key as files write it.
    pub name: &'static str,
    /// What its value is.
    pub shape: Shape,
    /// What holds where it is left out.
    pub usual: Usual,
    /// This says what the key is for, in words for the docs and the schema.
    pub what: &'static str,
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// The value is any text.
    Text,
    /// A text that can be part of a folder's, a schema's or a topic's name.
    Name {
        /// The name has at most this many characters.
        longest: usize,
    },
    /// The value is a text that is a regular expression.
    Regex,
    /// Where a record has something: `key`, `value`, `header:NAME`, `json:/POINTER`.
    PartOfRecord,
    /// The value is `true` or `false`.
    Flag,
    /// The value is an integer within bounds.
    Integer {
        /// This is the least integer that is allowed.
        least: i64,
        /// This is the greatest integer that is allowed.
        most: i64,
    },
    /// The value is a number, with or without a point.
    Number {
        /// This is the least number that is allowed.
        least: f64,
        /// This is the greatest number that is allowed.
        most: f64,
    },
    /// The value is a duration with its unit.
    Duration {
        /// This is the shortest duration that is allowed.
        least: Duration,
        /// This is the longest duration that is allowed.
        most: Duration,
    },
    /// The value is a number of bytes, or a size with its unit.
    Size {
        /// This is the least size that is allowed, bytes.
        least: u64,
        /// This is the greatest size that is allowed, bytes.
        most: u64,
    },
    /// The value is a number of KB/s, or a rate with its unit.
    Bandwidth {
        /// This is the least rate that is allowed, KB/s.
        least: u64,
        /// This is the greatest rate that is allowed, KB/s.
        most: u64,
    },
    /// The value is one of the few words that the function returns.
    Word(fn() -> Vec<&'static str>),
    /// The value is a list of texts, at least so many.
    Texts {
        /// The list has at least this many texts.
        least: usize,
    },
    /// The value is a table of texts, by name.
    TextsByName,
    /// The value is a list of integers.
    Integers {
        /// The least that each can be.
        least: i64,
        /// The most that each can be.
        most: i64,
    },
    /// The value is a table with keys of its own, or a list of such.
    Table,
}

/// What holds where a key is left out.
#[derive(Debug, Clone, Copy)]
pub enum Usual {
    /// It cannot be left out.
    Required,
    /// This, as a file would write it.
    Value(&'static str),
    /// These words say what holds, where it is no value that a file could write.
    Words(&'static str),
}

impl KeyInfo {
    /// A key that cannot be left out.
    pub(super) const fn required(name: &'static str, shape: Shape, what: &'static str) -> Self {
        Self {
            name,
            shape,
            usual: Usual::Required,
            what,
        }
    }

    /// A key that has this value unless the file says otherwise.
    pub(super) const fn usually(
        name: &'static str,
        shape: Shape,
        value: &'static str,
        what: &'static str,
    ) -> Self {
        Self {
            name,
            shape,
            usual: Usual::Value(value),
            what,
        }
    }

    /// A key without which this holds.
    pub(super) const fn optional(
        name: &'static str,
        shape: Shape,
        otherwise: &'static str,
        what: &'static str,
    ) -> Self {
        Self {
            name,
            shape,
            usual: Usual::Words(otherwise),
            what,
        }
    }
}

/// Returns the names of keys, in the order of their rows.
pub(super) fn names(keys: &[KeyInfo]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

impl Shape {
    /// Says in words, for the docs, what the value is.
    pub fn words(self) -> String {
        match self {
            Self::Text => "a text".to_owned(),
            Self::Name { longest } => {
                format!("a name of 1 to {longest} letters, digits, `-` and `_`")
            }
            Self::Regex => "a regular expression".to_owned(),
            Self::PartOfRecord => {
                "`\"key\"`, `\"value\"`, `\"header:NAME\"` or `\"json:/POINTER\"`, and `base64` or `hex` after a blank"
                    .to_owned()
            }
            Self::Flag => "`true`, `false`".to_owned(),
            Self::Integer { least, most } => {
                format!("an integer, {} to {}", grouped(least), grouped(most))
            }
            Self::Number { least, most } => format!("a number, {least} to {most}"),
            Self::Duration { least, most } => format!(
                "a duration, `\"{}\"` to `\"{}\"`",
                show_duration(least),
                show_duration(most)
            ),
            Self::Size { least, .. } => {
                format!("bytes, from {least} on, or a size such as `\"64KB\"`")
            }
            Self::Bandwidth { least, .. } => {
                format!("KB/s, from {least} on, or a rate such as `\"100KB/s\"`")
            }
            Self::Word(words) => {
                let quoted = words().into_iter().map(|word| format!("`\"{word}\"`"));
                quoted.collect::<Vec<_>>().join(", ")
            }
            Self::Texts { .. } => "a list of texts".to_owned(),
            Self::TextsByName => "a table of texts".to_owned(),
            Self::Integers { least, most } => {
                format!("a list of integers, {least} to {most}")
            }
            Self::Table => "a table".to_owned(),
        }
    }
}

/// Shows a number in groups of three digits, `50,000,000`; the largest there is has a name.
fn grouped(number: i64) -> String {
    if number == i64::MAX {
        return "2^63 - 1".to_owned();
    }
    let digits = number.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !shown.ends_with('-') {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
