//! What an order service and a relay are told of a cache of orders, and the words for what they do with it.

use serde::{Deserialize, Serialize};

/// The header of an answer to `GET /orders/{id}` that says where it comes from.
pub const ANSWERED_FROM: &str = "x-cache";

/// This says who takes an order out of the cache when it changes, or puts its new state there, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheMode {
    /// The order service removes the entry when it has committed.
    InvalidateAfterCommit,
    /// The order service removes the entry just before it commits.
    InvalidateBeforeCommit,
    /// The order service writes the new state into the cache when it has committed.
    WriteThrough,
    /// The relay removes the entry, for each event that it publishes.
    InvalidateByRelay,
}

impl CacheMode {
    /// These are all of them.
    pub const ALL: [Self; 4] = [
        Self::InvalidateAfterCommit,
        Self::InvalidateBeforeCommit,
        Self::WriteThrough,
        Self::InvalidateByRelay,
    ];

    /// Returns its name in scenario files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidateAfterCommit => "invalidate-after-commit",
            Self::InvalidateBeforeCommit => "invalidate-before-commit",
            Self::WriteThrough => "write-through",
            Self::InvalidateByRelay => "invalidate-by-relay",
        }
    }

    /// Whether the relay does it, and the order service leaves the entry alone.
    pub fn is_of_relay(self) -> bool {
        match self {
            Self::InvalidateByRelay => true,
            Self::InvalidateAfterCommit | Self::InvalidateBeforeCommit | Self::WriteThrough => {
                false
            }
        }
    }
}

/// This says what a read that found no entry may put into the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheFill {
    /// Whatever it read, whatever has happened since.
    #[default]
    Any,
    /// Only what is newer than the entry that is there, or than the version that was removed last.
    Newer,
}

impl CacheFill {
    /// These are all of them.
    pub const ALL: [Self; 2] = [Self::Any, Self::Newer];

    /// Returns its name in scenario files and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Newer => "newer",
        }
    }
}

/// This is what an answer to `GET /orders/{id}` comes from, as its header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnsweredFrom {
    /// The cache had it.
    Hit,
    /// The cache did not have it, and the database did.
    Miss,
    /// The cache could not be asked, and the database was.
    Unreachable,
}

impl AnsweredFrom {
    /// These are all of them.
    pub const ALL: [Self; 3] = [Self::Hit, Self::Miss, Self::Unreachable];

    /// Returns its name in the header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Unreachable => "unreachable",
        }
    }

    /// Returns what the header's value says; `None` for a value that means nothing.
    pub fn parse(value: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|from| from.name() == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_each_word_of_the_header_when_it_is_read_then_it_means_what_wrote_it() {
        for from in AnsweredFrom::ALL {
            assert_eq!(AnsweredFrom::parse(from.name()), Some(from));
        }
        assert_eq!(AnsweredFrom::parse("HIT"), None);
    }
}
