//! `[install]`, `[relay]` and `[service]` of a relay's file: how each is installed, started, known to work,
//! and stopped.

use super::template::Template;
use super::{PLACEHOLDERS, template};
use crate::scenario::Instance;
use crate::scenario::keys::{KeyInfo, Shape, names};
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
    /// This command installs the relay, where `check` does not say that nothing is to be done.
    pub run: Vec<String>,
    /// The command `run` has to end within this time.
    pub within: Duration,
}

/// A process that was not written here: a relay, or an order service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignProcess {
    /// These are the program and its arguments. A program with a `/` in it is looked for below `folder`.
    pub command: Vec<Template>,
    /// The process works in this folder, which is given relative to the file's.
    pub folder: String,
    /// These variables are set in its environment, beside what every child gets.
    pub env: BTreeMap<String, Template>,
    /// Files that are written to the run's scratch folder before it starts, by name.
    #[serde(default)]
    pub files: BTreeMap<String, Template>,
    /// How it is known to work.
    pub ready: ForeignReady,
    /// It has to be ready within this time, at the first start and at each other.
    pub ready_within: Duration,
    /// How it is told to end.
    pub stop: ForeignStop,
    /// Whether it is started again when it ends by itself.
    pub restart: bool,
    /// So many instances of it run.
    #[serde(default = "one")]
    pub instances: u8,
}

/// Returns how many ran in histories from before there could be several.
const fn one() -> u8 {
    1
}

/// How such a process is known to work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignReady {
    /// A line of its output matches this regular expression.
    Log(String),
    /// Somebody listens at `HOST:PORT`.
    Tcp(Template),
    /// A URL answers with a status of success.
    Http(Template),
    /// A query, as the role of the process that is waited for, gives true.
    Sql(Template),
}

/// How such a process is told to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignStop {
    /// The process is sent this signal first.
    pub signal: StopSignal,
    /// After that it is killed.
    pub within: Duration,
    /// Exit codes that are as they should be.
    pub exit: Vec<u8>,
}

/// This signal asks a process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum StopSignal {
    /// The process is asked to end by SIGTERM, unless its file says otherwise.
    Term,
    /// The process is asked to end by SIGINT.
    Int,
    /// The process is asked to end by SIGQUIT.
    Quit,
}

impl Default for ForeignStop {
    fn default() -> Self {
        Self {
            signal: StopSignal::Term,
            within: STOP_WITHIN,
            exit: vec![0],
        }
    }
}

/// Where an order service says that it works, unless its file says otherwise.
const HEALTH: &str = "http://127.0.0.1:${port}/health";
const STOP_WITHIN: Duration = Duration::from_secs(10);
const READY_WITHIN: Duration = Duration::from_secs(30);
const INSTALL_WITHIN: Duration = Duration::from_secs(600);

const fn bound(most: Duration) -> Shape {
    Shape::Duration {
        least: Duration::from_millis(1),
        most,
    }
}

/// These are the keys that `[install]` can have.
pub(super) const KEYS_OF_INSTALL: [KeyInfo; 3] = [
    KeyInfo::required(
        "check",
        Shape::Texts { least: 1 },
        "a command that ends with 0 where nothing is to be done",
    ),
    KeyInfo::required(
        "run",
        Shape::Texts { least: 1 },
        "a command that installs it; both run in this file's folder",
    ),
    KeyInfo::usually(
        "within",
        bound(limits::INSTALL),
        "\"10m\"",
        "bound on that one",
    ),
];

const COMMAND: KeyInfo = KeyInfo::required(
    "command",
    Shape::Texts { least: 1 },
    "program and arguments; a program with a `/` in it is below `folder`",
);
const FOLDER: KeyInfo = KeyInfo::usually(
    "folder",
    Shape::Text,
    "\".\"",
    "working folder, relative to this file",
);
const ENV: KeyInfo = KeyInfo::optional(
    "env",
    Shape::TextsByName,
    "none",
    "its environment variables, beside those that every child gets",
);
const FILES: KeyInfo = KeyInfo::optional(
    "files",
    Shape::TextsByName,
    "none",
    "files that are written to `${folder}` before it starts: by name, the file that each is made of",
);
const READY_IN_TIME: KeyInfo = KeyInfo::usually(
    "ready_within",
    bound(limits::READY),
    "\"30s\"",
    "bound on that, at each start",
);
const STOP: KeyInfo = KeyInfo::optional(
    "stop",
    Shape::Table,
    "its defaults",
    "how it is told to end",
);

/// These are the keys that `[relay]` can have.
pub(super) const KEYS_OF_RELAY: [KeyInfo; 9] = [
    COMMAND,
    FOLDER,
    ENV,
    FILES,
    KeyInfo::required("ready", Shape::Table, "how it is known to work"),
    READY_IN_TIME,
    STOP,
    KeyInfo::usually(
        "restart",
        Shape::Flag,
        "false",
        "whether it is started again when it ends by itself",
    ),
    KeyInfo::usually(
        "instances",
        Shape::Integer {
            least: 1,
            most: Instance::MOST as i64,
        },
        "1",
        "so many of it run",
    ),
];

/// These are the keys that `[service]` can have.
pub(super) const KEYS_OF_SERVICE: [KeyInfo; 7] = [
    COMMAND,
    FOLDER,
    ENV,
    FILES,
    KeyInfo::optional(
        "ready",
        Shape::Table,
        "`GET /health` on `${port}`",
        "how it is known to work",
    ),
    READY_IN_TIME,
    STOP,
];

/// The keys of `ready`, one of which it has.
pub(in crate::scenario) const KEYS_OF_READY: [KeyInfo; 4] = [
    KeyInfo::required("log", Shape::Regex, "a line of its output matches"),
    KeyInfo::required("tcp", Shape::Text, "somebody listens at `HOST:PORT`"),
    KeyInfo::required(
        "http",
        Shape::Text,
        "a URL answers with a status of success",
    ),
    KeyInfo::required("sql", Shape::Text, "a query, as its own role, gives true"),
];

const SIGNALS: [(&str, StopSignal); 3] = [
    ("TERM", StopSignal::Term),
    ("INT", StopSignal::Int),
    ("QUIT", StopSignal::Quit),
];

fn signal_words() -> Vec<&'static str> {
    SIGNALS.map(|(word, _)| word).to_vec()
}

/// These are the keys that `stop` can have.
pub(in crate::scenario) const KEYS_OF_STOP: [KeyInfo; 3] = [
    KeyInfo::usually(
        "signal",
        Shape::Word(signal_words),
        "\"TERM\"",
        "the signal",
    ),
    KeyInfo::usually(
        "within",
        bound(limits::STOP),
        "\"10s\"",
        "after that it is killed",
    ),
    KeyInfo::usually(
        "exit",
        Shape::Integers {
            least: 0,
            most: 255,
        },
        "[0]",
        "exit codes that are as they should be",
    ),
];

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

/// The role says whose process a table describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The table is `[relay]`, and the process a relay.
    Relay,
    /// The table is `[service]`, and the process an order service.
    Service,
}

impl Role {
    fn command(self) -> &'static str {
        match self {
            Self::Relay => "command = [\"python3\", \"relay.py\"]",
            Self::Service => "command = [\"python3\", \"service.py\"]",
        }
    }
}

pub(super) fn read(mut s: Section<'_>, home: &Path, role: Role) -> Option<ForeignProcess> {
    let entry = s.required("command", role.command());
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
    let ready = match (role, s.get("ready")) {
        (_, Some(entry)) => ready(&s, entry),
        // The contract has a place for it.
        (Role::Service, None) => Some(ForeignReady::Http(Template::of_ours(HEALTH))),
        (Role::Relay, None) => {
            s.required("ready", "ready = { log = \"READY\" }");
            None
        }
    };
    let ready_within = duration(&mut s, "ready_within", READY_WITHIN, limits::READY);
    let stop = s.get("stop").map(|e| stop(&s, e));
    let restart = match role {
        Role::Relay => s.get("restart").map(|e| s.flag(e)),
        // Whether one that died is there again is for the scenario to say.
        Role::Service => None,
    };
    let instances = match role {
        Role::Relay => s.get("instances"),
        Role::Service => None,
    };
    let instances = instances.map(|e| s.integer(e, 1..=Instance::MOST as u8));
    s.finish_with(|key| {
        (key == "restart").then(|| {
            (
                "an order service that ends by itself is not started again".to_owned(),
                "take `restart` out: its end is what such a run would show".to_owned(),
            )
        })
    });
    Some(ForeignProcess {
        command: command?,
        folder: folder.unwrap_or(Some("."))?.to_owned(),
        env: env.unwrap_or(Some(BTreeMap::new()))?,
        files: files.unwrap_or(Some(BTreeMap::new()))?,
        ready: ready?,
        ready_within: ready_within?,
        stop: match stop {
            Some(stop) => stop?,
            None => ForeignStop::default(),
        },
        restart: restart.unwrap_or(Some(false))?,
        instances: instances.unwrap_or(Some(1))?,
    })
}

/// Reads a table of environment variables; `None` where any of them is wrong.
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

/// Reads a table of files: the name that each will have, and the file of the same folder as this one that it is made
/// of.
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

/// Reads a program and its arguments; notes a problem, and returns `None`, where no program is named.
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

fn ready(s: &Section<'_>, entry: Entry<'_>) -> Option<ForeignReady> {
    const KEYS: [&str; 4] = ["log", "tcp", "http", "sql"];
    let help = "write one of ready = { log = \"REGEX\" }, { tcp = \"127.0.0.1:${port}\" }, \
                { http = \"http://127.0.0.1:${port}/health\" } and { sql = \"select ...\" }";
    let mut table = Section::of(entry, "`ready`", names(&KEYS_OF_READY), s.problems())?;
    let found: Vec<(&'static str, Entry<'_>)> = KEYS
        .into_iter()
        .filter_map(|key| Some((key, table.get(key)?)))
        .collect();
    let ready = match found[..] {
        [(key, entry)] => {
            let text = table.text(entry);
            text.and_then(|text| match key {
                "log" => {
                    let line = table.regex(entry);
                    line.map(|line| ForeignReady::Log(line.to_owned()))
                }
                "tcp" => template(&table, entry, text, &PLACEHOLDERS).map(ForeignReady::Tcp),
                "http" => template(&table, entry, text, &PLACEHOLDERS).map(ForeignReady::Http),
                _ => template(&table, entry, text, &PLACEHOLDERS).map(ForeignReady::Sql),
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

fn stop(s: &Section<'_>, entry: Entry<'_>) -> Option<ForeignStop> {
    let usual = ForeignStop::default();
    let mut table = Section::of(entry, "`stop`", names(&KEYS_OF_STOP), s.problems())?;
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
    Some(ForeignStop {
        signal: signal?,
        within: within?,
        exit: exit?,
    })
}
