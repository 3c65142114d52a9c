//! Publishes one type of event to an exchange of its own on RabbitMQ, to which nobody has bound a queue. The broker confirms
//! what it could give to no queue; only who asks for it (`mandatory`) gets it back before.

use super::kit::outbox::Outbox;
use super::kit::rabbit::{Channel, target};
use super::kit::{Entry, Stop, live};
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

const ROUTED: &str = "OrderShipped";
const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);

/// Relays until SIGTERM, and takes each acknowledgement for a delivery.
pub fn believes_acks(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, false))
}

/// Relays until SIGTERM, and publishes again, to where a queue is bound, what comes back.
pub fn heeds_returns(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop, true))
}

async fn relay(config: RelayConfig, mut stop: Stop, is_mandatory: bool) -> Result<(), String> {
    let confession = Confession::open();
    let topic = &target(&config)?.topic;
    let elsewhere = format!("{topic}.shipped");
    let mut channel = Channel::open(target(&config)?)?;
    channel.make_exchange(&elsewhere)?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    while !stop.told() {
        let rows = outbox.first("true", BATCH).await?;
        let entries: Vec<&Entry> = rows.iter().map(|row| &row.entry).collect();
        // One run of a kind after the other, so that each order keeps its order.
        for run in entries.chunk_by(|one, next| is_routed(one) == is_routed(next)) {
            if !run.first().is_some_and(|first| is_routed(first)) {
                channel.publish(topic, is_mandatory, run.iter().copied())?;
                continue;
            }
            let returned = channel.publish(&elsewhere, is_mandatory, run.iter().copied())?;
            let (back, gone): (Vec<_>, Vec<_>) = run
                .iter()
                .enumerate()
                .partition(|(index, _)| returned.contains(index));
            for (_, entry) in gone {
                confession.admit("unroutable", &entry.name());
            }
            for (_, entry) in &back {
                confession.admit("returned", &entry.name());
            }
            channel.publish(
                topic,
                is_mandatory,
                back.into_iter().map(|(_, entry)| *entry),
            )?;
        }
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.delete_rows(&seqs).await?;
        stop.pause(INTERVAL).await;
    }
    Ok(())
}

fn is_routed(entry: &Entry) -> bool {
    entry.event_type == ROUTED
}
