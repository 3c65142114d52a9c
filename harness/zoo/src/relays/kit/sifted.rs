//! The honest CDC relay, with its events sifted as they come from the stream: what is held back is
//! acknowledged with what was given out before it.

use super::Entry;
use relays::config::{RelayConfig, SourceConfig};
use relays::publisher::kafka::KafkaPublisher;
use relays::pump;
use relays::source::cdc::CdcSource;
use relays::source::{Held, Source, SourceError};
use std::collections::VecDeque;
use std::time::Duration;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sift {
    /// It is published.
    Publish,
    /// It is not, and is acknowledged all the same.
    HoldBack,
    /// Neither; nor is anything after it: the relay hangs.
    Hang,
}

const PATIENCE: Duration = Duration::from_millis(100);

/// Relays until SIGTERM; `sift` is told each event and the LSN of its commit.
pub fn relay(config: RelayConfig, sift: impl FnMut(&Entry, u64) -> Sift) -> Result<(), String> {
    let SourceConfig::Cdc { slot, publication } = config.source else {
        return Err("expected: kind = \"cdc\"".to_owned());
    };
    let source = Sifted {
        inner: CdcSource::new(config.postgres, slot, publication),
        sift,
        hangs: false,
        rows: VecDeque::new(),
        read: 0,
        given: 0,
        confirmed: 0,
        reads: VecDeque::new(),
    };
    let publisher = KafkaPublisher::new(config.kafka);
    pump::between(source, publisher, pump::terminated())
}

struct Sifted<F> {
    inner: CdcSource,
    sift: F,
    hangs: bool,
    rows: VecDeque<<CdcSource as Source>::Item>,
    /// Events read, of these given out, and of these durable.
    read: u64,
    given: u64,
    confirmed: u64,
    /// (given, read) after each event whose acknowledgement waits.
    reads: VecDeque<(u64, u64)>,
}

impl<F> Sifted<F> {
    fn settle(&mut self) {
        while let Some((given, read)) = self.reads.front().copied() {
            if given > self.confirmed {
                return;
            }
            self.inner.confirm(read);
            self.reads.pop_front();
        }
    }

    fn forget(&mut self) {
        (self.read, self.given, self.confirmed) = (0, 0, 0);
        self.rows.clear();
        self.reads.clear();
    }
}

impl<F: FnMut(&Entry, u64) -> Sift> Source for Sifted<F> {
    type Item = Entry;

    async fn connect(&mut self) -> Result<(), SourceError> {
        self.forget();
        self.inner.connect().await
    }

    fn accepts(&self, unconfirmed: u64) -> bool {
        self.inner.accepts(unconfirmed)
    }

    /// As cancel-safe as the inner source's.
    async fn next(&mut self, batch: &mut VecDeque<Entry>) -> Result<(), SourceError> {
        if self.hangs {
            tokio::time::sleep(PATIENCE).await;
            return Ok(());
        }
        self.inner.next(&mut self.rows).await?;
        for row in self.rows.drain(..) {
            let entry = Entry::copy(&row.event()?);
            match (self.sift)(&entry, row.commit_lsn()) {
                Sift::Publish => {
                    self.given += 1;
                    batch.push_back(entry);
                }
                Sift::HoldBack => {}
                Sift::Hang => {
                    self.hangs = true;
                    break;
                }
            }
            self.read += 1;
            self.reads.push_back((self.given, self.read));
        }
        self.settle();
        Ok(())
    }

    fn confirm(&mut self, events: u64) {
        self.confirmed = events;
        self.settle();
    }

    async fn rewind(&mut self) {
        self.forget();
        self.inner.rewind().await;
    }

    async fn close(&mut self) -> Result<(), SourceError> {
        self.inner.close().await
    }
}
