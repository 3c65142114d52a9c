//! `bandwidth`: a connection carries no more than so much a second.

use super::{FaultInfo, Own, Toxic};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::limits;

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "bandwidth",
    what: "at most `rate` KB/s a connection",
    example: "kind = \"bandwidth\", rate = \"100KB/s\"",
    own: Own::Toxic {
        keys: &[KeyInfo::required(
            "rate",
            Shape::Bandwidth {
                least: 1,
                most: limits::TOXIC_AMOUNT,
            },
            "what a connection carries at most",
        )],
        read: |s| {
            let entry = s.required("rate", "rate = \"100KB/s\"")?;
            let rate = s.bandwidth(entry, 1..=limits::TOXIC_AMOUNT)?;
            Some(Toxic::Bandwidth { rate })
        },
    },
};
