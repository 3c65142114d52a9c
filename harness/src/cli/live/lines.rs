//! A run in plain lines, one after the other, for wherever there is no terminal.

use super::breakage::Breakage;
use super::now::{LaneNow, LanePhase, Now};
use crate::nemesis::Turn;
use reports::count;
use std::fmt::Write;

/// So often the counts are shown, seconds of the load, unless it is long.
pub const EVERY_S: f64 = 2.0;

/// What was written already.
#[derive(Debug)]
pub struct Lines {
    /// So often the counts are shown, seconds of the load.
    every_s: f64,
    said: usize,
    marks: usize,
    has_load: bool,
    is_over: bool,
    counts: u32,
}

impl Lines {
    /// Nothing was written yet; the counts are to be shown so often.
    pub fn every(every_s: f64) -> Self {
        Self {
            every_s,
            said: 0,
            marks: 0,
            has_load: false,
            is_over: false,
            counts: 0,
        }
    }

    /// What there is to write since the last time.
    pub fn of(&mut self, now: &Now) -> String {
        let mut text = String::new();
        for said in &now.said[self.said.min(now.said.len())..] {
            self.line(now, said, &mut text);
        }
        self.said = now.said.len();
        if let (false, Some(lasts_s)) = (self.has_load, now.load_lasts_s) {
            self.has_load = true;
            let same = match now.lanes.len() {
                0 | 1 => String::new(),
                2 => " the same in both,".to_owned(),
                3 => " the same in all three,".to_owned(),
                many => format!(" the same in all {many},"),
            };
            let line = format!("orders come in,{same} for {lasts_s:.0} s");
            self.line(now, &line, &mut text);
        }
        for mark in &now.marks[self.marks..] {
            let Breakage {
                mark: key, does, ..
            } = &mark.breakage;
            let line = match mark.turn {
                Turn::Injected if mark.breakage.is_key => format!(">>> key {key}: {does}"),
                Turn::Injected => format!(">>> {does}"),
                Turn::Healed => format!("<<< over: {does}"),
            };
            self.line(now, &line, &mut text);
        }
        self.marks = now.marks.len();
        self.add_counts(now, &mut text);
        text
    }

    fn add_counts(&mut self, now: &Now, text: &mut String) {
        let Some(load_s) = now.load_s else { return };
        let is_due = load_s >= f64::from(self.counts + 1) * self.every_s;
        if is_due && now.is_under_load() {
            self.counts = (load_s / self.every_s) as u32;
            let names = now.lanes.iter().map(|lane| lane.name.chars().count());
            let width = names.fold(NAME_COLUMNS, usize::max);
            for lane in &now.lanes {
                self.line(now, &counts(lane, width), text);
            }
        }
        let fenced = |lane: &LaneNow| matches!(lane.phase, LanePhase::Fence(_));
        if !self.is_over && now.lanes.iter().any(fenced) {
            self.is_over = true;
            let line =
                "the load is over: what an outbox holds may still come, then all is read again";
            self.line(now, line, text);
        }
    }

    fn line(&self, now: &Now, line: &str, text: &mut String) {
        let _ = writeln!(text, "[{:5.1} s] {line}", now.s);
    }
}

/// Names of strategies take so many columns, or more where one is longer.
const NAME_COLUMNS: usize = 8;

/// Returns one lane as a line that fits 80 columns, if its name does not take many of them.
fn counts(lane: &LaneNow, width: usize) -> String {
    let c = &lane.counts;
    let mut line = format!(
        "{:width$} {:>6} committed {:>6} on the topic {:>5} missing",
        lane.name,
        count(c.committed),
        count(c.events),
        count(c.missing)
    );
    for (n, word) in [
        (c.lost, "LOST"),
        (c.duplicated, "seen twice"),
        (c.phantom, "phantom"),
    ] {
        if n.is_some_and(|n| n > 0) {
            let _ = write!(line, ", {} {word}", count(n));
        }
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::demo::programme::Programme;
    use crate::run::Event;
    use crate::run::lane_counts::LaneCounts;
    use std::time::Duration;

    #[test]
    fn given_a_demo_then_each_thing_is_written_once_and_fits_a_terminal() {
        let board = Programme::scripted().unwrap().board();
        let mut lines = Lines::every(EVERY_S);
        assert_eq!(lines.of(&board.now()), "");
        let provider = "local".to_owned();
        board.in_the_run(Event::StackStarting { provider });
        let begins = Event::LoadStarted {
            begins_in: Duration::ZERO,
            duration: Duration::ZERO,
            planned: 1,
        };
        board.in_lane(0, begins);
        let turn = Some((0, Turn::Injected));
        let what = String::new();
        board.in_lane(0, Event::Fault { what, turn });
        let text = lines.of(&board.now());
        for said in [
            "Kafka and Toxiproxy start",
            "orders come in",
            "key b: cut the broker",
        ] {
            assert_eq!(text.matches(said).count(), 1, "{text}");
        }
        assert_eq!(lines.of(&board.now()), "");
        let mut lane = board.now().lanes[0].clone();
        lane.counts = LaneCounts {
            committed: Some(999_999),
            events: Some(999_999),
            missing: Some(99_999),
            lost: Some(9_999),
            ..LaneCounts::ZERO
        };
        let line = format!("[ 99.9 s] {}", counts(&lane, NAME_COLUMNS));
        assert!(line.contains("9,999 LOST"), "{line}");
        assert!(line.chars().count() <= 90, "{line}");
    }
}
