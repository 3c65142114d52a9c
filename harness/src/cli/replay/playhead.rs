//! Where a replay is: it goes on by itself, stops, and is moved.

use std::time::{Duration, Instant};

/// An arrow goes so large a part of the whole.
const STEPS: f64 = 10.0;

/// The place in a run that is played, at a steady speed.
#[derive(Debug, Clone)]
pub struct Playhead {
    lasts_s: f64,
    /// Seconds of the run in a second of whoever watches.
    speed: f64,
    /// It was here when it was moved, stopped or let go last.
    from_s: f64,
    since: Instant,
    is_paused: bool,
}

impl Playhead {
    /// Begins at the begin; the run is played in so much time.
    pub fn new(lasts_s: f64, takes: Duration, now: Instant) -> Self {
        Self {
            lasts_s,
            speed: lasts_s / takes.as_secs_f64().max(0.001),
            from_s: 0.0,
            since: now,
            is_paused: false,
        }
    }

    /// Where it is, in seconds of the run.
    pub fn at_s(&self, now: Instant) -> f64 {
        let passed_s = match self.is_paused {
            true => 0.0,
            false => now.saturating_duration_since(self.since).as_secs_f64(),
        };
        (self.from_s + passed_s * self.speed).clamp(0.0, self.lasts_s)
    }

    /// How many seconds of the run pass in a second.
    pub fn speed(&self) -> f64 {
        self.speed
    }

    /// Whether it was stopped.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Stops it, or lets it go on.
    pub fn pause(&mut self, now: Instant) {
        self.move_to(self.at_s(now), now);
        self.is_paused = !self.is_paused;
    }

    /// Goes a tenth back.
    pub fn back(&mut self, now: Instant) {
        self.move_to(self.at_s(now) - self.lasts_s / STEPS, now);
    }

    /// Goes a tenth forth.
    pub fn forth(&mut self, now: Instant) {
        self.move_to(self.at_s(now) + self.lasts_s / STEPS, now);
    }

    /// Since when it has been at its end, as far as it got there by itself or was moved there.
    pub fn ended(&self, now: Instant) -> Option<Duration> {
        let left_s = (self.lasts_s - self.from_s).max(0.0);
        let plays_s = match self.speed > 0.0 {
            true => left_s / self.speed,
            false => 0.0,
        };
        let passed = now.saturating_duration_since(self.since);
        let is_there = !self.is_paused && passed.as_secs_f64() >= plays_s;
        is_there.then(|| passed.saturating_sub(Duration::from_secs_f64(plays_s)))
    }

    fn move_to(&mut self, at_s: f64, now: Instant) {
        self.from_s = at_s.clamp(0.0, self.lasts_s);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of 40 s that is played in 20 s.
    fn given() -> (Playhead, Instant) {
        let now = Instant::now();
        (Playhead::new(40.0, Duration::from_secs(20), now), now)
    }

    fn after(now: Instant, s: u64) -> Instant {
        now + Duration::from_secs(s)
    }

    #[test]
    fn given_a_run_then_it_is_played_in_the_time_that_was_asked_for() {
        let (playhead, now) = given();
        let at = [0, 5, 20, 90].map(|s| playhead.at_s(after(now, s)));
        assert_eq!(at, [0.0, 10.0, 40.0, 40.0]);
        let ended = [19, 20, 22].map(|s| playhead.ended(after(now, s)));
        let seconds = Duration::from_secs;
        assert_eq!(ended, [None, Some(seconds(0)), Some(seconds(2))]);
    }

    #[test]
    fn given_a_pause_then_nothing_passes_until_it_goes_on() {
        let (mut playhead, now) = given();
        playhead.pause(after(now, 5));
        assert_eq!(playhead.at_s(after(now, 90)), 10.0);
        assert_eq!(playhead.ended(after(now, 90)), None);
        playhead.pause(after(now, 100));
        assert_eq!(playhead.at_s(after(now, 101)), 12.0);
    }

    #[test]
    fn given_arrows_then_it_goes_a_tenth_and_stays_in_the_run() {
        let (mut playhead, now) = given();
        playhead.back(now);
        assert_eq!(playhead.at_s(now), 0.0);
        playhead.forth(after(now, 5));
        assert_eq!(playhead.at_s(after(now, 5)), 14.0);
        playhead.pause(after(now, 5));
        for _ in 0..20 {
            playhead.forth(after(now, 6));
        }
        assert_eq!(playhead.at_s(after(now, 6)), 40.0);
        playhead.back(after(now, 6));
        assert_eq!(playhead.at_s(after(now, 7)), 36.0);
    }
}
