//! `down`: connections are cut, and none can be made.

use super::{FaultInfo, FaultKind, Own};

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "down",
    what: "connections are cut and new ones refused",
    example: "kind = \"down\"",
    own: Own::Links(FaultKind::Down),
};
