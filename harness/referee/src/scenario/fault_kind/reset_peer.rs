//! `reset_peer`: connections are reset.

use super::{FaultInfo, Own, Toxic, delay, millis};
use crate::scenario::keys::KeyInfo;
use std::time::Duration;

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "reset_peer",
    what: "connections are reset, after `timeout`",
    example: "kind = \"reset_peer\", timeout = \"100ms\"",
    own: Own::Toxic {
        keys: &[KeyInfo::usually(
            "timeout",
            delay(Duration::ZERO),
            "\"0s\"",
            "so long after it was made a connection is reset",
        )],
        read: |s| {
            let timeout = millis(s, "timeout", None, 0)?;
            Some(Toxic::ResetPeer { timeout })
        },
    },
};
