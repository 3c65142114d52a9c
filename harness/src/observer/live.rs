//! The live observer: a thread with a reader, that notes when it saw what.

use super::Watch;
use super::seen::{Seen, Valid};
use crate::broker::{From, Next, Reader, Visible};
use crate::event::{Record, Verifier};
use crate::history::{Body, LogRow, Rows, Sighting};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long every partition has to answer at the start.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How long the thread waits for a record before it looks around.
const POLL: Duration = Duration::from_millis(20);
/// What was seen becomes visible after at most so many records.
const BATCH_MAX: usize = 1_024;
/// So many of the newest sights are kept for whoever looks at them.
const RECENT_MAX: usize = 2_048;
/// So many pairs are looked up under one lock.
const LOOK_UP: usize = 16_384;

/// The live observer has a thread of its own with a reader of its own.
pub struct Observer {
    shared: Arc<Shared>,
    ended: Option<oneshot::Receiver<Ended>>,
}

/// How many different valid events an observer has seen, for whoever has no need of the observer.
#[derive(Clone)]
pub struct Sights(Arc<Shared>);

impl Sights {
    /// Returns how many different valid events were seen by now.
    pub fn distinct_valid(&self) -> u64 {
        self.0.distinct_valid.load(Ordering::Acquire)
    }

    /// Returns how many valid events beyond the first of each were seen by now.
    pub fn repeated(&self) -> u64 {
        // Asked for first: what comes in between then makes the difference smaller, never larger.
        let valid = self.0.valid.load(Ordering::Acquire);
        valid.saturating_sub(self.distinct_valid())
    }

    /// Returns the newest first sights of events, by attempt and run time, from this time on; of very many the
    /// newest, and none where they are not kept.
    pub fn recent(&self, from_ns: i64) -> Vec<(u32, i64)> {
        let Some(recent) = &self.0.recent else {
            return Vec::new();
        };
        let recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        let since = recent.iter().filter(|(_, seen_ns)| *seen_ns >= from_ns);
        since.copied().collect()
    }

    /// Of these (attempt, version) pairs, those that have not been seen yet.
    pub fn unseen(&self, committed: &[(u32, u32)]) -> Vec<(u32, u32)> {
        let seen = self.0.seen();
        let has = |&&(attempt, version): &&(u32, u32)| seen.has(Valid { attempt, version });
        committed
            .iter()
            .filter(|pair| !has(pair))
            .copied()
            .collect()
    }
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    seen: Mutex<Seen>,
    /// These are the newest first sights, attempt and run time, where somebody looks at them.
    recent: Option<Mutex<VecDeque<(u32, i64)>>>,
    distinct_valid: AtomicU64,
    /// This is the same count with those that came again.
    valid: AtomicU64,
    /// This is the run time (ns) of the newest sighting, or 0 before the first.
    last_seen_ns: AtomicI64,
    /// By partition, this is one past the newest offset that was sighted.
    next_offset: Vec<AtomicI64>,
}

struct Ended {
    sightings: Rows<Sighting>,
    fatal: Option<String>,
}

impl Observer {
    /// Starts observing from offset 0; returns when every partition is assigned and answers.
    pub async fn start(watch: Watch) -> Result<Self, String> {
        let shared = Arc::new(Shared {
            recent: watch.keeps_recent.then(Mutex::default),
            next_offset: (0..watch.partitions).map(|_| AtomicI64::new(0)).collect(),
            ..Shared::default()
        });
        let (tell_ready, ready) = oneshot::channel();
        let (tell_ended, ended) = oneshot::channel();
        let observer = Self {
            shared: Arc::clone(&shared),
            ended: Some(ended),
        };
        std::thread::Builder::new()
            .name("observer".into())
            .spawn(move || {
                let mut reader = match start(&watch, &shared) {
                    Ok(reader) => reader,
                    Err(reason) => {
                        let _ = tell_ready.send(Err(reason));
                        return;
                    }
                };
                let _ = tell_ready.send(Ok(()));
                let _ = tell_ended.send(observe(&watch, &mut *reader, &shared));
                // The reader is closed after that: nobody has to wait for it.
            })
            .map_err(|e| format!("starting the observer's thread: {e}"))?;
        ready
            .await
            .unwrap_or_else(|_| Err("the observer's thread ended at its start".into()))?;
        Ok(observer)
    }

    /// How many different valid events (attempt and version) were seen so far.
    pub fn distinct_valid(&self) -> u64 {
        self.sights().distinct_valid()
    }

    /// Returns the same count, apart from the observer.
    pub fn sights(&self) -> Sights {
        Sights(Arc::clone(&self.shared))
    }

    /// Of these (attempt, version) pairs, how many have not been seen yet.
    pub fn missing(&self, committed: &[(u32, u32)]) -> u64 {
        let missing = committed.chunks(LOOK_UP).map(|pairs| {
            // Unlocked in between, so that a long list does not hold up the observing.
            let seen = self.shared.seen();
            let has = |&&(attempt, version): &&(u32, u32)| !seen.has(Valid { attempt, version });
            pairs.iter().filter(has).count() as u64
        });
        missing.sum()
    }

    /// Returns the run time (ns) of the newest sighting; `None` before the first.
    pub fn last_seen_ns(&self) -> Option<i64> {
        match self.shared.last_seen_ns.load(Ordering::Acquire) {
            0 => None,
            at => Some(at),
        }
    }

    /// Waits until everything the final read found was sighted as well, for at most `within`.
    pub async fn catch_up(&self, log: &Rows<LogRow>, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        let sighted = |row: &LogRow| {
            usize::try_from(row.partition)
                .ok()
                .and_then(|p| self.shared.next_offset.get(p))
                .is_some_and(|next| next.load(Ordering::Acquire) > row.offset)
        };
        loop {
            let Some(behind) = log.iter().rev().find(|row| !sighted(row)) else {
                return Ok(());
            };
            if Instant::now() > deadline {
                return Err(format!(
                    "the live observer has not seen offset {} of partition {} within {within:?}",
                    behind.offset, behind.partition
                ));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Stops and gives the sightings, or what ended its reading with what was seen before it.
    pub async fn stop(mut self) -> (Rows<Sighting>, Option<String>) {
        self.shared.stop.store(true, Ordering::Release);
        let ended = match self.ended.take() {
            Some(ended) => ended.await.ok(),
            None => None,
        };
        match ended {
            Some(ended) => (ended.sightings, ended.fatal),
            None => (Rows::new(), Some("the observer's thread panicked".into())),
        }
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
    }
}

impl Shared {
    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_recent(&self, sights: impl Iterator<Item = (u32, i64)>) {
        let Some(recent) = &self.recent else {
            return;
        };
        let mut recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.extend(sights);
        let beyond = recent.len().saturating_sub(RECENT_MAX);
        recent.drain(..beyond);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// A reader whose every partition has answered. Nothing is consumed here: partitions
/// are assigned from offset 0 again afterwards, should they hold something already.
fn start(watch: &Watch, shared: &Shared) -> Result<Box<dyn Reader>, String> {
    let place = format!("topic {}, {}", watch.topic, watch.broker.place());
    let mut reader = watch.broker.reader(Visible::Committed)?;
    let beginnings = (0..watch.partitions).map(|partition| From {
        topic: &watch.topic,
        partition,
        offset: 0,
    });
    let beginnings: Vec<From<'_>> = beginnings.collect();
    reader.assign(&beginnings)?;
    let mut answered = vec![false; usize::try_from(watch.partitions).unwrap_or(0)];
    let mut consumed = false;
    let mut last_error = String::from("no error was reported");
    let deadline = Instant::now() + START_WITHIN;
    while answered.contains(&false) {
        if shared.stopped() {
            return Err(format!("observing {place} was given up"));
        }
        if Instant::now() > deadline {
            let silent = answered.iter().filter(|a| !**a).count();
            return Err(format!(
                "{silent} of {} partitions of {place} did not answer within {START_WITHIN:?} \
                 ({last_error}): does the topic exist, and does this address reach the broker?",
                watch.partitions
            ));
        }
        let mut came_of = None;
        let next = reader.next(POLL, &mut |record| came_of = Some(record.partition()));
        let partition = match (next, came_of) {
            (Next::Record, Some(partition)) => {
                consumed = true;
                partition
            }
            (Next::End(partition), _) => partition,
            (Next::Over(error), _) => return Err(format!("reading {place}: {error}")),
            (Next::Trouble(error), _) => {
                last_error = error;
                continue;
            }
            (Next::Nothing | Next::Record, _) => continue,
        };
        if let Some(answered) = usize::try_from(partition)
            .ok()
            .and_then(|p| answered.get_mut(p))
        {
            *answered = true;
        }
    }
    if consumed {
        reader.assign(&beginnings)?;
    }
    Ok(reader)
}

/// Observes until told to stop or until reading cannot go on.
fn observe(watch: &Watch, reader: &mut dyn Reader, shared: &Shared) -> Ended {
    let verifier = Verifier {
        identity: &watch.identity,
        requests: None,
        payload_bytes: watch.payload_bytes,
    };
    let mut sightings = Rows::new();
    let mut batch: Vec<(Valid, i64)> = Vec::with_capacity(BATCH_MAX);
    let mut fatal = None;
    while fatal.is_none() && !shared.stopped() {
        let mut wait = POLL;
        let mut newest_ns = 0;
        for _ in 0..BATCH_MAX {
            let next = reader.next(wait, &mut |record| {
                let seen_ns = watch.clock.now_ns();
                let Record::Event(event) = verifier.verify_at(&watch.place, record) else {
                    return;
                };
                newest_ns = seen_ns;
                let (partition, offset) = (record.partition(), record.offset());
                if let Some(next) = usize::try_from(partition)
                    .ok()
                    .and_then(|p| shared.next_offset.get(p))
                {
                    next.store(offset + 1, Ordering::Release);
                }
                sightings.push(Sighting {
                    partition,
                    offset,
                    seen_ns,
                });
                if event.body == Body::Intact {
                    let valid = Valid {
                        attempt: event.attempt,
                        version: event.version,
                    };
                    batch.push((valid, seen_ns));
                }
            });
            match next {
                // Once something came, take what is there already and then make it known.
                Next::Record => wait = Duration::ZERO,
                Next::End(_) => {}
                Next::Nothing => break,
                Next::Trouble(error) => {
                    tracing::debug!("the live observer: {error}");
                    break;
                }
                Next::Over(error) => {
                    fatal = Some(format!(
                        "the live observer cannot go on reading {}: {error}",
                        watch.topic
                    ));
                    break;
                }
            }
        }
        if !batch.is_empty() {
            let valid = batch.len() as u64;
            let mut seen = shared.seen();
            batch.retain(|(event, _)| seen.add(*event));
            drop(seen);
            shared
                .distinct_valid
                .fetch_add(batch.len() as u64, Ordering::AcqRel);
            let fresh = batch.drain(..);
            shared.note_recent(fresh.map(|(event, seen_ns)| (event.attempt, seen_ns)));
            shared.valid.fetch_add(valid, Ordering::AcqRel);
        }
        if newest_ns != 0 {
            shared.last_seen_ns.store(newest_ns, Ordering::Release);
        }
    }
    Ended { sightings, fatal }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::RunClock;
    use crate::identity::{Identity, RunKey};
    use rdkafka::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

    const BOUND: Duration = Duration::from_secs(20);

    fn send(
        producer: &ThreadedProducer<DefaultProducerContext>,
        identity: &Identity,
        attempts: std::ops::Range<u32>,
    ) {
        for attempt in attempts {
            let (key, mut content) = (identity.order_id(attempt).to_string(), String::new());
            identity.write_content(attempt, 8, &mut content);
            let value = format!(
                r#"{{"run":"{}","order_id":"{key}","version":1,"attempt":"{}","type":"OrderPlaced","content":"{content}"}}"#,
                identity.run(),
                identity.attempt_id(attempt),
            );
            let record = BaseRecord::to("t").partition(0).key(&key).payload(&value);
            producer.send(record).map_err(|(e, _)| e).unwrap();
        }
        producer.flush(BOUND).unwrap();
    }

    async fn until(mut condition: impl FnMut() -> bool) {
        let deadline = Instant::now() + BOUND;
        while !condition() {
            assert!(Instant::now() < deadline, "not within {BOUND:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn it_goes_on_where_it_was_when_the_broker_comes_back() {
        // Given an observer that has seen some events
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("t", 1, 1).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers());
        config.set("reconnect.backoff.max.ms", "100");
        let producer: ThreadedProducer<_> = config.create().unwrap();
        let identity = Arc::new(RunKey::random().identity().unwrap());
        let watch = Watch {
            broker: crate::broker::kafka::at(&cluster.bootstrap_servers()),
            topic: "t".into(),
            partitions: 1,
            place: crate::envelope::EventPlace::default(),
            identity: Arc::clone(&identity),
            payload_bytes: 8,
            clock: RunClock::start(),
            keeps_recent: true,
        };
        let observer = Observer::start(watch).await.unwrap();
        send(&producer, &identity, 0..10);
        until(|| observer.distinct_valid() == 10).await;

        // When the broker is away for a while
        cluster.broker_down(1).unwrap();
        let (admin, topic) = (producer.client(), Some("t"));
        until(|| {
            admin
                .fetch_metadata(topic, Duration::from_millis(50))
                .is_err()
        })
        .await;
        cluster.broker_up(1).unwrap();
        send(&producer, &identity, 10..20);

        // Then what came after is seen, and nothing twice
        until(|| observer.distinct_valid() == 20).await;
        // And the newest sights can be asked for
        until(|| observer.sights().recent(0).len() == 20).await;
        assert_eq!(observer.sights().recent(i64::MAX), []);
        let (sightings, fatal) = observer.stop().await;
        assert_eq!(fatal, None);
        let offsets: Vec<i64> = sightings.iter().map(|s| s.offset).collect();
        assert_eq!(offsets, (0..20).collect::<Vec<_>>());
    }
}
