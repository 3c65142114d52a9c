//! What must be true of a run's figures for a claim to hold: `retrying.lost < naive.lost`, or `naive.lost >= 1`.

use reports::record::{Record, Verdict};

/// A comparison of a figure with another, or with a number.
pub(super) struct Condition<'a> {
    left: &'a str,
    right: Operand<'a>,
    is_true: fn(f64, f64) -> bool,
}

enum Operand<'a> {
    Figure(&'a str),
    Number(f64),
}

type Sign = (&'static str, fn(f64, f64) -> bool);

/// Those of two characters come first, since the others begin them.
const SIGNS: [Sign; 5] = [
    ("<=", |a, b| a <= b),
    (">=", |a, b| a >= b),
    ("<", |a, b| a < b),
    (">", |a, b| a > b),
    ("=", |a, b| a == b),
];

impl<'a> Condition<'a> {
    /// Reads a text; the error says what is wrong with it, and what to write.
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        let parts = SIGNS.iter().find_map(|(sign, is_true)| {
            let (left, right) = text.split_once(sign)?;
            Some((left.trim(), right.trim(), *is_true))
        });
        let Some((left, right, is_true)) = parts else {
            return Err(
                "it compares nothing; write two figures with <, <=, >, >= or = between them"
                    .to_owned(),
            );
        };
        let unknown = |name: &str| format!("`{name}` is no figure; write one as in `figures`");
        if !super::is_figure(left) {
            return Err(unknown(left));
        }
        let right = match right
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
        {
            Some(number) => Operand::Number(number),
            None if super::is_figure(right) => Operand::Figure(right),
            None => return Err(unknown(right)),
        };
        Ok(Self {
            left,
            right,
            is_true,
        })
    }

    /// Returns pass where it is true of this record, fail where not, and unknown where a figure was not measured.
    pub(super) fn of(&self, record: &Record) -> Verdict {
        let value = |name| super::shown(record, name).map(|figure| figure.value);
        let right = match self.right {
            Operand::Figure(name) => value(name),
            Operand::Number(number) => Some(number),
        };
        match value(self.left).zip(right) {
            Some((left, right)) if (self.is_true)(left, right) => Verdict::Pass,
            Some(_) => Verdict::Fail,
            None => Verdict::Unknown,
        }
    }
}
