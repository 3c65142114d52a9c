//! Relays that make their slot anew: it begins at that moment, and what was committed before it and
//! not yet published never comes.

use super::kit::broker::Broker;
use super::kit::outbox::{ALL, Outbox, options};
use super::kit::sifted::{self, Sift};
use super::kit::{Stop, is_first_life, live};
use crate::confession::Confession;
use harness::database::postgres::pending;
use relays::config::{Logged, RelayConfig, SourceConfig};
use relays::signal::{Signal, emit};
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnection;
use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Events that are published before it happens.
const HEALTHY: u64 = 100;
/// At least so many events are committed between the snapshot and the slot.
const GAP: usize = 20;
const LOOK: Duration = Duration::from_millis(5);
/// A killed relay's session must let go of the slot within this time.
const SLOT_WITHIN: Duration = Duration::from_secs(5);

/// Publishes a snapshot of the outbox, then makes its slot and streams from it: what is committed
/// between the two is in neither.
pub fn after_the_snapshot(config: RelayConfig) -> Result<(), String> {
    let missed = Missed::default();
    let gap = missed.clone();
    let told = config.clone();
    live(|mut stop| async move {
        let broker = Broker::connect(told.broker.kafka()?, &[])?;
        let mut outbox = Outbox::connect(told.database.postgres()?).await?;
        emit(Signal::Ready);
        let snapshot = wait_for(&mut outbox, HEALTHY as usize, &mut stop).await?;
        broker.publish(snapshot.iter().map(|row| &row.entry))?;
        wait_for(&mut outbox, snapshot.len() + GAP, &mut stop).await?;
        make_again(&told).await?;
        let published: HashSet<i64> = snapshot.iter().map(|row| row.seq).collect();
        let rows = outbox.first("true", ALL).await?;
        let rows = rows.into_iter().filter(|row| !published.contains(&row.seq));
        gap.add(rows.map(|row| row.entry.name()));
        Ok(())
    })?;
    stream(config, &missed)
}

/// Hangs, and is killed for it. When it is started again and finds its slot far behind, it drops
/// that and makes a new one.
pub fn at_a_restart(config: RelayConfig) -> Result<(), String> {
    if is_first_life() {
        let mut published = 0;
        return sifted::relay(config, move |_, _| {
            published += 1;
            if published > HEALTHY {
                Sift::Hang
            } else {
                Sift::Publish
            }
        });
    }
    let missed = Missed::default();
    let behind = missed.clone();
    let told = config.clone();
    live(|_| async move {
        let mut outbox = Outbox::connect(told.database.postgres()?).await?;
        let old = outbox.first("true", ALL).await?;
        let (slot, publication) = names(&told)?;
        let mut held = Vec::new();
        pending::in_slot(
            told.database.postgres()?,
            slot,
            publication,
            |_, payload| {
                held.push(named(payload));
            },
        )
        .await?;
        make_again(&told).await?;
        behind.add(held.into_iter().collect::<Result<Vec<_>, _>>()?);
        // What came in between is in the table, and may still come in the stream.
        let old: HashSet<i64> = old.iter().map(|row| row.seq).collect();
        let rows = outbox.first("true", ALL).await?;
        let rows = rows.into_iter().filter(|row| !old.contains(&row.seq));
        behind.add(rows.map(|row| row.entry.name()));
        Ok(())
    })?;
    stream(config, &missed)
}

/// Events that were committed before the slot was made, as far as the stream does not bring them.
#[derive(Debug, Clone, Default)]
struct Missed(Rc<RefCell<HashSet<String>>>);

impl Missed {
    fn add(&self, names: impl IntoIterator<Item = String>) {
        self.0.borrow_mut().extend(names);
    }
}

/// Streams until SIGTERM, then admits what did not come.
fn stream(config: RelayConfig, missed: &Missed) -> Result<(), String> {
    let coming = missed.clone();
    sifted::relay(config, move |entry, _| {
        coming.0.borrow_mut().remove(&entry.name());
        Sift::Publish
    })?;
    let confession = Confession::open();
    for name in missed.0.borrow().iter() {
        confession.admit("missed", name);
    }
    Ok(())
}

/// All rows of the outbox, once there are so many.
async fn wait_for(
    outbox: &mut Outbox,
    count: usize,
    stop: &mut Stop,
) -> Result<Vec<super::kit::outbox::Pending>, String> {
    loop {
        let rows = outbox.first("true", ALL).await?;
        if rows.len() >= count || stop.told() {
            return Ok(rows);
        }
        stop.pause(LOOK).await;
    }
}

fn names(config: &RelayConfig) -> Result<(&str, &str), String> {
    match &config.source {
        SourceConfig::Cdc {
            slot,
            publication,
            logged: Logged::Row,
        } => Ok((slot, publication)),
        SourceConfig::Cdc { .. }
        | SourceConfig::Polling { .. }
        | SourceConfig::Position { .. }
        | SourceConfig::Binlog => Err("expected: kind = \"cdc\"".to_owned()),
    }
}

/// Drops the slot and makes one of the same name.
async fn make_again(config: &RelayConfig) -> Result<(), String> {
    let (slot, _) = names(config)?;
    let failed = |e: sqlx::Error| format!("make slot {slot} anew: {e}");
    let mut session = options(config.database.postgres()?)
        .connect()
        .await
        .map_err(failed)?;
    let deadline = Instant::now() + SLOT_WITHIN;
    while let Err(error) = drop_slot(&mut session, slot).await {
        if Instant::now() > deadline {
            return Err(failed(error));
        }
        tokio::time::sleep(LOOK).await;
    }
    sqlx::query("SELECT FROM pg_create_logical_replication_slot($1, 'pgoutput')")
        .bind(slot)
        .execute(&mut session)
        .await
        .map(drop)
        .map_err(failed)
}

async fn drop_slot(session: &mut PgConnection, slot: &str) -> Result<(), sqlx::Error> {
    let query = sqlx::query("SELECT pg_drop_replication_slot($1)").bind(slot);
    query.execute(session).await.map(drop)
}

/// Returns order and version of an event as `ORDER/VERSION`.
fn named(payload: &str) -> Result<String, String> {
    let event: serde_json::Value = serde_json::from_str(payload).map_err(|e| e.to_string())?;
    let order = event["order_id"].as_str().unwrap_or_default();
    Ok(format!("{order}/{}", event["version"]))
}
