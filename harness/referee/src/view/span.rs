//! Times of a run, and stretches of them.

/// As a time, this means "never".
pub const NEVER: i64 = i64::MAX;

/// A span says from when to when, in run time, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The span begins here, in nanoseconds of run time.
    pub from_ns: i64,
    /// The span ends here, in nanoseconds of run time; [`NEVER`] where it has no end.
    pub until_ns: i64,
}

impl Span {
    /// Whether they have a moment in common.
    pub fn overlaps(self, other: Span) -> bool {
        self.from_ns <= other.until_ns && other.from_ns <= self.until_ns
    }

    /// Returns the shortest span that covers both.
    pub fn hull(self, other: Span) -> Span {
        Span {
            from_ns: self.from_ns.min(other.from_ns),
            until_ns: self.until_ns.max(other.until_ns),
        }
    }
}
