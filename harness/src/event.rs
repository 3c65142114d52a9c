//! A Kafka record, verified: is it an event of this run, and is every byte what its attempt implies?

use crate::history::{Body, Request};
use crate::identity::Identity;

/// What a record turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The harness's own sentinel.
    Sentinel,
    /// An event, good or bad.
    Event(Verified),
}

/// An event and how far it verified; fields as in [`crate::history::LogRow`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Attempt it names, or NONE.
    pub attempt: u32,
    /// Order it names, or NONE.
    pub order: u32,
    /// Version it names, or 0.
    pub version: u32,
    /// Whether its bytes verified.
    pub body: Body,
    /// Why not.
    pub reason: Option<String>,
}

/// Key of the fence's sentinels; their value starts with the run's sentinel mark.
pub const SENTINEL_KEY: &str = "outbox-harness-fence";

/// Verifies records against the run's identity and its requests (`requests` may be shorter than
/// the attempts seen so far when verification is live: then only key, run and content are checked).
pub struct Verifier<'a> {
    /// The run's identity.
    pub identity: &'a Identity,
    /// Requests by attempt number; `None` while the run goes on.
    pub requests: Option<&'a [Request]>,
    /// Content length of every event.
    pub payload_bytes: usize,
}

impl Verifier<'_> {
    /// Verifies one record.
    pub fn verify(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Record {
        let _ = (key, value);
        unimplemented!("H8")
    }
}
