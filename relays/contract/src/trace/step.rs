//! The bytes of a trace, little endian.
//!
//! A step: time (8), attempt (16), version (4), stage (1), zeros (3), detail (8).
//! The header, as long as a step: magic (8), pid (4), zeros (4), time of the cut or 0 (8), zeros (16).

use super::Stage;
use uuid::Uuid;

/// A step has so many bytes, and the header as many.
pub const STEP_BYTES: usize = 40;
/// A file of this format begins with these bytes.
const MAGIC: [u8; 8] = *b"OHTRACE1";
/// Where the header has the time of the cut.
pub(super) const CUT_AT: usize = 16;

/// This is one step of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// This is when the step happened, on CLOCK_MONOTONIC, in nanoseconds.
    pub at_ns: u64,
    /// The request that the event comes from.
    pub attempt: Uuid,
    /// This is the version of the order, or 0 where it is not known.
    pub version: u32,
    /// This says which stage of its way the event reached.
    pub stage: Stage,
    /// What this number means depends on the stage; see [`Stage`].
    pub detail: u64,
}

impl Step {
    /// Returns the step as a trace file holds it: [`STEP_BYTES`] bytes, numbers little endian.
    pub fn encode(&self) -> [u8; STEP_BYTES] {
        let mut bytes = [0; STEP_BYTES];
        bytes[0..8].copy_from_slice(&self.at_ns.to_le_bytes());
        bytes[8..24].copy_from_slice(self.attempt.as_bytes());
        bytes[24..28].copy_from_slice(&self.version.to_le_bytes());
        bytes[28] = self.stage as u8;
        bytes[32..40].copy_from_slice(&self.detail.to_le_bytes());
        bytes
    }

    /// Returns the step with these bytes; `None` if they are no step's.
    pub fn decode(bytes: &[u8; STEP_BYTES]) -> Option<Self> {
        if bytes[29..32] != [0; 3] {
            return None;
        }
        Some(Self {
            at_ns: u64::from_le_bytes(part(bytes, 0)),
            attempt: Uuid::from_bytes(part(bytes, 8)),
            version: u32::from_le_bytes(part(bytes, 24)),
            stage: *Stage::ALL.get(usize::from(bytes[28]))?,
            detail: u64::from_le_bytes(part(bytes, 32)),
        })
    }
}

/// The header of a life that is not cut so far.
pub(super) fn header(pid: u32) -> [u8; STEP_BYTES] {
    let mut bytes = [0; STEP_BYTES];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&pid.to_le_bytes());
    bytes
}

/// Returns pid and time of the cut (ns on CLOCK_MONOTONIC; 0: none) of a header; `None` if it is none.
pub(super) fn read_header(bytes: &[u8; STEP_BYTES]) -> Option<(u32, u64)> {
    let pid = u32::from_le_bytes(part(bytes, 8));
    let cut_ns = u64::from_le_bytes(part(bytes, CUT_AT));
    (bytes[0..8] == MAGIC).then_some((pid, cut_ns))
}

fn part<const N: usize>(bytes: &[u8; STEP_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|i| bytes[at + i])
}
