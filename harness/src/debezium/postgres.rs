//! Debezium's connector to PostgreSQL: its configuration, and whether it streams. Every setting that is not a default is
//! here, with its reason.

use super::ready::ANSWER_WITHIN;
use super::settings::Settings;
use super::{ConnectWorker, NAME};
use crate::database::postgres::fence;
use relays::config::PostgresTarget;
use std::time::Instant;

/// Returns the settings of Debezium's PostgreSQL connector with its outbox event router.
pub(super) fn connector(worker: &ConnectWorker) -> Settings {
    let postgres = &worker.database;
    let mut all = vec![
        ("name", NAME.to_owned()),
        ("database.hostname", postgres.host.clone()),
        ("database.port", postgres.port.to_string()),
        ("database.user", postgres.user.clone()),
        ("database.password", postgres.password.clone()),
        ("database.dbname", postgres.database.clone()),
        ("slot.name", worker.slot.clone()),
        ("publication.name", worker.publication.clone()),
        (
            // A regular expression.
            "table.include.list",
            format!("{}\\.outbox", postgres.schema),
        ),
        ("topic.heartbeat.name", worker.heartbeat_topic.clone()),
        (
            "transforms.outbox.route.topic.replacement",
            worker.broker.topic.clone(),
        ),
    ];
    all.extend(
        [
            (
                "connector.class",
                "io.debezium.connector.postgresql.PostgresConnector",
            ),
            ("tasks.max", "1"),
            ("topic.prefix", NAME),
            ("plugin.name", "pgoutput"),
            // Slot and publication are made beforehand and stay: no event is committed before the
            // slot is there, so that there is nothing to take a snapshot of.
            ("publication.autocreate.mode", "disabled"),
            ("slot.drop.on.stop", "false"),
            ("snapshot.mode", "no_data"),
            // By default ten seconds pass between two attempts.
            ("slot.max.retries", "60"),
            ("slot.retry.delay.ms", "500"),
            ("errors.max.retries", "-1"),
            ("retriable.restart.connector.wait.ms", "500"),
            // Moves the slot on while the outbox is idle and the rest of the database is not.
            ("heartbeat.interval.ms", "1000"),
            ("tombstones.on.delete", "false"),
            // Throughput: read ahead, hand over much at once, never sleep for long.
            ("max.batch.size", "8192"),
            ("max.queue.size", "32768"),
            // An eighth of the heap: the queue, what was polled from it and the producer's buffer are
            // there at the same time, and a JVM without memory ends.
            ("max.queue.size.in.bytes", "67108864"),
            ("poll.interval.ms", "10"),
            ("transforms", "outbox"),
            (
                "transforms.outbox.type",
                "io.debezium.transforms.outbox.EventRouter",
            ),
            // The headers of the other relays: `id` by itself, and this one.
            (
                "transforms.outbox.table.fields.additional.placement",
                "type:header:eventType",
            ),
        ]
        .map(|(key, value)| (key, value.to_owned())),
    );
    all
}

/// The slot from which a connector streams, as the server tells of it.
pub(super) struct SlotSign {
    /// The administrator's way there, not through Toxiproxy.
    pub admin: PostgresTarget,
    pub slot: String,
}

impl SlotSign {
    /// Somebody streams from the slot, or an error says why not.
    pub async fn is_held(&self) -> Result<(), String> {
        let slot = &self.slot;
        let mut connection = fence::connect(&self.admin, Instant::now()).await?;
        let active = sqlx::query_scalar::<_, bool>(
            "SELECT active FROM pg_replication_slots WHERE slot_name = $1",
        )
        .bind(slot)
        .fetch_optional(&mut connection);
        match tokio::time::timeout(ANSWER_WITHIN, active).await {
            Ok(Ok(Some(true))) => Ok(()),
            Ok(Ok(Some(false))) => Err(format!("nobody streams from slot {slot}")),
            Ok(Ok(None)) => Err(format!("there is no slot {slot}")),
            Ok(Err(e)) => Err(format!("asking for slot {slot}: {e}")),
            Err(_) => Err(format!("asking for slot {slot}: no answer")),
        }
    }
}
