//! `timeout`: data vanishes.

use super::{FaultInfo, Own, Toxic, delay, millis};
use crate::scenario::keys::KeyInfo;
use std::time::Duration;

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "timeout",
    what: "data vanishes; after `timeout` (0: never) the connection is closed",
    example: "kind = \"timeout\", stream = \"downstream\"",
    own: Own::Toxic {
        keys: &[KeyInfo::usually(
            "timeout",
            delay(Duration::ZERO),
            "\"0s\"",
            "after that a connection is closed; `0s`: only when the fault ends",
        )],
        read: |s| {
            let timeout = millis(s, "timeout", None, 0)?;
            Some(Toxic::Timeout { timeout })
        },
    },
};
