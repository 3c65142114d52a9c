//! A consumer of the topic: reads with a group of its own, does its effect in its own database or with somebody whom
//! it calls, commits its offset before or after that. What it does with an event that comes twice is the experiment.

mod batch;
mod call;
mod database;
mod effect;
mod ending;
mod inbox;
mod reader;
mod side;
mod sink;
mod transaction;

use crate::broker;
use crate::pump::backoff::Backoff;
use crate::pump::terminated;
use crate::signal::{Signal, emit};
use batch::ConsumedBatch;
pub use contract::consumer::{
    CallBody, CallTarget, ConsumerConfig, EffectKind, IDEMPOTENCY_KEY, Idempotency, OffsetCommit,
};
use ending::EndSignal;
use reader::GroupReader;
use side::{EffectSide, Undone};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// The loop waits no longer than this for an event before it looks around: at a stop.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// A pause is slept in pieces of this length, so that a stop is seen in time.
const NAP: Duration = Duration::from_millis(20);

/// Consumes until SIGTERM, reconnecting with back-off on either side. Blocks its thread.
///
/// Then it has committed the offsets of what it has applied; everything else is the next one's.
pub fn run(config: ConsumerConfig) -> Result<(), String> {
    // The main thread asks the broker, which blocks; the one worker listens for the signal.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| format!("start the consumer's runtime: {e}"))?;
    let ending = EndSignal::default();
    let told = ending.clone();
    runtime.spawn(async move {
        terminated().await;
        told.tell();
    });
    let member = broker::member(&config.broker, &config.group)?;
    let reader = GroupReader::new(Arc::from(member));
    let consumer = GroupMember {
        side: EffectSide::new(&config)?,
        commit: config.commit,
        reader,
        runtime,
        ending,
        backoff: Backoff::default(),
        is_ready: false,
    };
    consumer.run();
    Ok(())
}

/// The one member of a group, with its two sides.
struct GroupMember {
    reader: GroupReader,
    side: EffectSide,
    commit: OffsetCommit,
    runtime: Runtime,
    ending: EndSignal,
    backoff: Backoff,
    is_ready: bool,
}

impl GroupMember {
    fn run(mut self) {
        while !self.ending.is_told() {
            if let Err(reason) = self.round() {
                tracing::warn!("{reason}");
                self.pause();
            }
        }
        if let Err(error) = self.runtime.block_on(self.reader.commit()) {
            // The next member applies that again.
            tracing::warn!("the last offsets are not committed: {error}");
        }
        self.runtime.block_on(self.side.close());
        self.runtime.shutdown_timeout(LOOK_AROUND);
    }

    fn pause(&mut self) {
        let mut left = self.backoff.next();
        while !left.is_zero() && !self.ending.is_told() {
            let nap = left.min(NAP);
            std::thread::sleep(nap);
            left -= nap;
        }
    }

    /// Connects where that is needed, reads what there is, applies it and commits; an Err says what failed.
    fn round(&mut self) -> Result<(), String> {
        // Nothing is read, and no offset committed, while the effect cannot be done.
        self.runtime.block_on(self.side.connect())?;
        let batch = self.reader.next(LOOK_AROUND)?;
        if !self.is_ready && self.reader.is_assigned()? {
            self.is_ready = true;
            emit(Signal::Ready);
        }
        match self.commit {
            OffsetCommit::Before => self.commit_and_apply(&batch)?,
            OffsetCommit::After => self.apply_and_commit(&batch)?,
        }
        self.backoff.reset();
        Ok(())
    }

    /// At most once: what fails behind the commit is never done.
    fn commit_and_apply(&mut self, batch: &ConsumedBatch) -> Result<(), String> {
        self.reader.passed(&batch.next);
        if let Err(error) = self.runtime.block_on(self.reader.commit()) {
            // It may be committed or not: what was read is read again, as nothing of it is done.
            self.reader.go_back(&batch.first)?;
            return Err(error);
        }
        self.apply(batch).map_err(|undone| undone.reason)
    }

    /// At least once: what fails before the commit is done again.
    fn apply_and_commit(&mut self, batch: &ConsumedBatch) -> Result<(), String> {
        if let Err(Undone { done, reason }) = self.apply(batch) {
            self.reader.passed(&batch.done(done));
            self.reader.go_back(&batch.undone(done))?;
            return Err(reason);
        }
        self.reader.passed(&batch.next);
        self.runtime.block_on(self.reader.commit())
    }

    fn apply(&mut self, batch: &ConsumedBatch) -> Result<(), Undone> {
        if batch.events.is_empty() {
            return Ok(());
        }
        let applied = self.side.apply(&batch.events, &self.ending);
        self.runtime.block_on(applied)
    }
}
