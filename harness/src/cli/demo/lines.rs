//! A demo in plain lines, one after the other, for wherever there is no terminal.

use super::board::{LaneNow, LanePhase, Now};
use crate::nemesis::Turn;
use reports::count;
use std::fmt::Write;

/// So often the counts are shown, seconds of the load.
const EVERY_S: f64 = 2.0;

/// What was written already.
#[derive(Debug, Default)]
pub struct Lines {
    said: usize,
    marks: usize,
    has_load: bool,
    is_over: bool,
    counts: u32,
}

impl Lines {
    /// What there is to write since the last time.
    pub fn of(&mut self, now: &Now) -> String {
        let mut text = String::new();
        for said in &now.said[self.said.min(now.said.len())..] {
            self.line(now, said, &mut text);
        }
        self.said = now.said.len();
        if let (false, Some(lasts_s)) = (self.has_load, now.load_lasts_s()) {
            self.has_load = true;
            let line = format!("orders come in, the same in all three, for {lasts_s:.0} s");
            self.line(now, &line, &mut text);
        }
        for mark in &now.marks[self.marks..] {
            let does = mark.action.does;
            let line = match mark.turn {
                Turn::Injected => format!(">>> key {}: {does}", mark.action.key),
                Turn::Healed => format!("<<< over: {does}"),
            };
            self.line(now, &line, &mut text);
        }
        self.marks = now.marks.len();
        self.add_counts(now, &mut text);
        text
    }

    fn add_counts(&mut self, now: &Now, text: &mut String) {
        let Some(load_s) = now.load_s() else { return };
        let is_due = load_s >= f64::from(self.counts + 1) * EVERY_S;
        if is_due && now.is_under_load() {
            self.counts = (load_s / EVERY_S) as u32;
            for lane in &now.lanes {
                self.line(now, &counts(lane), text);
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

/// Returns one lane as a line that fits 80 columns.
fn counts(lane: &LaneNow) -> String {
    let c = &lane.counts;
    let mut line = format!(
        "{:8} {:>6} committed {:>6} on the topic {:>5} missing",
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
        if n > 0 {
            let _ = write!(line, ", {} {word}", count(n));
        }
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::demo::board::Board;
    use crate::cli::demo::programme::Programme;
    use crate::run::stage::{Audience, LaneCounts};
    use crate::run::{Event, Reporter};
    use std::time::Duration;

    #[test]
    fn given_a_demo_then_each_thing_is_written_once_and_fits_a_terminal() {
        let board = Board::of(&Programme::scripted().unwrap());
        let mut lines = Lines::default();
        assert_eq!(lines.of(&board.now()), "");
        let provider = "local".to_owned();
        Reporter::event(&board, Event::StackStarting { provider });
        let begins = Event::LoadStarted {
            duration: Duration::ZERO,
            planned: 1,
            progress: Default::default(),
        };
        Audience::event(&board, 0, begins);
        let turn = Some((0, Turn::Injected));
        let what = String::new();
        Audience::event(&board, 0, Event::Fault { what, turn });
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
            committed: 999_999,
            events: 999_999,
            missing: 99_999,
            lost: 9_999,
            ..LaneCounts::default()
        };
        let line = format!("[ 99.9 s] {}", counts(&lane));
        assert!(line.contains("9,999 LOST"), "{line}");
        assert!(line.chars().count() <= 90, "{line}");
    }
}
