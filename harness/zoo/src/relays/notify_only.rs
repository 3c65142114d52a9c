//! Looks at the outbox when it is notified, and never otherwise. Its connection is cut: the listener
//! ends with it, and nobody notices, since no news looks like no events.

use super::kit::broker::Broker;
use super::kit::outbox::{Outbox, options};
use super::kit::{Stop, live};
use crate::confession::Confession;
use relays::config::{PostgresTarget, RelayConfig};
use relays::signal::{Signal, emit};
use sqlx::postgres::{PgListener, PgPoolOptions};

const BATCH: u64 = 500;

/// Runs a relay that reads the outbox only when it is notified, and at no interval.
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    let mut listener = listen(config.database.postgres()?)
        .await
        .map_err(|e| format!("listen: {e}"))?;
    emit(Signal::Ready);
    let work = async {
        while let Ok(Some(_)) = listener.try_recv().await {
            drain(&mut outbox, &broker).await?;
        }
        Ok::<(), String>(())
    };
    tokio::select! {
        () = stop.wait() => return Ok(()),
        ended = work => if let Err(reason) = ended {
            eprintln!("{reason}");
        },
    }
    stop.wait().await;
    // On a session that was not cut.
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    outbox
        .admit("status = 'pending'", &Confession::open(), "unread")
        .await
}

async fn listen(target: &PostgresTarget) -> Result<PgListener, sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .connect_with(options(target))
        .await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(&target.schema).await?;
    Ok(listener)
}

/// Publishes all that is there.
async fn drain(outbox: &mut Outbox, broker: &Broker) -> Result<(), String> {
    loop {
        let rows = outbox.first("status = 'pending'", BATCH).await?;
        if rows.is_empty() {
            return Ok(());
        }
        broker.publish(rows.iter().map(|row| &row.entry))?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.mark(&seqs, "processed").await?;
    }
}
