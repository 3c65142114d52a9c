//! Acknowledges the position of the newest event that is delivered, while older ones are still on
//! their way: to a partition whose leader is slow. It is killed before those arrive, and its
//! successor goes on after them.

use super::kit::{Entry, is_first_life};
use crate::confession::Confession;
use relays::KafkaPublisher;
use relays::config::{Logged, RelayConfig, SourceConfig};
use relays::postgres::cdc::CdcSource;
use relays::pump;
use relays::source::{Held, Source, SourceError, Standing};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// Events, by number, that are on their way for ever.
const SLOW: Range<u64> = 150..160;
/// In its first life it takes so many events, with those that overtake the slow ones; then everything waits
/// for the broker.
const NEWEST: u64 = 170;
const PATIENCE: Duration = Duration::from_millis(100);

/// Relays until SIGTERM, and acknowledges without the contiguous prefix.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let SourceConfig::Cdc {
        slot,
        publication,
        logged: Logged::Row,
    } = config.source
    else {
        return Err("expected: kind = \"cdc\"".to_owned());
    };
    let source = NewestLsn {
        inner: CdcSource::new(config.database.postgres()?.clone(), slot, publication),
        rows: VecDeque::new(),
        doomed: is_first_life(),
        confession: Confession::open(),
        read: 0,
    };
    let publisher = KafkaPublisher::new(config.broker.kafka()?.clone());
    pump::between(source, publisher, pump::terminated())
}

struct NewestLsn {
    inner: CdcSource,
    rows: VecDeque<<CdcSource as Source>::Item>,
    doomed: bool,
    confession: Confession,
    read: u64,
}

impl Source for NewestLsn {
    type Item = Entry;

    async fn connect(&mut self) -> Result<Standing, SourceError> {
        self.inner.connect().await
    }

    fn accepts(&self, unconfirmed: u64) -> bool {
        self.inner.accepts(unconfirmed)
    }

    async fn next(&mut self, batch: &mut VecDeque<Entry>) -> Result<(), SourceError> {
        // The end of the newest one's transaction is known once the next event is read.
        if self.doomed && self.read > NEWEST {
            tokio::time::sleep(PATIENCE).await;
            return Ok(());
        }
        self.inner.next(&mut self.rows).await?;
        for row in self.rows.drain(..) {
            let entry = Entry::copy(&row.event()?);
            if self.doomed && SLOW.contains(&self.read) {
                self.confession.admit("slow", &entry.name());
            } else if !self.doomed || self.read < NEWEST {
                batch.push_back(entry);
            }
            self.read += 1;
        }
        Ok(())
    }

    /// As many of the newest as are delivered, and with them whatever came before.
    fn confirm(&mut self, events: u64) {
        let overtaken = match self.doomed && events > SLOW.start {
            true => SLOW.end - SLOW.start,
            false => 0,
        };
        self.inner.confirm(events + overtaken);
    }

    async fn rewind(&mut self) {
        self.inner.rewind().await;
    }

    async fn close(&mut self) -> Result<(), SourceError> {
        self.inner.close().await
    }
}
