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
