//! What is shown of a demo, in words and figures: one and the same for the terminal, for the page and for a recording.
//! Whoever draws it adds places and colours.

use super::board::{LaneNow, LanePhase, Mark, Now};
use super::ending::Ending;
use super::expected::Promise;
use super::programme::{Action, DATABASE, actions};
use crate::history::FenceStep;
use crate::nemesis::Turn;
use crate::scenario::{FaultKind, Target, Toxic, Victim};
use serde::Serialize;

/// What can be asked for with a question mark.
pub const EXPLANATION: &str = "\
Three strategies, one load: the same orders at the same moments.

naive    commits an order, then publishes its event: two writes.
polling  writes order and event in one transaction; a relay polls.
cdc      the same; its relay reads the log of the database.

committed      changes of orders that are in the database
on the topic   different events that an observer has seen there
missing        committed, and no event so far
LOST           missing, and nobody goes on trying to publish it
in the outbox  committed, not on the topic so far, and kept
twice          events that came again, as at-least-once may
p99            from answer to event, the slowest 1 of 100 in the last 5 s

A key breaks the same thing for all three at once. Nothing is simulated:
PostgreSQL, Kafka, Toxiproxy between them, SIGKILL and SIGSTOP. When the
load is over, all is healed and read again, and only then judged: until
then what is expected holds so far, or is read at the end.

? closes this.";

/// How good what is shown is. Nothing is said by it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// It is neither good nor bad.
    Plain,
    /// It is as it should be.
    Kept,
    /// It may still come.
    Warning,
    /// It is wrong: an event was lost, or an expectation broken.
    Loss,
}

impl Tone {
    /// Returns the tone of a number of things of which there should be none: for 0 it is [`Tone::Plain`].
    fn of(self, n: u64) -> Self {
        if n == 0 { Self::Plain } else { self }
    }
}

/// A number and what it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// The number is of these, e.g. `in the outbox`.
    pub words: &'static str,
    /// This is how many changes or events there are of them.
    pub n: u64,
    /// How good that is.
    pub tone: Tone,
}

/// A part is a process, or the way to the broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShownPart {
    /// The part is called like this, e.g. `relay`.
    pub name: &'static str,
    /// How it is, in one word.
    pub state: &'static str,
    /// Whether something was done to it.
    pub is_broken: bool,
}

/// This is one lane, in which one strategy runs, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownLane {
    /// The lane's strategy has this name.
    pub name: String,
    /// Where it is on its way.
    pub phase: String,
    /// The lane has these parts: its processes and its way to the broker.
    pub parts: Vec<ShownPart>,
    /// What is counted, in the order of reading.
    pub figures: Vec<Figure>,
    /// The one figure that the lane is about.
    pub punchline: Figure,
    /// This is the 99th percentile of the propagation of late, as text; `–` where there is none.
    pub p99: String,
    /// What is expected of it, and where that stands.
    pub promises: Vec<Promise>,
    /// Each look found so many changes committed and events seen a second, the newest last.
    pub rates: Vec<(u64, u64)>,
}

/// A time in which something was broken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShownMark {
    /// The key that did it.
    pub key: char,
    /// This was done, e.g. `cut the broker`.
    pub does: &'static str,
    /// It began so many seconds after the load began.
    pub from_s: f64,
    /// When it was over; `None` while it is in force.
    pub until_s: Option<f64>,
}

/// A key, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ShownKey {
    /// The key is this character.
    pub key: char,
    /// The key does this, e.g. `cut the broker` or `quit`.
    pub does: &'static str,
    /// Whether that is so now.
    pub is_in_force: bool,
}

/// This is all that is shown of a demo at a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// Where the demo is.
    pub when: String,
    /// So many seconds have passed since the load began; `None` before that.
    pub load_s: Option<f64>,
    /// How long the load lasts.
    pub load_lasts_s: Option<f64>,
    /// The lanes are in the scenario's order.
    pub lanes: Vec<ShownLane>,
    /// These are the times in which something was broken, by their begin.
    pub marks: Vec<ShownMark>,
    /// This line tells of the last turns on the timeline.
    pub turns: String,
    /// This is the answer to the last key, or what happened last beside the lanes.
    pub said: String,
    /// These keys are offered, in their order.
    pub keys: Vec<ShownKey>,
    /// Where the page is, where there is one.
    #[serde(skip)]
    pub page: Option<String>,
    /// What came of it, once it is over.
    pub ending: Option<Ending>,
}

impl Shown {
    /// Of what is known now.
    pub fn of(now: &Now) -> Self {
        let said = now.answer.as_ref().or(now.said.last());
        Self {
            when: when(now),
            load_s: now.load_s(),
            load_lasts_s: now.load_lasts_s(),
            lanes: now.lanes.iter().map(|lane| lane_of(now, lane)).collect(),
            marks: marks(&now.marks),
            turns: turns(&now.marks),
            said: said.cloned().unwrap_or_default(),
            keys: keys(now),
            page: now.page.clone(),
            ending: now.ending.clone(),
        }
    }
}

fn when(now: &Now) -> String {
    match (now.load_s(), now.load_lasts_s()) {
        _ if now.ending.is_some() => "it is over".to_owned(),
        (Some(s), Some(lasts)) if now.is_under_load() => {
            format!("orders come in: {s:.0} of {lasts:.0} s")
        }
        (Some(_), Some(_)) => "the load is over, all is read again".to_owned(),
        (None, _) | (_, None) => "starting".to_owned(),
    }
}

fn lane_of(now: &Now, lane: &LaneNow) -> ShownLane {
    ShownLane {
        name: lane.name.clone(),
        phase: phase(&lane.phase),
        parts: parts(now, lane),
        figures: figures(lane),
        punchline: punchline(lane),
        p99: p99(lane),
        promises: promises(now, lane),
        rates: lane.rates.iter().copied().collect(),
    }
}

fn phase(phase: &LanePhase) -> String {
    match phase {
        LanePhase::Rising => "starting".to_owned(),
        LanePhase::Load => "under load".to_owned(),
        LanePhase::Fence(step) => {
            format!("read again: {} of {}", step.number(), FenceStep::ALL.len())
        }
        LanePhase::Judged(verdict) => format!("judged: {verdict}"),
    }
}

fn parts(now: &Now, lane: &LaneNow) -> Vec<ShownPart> {
    let broken = |target: Target| {
        let places = lane.in_force.iter().map(|n| *n as usize);
        let mut own = places.filter_map(|n| now.action_of.get(n));
        own.find(|action| action.target == target)
    };
    let mut all = vec![
        ("service", Target::Process(Victim::OrderService)),
        ("database", DATABASE),
    ];
    if lane.has_relay {
        all.push(("relay", Target::Process(Victim::RELAY)));
    }
    all.push(("broker", Target::Kafka));
    let part = |(name, target)| {
        let action = broken(target);
        ShownPart {
            name,
            state: action.map_or("up", word),
            is_broken: action.is_some(),
        }
    };
    all.into_iter().map(part).collect()
}

/// What is the matter with a part, in one word.
fn word(action: &Action) -> &'static str {
    match action.kind {
        FaultKind::Down => "CUT",
        FaultKind::Toxic {
            toxic: Toxic::Timeout { .. },
            ..
        } => "MUTE",
        FaultKind::Toxic { .. } => "SLOW",
        FaultKind::Kill => "KILLED",
        FaultKind::Restart => "RESTARTS",
        FaultKind::Pause => "PAUSED",
    }
}

fn figures(lane: &LaneNow) -> Vec<Figure> {
    let c = &lane.counts;
    let figure = |words, n, tone: Tone| Figure {
        words,
        n,
        tone: tone.of(n),
    };
    let waiting = if lane.has_relay {
        "in the outbox"
    } else {
        "missing"
    };
    let mut figures = vec![
        figure("committed", c.committed, Tone::Plain),
        figure("on the topic", c.events, Tone::Plain),
        figure(waiting, c.missing, Tone::Warning),
    ];
    if !lane.has_relay {
        figures.push(figure("LOST", c.lost, Tone::Loss));
    }
    if c.duplicated > 0 {
        figures.push(figure("twice", c.duplicated, Tone::Plain));
    }
    if c.phantom > 0 {
        figures.push(figure("phantom", c.phantom, Tone::Loss));
    }
    figures
}

fn punchline(lane: &LaneNow) -> Figure {
    let c = &lane.counts;
    let (words, n, tone) = match (lane.has_relay, c.lost) {
        (true, _) if c.missing > 0 => ("waiting in the outbox", c.missing, Tone::Warning),
        (false, 0) if c.missing > 0 => ("missing", c.missing, Tone::Warning),
        // What was lost in the end is for the verdict to say.
        (true, _) | (false, 0) if matches!(lane.phase, LanePhase::Judged(_)) => {
            ("none is missing", 0, Tone::Kept)
        }
        (true, _) | (false, 0) => ("lost none, so far", 0, Tone::Kept),
        (false, lost) => ("LOST", lost, Tone::Loss),
    };
    Figure { words, n, tone }
}

fn p99(lane: &LaneNow) -> String {
    let Some(p99) = lane.counts.propagation_p99 else {
        return "–".to_owned();
    };
    reports::milliseconds(p99.as_secs_f64() * 1000.0)
}

/// As it was judged, once it was.
fn promises(now: &Now, lane: &LaneNow) -> Vec<Promise> {
    let mut rows = now.ending.iter().flat_map(|ending| &ending.rows);
    match rows.find(|row| row.name == lane.name) {
        Some(row) => row.promises.clone(),
        None => {
            let all = lane.expectations.iter();
            all.map(|e| Promise::of(e, &lane.counts)).collect()
        }
    }
}

fn marks(marks: &[Mark]) -> Vec<ShownMark> {
    let injected = marks.iter().enumerate();
    let injected = injected.filter(|(_, mark)| mark.turn == Turn::Injected);
    let shown = injected.map(|(n, mark)| {
        let mut later = marks[n..].iter();
        let end = later.find(|m| m.turn == Turn::Healed && m.action == mark.action);
        ShownMark {
            key: mark.action.key,
            does: mark.action.does,
            from_s: mark.at_s,
            until_s: end.map(|m| m.at_s),
        }
    });
    shown.collect()
}

/// Tells of the last three of them in one line.
fn turns(marks: &[Mark]) -> String {
    let told = marks[marks.len().saturating_sub(3)..]
        .iter()
        .map(|m| match m.turn {
            Turn::Injected => format!("{:.1} s {}", m.at_s, m.action.does),
            Turn::Healed => format!("{:.1} s over", m.at_s),
        });
    told.collect::<Vec<_>>().join(" · ")
}

fn keys(now: &Now) -> Vec<ShownKey> {
    let in_force = |action: &Action| {
        let mut all = now.lanes.iter().flat_map(|lane| &lane.in_force);
        all.any(|n| now.action_of.get(*n as usize) == Some(action))
    };
    let broken = actions().map(|action| ShownKey {
        key: action.key,
        does: action.does,
        is_in_force: in_force(&action),
    });
    let others = [('h', "heal all"), ('q', "quit"), ('?', "explain")];
    let others = others.map(|(key, does)| ShownKey {
        key,
        does,
        is_in_force: false,
    });
    broken.into_iter().chain(others).collect()
}
