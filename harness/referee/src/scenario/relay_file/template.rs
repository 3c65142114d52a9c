//! Texts with placeholders, `${name}`: checked when their file is read, filled in when a run knows the
//! values.

use crate::scenario::source::suggest;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// A template is a text with placeholders, each written `${name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(String);

/// A piece of a template is either plain text or a placeholder's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TemplatePiece<'a> {
    Text(&'a str),
    Name(&'a str),
}

/// An SQL statement whose placeholders are parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The SQL has `$1`, `$2` and so on, each of type text, in place of the names.
    pub sql: String,
    /// These are the placeholders' names, in the order of their numbers.
    pub names: Vec<String>,
}

const OPEN: &str = "${";
/// Before [`OPEN`], this character says that `${` is meant as it stands.
const ESCAPE: char = '$';
const CLOSE: char = '}';

impl Template {
    /// Takes a text all of whose placeholders are among `known`; otherwise says what is wrong with it,
    /// and what would be right.
    pub(super) fn read(text: &str, known: &[&str]) -> Result<Self, (String, String)> {
        for (at, _) in text.match_indices(OPEN) {
            if text[..at].ends_with(ESCAPE) {
                continue;
            }
            let rest = &text[at + OPEN.len()..];
            let Some(end) = rest.find(CLOSE) else {
                return Err((
                    "a placeholder has no end: `${` without `}`".to_owned(),
                    "write ${name}; where `${` itself is meant, write `$${`".to_owned(),
                ));
            };
            let name = &rest[..end];
            if !known.contains(&name) {
                let help = suggest(name, known);
                return Err((
                    format!("there is no placeholder `${{{name}}}` here"),
                    format!("{help}; where `${{` itself is meant, write `$${{`"),
                ));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// A text that was written here.
    pub(super) fn of_ours(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Returns the text with every placeholder's value in its place.
    pub fn fill<'v>(&self, value: impl Fn(&str) -> Cow<'v, str>) -> String {
        let mut filled = String::with_capacity(self.0.len());
        for piece in self.pieces() {
            match piece {
                TemplatePiece::Text(text) => filled.push_str(text),
                TemplatePiece::Name(name) => filled.push_str(&value(name)),
            }
        }
        filled
    }

    /// Returns the text as a statement: its placeholders become parameters, the same name the same one.
    pub fn statement(&self) -> Statement {
        let mut sql = String::with_capacity(self.0.len());
        let mut names: Vec<String> = Vec::new();
        for piece in self.pieces() {
            match piece {
                TemplatePiece::Text(text) => sql.push_str(text),
                TemplatePiece::Name(name) => {
                    let known = names.iter().position(|n| n == name);
                    let index = known.unwrap_or_else(|| {
                        names.push(name.to_owned());
                        names.len() - 1
                    });
                    // The type is said: a server that has to guess it refuses many a function's argument.
                    sql.push_str(&format!("(${}::text)", index + 1));
                }
            }
        }
        Statement { sql, names }
    }

    /// The first placeholder within single quotes, where SQL takes it for a part of a text.
    pub(super) fn quoted(&self) -> Option<&str> {
        let mut within = false;
        self.pieces().find_map(|piece| match piece {
            TemplatePiece::Text(text) => {
                within ^= text.matches('\'').count() % 2 == 1;
                None
            }
            TemplatePiece::Name(name) => within.then_some(name),
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Returns its pieces, in their order.
    pub(super) fn pieces(&self) -> impl Iterator<Item = TemplatePiece<'_>> {
        let mut rest = self.0.as_str();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let escaped = |at: usize| rest[..at].ends_with(ESCAPE);
            let (piece, after) = match rest.find(OPEN) {
                Some(at) if escaped(at) => {
                    // The text up to it, then the two characters, without what escapes them.
                    let text = &rest[..at - ESCAPE.len_utf8()];
                    match text.is_empty() {
                        true => (TemplatePiece::Text(OPEN), &rest[at + OPEN.len()..]),
                        false => (TemplatePiece::Text(text), &rest[at - ESCAPE.len_utf8()..]),
                    }
                }
                Some(0) => {
                    let inner = &rest[OPEN.len()..];
                    // One without an end was refused.
                    let end = inner.find(CLOSE)?;
                    (TemplatePiece::Name(&inner[..end]), &inner[end + 1..])
                }
                Some(at) => (TemplatePiece::Text(&rest[..at]), &rest[at..]),
                None => (TemplatePiece::Text(rest), ""),
            };
            rest = after;
            Some(piece)
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KNOWN: [&str; 2] = ["topic", "slot"];

    #[test]
    fn given_placeholders_when_filled_then_each_has_its_value_and_the_rest_is_as_written() {
        let template = Template::read("a ${topic} $$ $1 ${slot}${topic}", &KNOWN).unwrap();
        let filled = template.fill(|name| name.to_uppercase().into());
        assert_eq!(filled, "a TOPIC $$ $1 SLOTTOPIC");
    }

    #[test]
    fn given_a_name_that_is_there_twice_when_made_a_statement_then_it_is_one_parameter() {
        let template = Template::read("select ${slot}, ${topic}, ${slot}", &KNOWN).unwrap();
        let statement = template.statement();
        assert_eq!(statement.sql, "select ($1::text), ($2::text), ($1::text)");
        assert_eq!(statement.names, ["slot", "topic"]);
    }

    #[test]
    fn given_what_is_escaped_then_it_is_filled_in_as_it_stands() {
        let template = Template::read("$${host:x} ${topic}$${}", &KNOWN).unwrap();
        assert_eq!(template.fill(|_| "T".into()), "${host:x} T${}");
    }

    #[test]
    fn given_a_placeholder_within_quotes_then_it_is_found() {
        let quoted = |text| {
            Template::read(text, &KNOWN)
                .unwrap()
                .quoted()
                .map(str::to_owned)
        };
        assert_eq!(quoted("values ('it''s', ${topic}, 'x')"), None);
        assert_eq!(quoted("values ('a', '${topic}')").as_deref(), Some("topic"));
    }

    #[test]
    fn given_an_unknown_or_an_open_placeholder_then_it_is_refused_with_what_would_be_right() {
        let (what, help) = Template::read("${topik}", &KNOWN).unwrap_err();
        assert!(
            what.contains("${topik}") && help.contains("topic"),
            "{what} {help}"
        );
        assert!(Template::read("x ${topic", &KNOWN).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_filled_without_a_panic(text in "[a$\\{\\}tü ]{0,30}") {
            if let Ok(template) = Template::read(&text, &["", "t", "a"])
                && !text.contains("$${")
            {
                let back = template.fill(|name| format!("${{{name}}}").into());
                prop_assert_eq!(back, text);
            }
        }
    }
}
