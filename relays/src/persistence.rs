//! Whether an event whose delivery failed is on its topic all the same, as far as the broker's client knows.

/// This is an event's status in the log of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// It was never sent, or refused.
    NotPersisted = 0,
    /// It was sent, and not answered.
    PossiblyPersisted = 1,
    /// It is there; the failure came after that.
    Persisted = 2,
}
