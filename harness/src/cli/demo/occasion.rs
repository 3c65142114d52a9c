//! The demo's own words: its title, its keys, what a question mark tells.

use super::programme::actions;
use crate::cli::live::occasion::{Occasion, figures_live};

/// What can be asked for with a question mark.
pub const EXPLANATION: &str = concat!(
    "\
Three strategies, one load: the same orders at the same moments.

naive    commits an order, then publishes its event: two writes.
polling  writes order and event in one transaction; a relay polls.
cdc      the same; its relay reads the log of the database.

",
    figures_live!(),
    "
A key breaks the same thing for all three at once. Nothing is simulated:
PostgreSQL, Kafka, Toxiproxy between them, SIGKILL and SIGSTOP. When the
load is over, all is healed and read again, and only then judged: until
then what is expected holds so far, or is read at the end.

? closes this."
);

/// Returns what a demo says of itself.
pub fn occasion() -> Occasion {
    let actions = actions().map(|action| (action.key, action.does));
    let others = [('h', "heal all"), ('q', "quit"), ('?', "explain")];
    Occasion {
        title: "outbox-harness demo".to_owned(),
        aside: "figures are for show".to_owned(),
        explanation: EXPLANATION,
        keys: actions.into_iter().chain(others).collect(),
        nothing_lost: "Nothing was lost: nothing was broken for long enough (b cuts the broker).",
        last_words: Some(
            "figures for show: three strategies on one machine take each other's time",
        ),
    }
}
