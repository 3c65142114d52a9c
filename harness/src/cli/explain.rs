//! `explain`: what happened to the offending events of a finished run, or to one order.

use super::args::ExplainArgs;
use super::exit::Outcome;
use super::{again, terminal};
use crate::run::explain::{Explained, first, of_order};
use reports::explanation::Explanation;

/// Longer lines are hard to read.
const WIDEST: usize = 100;

/// Explains from the saved histories alone.
pub fn explain(args: &ExplainArgs) -> Outcome {
    if let Err(outcome) = again::is_folder(&args.folder) {
        return outcome;
    }
    terminal::log();
    let explanation = Explanation {
        colour: terminal::results_in_colour(),
        width: terminal::results_width().min(WIDEST),
    };
    let strategy = args.strategy.as_deref();
    let told = match &args.order {
        None => first(&args.folder, strategy)
            .map(|Explained { what, notes }| (explanation.offences(&what), notes)),
        Some(order) => of_order(&args.folder, order, strategy)
            .map(|Explained { what, notes }| (explanation.orders(&what), notes)),
    };
    match told {
        Ok((text, notes)) => {
            for note in notes {
                terminal::message(&note);
            }
            terminal::results(&text);
            Outcome::Met
        }
        Err(error) => {
            terminal::message(&error.to_string());
            if error.is_usage() {
                Outcome::Usage
            } else {
                Outcome::Failed
            }
        }
    }
}
