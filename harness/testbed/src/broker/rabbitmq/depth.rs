//! How many messages are in a queue that nobody reads, asked for again and again over one connection.

use super::session::StreamSession;
use relays::amqp::{Reply, request};
use relays::config::QueueKind;
use std::time::Instant;

/// Asks one queue, over a connection that is kept.
#[derive(Default)]
pub(super) struct QueueDepths {
    session: Option<StreamSession>,
}

impl QueueDepths {
    /// Returns how many messages are in this queue of this kind, which is made where it is not there yet: whoever
    /// publishes makes the same one.
    pub fn ask(
        &mut self,
        address: &str,
        (queue, kind): (&str, QueueKind),
        until: Instant,
    ) -> Result<u64, String> {
        // One over which anything failed is not kept.
        let mut session = match self.session.take() {
            Some(session) => session,
            None => {
                let mut session = StreamSession::open(address, until)?;
                let made = |out: &mut Vec<u8>| request::declare_queue(out, queue, kind.name());
                session.ask(&made, Reply::QUEUE_DECLARED, until)?;
                session
            }
        };
        let depth = session.depth_of(queue, until)?;
        self.session = Some(session);
        Ok(u64::from(depth.waiting))
    }
}
