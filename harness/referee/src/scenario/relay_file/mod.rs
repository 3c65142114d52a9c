//! `relay.toml`: a relay that was not written here, as its own file describes it, or an order service that
//! brings its outbox along. Several scenarios can name one file. What it means stands in docs/your-relay.md
//! and docs/your-service.md.

mod event;
mod outbox;
mod process;
mod promises;
mod service;
mod template;

#[cfg(test)]
pub(crate) mod given;
#[cfg(test)]
mod tests;

use super::keys::{KeyInfo, Shape, names};
use super::load::read_text;
use super::parse::table_of;
use super::section::Section;
use super::source::{Problems, ScenarioError, locate};
use event::ForeignEvents;
use outbox::Writer;
use process::Role;
pub(super) use process::{KEYS_OF_READY, KEYS_OF_STOP};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub use outbox::ForeignOutbox;
pub(super) use process::environment;
pub use process::{ForeignProcess, ForeignReady, ForeignStop, Install, StopSignal};
pub use promises::{Delivery, OrderPromise, Promises};
pub use service::{ForeignService, Truth};
pub use template::{Statement, Template};

use crate::envelope::EventPlace;

/// A relay, with everything that its file says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelayFile {
    /// Reports call the relay by this name.
    pub name: String,
    /// This is the relay's version as its file gives it; reports show it beside the name.
    pub version: String,
    /// What it is written in.
    pub language: Option<String>,
    /// Where it comes from.
    pub homepage: Option<String>,
    /// These are the terms under which the relay is published; `None` where its file does not say.
    pub licence: Option<String>,
    /// This is the file's folder: commands and paths in the file begin there.
    pub home: PathBuf,
    /// How it is installed, before anything is timed.
    pub install: Option<Install>,
    /// This says how its outbox is made, how a change is announced in it, and how it is asked what is pending.
    pub outbox: ForeignOutbox,
    /// The relay runs as this process; `None` where the order service publishes what is in its outbox by itself.
    #[serde(default)]
    pub process: Option<ForeignProcess>,
    /// The file brings this order service; `None` where ours writes the relay's outbox.
    #[serde(default)]
    pub service: Option<ForeignService>,
    /// These are the names of the topics of its records, with `${topic}` for the run's own; one at least.
    #[serde(default = "event::usual_topics")]
    pub topics: Vec<Template>,
    /// Where its records have the order's id and the event.
    pub place: EventPlace,
    /// These are the relay's promises; by them it is judged.
    pub promises: Promises,
    /// Where the file promises a total order, `FILE:LINE`, for whoever has to mend it; `None` where it promises none.
    #[serde(default)]
    pub total_order_place: Option<String>,
}

/// These are the keys that a relay's file can have at its top level.
pub(super) const KEYS: [KeyInfo; 12] = [
    KeyInfo::required("name", Shape::Text, "what reports call it"),
    KeyInfo::required("version", Shape::Text, "its version"),
    KeyInfo::optional("language", Shape::Text, "not said", "what it is written in"),
    KeyInfo::optional("homepage", Shape::Text, "not said", "where it comes from"),
    KeyInfo::optional("licence", Shape::Text, "not said", "under which terms"),
    KeyInfo::optional(
        "install",
        Shape::Table,
        "nothing is installed",
        "how it is installed, before anything is timed",
    ),
    KeyInfo::optional(
        "outbox",
        Shape::Table,
        "needed, unless there is a `[service]`",
        "its outbox",
    ),
    KeyInfo::optional(
        "relay",
        Shape::Table,
        "needed, unless there is a `[service]`",
        "its process",
    ),
    KeyInfo::optional(
        "service",
        Shape::Table,
        "ours writes the outbox",
        "an order service that takes the place of ours",
    ),
    KeyInfo::optional(
        "truth",
        Shape::Table,
        "needed by a `[service]`",
        "how the referee reads what that service committed",
    ),
    KeyInfo::optional(
        "event",
        Shape::Table,
        "its defaults",
        "the topics of its records, and where these have the order's id and the event",
    ),
    KeyInfo::optional(
        "promises",
        Shape::Table,
        "its defaults",
        "what it promises; by that it is judged",
    ),
];

/// Returns the names of the keys of one of the file's tables.
fn keys_of(table: &str) -> Vec<&'static str> {
    let found = TABLES.iter().find(|(name, _)| *name == table);
    found.map_or_else(Vec::new, |(_, keys)| names(keys))
}

/// A relay's file can have these tables, each with these keys.
pub(super) const TABLES: [(&str, &[KeyInfo]); 7] = [
    ("install", &process::KEYS_OF_INSTALL),
    ("outbox", &outbox::KEYS),
    ("relay", &process::KEYS_OF_RELAY),
    ("service", &process::KEYS_OF_SERVICE),
    ("truth", &service::KEYS),
    ("event", &event::KEYS),
    ("promises", &promises::KEYS),
];

/// Reads and checks a relay's file.
pub(super) fn load(path: &Path) -> Result<RelayFile, ScenarioError> {
    let text = read_text(path)?;
    parse(path, &text)
}

/// Checks a relay's file; files that it names are looked for in its folder.
pub(super) fn parse(path: &Path, text: &str) -> Result<RelayFile, ScenarioError> {
    let file = path.display().to_string();
    let root = table_of(&file, text)?;
    let problems = Problems::default();
    let section = Section::new("the file", 0..0, root.get_ref(), names(&KEYS), &problems);
    let folder = path.parent().unwrap_or(Path::new(""));
    // Its children run in folders of their own.
    let home = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let at = |byte: usize| format!("{file}:{}", locate(text, byte).0);
    let read = read(section, home, at);
    let (problems, others) = problems.into_parts();
    match read {
        Some(relay) if problems.is_empty() => Ok(relay),
        _ => Err(ScenarioError::new(&file, text, problems).and(others)),
    }
}

fn read(mut s: Section<'_>, home: PathBuf, at: impl Fn(usize) -> String) -> Option<RelayFile> {
    let name = s
        .required("name", "name = \"my relay\"")
        .and_then(|e| s.text(e));
    let version = s
        .required("version", "version = \"1.0.0\"")
        .and_then(|e| s.text(e));
    let [language, homepage, licence] = ["language", "homepage", "licence"]
        .map(|key| s.get(key).and_then(|e| s.text(e)).map(str::to_owned));
    let problems = s.problems();
    // Nothing where there is none, and nothing in it where it is no table.
    let mut table = |key: &'static str| {
        let entry = s.get(key)?;
        Some(Section::of(
            entry,
            format!("[{key}]"),
            keys_of(key),
            problems,
        ))
    };
    let (install, service, truth) = (table("install"), table("service"), table("truth"));
    let (outbox, relay) = (table("outbox"), table("relay"));
    let (events, promises) = (table("event"), table("promises"));
    // An order service of the file's own needs neither a statement of ours nor a relay.
    let theirs = service.is_some();
    if !theirs {
        s.required("outbox", "[outbox]");
        s.required("relay", "[relay]");
    }
    let install = install.map(|s| s.and_then(process::install));
    let service = match (service, truth.flatten()) {
        (Some(service), truth) => service
            .and_then(|s| service::read(s, truth, &home, &at))
            .map(Some),
        (None, Some(truth)) => {
            problems.add(
                truth.span(),
                "there is a [truth], and no [service] whose changes it could tell",
                "add a [service]; or take [truth] out: what our own order service commits is known",
            );
            None
        }
        (None, None) => Some(None),
    };
    let writer = match theirs {
        true => Writer::Theirs,
        false => Writer::Ours,
    };
    let outbox = match outbox {
        Some(outbox) => outbox.and_then(|s| outbox::read(s, &home, writer)),
        None => theirs.then(ForeignOutbox::default),
    };
    let process = match relay {
        Some(relay) => relay
            .and_then(|s| process::read(s, &home, Role::Relay))
            .map(Some),
        None => theirs.then_some(None),
    };
    let events = match events {
        Some(events) => events.and_then(event::read),
        None => Some(ForeignEvents::default()),
    };
    let promises = match promises {
        Some(promises) => promises.and_then(promises::read),
        None => Some((Promises::default(), None)),
    };
    s.finish();
    let (promises, total_order_at) = promises?;
    let events = events?;
    if let (Some(span), Some(_)) = (&events.several_at, total_order_at) {
        problems.add(
            span.clone(),
            "`topics` names several, and [promises] has `order = \"total\"`: across topics there is no order to keep",
            "name one topic; or promise \"partition\", the order within each partition of each topic",
        );
    }
    Some(RelayFile {
        name: name?.trim().to_owned(),
        version: version?.trim().to_owned(),
        language,
        homepage,
        licence,
        home,
        install: match install {
            Some(install) => Some(install?),
            None => None,
        },
        outbox: outbox?,
        process: process?,
        service: service?,
        topics: events.topics,
        place: events.place,
        promises,
        total_order_place: total_order_at.map(at),
    })
}

/// A template may have these placeholders, which a run knows: addresses, names and the paths of its own.
pub const PLACEHOLDERS: [&str; 15] = [
    "postgres_url",
    "postgres_host",
    "postgres_port",
    "postgres_user",
    "postgres_password",
    "postgres_database",
    "schema",
    "bootstrap",
    "topic",
    "slot",
    "publication",
    "folder",
    "port",
    "instance",
    "run",
];

/// The statements that announce a change may also have these placeholders, which the change knows.
pub const OF_A_CHANGE: [&str; 6] = [
    "event_id",
    "attempt",
    "order_id",
    "version",
    "event_type",
    "payload",
];

/// Reads a text of the file as a template; otherwise notes what is wrong with it and returns `None`.
fn template(
    s: &Section<'_>,
    entry: super::section::Entry<'_>,
    text: &str,
    known: &[&str],
) -> Option<Template> {
    match Template::read(text, known) {
        Ok(template) => Some(template),
        Err((what, help)) => {
            s.problem(entry.span(), what, help);
            None
        }
    }
}
