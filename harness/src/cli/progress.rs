//! Shows what a run does, on standard error: a bar with live counters on a terminal, plain lines elsewhere.

use super::terminal;
use crate::history::FenceStep;
use crate::run::event::{Happening, OfferedCounts};
use crate::run::{Event, Sink};
use crate::scenario::units::show_duration;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The bar is so many characters wide.
const BAR_WIDTH: usize = 16;

/// This sink is that of the command line.
pub struct Terminal {
    state: Mutex<TerminalState>,
}

struct TerminalState {
    began: Instant,
    bar: Option<ProgressBar>,
    load: Option<OfferedLoad>,
}

/// The load that is being offered.
#[derive(Clone)]
struct OfferedLoad {
    began: Instant,
    duration: Duration,
    planned: u64,
    /// What was told of it last, which the bar shows whenever it is drawn.
    offered: Arc<Mutex<OfferedCounts>>,
}

impl OfferedLoad {
    fn offered(&self) -> OfferedCounts {
        *self.offered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Terminal {
    /// For standard error as it is.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(TerminalState {
                began: Instant::now(),
                bar: None,
                load: None,
            }),
        }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink for Terminal {
    fn take(&self, happening: &Happening) {
        // A sink that panicked once must not stop a run that heals.
        let mut state = match self.state.lock() {
            Ok(state) => state,
            Err(poisoned) => poisoned.into_inner(),
        };
        state.show(&happening.event);
    }
}

impl TerminalState {
    fn show(&mut self, event: &Event) {
        match event {
            Event::ScenarioStarted { scenario, folder } => {
                self.began = Instant::now();
                self.line(&format!("{scenario} -> {}", folder.display()));
                self.bar = terminal::show_bar();
                if let Some(bar) = self.bar.as_ref().filter(|bar| !bar.is_hidden()) {
                    bar.enable_steady_tick(Duration::from_millis(100));
                }
                self.step("starting");
            }
            Event::StackStarting { provider } => {
                self.step(&format!("stack ({provider}): starting"));
            }
            Event::StackUp { what, took } => {
                self.line(&format!("stack up in {:.1} s: {what}", took.as_secs_f64()));
            }
            Event::StrategyStarted { strategy, kind } => {
                self.line(&if strategy == kind {
                    format!("strategy {strategy}")
                } else {
                    format!("strategy {strategy} ({kind})")
                });
                self.step(&format!("{strategy}: setting up"));
            }
            Event::LoadStarted {
                duration, planned, ..
            } => {
                if self.bar.is_none() {
                    self.line(&format!(
                        "  load: {planned} changes in {}",
                        show_duration(*duration)
                    ));
                }
                let load = OfferedLoad {
                    began: Instant::now(),
                    duration: *duration,
                    planned: *planned,
                    offered: Arc::default(),
                };
                self.show_load(load.clone());
                self.load = Some(load);
            }
            Event::Offered { offered } => {
                if let Some(load) = &self.load {
                    let last = load.offered.lock();
                    *last.unwrap_or_else(PoisonError::into_inner) = *offered;
                }
            }
            // It is for views.
            Event::Counted { .. } => {}
            Event::Fault { what, .. } => self.line(&format!("  fault: {what}")),
            Event::LoadEnded => {
                if let Some(load) = self.load.take() {
                    let counters = counters(load.offered(), load.planned);
                    self.line(&format!("  load ended: {counters}"));
                }
                if self.bar.is_some() {
                    self.step("load ended");
                }
            }
            Event::Fence { step } => {
                let (number, all) = (step.number(), FenceStep::ALL.len());
                self.step(&format!("  fence {number} of {all}: {}", step.name()));
            }
            Event::StrategyJudged {
                strategy, verdict, ..
            } => {
                self.line(&format!("  {strategy}: {verdict}"));
            }
            Event::Note { text } => self.line(text),
        }
    }

    /// Writes a line that stays.
    fn line(&self, text: &str) {
        terminal::message(&format!(
            "[{:6.1}s] {text}",
            self.began.elapsed().as_secs_f64()
        ));
    }

    /// What is going on: on a terminal it gives way to the next step, elsewhere it is a line.
    fn step(&self, text: &str) {
        match &self.bar {
            Some(bar) => {
                if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
                    bar.set_style(style);
                }
                bar.set_message(text.trim_start().to_owned());
            }
            None => self.line(text),
        }
    }

    fn show_load(&self, load: OfferedLoad) {
        let Some(bar) = &self.bar else { return };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {load}") {
            bar.set_style(style.with_key(
                "load",
                move |_: &ProgressState, out: &mut dyn fmt::Write| {
                    let _ = out.write_str(&load_line(&load, load.began.elapsed()));
                },
            ));
        }
    }
}

fn load_line(load: &OfferedLoad, elapsed: Duration) -> String {
    let share = if load.duration.is_zero() {
        1.0
    } else {
        (elapsed.as_secs_f64() / load.duration.as_secs_f64()).min(1.0)
    };
    let done = (share * BAR_WIDTH as f64) as usize;
    format!(
        "[{}{}] {:.1}/{:.1} s: {}",
        "=".repeat(done),
        " ".repeat(BAR_WIDTH - done),
        elapsed.min(load.duration).as_secs_f64(),
        load.duration.as_secs_f64(),
        counters(load.offered(), load.planned)
    )
}

fn counters(offered: OfferedCounts, planned: u64) -> String {
    format!(
        "{} of {planned} sent, {} acknowledged, {} rejected, {} unknown",
        offered.sent, offered.acknowledged, offered.rejected, offered.unknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Reporter;
    use crate::run::lane_counts::LaneCounts;

    #[test]
    fn a_whole_run_is_shown() {
        let reporter = Reporter::to([Arc::new(Terminal::new()) as Arc<dyn Sink>]);
        for event in [
            Event::ScenarioStarted {
                scenario: "steady".into(),
                folder: "runs/steady".into(),
            },
            Event::StackStarting {
                provider: "local".into(),
            },
            Event::StackUp {
                what: "PostgreSQL 15".into(),
                took: Duration::from_secs(3),
            },
            Event::StrategyStarted {
                strategy: "naive".into(),
                kind: "dual-write".into(),
            },
            Event::LoadStarted {
                begins_in: Duration::ZERO,
                duration: Duration::from_secs(12),
                planned: 6000,
            },
            Event::Offered {
                offered: OfferedCounts::default(),
            },
            Event::Counted {
                counts: LaneCounts::ZERO,
            },
            Event::Fault {
                what: "down kafka injected".into(),
                turn: None,
            },
            Event::LoadEnded,
            Event::Fence {
                step: FenceStep::Outcomes,
            },
            Event::StrategyJudged {
                strategy: "naive".into(),
                verdict: "pass".into(),
                counts: LaneCounts::ZERO,
                expectations: Vec::new(),
            },
            Event::Note {
                text: "done".into(),
            },
        ] {
            reporter.event(event);
        }
        terminal::hide_bar();
    }

    #[test]
    fn the_bar_never_leaves_its_width() {
        let offered = OfferedCounts {
            sent: 7,
            ..OfferedCounts::default()
        };
        for (duration, elapsed) in [(0, 0), (10, 0), (10, 5), (10, 10), (10, 100)] {
            let load = OfferedLoad {
                began: Instant::now(),
                duration: Duration::from_secs(duration),
                planned: 100,
                offered: Arc::new(Mutex::new(offered)),
            };
            let line = load_line(&load, Duration::from_secs(elapsed));
            assert_eq!(line.find(']'), Some(BAR_WIDTH + 1), "{line}");
            assert!(line.contains("7 of 100 sent"), "{line}");
        }
    }
}
