//! Publishes each event with headers of its own: a trace id, a schema, an empty one, one that comes
//! twice, and bytes that are no text.

use super::plain;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use relays::config::RelayConfig;
use std::time::Duration;

/// Relays until SIGTERM, each event with six headers instead of the usual two.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let pause = Duration::from_millis(5);
    plain::relay(config, &[], pause, |broker, entries| {
        for entry in entries {
            let record = BaseRecord::to(broker.topic())
                .key(&entry.key)
                .payload(&entry.payload)
                .headers(headers());
            let sent = broker.producer.send(record);
            sent.map_err(|(error, _)| format!("publish {}: {error}", entry.name()))?;
        }
        broker.settle()
    })
}

fn headers() -> OwnedHeaders {
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers: [(&str, Option<&[u8]>); 6] = [
        ("traceparent", Some(trace.as_bytes())),
        ("schema", Some(b"order-event/7")),
        ("empty", None),
        ("retry", Some(b"0")),
        ("retry", Some(b"1")),
        ("signature", Some(&[0xff, 0x00, 0xfe])),
    ];
    headers
        .into_iter()
        .fold(OwnedHeaders::new(), |all, (key, value)| {
            all.insert(Header { key, value })
        })
}
