//! Who is there when RabbitMQ takes nothing for a while, since it is short of memory or of disk. It tells so to who publishes
//! meanwhile, and to nobody else (3.10.8); so a connection of its own publishes a little to nobody, again and again.

use super::session::StreamSession;
use relays::amqp::Heard;
use relays::amqp::request::{self, Publishing};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So often something is published: a time that is shorter than this may be missed.
const EVERY: Duration = Duration::from_secs(1);
/// Connecting takes no longer than this.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// Whether it is still wanted is looked after so often.
const LOOK: Duration = Duration::from_millis(100);
/// No queue has this name, so what is published to it goes nowhere.
const NOBODY: &str = "outbox-harness.nobody";

/// It listens on a thread of its own until it is dropped.
#[derive(Default)]
pub(super) struct Witness(Arc<Testimony>);

/// What the thread knows.
#[derive(Default)]
struct Testimony {
    is_over: AtomicBool,
    /// This says why the broker took nothing, the first time that it said so.
    why: Mutex<Option<String>>,
}

impl Witness {
    /// Begins to listen to the broker at this `host:port`.
    pub fn listen(&self, address: &str) -> Result<(), String> {
        let (testimony, address) = (Arc::clone(&self.0), address.to_owned());
        let started = std::thread::Builder::new()
            .name("rabbitmq-witness".into())
            .spawn(move || {
                while !testimony.is_over() {
                    // Brokers go down in these runs, and come back.
                    let lost = testimony.listen(&address);
                    tracing::debug!("listening to RabbitMQ: {lost:?}");
                    std::thread::sleep(LOOK);
                }
            });
        started
            .map(drop)
            .map_err(|e| format!("start a thread that listens to RabbitMQ: {e}"))
    }

    /// The broker has said so to another connection of the harness.
    pub fn heard(&self, why: &str) {
        self.0.heard(why);
    }

    /// Returns why the broker took nothing, the first time that it said so; `None` where it did not.
    pub fn told(&self) -> Option<String> {
        self.0.why().clone()
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Release);
    }
}

impl Testimony {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn why(&self) -> MutexGuard<'_, Option<String>> {
        self.why.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heard(&self, why: &str) {
        self.why().get_or_insert_with(|| why.to_owned());
    }

    /// Listens over one connection until nobody wants it any more; an Err says why it was lost.
    fn listen(&self, address: &str) -> Result<(), String> {
        let mut session = StreamSession::open(address, Instant::now() + CONNECT_WITHIN)?;
        let (mut is_blocked, mut due) = (false, Instant::now());
        while !self.is_over() {
            // It takes nothing from who is blocked.
            if !is_blocked && Instant::now() >= due {
                session.say(&|out| request::publish(out, &TO_NOBODY))?;
                due = Instant::now() + EVERY;
            }
            match session.hear(LOOK)? {
                Some(Heard::Blocked(why)) => {
                    is_blocked = true;
                    self.heard(&why);
                }
                Some(Heard::Unblocked) => is_blocked = false,
                Some(
                    Heard::Reply(_)
                    | Heard::Confirmed { .. }
                    | Heard::Returned(_)
                    | Heard::Delivered(_),
                )
                | None => {}
            }
        }
        Ok(())
    }
}

const TO_NOBODY: Publishing<'static> = Publishing {
    exchange: "",
    key: NOBODY,
    is_mandatory: false,
    message_id: None,
    headers: &[],
    body: b"",
};
