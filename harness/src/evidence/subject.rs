//! What is looked at, and when in the life of its fault.

use crate::process::Child;
use crate::scenario::Link;
use crate::stack::Route;

/// What a fault works on.
#[derive(Clone)]
pub(crate) enum Subject {
    /// A proxied link, and whether another proxied link that is not under this fault shares its server.
    Link {
        /// Which.
        link: Link,
        /// Its way.
        route: Route,
        /// See above.
        shared: bool,
    },
    /// A process.
    Process(Child),
    /// One of several relays, whichever of them the fault is on: what it sends.
    Relay {
        /// Its process.
        child: Child,
        /// `HOST:PORT` of its database, as it was told: what goes there is not its work.
        database: String,
    },
}

/// Where a fault is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FaultStage {
    Before,
    Injecting,
    During,
    Healing,
    After,
}
