//! Several scenarios in a few lines: those that would be run, and how often each was a pass.

use super::args::RunArgs;
use super::exit::Outcome;
use super::selection::estimated;
use crate::run::chosen;
use crate::scenario::LoadedScenario;
use std::fmt::Write;
use std::time::Duration;

/// A line for each scenario with its strategies and about how long it takes, and a last one for all of them.
pub fn planned(loaded: &[LoadedScenario], args: &RunArgs) -> String {
    let strategy = args.strategy.as_deref();
    let mut text = String::new();
    let mut whole = Duration::ZERO;
    for one in loaded {
        let chosen = chosen(&one.scenario, strategy);
        let lasts = estimated(&one.scenario, chosen.len());
        whole += lasts;
        let names: Vec<&str> = chosen.iter().map(|s| s.name.as_str()).collect();
        let _ = writeln!(
            text,
            "{}: {}, about {} s",
            one.path.display(),
            names.join(", "),
            lasts.as_secs()
        );
    }
    let minutes = |lasts: Duration| lasts.as_secs_f64() / 60.0;
    let _ = writeln!(
        text,
        "{} scenario{}, about {:.1} min",
        loaded.len(),
        if loaded.len() == 1 { "" } else { "s" },
        minutes(whole)
    );
    let (rounds, most) = (args.rounds(), if args.until_fail { " at most" } else { "" });
    if rounds > 1 {
        let all = minutes(whole.saturating_mul(rounds));
        let _ = writeln!(text, "{rounds} rounds{most}, about {all:.0} min");
    }
    text
}

/// How often each scenario of a `round` was what, over all runs that came to something.
pub fn of_rounds(round: &[&LoadedScenario], outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for (place, one) in round.iter().enumerate() {
        let mine: Vec<Outcome> = outcomes
            .iter()
            .skip(place)
            .step_by(round.len())
            .copied()
            .collect();
        let count = |outcome| mine.iter().filter(|o| **o == outcome).count();
        let _ = write!(
            text,
            "{}: {} of {} pass",
            one.path.display(),
            count(Outcome::Met),
            mine.len()
        );
        for (outcome, what) in [
            (Outcome::Missed, "fail"),
            (Outcome::Unknown, "unknown"),
            (Outcome::Failed, "not run"),
        ] {
            match count(outcome) {
                0 => {}
                n => {
                    let _ = write!(text, ", {n} {what}");
                }
            }
        }
        text.push('\n');
    }
    text
}
