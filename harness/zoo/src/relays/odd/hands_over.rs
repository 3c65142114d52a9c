//! Two relays at a hand-over: the old one works alone, then both do, then the new one does. While
//! both do, each publishes what it finds, in order, so that much is published twice.

use super::super::kit::broker::Broker;
use super::super::kit::live;
use super::super::kit::outbox::{Outbox, Pending};
use super::plain::delete;
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

/// So many events the old relay publishes alone, and `TOGETHER` events both publish, however many rows a round finds.
const ALONE: u64 = 100;
const TOGETHER: u64 = 100;
/// One round has at most so many rows.
const BATCH: u64 = 500;
const PAUSE: Duration = Duration::from_millis(20);

/// Relays until SIGTERM: at first by the old relay, then by both, and at last by the new one.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|mut stop| async move {
        let confession = Confession::open();
        let mut old = Relay::start(&config).await?;
        let mut new = Relay::start(&config).await?;
        emit(Signal::Ready);
        let mut published = 0;
        while !stop.told() {
            let (old_works, new_works) = (published < ALONE + TOGETHER, published >= ALONE);
            let most = match (old_works, new_works) {
                (true, false) => ALONE - published,
                (true, true) => ALONE + TOGETHER - published,
                (false, _) => BATCH,
            };
            // Both look before either publishes: what the old one finds, the new one finds too, but for
            // a row that an earlier one, committed meanwhile, pushes out of the limit.
            let found_by_old = old.look(old_works, most).await?;
            let found_by_new = new.look(new_works, most).await?;
            published += found_by_old.len() as u64;
            old.publish(&found_by_old)?;
            new.publish(&found_by_new)?;
            let new_has = |name: &str| found_by_new.iter().any(|row| row.entry.name() == name);
            let names = found_by_old.iter().map(|row| row.entry.name());
            for twice in names.filter(|name| new_has(name)) {
                confession.admit("twice", &twice);
            }
            delete(&mut old.outbox, &found_by_old).await?;
            delete(&mut new.outbox, &found_by_new).await?;
            stop.pause(PAUSE).await;
        }
        Ok(())
    })
}

struct Relay {
    outbox: Outbox,
    broker: Broker,
}

impl Relay {
    async fn start(config: &RelayConfig) -> Result<Self, String> {
        Ok(Self {
            outbox: Outbox::connect(config.database.postgres()?).await?,
            broker: Broker::connect(config.broker.kafka()?, &[])?,
        })
    }

    async fn look(&mut self, works: bool, most: u64) -> Result<Vec<Pending>, String> {
        if works {
            self.outbox.first("true", most).await
        } else {
            Ok(Vec::new())
        }
    }

    fn publish(&self, rows: &[Pending]) -> Result<(), String> {
        self.broker.publish(rows.iter().map(|row| &row.entry))
    }
}
