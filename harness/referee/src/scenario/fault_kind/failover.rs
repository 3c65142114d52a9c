//! `failover`: the database server is killed, and the standby beside it takes its place.

use super::{FaultInfo, FaultKind, Own};

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "failover",
    what: "of postgres-server: SIGKILL; after `for` its hot standby is promoted and has its address, and the killed one is gone",
    example: "target = \"postgres-server\", kind = \"failover\"",
    own: Own::Database(FaultKind::Failover),
};
