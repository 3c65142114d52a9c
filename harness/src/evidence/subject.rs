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
}

/// Where a fault is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Before,
    Injecting,
    During,
    Healing,
    After,
}
