//! The occasion on which a run is shown, where the words of one are not those of another.

/// What is said on this occasion alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occasion {
    /// What is shown, e.g. `outbox-harness demo`.
    pub title: String,
    /// What is to be known of its figures, in a few words; empty where that is nothing.
    pub aside: String,
    /// What a question mark tells.
    pub explanation: &'static str,
    /// These keys are offered, with what each does, in the order of the screen.
    pub keys: Vec<(char, &'static str)>,
    /// What is said at the end where nothing was lost.
    pub nothing_lost: &'static str,
    /// What is said of the figures at the end, where anything is.
    pub last_words: Option<&'static str>,
}

/// What the figures of a lane mean while its run goes on, a line each.
macro_rules! figures_live {
    () => {
        "\
committed      changes of orders that are in the database
on the topic   different events that an observer has seen there
missing        committed, and no event so far
LOST           missing, and nobody goes on trying to publish it
in the outbox  committed, not on the topic so far, and kept
twice          events that came again, as at-least-once may
p99            from answer to event, the slowest 1 of 100 in the last 5 s
"
    };
}
pub(in crate::cli) use figures_live;
