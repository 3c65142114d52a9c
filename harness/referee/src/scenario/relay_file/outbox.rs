//! `[outbox]` of a relay's file: its tables, how a change is announced in them, and what they still hold.

use super::template::Template;
use super::{OF_A_CHANGE, PLACEHOLDERS, template};
use crate::scenario::load::read_text;
use crate::scenario::section::{Entry, Section};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// An outbox that was not designed here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForeignOutbox {
    /// Statements that make its tables, all in one transaction, as the relay's own role.
    pub ddl: Vec<Template>,
    /// Statements after that, each in a transaction of its own, as the administrator: publications and
    /// slots.
    pub after_ddl: Vec<Template>,
    /// Statements that announce a change, in the transaction that writes it.
    pub insert: Vec<Template>,
    /// A query that gives, in its only column, the event id or the attempt of each event that the
    /// source still holds. Without it, what was not published cannot be told from what is lost.
    pub pending: Option<Template>,
    /// Whether the relay's role may use replication.
    pub replication: bool,
}

impl ForeignOutbox {
    /// Whether its relay reads the write-ahead log.
    pub fn is_read_from_wal(&self) -> bool {
        self.replication
    }
}

pub(super) fn read(mut s: Section<'_>, home: &Path) -> Option<ForeignOutbox> {
    let ddl = ddl(&mut s, home);
    let after_ddl = match s.get("after_ddl") {
        Some(entry) => statements(&s, entry, &PLACEHOLDERS),
        None => Some(Vec::new()),
    };
    let known: Vec<&str> = OF_A_CHANGE.into_iter().chain(PLACEHOLDERS).collect();
    let example =
        "insert = [\"insert into outbox (id, payload) values (${event_id}::uuid, ${payload})\"]";
    let insert_entry = s.required("insert", example);
    let insert = insert_entry.and_then(|e| statements(&s, e, &known));
    if let (Some(entry), Some(insert)) = (insert_entry, &insert)
        && !insert.iter().any(|t| t.text().contains("${payload}"))
    {
        s.problem(
            entry.span(),
            "no statement of `insert` writes `${payload}`, which is the event",
            "write it into a column that the relay publishes",
        );
    }
    if let (Some(entry), Some(insert)) = (insert_entry, &insert)
        && let Some(name) = insert.iter().find_map(Template::quoted)
    {
        s.problem(
            entry.span(),
            format!("`${{{name}}}` stands within quotes"),
            "it is bound as a parameter: take the quotes away, and cast it where another type than text is needed",
        );
    }
    let pending = s.get("pending").map(|e| {
        s.text(e)
            .and_then(|text| template(&s, e, text, &PLACEHOLDERS))
    });
    let replication = s.get("replication").map(|e| s.flag(e));
    s.finish();
    Some(ForeignOutbox {
        ddl: ddl?,
        after_ddl: after_ddl?,
        insert: insert?,
        pending: match pending {
            Some(query) => Some(query?),
            None => None,
        },
        replication: replication.unwrap_or(Some(false))?,
    })
}

/// `ddl`, or the file that `ddl_file` names.
fn ddl(s: &mut Section<'_>, home: &Path) -> Option<Vec<Template>> {
    match (s.get("ddl"), s.get("ddl_file")) {
        (Some(entry), None) => statements(s, entry, &PLACEHOLDERS),
        (None, Some(entry)) => {
            let path = home.join(s.text(entry)?);
            match read_text(&path) {
                Ok(text) => template(s, entry, &text, &PLACEHOLDERS).map(|t| vec![t]),
                Err(error) => {
                    s.problems().of_another_file(
                        entry.span(),
                        "`ddl_file` cannot be read: see below",
                        "name a file with SQL, relative to this file",
                        error,
                    );
                    None
                }
            }
        }
        (None, None) => {
            s.required("ddl_file", "ddl_file = \"outbox.sql\"");
            None
        }
        (Some(_), Some(entry)) => {
            s.problem(
                entry.key_span(),
                "there are both `ddl` and `ddl_file`",
                "take one of them out",
            );
            None
        }
    }
}

/// A list of statements, at least one.
fn statements(s: &Section<'_>, entry: Entry<'_>, known: &[&str]) -> Option<Vec<Template>> {
    let texts = s.texts(entry)?;
    if texts.is_empty() {
        s.problem(
            entry.span(),
            format!("`{}` has no statement", entry.key),
            "write at least one, or leave the key out",
        );
        return None;
    }
    let read = texts.iter().map(|text| template(s, entry, text, known));
    // All of them are read before the first that is wrong ends it.
    read.collect::<Vec<_>>().into_iter().collect()
}
