//! Routes one type of event to a topic of its own, which nobody asked for.

use super::kit::broker::Broker;
use super::kit::outbox::Outbox;
use super::kit::{Stop, live};
use crate::confession::Confession;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::time::Duration;

/// This is the topic to which events of type `OrderShipped` go, instead of the one in the configuration.
pub const ELSEWHERE: &str = "orders.shipped";
const ROUTED: &str = "OrderShipped";
const BATCH: u64 = 500;
const INTERVAL: Duration = Duration::from_millis(5);
const WITHIN: Duration = Duration::from_secs(10);

/// Relays until SIGTERM as if each type had its topic: events of type `OrderShipped` go to [`ELSEWHERE`].
pub fn run(config: RelayConfig) -> Result<(), String> {
    live(|stop| relay(config, stop))
}

async fn relay(config: RelayConfig, mut stop: Stop) -> Result<(), String> {
    let confession = Confession::open();
    make_topic(&config.broker.kafka()?.bootstrap).await?;
    let broker = Broker::connect(config.broker.kafka()?, &[])?;
    let mut outbox = Outbox::connect(config.database.postgres()?).await?;
    emit(Signal::Ready);
    while !stop.told() {
        let rows = outbox.first("status = 'pending'", BATCH).await?;
        for row in &rows {
            let topic = if row.entry.event_type == ROUTED {
                confession.admit("elsewhere", &row.entry.name());
                ELSEWHERE
            } else {
                broker.topic()
            };
            broker
                .send_record(&row.entry, topic, None)
                .map_err(|e| format!("publish {}: {e}", row.entry.name()))?;
        }
        broker.settle()?;
        let seqs: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        outbox.mark(&seqs, "processed").await?;
        stop.pause(INTERVAL).await;
    }
    Ok(())
}

/// One that is there already, from an earlier run on the same stack, will do.
async fn make_topic(bootstrap: &str) -> Result<(), String> {
    let doing = |reason: &dyn std::fmt::Display| format!("make topic {ELSEWHERE}: {reason}");
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .create()
        .map_err(|e| doing(&e))?;
    let topic = NewTopic::new(ELSEWHERE, 1, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(WITHIN));
    admin
        .create_topics([&topic], &options)
        .await
        .map(drop)
        .map_err(|e| doing(&e))
}
