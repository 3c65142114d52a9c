//! The one loop of every relay: next batch, publish, confirm what is durable; until told to stop.

pub(crate) mod backoff;
mod configured;
mod reporter;
#[cfg(test)]
mod tests;
mod trail;

use crate::broker::AnyPublisher;
use crate::cache::RedisInvalidations;
use crate::config::RelayConfig;
use crate::publisher::invalidating::InvalidatingPublisher;
use crate::publisher::{Offer, PublishError, Publisher};
use crate::signal::monotonic_ns;
use crate::source::{Held, Source, SourceError, Standing};
use crate::trace::Trace;
use backoff::Backoff;
pub use configured::claim_all;
use reporter::Reporter;
use std::collections::VecDeque;
use std::future::Future;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use trail::Trail;

/// The loop waits no longer than this before it looks around: at a stop, at a stall.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// Deliveries that stay away for this long are worth a word. When they are given up, all at once, is
/// the publisher's to say: a slow link needs its time.
const QUIET: Duration = Duration::from_secs(5);
/// Wait for room where no delivery may announce it.
const FULL_PAUSE: Duration = Duration::from_millis(2);
/// Bound of the wait for deliveries in flight when the relay stops or its source is lost.
const SETTLE: Duration = Duration::from_secs(5);
/// A session that lasted this long was no failure to connect.
const LASTING: Duration = Duration::from_secs(2);

/// Relays until SIGTERM, reconnecting with back-off on either side. Blocks its thread.
///
/// Then it confirms what is durable and returns; everything else is delivered by the next relay.
pub fn run(config: RelayConfig) -> Result<(), String> {
    relay(config, terminated())
}

/// Completes at SIGTERM, or at once, with an entry in the log, if the signal cannot be listened for.
pub async fn terminated() {
    let kind = tokio::signal::unix::SignalKind::terminate();
    match tokio::signal::unix::signal(kind) {
        Ok(mut terminate) => {
            terminate.recv().await;
        }
        Err(error) => tracing::error!("cannot listen for SIGTERM: {error}; stopping"),
    }
}

/// Relays as [`run`] does, until `stop` completes.
pub fn relay(
    config: RelayConfig,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    let mut publisher = AnyPublisher::new(config.broker.clone());
    let trace = Trace::open(config.trace.as_ref());
    if trace.is_on() {
        publisher = publisher.keeping_deliveries();
    }
    match config.cache.clone() {
        Some(cache) => {
            let cache = RedisInvalidations::new(cache);
            let publisher = InvalidatingPublisher::new(publisher, cache);
            configured::run(config, publisher, trace, stop)
        }
        None => configured::run(config, publisher, trace, stop),
    }
}

/// Relays from any source to any publisher until `stop` completes. Blocks its thread.
pub fn between<S: Source, P: Publisher>(
    source: S,
    publisher: P,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    traced(source, publisher, Trace::default(), stop)
}

/// Relays as [`between`] does, with a trace of each event's way.
pub fn traced<S: Source, P: Publisher>(
    source: S,
    publisher: P,
    trace: Trace,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), String> {
    // One thread: events go from socket to producer without changing hands, and a replication
    // stream was faster on it than on several.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("start the relay's runtime: {e}"))?;
    let ended = runtime.block_on(async {
        let (told, stopping) = watch::channel(false);
        tokio::spawn(async move {
            stop.await;
            let _ = told.send(true);
            // The channel stays open until the relay has ended.
            told.closed().await;
        });
        let trail = trace.is_on().then(|| Trail::new(trace));
        Pump::new(source, publisher, trail, stopping).run().await
    });
    // A metadata request to a dead broker may be under way on a thread of its own.
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended.map_err(|error| error.to_string())
}

/// This says why a session ended.
enum End {
    Stopped,
    Source(SourceError),
    Publisher(PublishError),
}

impl From<SourceError> for End {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<PublishError> for End {
    fn from(error: PublishError) -> Self {
        Self::Publisher(error)
    }
}

/// Both sides, and what is between them.
struct Pump<S: Source, P> {
    source: S,
    publisher: P,
    trail: Option<Trail>,
    stopping: watch::Receiver<bool>,
    report: Reporter,
    backoff: Backoff,
    /// These events are taken from the source, and not yet from us.
    batch: VecDeque<S::Item>,
    /// This is the publisher's position at which the source's count began.
    base: u64,
    /// Events of this session that the publisher took, and that are confirmed.
    sent: u64,
    confirmed: u64,
}

impl<S: Source, P: Publisher> Pump<S, P> {
    fn new(source: S, publisher: P, trail: Option<Trail>, stopping: watch::Receiver<bool>) -> Self {
        Self {
            source,
            publisher,
            trail,
            stopping,
            report: Reporter::default(),
            backoff: Backoff::default(),
            batch: VecDeque::new(),
            base: 0,
            sent: 0,
            confirmed: 0,
        }
    }

    /// Runs one session after the other, until told to stop; an error says that no further one is of any use.
    async fn run(mut self) -> Result<(), SourceError> {
        let mut ended = Ok(());
        loop {
            match self.connect().await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    ended = Err(error);
                    break;
                }
            }
            let began = Instant::now();
            let end = match self.session().await {
                Ok(()) => End::Stopped,
                Err(end) => end,
            };
            if self.confirmed > 0 || began.elapsed() >= LASTING {
                self.backoff.reset();
            }
            match end {
                End::Stopped => break,
                End::Source(error) => {
                    self.report.database_lost(&error);
                    // What is in flight will most likely arrive: waiting for it saves duplicates.
                    self.settle().await;
                    if self.in_flight() > 0 {
                        self.abandon().await;
                    }
                }
                End::Publisher(error) => {
                    self.report.delivery_failed(error.failed.max(1), &error);
                    let position = self.publisher.durable_despite_failure();
                    let _ = self.confirm(Ok(position));
                    self.abandon().await;
                }
            }
            self.source.rewind().await;
            self.trace_settled();
            self.pause().await;
        }
        if let Err(error) = self.source.close().await {
            // Some of what is durable may not be confirmed: the next relay publishes it again.
            tracing::warn!("the source did not end well: {error}");
        }
        self.trace_settled();
        self.abandon().await;
        self.report.final_progress();
        ended
    }

    /// Gives up the publisher's connection and what is in flight.
    async fn abandon(&mut self) {
        self.trace_deliveries();
        if let Some(trail) = &mut self.trail {
            trail.abandoned(self.base + self.confirmed);
        }
        self.publisher.abandon().await;
    }

    /// Connects both sides, however long it takes; `false` if told to stop meanwhile, an error where the source will
    /// never be there again.
    async fn connect(&mut self) -> Result<bool, SourceError> {
        loop {
            let mut stopping = self.stopping.clone();
            let connected = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => return Ok(false),
                connected = async {
                    self.publisher.connect().await?;
                    Ok::<Standing, End>(self.source.connect().await?)
                } => connected,
            };
            match connected {
                Ok(Standing::Leads) => break,
                // It has waited already, and is as ready as it can be.
                Ok(Standing::StandsBy) => {
                    self.report.connected();
                    self.backoff.reset();
                    continue;
                }
                Err(End::Source(error)) => {
                    self.report.database_lost(&error);
                    if error.is_final {
                        return Err(error);
                    }
                }
                Err(End::Publisher(error)) => self.report.delivery_failed(error.failed, &error),
                Err(End::Stopped) => return Ok(false),
            }
            self.pause().await;
        }
        self.batch.clear();
        self.base = self.publisher.taken();
        (self.sent, self.confirmed) = (0, 0);
        if let Some(trail) = &mut self.trail {
            trail.begin(self.base);
        }
        self.report.connected();
        Ok(true)
    }

    /// Waits for as long as the back-off says, or until told to stop.
    async fn pause(&mut self) {
        let mut stopping = self.stopping.clone();
        let _ = tokio::time::timeout(self.backoff.next(), stopping.wait_for(|stop| *stop)).await;
    }

    fn in_flight(&self) -> u64 {
        self.sent - self.confirmed
    }

    /// Confirms to the source what is durable; says whether that was anything.
    fn confirm(&mut self, position: Result<u64, PublishError>) -> Result<bool, PublishError> {
        self.trace_deliveries();
        let durable = position? - self.base;
        let news = durable - self.confirmed;
        if news > 0 {
            self.source.confirm(durable);
            self.confirmed = durable;
            self.report.delivered += news;
            self.report.confirmed += news;
            self.report.publish_up();
        }
        self.trace_settled();
        Ok(news > 0)
    }

    fn trace_deliveries(&mut self) {
        if let Some(trail) = &mut self.trail {
            self.publisher
                .deliveries(|delivery| trail.delivered(delivery));
            trail.invalidated(self.publisher.invalidated());
            trail.write();
        }
    }

    fn trace_settled(&mut self) {
        if let Some(trail) = &mut self.trail {
            trail.settled(self.source.settled().unwrap_or(self.report.confirmed));
        }
    }

    /// Hands over what was taken, as far as there is room; says whether there was for all of it.
    fn hand_over(&mut self) -> Result<bool, End> {
        if let Some(trail) = &mut self.trail {
            trail.took(&self.batch);
        }
        let room = self.offer_all();
        if let Some(trail) = &mut self.trail {
            trail.write();
        }
        room
    }

    fn offer_all(&mut self) -> Result<bool, End> {
        while let Some(item) = self.batch.front() {
            let at_ns = self.trail.as_ref().map_or(0, |_| monotonic_ns());
            match self.publisher.offer(&item.event()?)? {
                Offer::Taken => {
                    self.sent += 1;
                    self.report.taken += 1;
                    if let Some(trail) = &mut self.trail {
                        trail.handed(at_ns);
                    }
                }
                Offer::Full => return Ok(false),
            }
            self.batch.pop_front();
        }
        Ok(true)
    }

    /// Relays until a side fails, or until told to stop and nothing is under way.
    async fn session(&mut self) -> Result<(), End> {
        let mut stalled = Duration::ZERO;
        let mut reported = self.publisher.reported();
        let mut looked = Instant::now();
        let mut stop_seen: Option<Instant> = None;
        loop {
            let position = self.publisher.durable();
            self.confirm(position)?;
            if let Some(reason) = self.publisher.trouble() {
                self.report.publish_failed(0, &reason);
            }
            let room = self.hand_over()?;
            self.report.progress();
            let in_flight = self.in_flight();

            // Time counts only as this loop has seen it pass: a relay that was stopped and
            // continued must not take its own absence for the broker's.
            let now = Instant::now();
            let was_quiet = stalled >= QUIET;
            stalled += now.duration_since(looked).min(2 * LOOK_AROUND);
            looked = now;
            // Any report counts, not only that of the first event: batches of other partitions may
            // have to cross a slow link before its own.
            let reports = self.publisher.reported();
            if std::mem::replace(&mut reported, reports) != reports || in_flight == 0 {
                stalled = Duration::ZERO;
            } else if stalled >= QUIET {
                self.endure(stalled, was_quiet)?;
            }

            let stopping = *self.stopping.borrow();
            if stopping {
                let since = *stop_seen.get_or_insert(now);
                if (in_flight == 0 && self.batch.is_empty()) || now - since >= SETTLE {
                    return Ok(());
                }
            }
            if in_flight > 0 {
                self.source.keep_alive().await?;
            }
            let take = !stopping && self.batch.is_empty() && self.source.accepts(in_flight);
            tokio::select! {
                biased;
                () = self.publisher.progress(), if in_flight > 0 => {}
                taken = self.source.next(&mut self.batch), if take => taken?,
                () = tokio::time::sleep(FULL_PAUSE), if !room => {}
                // Not while nothing is in flight: a source that then takes must not be cancelled.
                () = tokio::time::sleep(LOOK_AROUND), if in_flight > 0 || !take => {}
            }
        }
    }

    /// Nothing was reported for a while: says so, once, and gives up when it is too long.
    fn endure(&mut self, stalled: Duration, said: bool) -> Result<(), PublishError> {
        let (in_flight, patience) = (self.in_flight(), self.publisher.patience());
        let held_up = self.publisher.held_up();
        let why = held_up.map_or(String::new(), |why| {
            format!(" (the broker takes nothing: {why})")
        });
        if stalled >= patience {
            return Err(PublishError {
                doing: "wait for deliveries".to_owned(),
                reason: format!("none of {in_flight} was confirmed for {patience:.0?}{why}"),
                failed: in_flight,
                is_of_cache: false,
            });
        }
        if !said {
            let reason = format!(
                "wait for deliveries: none of {in_flight} was confirmed for {QUIET:.0?}{why}; \
                 giving them up after {patience:.0?}"
            );
            self.report.publish_failed(0, &reason);
        }
        Ok(())
    }

    /// Waits, within a bound, until everything in flight is durable, and confirms it.
    async fn settle(&mut self) {
        let deadline = Instant::now() + SETTLE;
        loop {
            let position = self.publisher.durable();
            if self.confirm(position).is_err() || self.in_flight() == 0 {
                return;
            }
            if tokio::time::timeout_at(deadline, self.publisher.progress())
                .await
                .is_err()
            {
                return;
            }
        }
    }
}
