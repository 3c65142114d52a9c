//! `run --watch`: a run that is measured, in the live view, as it goes on.

use super::live::board::Board;
use super::live::breakage::Breakage;
use super::live::now::LaneOrder;
use super::live::occasion::{Occasion, figures_live};
use super::live::screen::{Performance, Screen};
use super::live::shown::Shown;
use super::terminal;
use crate::process::reaper::Reaper;
use crate::run::{
    Finished, Options, Reporter, RunError, Sink, chosen, run as run_scenario, run_watched,
};
use crate::scenario::Scenario;
use nix::sys::signal::{Signal, raise};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::sync::watch::Receiver;

const INTERRUPTED: &str =
    "ending in order: healed, torn down, what was recorded is kept (once more ends it at once)";

const EXPLANATION: &str = concat!(
    "\
A run that is measured. Its strategies run one after the other, each
under the same load, and the timeline is that of the one that runs.

",
    figures_live!(),
    "
What is committed is looked up at least two seconds apart, rarely in a
large table; in between clients' answers are added. When a load is over, all
is healed and read again, and only then judged: a lane that is judged
shows what its verdict rests on, one that runs what is so by now.

Figures on the timeline are the faults of the scenario, in its order.
No key breaks anything. q ends the run in order, as Ctrl-C does.

? closes this."
);

/// Whether there is a terminal to watch it on; says so where there is none.
pub fn is_possible() -> bool {
    let is_possible = terminal::is_a_screen();
    if !is_possible {
        terminal::message(
            "--watch: standard input or output is no terminal that can show it; progress is shown in plain lines, as without it",
        );
    }
    is_possible
}

/// Runs one scenario, the one of such a place among so many, and shows it until it is over.
pub async fn run(
    scenario: &Scenario,
    options: &Options,
    reaper: &Arc<Reaper>,
    reporter: &Reporter,
    mut interrupted: Receiver<bool>,
    place: (usize, usize),
) -> Result<Finished, RunError> {
    let board = Arc::new(board(scenario, options.strategy.as_deref(), place));
    let viewer = Viewer(Arc::clone(&board));
    let screen = match Screen::open(Arc::new(viewer), terminal::results_in_colour()) {
        Ok(screen) => screen,
        Err(error) => {
            terminal::message(&format!(
                "--watch: the terminal cannot be taken, so progress is shown as without it: {error}"
            ));
            return run_scenario(scenario, options, reaper, reporter, interrupted).await;
        }
    };
    let told = reporter.and([board.clone() as Arc<dyn Sink>]);
    let finished = tokio::select! {
        finished = run_watched(scenario, options, reaper, &told, interrupted.clone()) => finished,
        never = says_when_interrupted(&board, &mut interrupted) => match never {},
    };
    // It is closed before anything else is written.
    drop(screen);
    finished
}

fn board(scenario: &Scenario, strategy: Option<&str>, (number, of): (usize, usize)) -> Board {
    let occasion = Occasion {
        title: scenario.name.clone(),
        aside: match of {
            1 => String::new(),
            _ => format!("run {number} of {of}"),
        },
        explanation: EXPLANATION,
        keys: vec![('q', "interrupt"), ('?', "explain")],
        nothing_lost: "Nothing was lost.",
        last_words: None,
    };
    let faults = scenario.faults.iter().enumerate();
    let breakages = faults.map(|(number, fault)| Breakage::of(number, fault));
    let strategies = chosen(scenario, strategy);
    Board::new(occasion, LaneOrder::InTurn, strategies, breakages)
}

/// By a key or by a signal: whoever watches sees that it is known.
async fn says_when_interrupted(board: &Board, interrupted: &mut Receiver<bool>) -> Infallible {
    if interrupted.wait_for(|i| *i).await.is_ok() {
        board.answer(INTERRUPTED.to_owned());
    }
    std::future::pending().await
}

/// Shows a board; of its keys one ends the run, and none does anything else to it.
struct Viewer(Arc<Board>);

impl Performance for Viewer {
    fn shown(&self) -> Shown {
        Shown::of(&self.0.now())
    }

    fn press(&self, key: char) {
        if key == 'q' {
            self.quit();
        }
    }

    /// As Ctrl-C in a terminal that is not raw, so that there is one way out.
    fn quit(&self) {
        // A process can always signal itself.
        let _ = raise(Signal::SIGINT);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
