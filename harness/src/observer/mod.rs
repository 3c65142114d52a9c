//! Watches the topic on the direct listener while the run goes on, and reads it again after the fence.

mod client;
mod ends;
mod final_read;
mod live;
mod range;
mod seen;
mod stray;
mod wire;

pub use ends::Ends;
pub use final_read::{FinalRead, read_again};
pub use live::{Observer, Sights};
pub use stray::stray_topics;

use crate::clock::RunClock;
use crate::envelope::EventPlace;
use crate::identity::Identity;
use std::sync::Arc;

/// What to observe.
#[derive(Clone)]
pub struct Watch {
    /// Direct listener.
    pub bootstrap: String,
    /// Topic.
    pub topic: String,
    /// Its partitions.
    pub partitions: i32,
    /// Ids and contents.
    pub identity: Arc<Identity>,
    /// Where their records have order and event.
    pub place: EventPlace,
    /// Content length of every event.
    pub payload_bytes: usize,
    /// Run time.
    pub clock: RunClock,
    /// Keep the newest first sights too, for somebody who looks at them meanwhile.
    pub keeps_recent: bool,
}
