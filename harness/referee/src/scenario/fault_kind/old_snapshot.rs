//! `old_snapshot`: somebody reads for long, and no vacuum can remove what became dead since.

use super::{FaultInfo, FaultKind, Own};

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "old_snapshot",
    what: "of postgres-server: a session holds a snapshot for `for`, as a long report does: no vacuum removes what becomes dead meanwhile",
    example: "target = \"postgres-server\", kind = \"old_snapshot\"",
    own: Own::Database(FaultKind::OldSnapshot),
};
