//! `pause`: a process stands still, and goes on.

use super::{FaultInfo, FaultKind, Own};

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "pause",
    what: "SIGSTOP; the process goes on after `for`",
    example: "kind = \"pause\"",
    own: Own::Process(FaultKind::Pause),
};
