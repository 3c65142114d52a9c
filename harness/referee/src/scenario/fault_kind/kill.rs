//! `kill`: a process is ended by SIGKILL, and started again.

use super::{FaultInfo, FaultKind, Own};

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "kill",
    what: "SIGKILL; the process is started again after `for`",
    example: "kind = \"kill\"",
    own: Own::Process(FaultKind::Kill),
};
