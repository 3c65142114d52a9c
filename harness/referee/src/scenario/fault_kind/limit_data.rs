//! `limit_data`: a connection ends after so many bytes.

use super::{FaultInfo, Own, Toxic};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::limits;

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "limit_data",
    what: "a connection ends after `bytes`",
    example: "kind = \"limit_data\", bytes = \"64KB\"",
    own: Own::Toxic {
        keys: &[KeyInfo::required(
            "bytes",
            Shape::Size {
                least: 1,
                most: limits::TOXIC_AMOUNT,
            },
            "after so many a connection ends",
        )],
        read: |s| {
            let entry = s.required("bytes", "bytes = \"64KB\"")?;
            let bytes = s.size(entry, 1..=limits::TOXIC_AMOUNT)?;
            Some(Toxic::LimitData { bytes })
        },
    },
};
