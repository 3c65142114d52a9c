//! `[outbox]` of a relay's file: its tables, how a change is announced in them, and what they still hold.
//! An order service of the file's own writes them by itself.

use super::template::Template;
use super::{OF_A_CHANGE, PLACEHOLDERS, template};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::load::read_text;
use crate::scenario::section::{Entry, Section};
use contract::config::Isolation;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// An outbox that was not designed here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ForeignOutbox {
    /// These statements make its tables, all in one transaction, as the role that owns them: the order service's
    /// where the file brings one, else the relay's.
    pub ddl: Vec<Template>,
    /// These statements run after that, each in a transaction of its own, as the administrator: they make
    /// publications and slots.
    pub after_ddl: Vec<Template>,
    /// These statements announce a change, in the transaction that writes it; there are none where the order service
    /// does that by itself.
    pub insert: Vec<Template>,
    /// A query that gives, in its only column, the event id or the attempt of each event that the
    /// source still holds. Without it, what was not published cannot be told from what is lost.
    pub pending: Option<Template>,
    /// Whether the role of whoever publishes may use replication.
    pub replication: bool,
    /// What of PostgreSQL is its own: the tables are in it.
    #[serde(default)]
    pub isolation: Isolation,
}

impl ForeignOutbox {
    /// Returns whether whoever publishes reads the write-ahead log.
    pub fn is_read_from_wal(&self) -> bool {
        self.replication
    }
}

/// These are the keys that `[outbox]` can have.
pub(super) const KEYS: [KeyInfo; 7] = [
    KeyInfo::optional(
        "ddl",
        Shape::Texts { least: 1 },
        "there is a `ddl_file`",
        "statements that make its tables, in one transaction, as the role that owns them",
    ),
    KeyInfo::optional(
        "ddl_file",
        Shape::Text,
        "there is a `ddl`",
        "a file with them, relative to this one",
    ),
    KeyInfo::optional(
        "after_ddl",
        Shape::Texts { least: 1 },
        "none",
        "statements after that, each by itself, as the administrator: publications and slots",
    ),
    KeyInfo::optional(
        "insert",
        Shape::Texts { least: 1 },
        "needed, unless there is a `[service]`",
        "statements that announce a change, in the transaction that writes it",
    ),
    KeyInfo::optional(
        "pending",
        Shape::Text,
        "what was not published cannot be told from what is lost",
        "a query for the event ids that the source still holds",
    ),
    KeyInfo::usually(
        "replication",
        Shape::Flag,
        "false",
        "whether the role of whoever publishes may use replication",
    ),
    KeyInfo::usually(
        "isolation",
        Shape::Word(isolation_words),
        "\"schema\"",
        "what is its own: a `schema`, or a `database`, in whose `public` the tables are",
    ),
];

fn isolation_words() -> Vec<&'static str> {
    Isolation::ALL.map(Isolation::name).to_vec()
}

/// This says who writes an outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    /// Our own order service writes it, by statements of the file.
    Ours,
    /// The file's order service, which may make its tables by itself too.
    Theirs,
}

pub(super) fn read(mut s: Section<'_>, home: &Path, writer: Writer) -> Option<ForeignOutbox> {
    let ddl = match (writer, s.get("ddl"), s.get("ddl_file")) {
        (Writer::Theirs, None, None) => Some(Vec::new()),
        (Writer::Ours | Writer::Theirs, ..) => ddl(&mut s, home),
    };
    let after_ddl = match s.get("after_ddl") {
        Some(entry) => statements(&s, entry, &PLACEHOLDERS),
        None => Some(Vec::new()),
    };
    let insert = match writer {
        Writer::Ours => insert(&mut s),
        Writer::Theirs => {
            if let Some(entry) = s.get("insert") {
                s.problem(
                    entry.key_span(),
                    "there is `insert`, and a [service] that writes its outbox by itself",
                    "take `insert` out; or take [service] and [truth] out, and our order service runs it",
                );
            }
            Some(Vec::new())
        }
    };
    let pending = s.get("pending").map(|e| {
        s.text(e)
            .and_then(|text| template(&s, e, text, &PLACEHOLDERS))
    });
    let replication = s.get("replication").map(|e| s.flag(e));
    let isolation = match s.get("isolation") {
        Some(entry) => s.word(entry, &Isolation::ALL.map(|i| (i.name(), i))),
        None => Some(Isolation::default()),
    };
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
        isolation: isolation?,
    })
}

/// Reads `insert`, of which one statement has to write the event.
fn insert(s: &mut Section<'_>) -> Option<Vec<Template>> {
    let known: Vec<&str> = OF_A_CHANGE.into_iter().chain(PLACEHOLDERS).collect();
    let example =
        "insert = [\"insert into outbox (id, payload) values (${event_id}::uuid, ${payload})\"]";
    let insert_entry = s.required("insert", example);
    let insert = insert_entry.and_then(|e| statements(s, e, &known));
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
    insert
}

/// Reads the statements of `ddl`, or of the file that `ddl_file` names.
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

/// Reads a list of statements, at least one; otherwise notes what is wrong and returns `None`.
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
