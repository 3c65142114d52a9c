//! What is looked at, and when in the life of its fault.

use crate::process::Child;
use crate::scenario::Link;
use crate::stack::Route;

/// A fault works on this.
#[derive(Clone)]
pub(crate) enum Subject {
    /// A proxied link, and whether another proxied link that is not under this fault shares its server.
    Link {
        /// This is the link that the fault works on.
        link: Link,
        /// This is the link's way through Toxiproxy: where it listens, and where it leads.
        route: Route,
        /// This is true if a proxied link that is not under this fault leads to the same server.
        shared: bool,
    },
    /// The fault works on this process.
    Process(Child),
    /// One of several relays, whichever of them the fault is on: what it sends.
    Relay {
        /// This is the relay's process; what it and all below it send is counted.
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
