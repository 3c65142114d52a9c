//! A replay on a terminal: what is shown now, and what keys do.

use super::moment::Replayed;
use super::playhead::Playhead;
use crate::cli::live::screen::{LEFT, Performance, RIGHT};
use crate::cli::live::shown::Shown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The last picture stays for so long, in which it can still be stopped or moved back.
const LAST_PICTURE: Duration = Duration::from_secs(2);

/// Plays a run for whoever watches.
pub struct Player {
    replayed: Arc<Replayed>,
    playhead: Mutex<Playhead>,
    has_quit: AtomicBool,
}

impl Player {
    /// Begins to play it, in so much time.
    pub fn new(replayed: Arc<Replayed>, takes: Duration) -> Self {
        let playhead = Playhead::new(replayed.lasts_s(), takes, Instant::now());
        Self {
            replayed,
            playhead: Mutex::new(playhead),
            has_quit: AtomicBool::new(false),
        }
    }

    /// Whether it has come to its end, or somebody has ended it.
    pub fn is_over(&self) -> bool {
        let ended = self.playhead().ended(Instant::now());
        self.has_quit.load(Ordering::Acquire) || ended.is_some_and(|since| since >= LAST_PICTURE)
    }

    fn playhead(&self) -> MutexGuard<'_, Playhead> {
        self.playhead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Performance for Player {
    fn shown(&self) -> Shown {
        let playhead = self.playhead().clone();
        let at_s = playhead.at_s(Instant::now());
        let mut now = self.replayed.now(at_s);
        if playhead.is_paused() {
            now.answer = Some(format!("paused at {at_s:.1} s; space goes on"));
        }
        let mut shown = Shown::of(&now);
        shown.aside = match playhead.is_paused() {
            true => "paused".to_owned(),
            false => aside(&shown.aside, playhead.speed()),
        };
        shown
    }

    fn press(&self, key: char) {
        let now = Instant::now();
        match key {
            ' ' => self.playhead().pause(now),
            LEFT => self.playhead().back(now),
            RIGHT => self.playhead().forth(now),
            'q' => self.quit(),
            // There is nothing to be broken any more.
            _ => {}
        }
    }

    fn quit(&self) {
        self.has_quit.store(true, Ordering::Release);
    }
}

/// What is to be known of its figures, and how fast it is played.
fn aside(of_figures: &str, speed: f64) -> String {
    let speed = format!("x {speed:.1}");
    match of_figures {
        "" => speed,
        figures => format!("{figures} · {speed}"),
    }
}
