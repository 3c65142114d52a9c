//! A consumer of the topic: reads with a group of its own, does its effect in its own database or with somebody whom
//! it calls, commits its offset before or after that. What it does with an event that comes twice is the experiment.

mod batch;
mod call;
mod ending;
mod postgres;
mod reader;
mod side;
mod sink;

use crate::broker;
use crate::config::{BrokerKind, OnFailure};
use crate::pump::backoff::Backoff;
use crate::pump::terminated;
use crate::signal::{Signal, emit};
use batch::ConsumedBatch;
pub use contract::consumer::{
    CallBody, CallTarget, ConsumerConfig, EffectKind, IDEMPOTENCY_KEY, Idempotency, OffsetCommit,
};
use ending::EndSignal;
use postgres::{CallInbox, ConsumerDatabase, EffectTransaction};
use reader::GroupReader;
use side::{EffectSide, Undone};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;

/// The loop waits no longer than this for an event before it looks around: at a stop.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// A pause is slept in pieces of this length, so that a stop is seen in time.
const NAP: Duration = Duration::from_millis(20);

/// So many events are applied at a time at most.
const BATCH: usize = 500;
/// The same of who gives back what fails: no more than a transaction is worth, since all of them are given back.
const BATCH_OF_REQUEUE: usize = 10;

/// Consumes until SIGTERM, reconnecting with back-off on either side. Blocks its thread.
///
/// Then it has committed the offsets of what it has applied; everything else is the next one's.
pub fn run(config: ConsumerConfig) -> Result<(), String> {
    // Each member's thread asks the broker, which blocks; the one worker listens for the signal.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|e| format!("start the consumer's runtime: {e}"))?;
    let ending = match config.broker.kind() {
        // What was given to a member of RabbitMQ is nobody else's as long as it lives.
        BrokerKind::RabbitMq => EndSignal::of_who_finishes(),
        BrokerKind::Kafka | BrokerKind::Nats | BrokerKind::EventBridge => EndSignal::default(),
    };
    let told = ending.clone();
    runtime.spawn(async move {
        terminated().await;
        told.tell();
    });
    let most = match config.on_failure() {
        OnFailure::Again => BATCH,
        OnFailure::Requeue => BATCH_OF_REQUEUE,
    };
    let turn = Arc::default();
    let waited_for = AtomicU16::new(config.members());
    let members: Vec<GroupMember<'_>> = (0..config.members())
        .map(|number| {
            let session = broker::member(&config, number)?;
            Ok(GroupMember {
                side: EffectSide::new(&config, number, &turn)?,
                commit: config.commit,
                on_failure: config.on_failure(),
                reader: GroupReader::new(Arc::from(session), most),
                runtime: &runtime,
                ending: ending.clone(),
                backoff: Backoff::default(),
                is_ready: false,
                waited_for: &waited_for,
            })
        })
        .collect::<Result<_, String>>()?;
    std::thread::scope(|scope| {
        for member in members {
            scope.spawn(move || member.run());
        }
    });
    runtime.shutdown_timeout(LOOK_AROUND);
    Ok(())
}

/// A member of a group, with its two sides.
struct GroupMember<'r> {
    reader: GroupReader,
    side: EffectSide,
    commit: OffsetCommit,
    on_failure: OnFailure,
    runtime: &'r Runtime,
    ending: EndSignal,
    backoff: Backoff,
    is_ready: bool,
    /// So many members do not read yet.
    waited_for: &'r AtomicU16,
}

impl GroupMember<'_> {
    fn run(mut self) {
        while !self.ending.is_told() {
            if let Err(reason) = self.round() {
                tracing::warn!("{reason}");
                self.pause();
            }
        }
        self.finish();
        if let Err(error) = self.runtime.block_on(self.reader.commit()) {
            // The next member applies that again.
            tracing::warn!("the last offsets are not committed: {error}");
        }
        if let Err(error) = self.reader.leave() {
            tracing::warn!("the group was left without a word: {error}");
        }
        self.runtime.block_on(self.side.close());
    }

    /// Does what it was given and nobody else gets meanwhile, as long as there is time for it.
    fn finish(&mut self) {
        let stopped = self.reader.stop();
        let mut is_left = stopped.unwrap_or_else(|reason| {
            tracing::warn!("{reason}");
            false
        });
        while is_left && !self.ending.is_over() {
            match self.step(Duration::ZERO) {
                Ok(records) => is_left = records > 0,
                Err(reason) => {
                    tracing::warn!("{reason}");
                    std::thread::sleep(NAP);
                }
            }
        }
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
        self.step(LOOK_AROUND)?;
        self.backoff.reset();
        Ok(())
    }

    /// The same, with so long a wait for a first record; returns how many it read.
    fn step(&mut self, wait: Duration) -> Result<usize, String> {
        match self.on_failure {
            // Nothing is read, and no offset committed, while the effect cannot be done.
            OnFailure::Again => self.runtime.block_on(self.side.connect())?,
            // It reads, and finds out.
            OnFailure::Requeue => {}
        }
        let batch = self.reader.next(wait)?;
        if !self.is_ready && self.reader.is_assigned()? {
            self.is_ready = true;
            if self.waited_for.fetch_sub(1, Ordering::AcqRel) == 1 {
                emit(Signal::Ready);
            }
        }
        match self.commit {
            OffsetCommit::Before => self.commit_and_apply(&batch)?,
            OffsetCommit::After => self.apply_and_commit(&batch)?,
        }
        Ok(batch.records)
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
            match self.on_failure {
                OnFailure::Again => self.reader.go_back(&batch.undone(done))?,
                OnFailure::Requeue => self.reader.give_back(&batch.undone(done))?,
            }
            return Err(reason);
        }
        self.reader.passed(&batch.next);
        self.runtime.block_on(self.reader.commit())
    }

    fn apply(&mut self, batch: &ConsumedBatch) -> Result<(), Undone> {
        if batch.events.is_empty() {
            return Ok(());
        }
        let connected = self.runtime.block_on(self.side.connect());
        connected.map_err(|reason| Undone { done: 0, reason })?;
        let applied = self.side.apply(&batch.events, &self.ending);
        self.runtime.block_on(applied)
    }
}
