//! Watches the topic around every proxy while the run goes on, and reads it again after the fence. Which broker has
//! it, it does not know.

mod ends;
mod final_read;
mod live;
mod range;
mod seen;
mod standstill;
mod stray;

pub use ends::{Ends, EndsPlan};
pub use final_read::{FinalRead, read_again};
pub use live::{Observer, Sights};
pub use stray::stray_topics;

use crate::broker::Broker;
use crate::clock::RunClock;
use crate::envelope::EventPlace;
use crate::identity::Identity;
use std::sync::Arc;

/// This says which topic is observed, and what its records are verified against.
#[derive(Clone)]
pub struct Watch {
    /// This broker has the topic, and is asked around all proxies.
    pub broker: Arc<dyn Broker>,
    /// This is the name of the topic on which the events are to be.
    pub topic: String,
    /// The topic has so many partitions, all of which are read.
    pub partitions: i32,
    /// This tells whether the ids and the content of an event are those of this run.
    pub identity: Arc<Identity>,
    /// Where their records have order and event.
    pub place: EventPlace,
    /// This is the length of every event's content, in bytes.
    pub payload_bytes: usize,
    /// This clock gives the run time (ns) of what is seen.
    pub clock: RunClock,
    /// With this, the newest first sights are kept too, for somebody who looks at them meanwhile.
    pub keeps_recent: bool,
}
