//! The honest CDC relay, with its events sifted as they come from the stream: what is held back is
//! acknowledged with what was given out before it.

use super::Entry;
use super::ledger::Ledger;
use relays::KafkaPublisher;
use relays::config::{Logged, RelayConfig, SourceConfig};
use relays::postgres::cdc::CdcSource;
use relays::pump;
use relays::source::{Held, Source, SourceError, Standing};
use std::collections::VecDeque;
use std::time::Duration;

/// This says what becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sift {
    /// The event is published.
    Publish,
    /// It is not, and is acknowledged all the same.
    HoldBack,
    /// Neither is done, nor is anything to an event after it: the relay hangs.
    Hang,
}

const PATIENCE: Duration = Duration::from_millis(100);

/// Relays until SIGTERM; `sift` is told each event and the LSN of its commit.
pub fn relay(config: RelayConfig, sift: impl FnMut(&Entry, u64) -> Sift) -> Result<(), String> {
    let SourceConfig::Cdc {
        slot,
        publication,
        logged: Logged::Row,
    } = config.source
    else {
        return Err("expected: kind = \"cdc\"".to_owned());
    };
    let source = Sifted {
        inner: CdcSource::new(config.database.postgres()?.clone(), slot, publication),
        sift,
        hangs: false,
        rows: VecDeque::new(),
        ledger: Ledger::default(),
    };
    let publisher = KafkaPublisher::new(config.broker.kafka()?.clone());
    pump::between(source, publisher, pump::terminated())
}

struct Sifted<F> {
    inner: CdcSource,
    sift: F,
    hangs: bool,
    rows: VecDeque<<CdcSource as Source>::Item>,
    ledger: Ledger,
}

impl<F> Sifted<F> {
    fn forget(&mut self) {
        self.rows.clear();
        self.ledger = Ledger::default();
    }
}

impl<F: FnMut(&Entry, u64) -> Sift> Source for Sifted<F> {
    type Item = Entry;

    async fn connect(&mut self) -> Result<Standing, SourceError> {
        self.forget();
        self.inner.connect().await
    }

    fn accepts(&self, unconfirmed: u64) -> bool {
        self.inner.accepts(unconfirmed)
    }

    /// Is as cancel-safe as the inner source's.
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
                    self.ledger.note(1, 1);
                    batch.push_back(entry);
                }
                Sift::HoldBack => self.ledger.note(1, 0),
                Sift::Hang => {
                    self.hangs = true;
                    break;
                }
            }
        }
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
