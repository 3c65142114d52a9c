//! The honest relay, with its events altered between the outbox and the broker.

use super::Entry;
use super::ledger::Ledger;
use relays::AnyPublisher;
use relays::config::{RelayConfig, SourceConfig};
use relays::postgres::cdc::CdcSource;
use relays::postgres::polling::PollingSource;
use relays::postgres::position::PositionSource;
use relays::pump;
use relays::source::{Held, Source, SourceError, Standing};
use std::collections::VecDeque;
use std::time::Duration;

/// Relays until SIGTERM; `alter` gets what each read of the outbox brought and gives what is
/// published instead. All that was read is confirmed to the outbox when all of that is durable.
pub fn relay(
    config: RelayConfig,
    alter: impl FnMut(Vec<Entry>) -> Vec<Entry>,
) -> Result<(), String> {
    let publisher = AnyPublisher::new(config.broker.clone());
    let postgres = config.database.postgres()?.clone();
    match config.source {
        SourceConfig::Binlog => Err("expected: a source in PostgreSQL".to_owned()),
        SourceConfig::Polling {
            after_publish,
            housekeeping,
            interval_ms,
            batch,
            notify,
        } => {
            let interval = Duration::from_millis(interval_ms);
            let source = PollingSource::new(postgres, after_publish, interval, batch, notify);
            let source = source.keeping_house(housekeeping);
            pump::between(Altered::new(source, alter), publisher, pump::terminated())
        }
        SourceConfig::Position { interval_ms, batch } => {
            let interval = Duration::from_millis(interval_ms);
            let source = PositionSource::new(postgres, interval, batch);
            pump::between(Altered::new(source, alter), publisher, pump::terminated())
        }
        SourceConfig::Cdc {
            slot,
            publication,
            logged,
        } => {
            let source = CdcSource::new(postgres, slot, publication).of(logged);
            pump::between(Altered::new(source, alter), publisher, pump::terminated())
        }
    }
}

/// A source whose events are altered as they are read.
struct Altered<S: Source, A> {
    inner: S,
    alter: A,
    rows: VecDeque<S::Item>,
    ledger: Ledger,
}

impl<S: Source, A> Altered<S, A> {
    fn new(inner: S, alter: A) -> Self {
        Self {
            inner,
            alter,
            rows: VecDeque::new(),
            ledger: Ledger::default(),
        }
    }

    fn forget(&mut self) {
        self.rows.clear();
        self.ledger = Ledger::default();
    }
}

impl<S: Source, A: FnMut(Vec<Entry>) -> Vec<Entry>> Source for Altered<S, A> {
    type Item = Entry;

    async fn connect(&mut self) -> Result<Standing, SourceError> {
        self.forget();
        self.inner.connect().await
    }

    fn accepts(&self, unconfirmed: u64) -> bool {
        self.inner.accepts(unconfirmed)
    }

    async fn keep_alive(&mut self) -> Result<(), SourceError> {
        self.inner.keep_alive().await
    }

    /// Is as cancel-safe as the inner source's: what was read is in `rows` until it is given out.
    async fn next(&mut self, batch: &mut VecDeque<Entry>) -> Result<(), SourceError> {
        self.inner.next(&mut self.rows).await?;
        if self.rows.is_empty() {
            return Ok(());
        }
        let mut entries = Vec::with_capacity(self.rows.len());
        for row in self.rows.drain(..) {
            entries.push(Entry::copy(&row.event()?));
        }
        let read = entries.len() as u64;
        let altered = (self.alter)(entries);
        self.ledger.note(read, altered.len() as u64);
        batch.extend(altered);
        self.ledger.settle(&mut self.inner);
        Ok(())
    }

    fn confirm(&mut self, events: u64) {
        self.ledger.confirm(events, &mut self.inner);
    }

    async fn rewind(&mut self) {
        self.forget();
        self.inner.rewind().await;
    }

    async fn close(&mut self) -> Result<(), SourceError> {
        self.inner.close().await
    }
}
