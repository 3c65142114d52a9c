//! `replay`: a finished run once more, as those saw it who watched.

mod moment;
mod player;
mod playhead;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use super::args::ReplayArgs;
use super::exit::Outcome;
use super::live::ending::Ending;
use super::live::lines::{EVERY_S, Lines};
use super::live::occasion::Occasion;
use super::live::screen::{LEFT, RIGHT, Screen};
use super::live::story::Paper;
use super::{again, browser, signals, terminal};
use crate::run::lacks_history;
use crate::run::replay::{Replay, replay as read};
use moment::Replayed;
use player::Player;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// So often it is looked whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Counts are written at most so often, however long a run is.
const MOST_COUNTS: f64 = 20.0;

const EXPLANATION: &str = "\
A finished run, played again from its history: nothing runs. Every lane
counts from the begin of its own load, whenever that was.

committed      changes of orders that are in the database
on the topic   different events of them that an observer has seen there
missing        committed, and no event so far
LOST           missing, given up, and without an event to the very end
in the outbox  committed, not on the topic so far, and kept
twice          events that came again, as at-least-once may
p99            from answer to event, the slowest 1 of 100 in the last 5 s

A change counts as committed from when its service says so, its answer
or its event came, whichever was first. What the fence did not read is
a dash. The verdict rests on the end alone, not on when what was so.

space stops it, and lets it go on; the arrows go a tenth back and forth.

? closes this.";

/// Plays a run; says on standard error what is wrong.
pub fn replay(args: &ReplayArgs) -> Outcome {
    let folder = &args.of.folder;
    if let Err(outcome) = again::is_folder(folder) {
        return outcome;
    }
    if let Some(message) = lacks_history(folder) {
        terminal::message(&message);
        return Outcome::Usage;
    }
    terminal::log();
    let replay = match read(folder) {
        Ok(replay) => replay,
        Err(error) => {
            terminal::message(&error.to_string());
            return Outcome::Failed;
        }
    };
    if !replay.altered.is_empty() {
        for altered in &replay.altered {
            terminal::message(altered);
        }
        return Outcome::Unknown;
    }
    let replayed = Arc::new(prepared(replay, folder));
    let takes = Duration::from_secs(u64::from(args.seconds));
    if !terminal::is_a_screen() || !played(&replayed, takes) {
        terminal::results(&in_lines(&replayed));
    }
    terminal::results(&Paper::of_results().tell(replayed.ending()));
    if args.open {
        browser::open_report_of(folder);
    }
    Outcome::Met
}

fn prepared(replay: Replay, folder: &Path) -> Replayed {
    let occasion = occasion(&replay);
    let ending = Ending::of(&replay.record, &replay.scenario, folder, &occasion);
    Replayed::new(replay, occasion, ending)
}

fn occasion(replay: &Replay) -> Occasion {
    let record = &replay.record;
    let (aside, last_words) = match replay.at_the_same_time {
        true => (
            "figures are for show",
            Some("figures for show: strategies that ran at the same time took each other's time"),
        ),
        false => ("", None),
    };
    Occasion {
        title: format!("replay of {} of {}", record.run, date(&record.started_at)),
        aside: aside.to_owned(),
        explanation: EXPLANATION,
        keys: vec![
            (' ', "pause"),
            (LEFT, "a tenth back"),
            (RIGHT, "a tenth forth"),
            ('q', "end"),
            ('?', "explain"),
        ],
        nothing_lost: "Nothing was lost.",
        last_words,
    }
}

/// A time of a record to the minute, as people write it.
fn date(started_at: &str) -> String {
    match (started_at.get(..10), started_at.get(11..16)) {
        (Some(day), Some(time)) if started_at.ends_with('Z') => format!("{day} {time} UTC"),
        _ => started_at.to_owned(),
    }
}

/// Plays it on the terminal; says why where that cannot be had.
fn played(replayed: &Arc<Replayed>, takes: Duration) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let played = runtime.and_then(|runtime| runtime.block_on(play(replayed, takes)));
    if let Err(error) = &played {
        terminal::message(&format!(
            "the terminal cannot be taken, so it is told in lines: {error}"
        ));
    }
    played.is_ok()
}

async fn play(replayed: &Arc<Replayed>, takes: Duration) -> std::io::Result<()> {
    signals::nothing_runs();
    let mut signals = signals::watch_signals()?;
    let player = Arc::new(Player::new(Arc::clone(replayed), takes));
    // It is closed before anything else is written.
    let _screen = Screen::open(player.clone(), terminal::results_in_colour())?;
    let over = async {
        while !player.is_over() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::select! {
        () = over => {}
        _ = signals.interrupted.wait_for(|interrupted| *interrupted) => {}
    }
    Ok(())
}

/// All of it at once, one line after the other.
fn in_lines(replayed: &Replayed) -> String {
    let load_s = replayed.load_lasts_s();
    let every_s = EVERY_S.max((load_s / MOST_COUNTS).ceil());
    let looks = (0..=(load_s / every_s) as u32).map(|n| f64::from(n) * every_s);
    let mut moments: Vec<f64> = looks.chain(replayed.turns_s()).collect();
    moments.sort_by(f64::total_cmp);
    let mut lines = Lines::every(every_s);
    let title = &replayed.now(0.0).occasion.title;
    let told = moments
        .into_iter()
        .map(|at_s| lines.of(&replayed.now(at_s)));
    format!("{title}\n{}", told.collect::<String>())
}
