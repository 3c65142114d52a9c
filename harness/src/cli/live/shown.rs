//! What is shown of a run, in words and figures: one and the same for the terminal, for a page and for a recording.
//! Whoever draws it adds places and colours.

use super::breakage::{Breakage, SystemPart};
use super::ending::Ending;
use super::expected::Promise;
use super::now::{LaneNow, LaneOrder, LanePhase, Mark, Now};
use crate::history::FenceStep;
use crate::nemesis::Turn;
use serde::Serialize;

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
    /// Returns the tone of a number of things of which there should be none: for none it is [`Tone::Plain`].
    fn of(self, n: Option<u64>) -> Self {
        if n.unwrap_or(0) == 0 {
            Self::Plain
        } else {
            self
        }
    }
}

/// A number and what it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// The number is of these, e.g. `in the outbox`.
    pub words: &'static str,
    /// This is how many changes or events there are of them; `None` where that is not known.
    pub n: Option<u64>,
    /// How good that is.
    pub tone: Tone,
}

/// A part is a process, or what links lead to.
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
    /// The lane has these parts: its processes, its database and its broker.
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
    /// The key that did it, or the number of the fault.
    pub key: char,
    /// This was done, e.g. `cut the broker`.
    pub does: String,
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

/// This is all that is shown of a run at a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    /// What is shown, e.g. `outbox-harness demo`.
    #[serde(skip)]
    pub title: String,
    /// What is to be known of its figures, in a few words.
    #[serde(skip)]
    pub aside: String,
    /// What a question mark tells.
    #[serde(skip)]
    pub explanation: &'static str,
    /// Where it is.
    pub when: String,
    /// So many seconds have passed since the load began; `None` before that.
    pub load_s: Option<f64>,
    /// How long the load lasts.
    pub load_lasts_s: Option<f64>,
    /// The lanes are in the scenario's order.
    pub lanes: Vec<ShownLane>,
    /// If not all of them can be seen, the one of this place is to be among those that are.
    #[serde(skip)]
    pub focus: usize,
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
            title: now.occasion.title.clone(),
            aside: now.occasion.aside.clone(),
            explanation: now.occasion.explanation,
            when: when(now),
            load_s: now.load_s,
            load_lasts_s: now.load_lasts_s,
            lanes: now.lanes.iter().map(|lane| lane_of(now, lane)).collect(),
            focus: now.whose_turn(),
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
    let place = now.whose_turn();
    match (now.order, now.lanes.get(place)) {
        (LaneOrder::InTurn, Some(lane)) if lane.phase != LanePhase::Waiting => {
            let many = match now.lanes.len() {
                1 => String::new(),
                all => format!(", {} of {all}", place + 1),
            };
            format!("{}{many}: {}", lane.name, of_the_run(now, &lane.phase))
        }
        (LaneOrder::InTurn | LaneOrder::Together, _) => of_the_run(now, &LanePhase::Rising),
    }
}

/// What goes on, in a few words; `phase` is that of the lane whose turn it is.
fn of_the_run(now: &Now, phase: &LanePhase) -> String {
    match (now.load_s, now.load_lasts_s) {
        _ if now.ending.is_some() => "it is over".to_owned(),
        _ if matches!(phase, LanePhase::Judged(_)) => "judged".to_owned(),
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
        LanePhase::Waiting => "waits for its turn".to_owned(),
        LanePhase::Rising => "starting".to_owned(),
        LanePhase::Load => "under load".to_owned(),
        LanePhase::Fence(step) => {
            format!("read again: {} of {}", step.number(), FenceStep::ALL.len())
        }
        LanePhase::Judged(verdict) => format!("judged: {verdict}"),
    }
}

/// None where nothing of it runs.
fn parts(now: &Now, lane: &LaneNow) -> Vec<ShownPart> {
    match lane.phase {
        LanePhase::Waiting | LanePhase::Judged(_) => return Vec::new(),
        LanePhase::Rising | LanePhase::Load | LanePhase::Fence(_) => {}
    }
    let in_force: Vec<&Breakage> = lane
        .in_force
        .iter()
        .filter_map(|n| now.breakages.get(*n as usize))
        .collect();
    let shown = |part: SystemPart| {
        let broken = in_force.iter().find(|breakage| breakage.part() == part);
        ShownPart {
            name: part.name(),
            state: broken.map_or("up", |breakage| breakage.word()),
            is_broken: broken.is_some(),
        }
    };
    SystemPart::of(lane.topology)
        .into_iter()
        .map(shown)
        .collect()
}

fn figures(lane: &LaneNow) -> Vec<Figure> {
    let c = &lane.counts;
    let figure = |words, n, tone: Tone| Figure {
        words,
        n,
        tone: tone.of(n),
    };
    let is_some = |n: Option<u64>| n.is_some_and(|n| n > 0);
    let waiting = match !lane.topology.publishes_in_request() {
        true => figure("in the outbox", in_the_outbox(lane), Tone::Warning),
        false => figure("missing", c.missing, Tone::Warning),
    };
    let mut figures = vec![
        figure("committed", c.committed, Tone::Plain),
        figure("on the topic", c.events, Tone::Plain),
        waiting,
    ];
    if !lane.topology.has_outbox || is_some(c.lost) {
        figures.push(figure("LOST", c.lost, Tone::Loss));
    }
    if is_some(c.duplicated) {
        figures.push(figure("twice", c.duplicated, Tone::Plain));
    }
    if is_some(c.phantom) {
        figures.push(figure("phantom", c.phantom, Tone::Loss));
    }
    figures
}

/// What an outbox lost is not in it.
fn in_the_outbox(lane: &LaneNow) -> Option<u64> {
    let (missing, lost) = lane.counts.missing.zip(lane.counts.lost)?;
    Some(missing.saturating_sub(lost))
}

fn punchline(lane: &LaneNow) -> Figure {
    let c = &lane.counts;
    let figure = |words, n, tone| Figure { words, n, tone };
    if lane.phase == LanePhase::Waiting {
        return figure("its turn comes", None, Tone::Plain);
    }
    let Some(missing) = c.missing else {
        return figure("cannot be told", None, Tone::Plain);
    };
    match (c.lost, !lane.topology.publishes_in_request()) {
        (Some(lost @ 1..), _) => figure("LOST", Some(lost), Tone::Loss),
        (Some(_), true) if missing > 0 => {
            figure("waiting in the outbox", Some(missing), Tone::Warning)
        }
        (_, _) if missing > 0 => figure("missing", Some(missing), Tone::Warning),
        // What was lost in the end is for the verdict to say.
        (Some(_), _) if !matches!(lane.phase, LanePhase::Judged(_)) => {
            figure("lost none, so far", Some(0), Tone::Kept)
        }
        (Some(_) | None, _) => figure("none is missing", Some(0), Tone::Kept),
    }
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
    let of_the_end = rows.find(|row| row.name == lane.name);
    let judged = lane.judged.as_ref();
    match of_the_end.map(|row| &row.promises).or(judged) {
        Some(judged) => judged.clone(),
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
        let end = later.find(|m| m.turn == Turn::Healed && m.breakage == mark.breakage);
        ShownMark {
            key: mark.breakage.mark,
            does: mark.breakage.does.to_string(),
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
            Turn::Injected => format!("{:.1} s {}", m.at_s, m.breakage.does),
            Turn::Healed => format!("{:.1} s over", m.at_s),
        });
    told.collect::<Vec<_>>().join(" · ")
}

fn keys(now: &Now) -> Vec<ShownKey> {
    let in_force = |key: char| {
        let mut all = now.lanes.iter().flat_map(|lane| &lane.in_force);
        all.any(|n| {
            let breakage = now.breakages.get(*n as usize);
            breakage.is_some_and(|breakage| breakage.is_key && breakage.mark == key)
        })
    };
    let shown = |(key, does): &(char, &'static str)| ShownKey {
        key: *key,
        does,
        is_in_force: in_force(*key),
    };
    now.occasion.keys.iter().map(shown).collect()
}
