//! `slow_close`: the end of a connection is passed on later.

use super::{FaultInfo, MS, Own, Toxic, delay, millis};
use crate::scenario::keys::KeyInfo;

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "slow_close",
    what: "a close arrives `delay` later",
    example: "kind = \"slow_close\", delay = \"500ms\"",
    own: Own::Toxic {
        keys: &[KeyInfo::required(
            "delay",
            delay(MS),
            "so much later a close arrives",
        )],
        read: |s| {
            let delay = millis(s, "delay", Some("delay = \"500ms\""), 1)?;
            Some(Toxic::SlowClose { delay })
        },
    },
};
