//! `restart`: a process is told to end, as at a deployment, and started again.

use super::{FaultInfo, FaultKind, Own};

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "restart",
    what: "told to end (SIGTERM, or the `stop` of its file), killed if it does not; started again after `for`",
    example: "kind = \"restart\"",
    own: Own::Process(FaultKind::Restart),
};
