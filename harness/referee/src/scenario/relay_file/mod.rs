//! `relay.toml`: a relay that was not written here, as its own file describes it. Several scenarios can
//! name one file. What it means stands in docs/your-relay.md.

mod event;
mod outbox;
mod process;
mod promises;
mod template;

#[cfg(test)]
mod tests;

use super::load::read_text;
use super::parse::table_of;
use super::section::Section;
use super::source::{Problems, ScenarioError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub use outbox::ForeignOutbox;
pub(super) use process::environment;
pub use process::{Install, RelayProcess, RelayReady, RelayStop, StopSignal};
pub use promises::{Delivery, OrderPromise, Promises};
pub use template::{Statement, Template};

use crate::envelope::EventPlace;

/// A relay, with everything that its file says of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RelayFile {
    /// What reports call it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it is written in.
    pub language: Option<String>,
    /// Where it comes from.
    pub homepage: Option<String>,
    /// Under which terms.
    pub licence: Option<String>,
    /// The file's folder: commands and paths in the file begin there.
    pub home: PathBuf,
    /// How it is installed, before anything is timed.
    pub install: Option<Install>,
    /// Its outbox.
    pub outbox: ForeignOutbox,
    /// Its process.
    pub process: RelayProcess,
    /// Where its records have the order's id and the event.
    pub place: EventPlace,
    /// What it promises; by that it is judged.
    pub promises: Promises,
}

/// Reads and checks a relay's file.
pub(super) fn load(path: &Path) -> Result<RelayFile, ScenarioError> {
    let text = read_text(path)?;
    parse(path, &text)
}

/// Checks a relay's file; files that it names are looked for in its folder.
fn parse(path: &Path, text: &str) -> Result<RelayFile, ScenarioError> {
    let file = path.display().to_string();
    let root = table_of(&file, text)?;
    let problems = Problems::default();
    let section = Section::new("the file", 0..0, root.get_ref(), &problems);
    let folder = path.parent().unwrap_or(Path::new(""));
    // Its children run in folders of their own.
    let home = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let read = read(section, home);
    let (problems, others) = problems.into_parts();
    match read {
        Some(relay) if problems.is_empty() => Ok(relay),
        _ => Err(ScenarioError::new(&file, text, problems).and(others)),
    }
}

fn read(mut s: Section<'_>, home: PathBuf) -> Option<RelayFile> {
    let name = s
        .required("name", "name = \"my relay\"")
        .and_then(|e| s.text(e));
    let version = s
        .required("version", "version = \"1.0.0\"")
        .and_then(|e| s.text(e));
    let [language, homepage, licence] = ["language", "homepage", "licence"]
        .map(|key| s.get(key).and_then(|e| s.text(e)).map(str::to_owned));
    let problems = s.problems();
    let mut table = |key: &'static str, required: Option<&str>| {
        let entry = match required {
            Some(example) => s.required(key, example),
            None => s.get(key),
        };
        entry.and_then(|e| Section::of(e, format!("[{key}]"), problems))
    };
    let install = table("install", None).map(process::install);
    let outbox = table("outbox", Some("[outbox]")).and_then(|s| outbox::read(s, &home));
    let process = table("relay", Some("[relay]")).and_then(|s| process::read(s, &home));
    let place = table("event", None).map_or(Some(EventPlace::default()), event::read);
    let promises = table("promises", None).map_or(Some(Promises::default()), promises::read);
    s.finish();
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
        place: place?,
        promises: promises?,
    })
}

/// Placeholders that a run knows: addresses, names and the paths of its own.
pub const PLACEHOLDERS: [&str; 13] = [
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
];

/// And those that a change knows, in the statements that announce it.
pub const OF_A_CHANGE: [&str; 6] = [
    "event_id",
    "attempt",
    "order_id",
    "version",
    "event_type",
    "payload",
];

/// A text of the file as a template; notes what is wrong with it.
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
