//! `[install]` and `[relay]` of a relay's file: how it is installed, started, known to work, and stopped.

use super::template::Template;
use super::{PLACEHOLDERS, template};
use crate::scenario::limits;
use crate::scenario::load::read_text;
use crate::scenario::section::{Entry, Section};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// How a relay is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Install {
    /// A command that ends with 0 where nothing is to be done.
    pub check: Vec<String>,
    /// A command that installs it.
    pub run: Vec<String>,
    /// Bound on that one.
    pub within: Duration,
}

/// A relay's process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayProcess {
    /// Program and arguments. A program with a `/` in it is one of the file's folder.
    pub command: Vec<Template>,
    /// Working folder, relative to the file's.
    pub folder: String,
    /// Its environment, beside what every child gets.
    pub env: BTreeMap<String, Template>,
    /// Files that are written to the run's scratch folder before it starts, by name.
    #[serde(default)]
    pub files: BTreeMap<String, Template>,
    /// How it is known to work.
    pub ready: RelayReady,
    /// Bound on that, at the first start and at each other.
    pub ready_within: Duration,
    /// How it is told to end.
    pub stop: RelayStop,
    /// Whether it is started again when it ends by itself.
    pub restart: bool,
}

/// How a relay is known to work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RelayReady {
    /// A line of its output matches this regular expression.
    Log(String),
    /// Somebody listens at `HOST:PORT`.
    Tcp(Template),
    /// A URL answers with a status of success.
    Http(Template),
    /// A query, as the administrator, gives true.
    Sql(Template),
}

/// How a relay is told to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStop {
    /// The signal.
    pub signal: StopSignal,
    /// After that it is killed.
    pub within: Duration,
    /// Exit codes that are as they should be.
    pub exit: Vec<u8>,
}

/// A signal that asks for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// SIGTERM
    Term,
    /// SIGINT
    Int,
    /// SIGQUIT
    Quit,
}

impl Default for RelayStop {
    fn default() -> Self {
        Self {
            signal: StopSignal::Term,
            within: STOP_WITHIN,
            exit: vec![0],
        }
    }
}

const STOP_WITHIN: Duration = Duration::from_secs(10);
const READY_WITHIN: Duration = Duration::from_secs(30);
const INSTALL_WITHIN: Duration = Duration::from_secs(600);

pub(super) fn install(mut s: Section<'_>) -> Option<Install> {
    let check = s.required("check", "check = [\"test\", \"-x\", \"relay\"]");
    let check = check.and_then(|e| command(&s, e));
    let run = s.required("run", "run = [\"./install.sh\"]");
    let run = run.and_then(|e| command(&s, e));
    let within = duration(&mut s, "within", INSTALL_WITHIN, limits::INSTALL);
    s.finish();
    Some(Install {
        check: check?,
        run: run?,
        within: within?,
    })
}

pub(super) fn read(mut s: Section<'_>, home: &Path) -> Option<RelayProcess> {
    let entry = s.required("command", "command = [\"python3\", \"relay.py\"]");
    let command = entry.and_then(|e| {
        let words = command(&s, e)?;
        let read = words
            .iter()
            .map(|word| template(&s, e, word, &PLACEHOLDERS));
        read.collect::<Option<Vec<_>>>()
    });
    let folder = s.get("folder").map(|e| s.text(e));
    let env = s.get("env").map(|e| environment(&s, e));
    let files = s.get("files").map(|e| files(&s, e, home));
    let ready = s
        .required("ready", "ready = { log = \"READY\" }")
        .and_then(|e| ready(&s, e));
    let ready_within = duration(&mut s, "ready_within", READY_WITHIN, limits::READY);
    let stop = s.get("stop").map(|e| stop(&s, e));
    let restart = s.get("restart").map(|e| s.flag(e));
    s.finish();
    Some(RelayProcess {
        command: command?,
        folder: folder.unwrap_or(Some("."))?.to_owned(),
        env: env.unwrap_or(Some(BTreeMap::new()))?,
        files: files.unwrap_or(Some(BTreeMap::new()))?,
        ready: ready?,
        ready_within: ready_within?,
        stop: match stop {
            Some(stop) => stop?,
            None => RelayStop::default(),
        },
        restart: restart.unwrap_or(Some(false))?,
    })
}

/// A table of variables.
pub(in crate::scenario) fn environment(
    s: &Section<'_>,
    entry: Entry<'_>,
) -> Option<BTreeMap<String, Template>> {
    let texts = s.texts_by_name(entry)?;
    let read = texts
        .into_iter()
        .map(|(name, text)| Some((name, template(s, entry, &text, &PLACEHOLDERS)?)));
    read.collect::<Vec<_>>().into_iter().collect()
}

/// A table of files: the name that each will have, and the file of the same folder as this one that it is
/// made of.
fn files(s: &Section<'_>, entry: Entry<'_>, home: &Path) -> Option<BTreeMap<String, Template>> {
    let sources = s.texts_by_name(entry)?;
    let read = sources.into_iter().map(|(name, source)| {
        if name.is_empty() || name.contains('/') || name == ".." {
            s.problem(
                entry.span(),
                format!("`{name}` is no name of a file"),
                "the file is written to ${folder}: give its name alone",
            );
            return None;
        }
        match read_text(&home.join(&source)) {
            Ok(text) => Some((name, template(s, entry, &text, &PLACEHOLDERS)?)),
            Err(error) => {
                s.problems().of_another_file(
                    entry.span(),
                    format!("`{source}` cannot be read: see below"),
                    "name a file relative to this one, with placeholders",
                    error,
                );
                None
            }
        }
    });
    read.collect::<Vec<_>>().into_iter().collect()
}

fn duration(
    s: &mut Section<'_>,
    key: &'static str,
    usual: Duration,
    most: Duration,
) -> Option<Duration> {
    match s.get(key) {
        Some(entry) => s.duration(entry, Duration::from_millis(1)..=most),
        None => Some(usual),
    }
}

/// A program and its arguments.
fn command(s: &Section<'_>, entry: Entry<'_>) -> Option<Vec<String>> {
    let words = s.texts(entry)?;
    if words.first().is_none_or(String::is_empty) {
        s.problem(
            entry.span(),
            format!("`{}` names no program", entry.key),
            "write the program and its arguments as a list: [\"python3\", \"relay.py\"]",
        );
        return None;
    }
    Some(words)
}

fn ready(s: &Section<'_>, entry: Entry<'_>) -> Option<RelayReady> {
    const KEYS: [&str; 4] = ["log", "tcp", "http", "sql"];
    let help = "write one of ready = { log = \"REGEX\" }, { tcp = \"127.0.0.1:${port}\" }, \
                { http = \"http://127.0.0.1:${port}/health\" } and { sql = \"select ...\" }";
    let mut table = Section::of(entry, "`ready`", s.problems())?;
    let found: Vec<(&'static str, Entry<'_>)> = KEYS
        .into_iter()
        .filter_map(|key| Some((key, table.get(key)?)))
        .collect();
    let ready = match found[..] {
        [(key, entry)] => {
            let text = table.text(entry);
            text.and_then(|text| match key {
                "log" => match regex::Regex::new(text) {
                    Ok(_) => Some(RelayReady::Log(text.to_owned())),
                    Err(error) => {
                        let error = error.to_string();
                        let last = error.lines().last().unwrap_or_default();
                        table.problem(
                            entry.span(),
                            format!(
                                "`log` is no regular expression: {}",
                                last.trim_start_matches("error: ")
                            ),
                            "a bracket, star or question mark that is meant as it stands takes a backslash; write it in single quotes: ready = { log = 'up \\(ready\\)' }",
                        );
                        None
                    }
                },
                "tcp" => template(&table, entry, text, &PLACEHOLDERS).map(RelayReady::Tcp),
                "http" => template(&table, entry, text, &PLACEHOLDERS).map(RelayReady::Http),
                _ => template(&table, entry, text, &PLACEHOLDERS).map(RelayReady::Sql),
            })
        }
        _ => {
            let what = format!("`ready` has {} of log, tcp, http and sql", found.len());
            table.problem(entry.span(), what, help);
            None
        }
    };
    table.finish();
    ready
}

fn stop(s: &Section<'_>, entry: Entry<'_>) -> Option<RelayStop> {
    const SIGNALS: [(&str, StopSignal); 3] = [
        ("TERM", StopSignal::Term),
        ("INT", StopSignal::Int),
        ("QUIT", StopSignal::Quit),
    ];
    let usual = RelayStop::default();
    let mut table = Section::of(entry, "`stop`", s.problems())?;
    let signal = match table.get("signal") {
        Some(entry) => table.word(entry, &SIGNALS),
        None => Some(usual.signal),
    };
    let within = duration(&mut table, "within", usual.within, limits::STOP);
    let exit = match table.get("exit") {
        Some(entry) => table.integers(entry, 0..=u8::MAX),
        None => Some(usual.exit),
    };
    table.finish();
    Some(RelayStop {
        signal: signal?,
        within: within?,
        exit: exit?,
    })
}
