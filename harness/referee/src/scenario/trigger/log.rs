//! `log`: a process says something.

use super::{Trigger, TriggerInfo};
use crate::scenario::keys::{KeyInfo, Shape, names};
use crate::scenario::section::Section;
use crate::scenario::{Instance, Victim};

pub(super) const INFO: TriggerInfo = TriggerInfo {
    example: "when = { log = { of = \"relay\", matches = \"caught up\" } }",
    what: "a line that the relay (or the order-service) logged since the load began matches a regular expression",
    keys: &[KeyInfo::required(
        "log",
        Shape::Table,
        "`{ of = \"relay\", matches = \"REGEX\" }`: a line, logged since the load began, that matches",
    )],
    read,
};

/// Whose log it can be: what is under test, by name.
fn speakers() -> Vec<(&'static str, Victim)> {
    let relays = Instance::ALL.into_iter().map(Victim::Relay);
    let speakers = relays.chain([Victim::OrderService]);
    speakers.map(|speaker| (speaker.name(), speaker)).collect()
}

fn speaker_words() -> Vec<&'static str> {
    speakers().into_iter().map(|(word, _)| word).collect()
}

/// These are the keys that the table `log` itself can have.
pub(in crate::scenario) const KEYS: [KeyInfo; 2] = [
    KeyInfo::required("of", Shape::Word(speaker_words), "whose log"),
    KeyInfo::required("matches", Shape::Regex, "what a line of it has in it"),
];

fn read(s: &mut Section<'_>, _: Option<f64>) -> Option<Trigger> {
    let entry = s.get("log")?;
    let mut log = Section::of(entry, "`log`", names(&KEYS), s.problems())?;
    let of = log
        .required("of", "of = \"relay\"")
        .and_then(|e| log.word(e, &speakers()));
    let matches = log
        .required("matches", "matches = \"caught up\"")
        .and_then(|e| log.regex(e));
    log.finish();
    Some(Trigger::Log {
        of: of?,
        matches: matches?.to_owned(),
    })
}
