//! What the client was told of a change, over all attempts it made at it.

use crate::history::{History, NONE, Outcome};
use crate::view::Bits;

/// The answers tell by change whether the client was told yes, and whether it was told no in so many words.
pub struct ClientAnswers {
    changes: usize,
    committed: Bits,
    rejected: Bits,
}

impl ClientAnswers {
    /// Reads every answer once.
    pub fn new(history: &History) -> Self {
        let numbers = history.requests.iter().map(|r| r.change);
        let highest = numbers.filter(|c| *c != NONE).max();
        let changes = highest.map_or(0, |c| c as usize + 1);
        let mut answers = Self {
            changes,
            committed: Bits::new(changes),
            rejected: Bits::new(changes),
        };
        for request in &history.requests {
            match request.outcome {
                Outcome::Committed => answers.committed.set(request.change as usize),
                Outcome::Rejected => answers.rejected.set(request.change as usize),
                Outcome::NotSent | Outcome::Unknown => {}
            }
        }
        answers
    }

    /// Returns one more than the highest number of a change; 0 without changes.
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// Whether any attempt at it was told yes.
    pub fn committed(&self, change: u32) -> bool {
        self.committed.get(change as usize)
    }

    /// Whether any attempt at it was told no.
    pub fn rejected(&self, change: u32) -> bool {
        self.rejected.get(change as usize)
    }
}
