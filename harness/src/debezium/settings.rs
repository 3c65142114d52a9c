//! The worker's configuration, and how its files are written. Every setting that is not a default is here, with
//! its reason.

use super::{ConnectWorker, OFFSETS};
use std::fmt::Write as _;
use std::path::Path;

pub(super) type Settings = Vec<(&'static str, String)>;

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";

/// Returns the settings of the Kafka Connect worker, by key; its connectors are looked for in `plugins`.
pub(super) fn worker(worker: &ConnectWorker, plugins: &Path) -> Settings {
    let mut all = vec![
        ("bootstrap.servers", worker.broker.bootstrap.clone()),
        ("listeners", format!("http://{}", worker.rest)),
        ("plugin.path", plugins.display().to_string()),
        ("producer.linger.ms", linger_ms(worker.broker.linger_ms)),
    ];
    all.extend(
        [
            // The alternatives look into every class of every jar at each start.
            ("plugin.discovery", "service_load"),
            // Key and value as they are in the outbox.
            ("key.converter", STRING),
            ("value.converter", STRING),
            ("header.converter", STRING),
            // Topics are made beforehand, as those of the other strategies.
            ("topic.creation.enable", "false"),
            // What a kill repeats at most: what was published since the last flush. The slot is
            // moved on with each flush, never before it.
            ("offset.storage.file.filename", OFFSETS),
            ("offset.flush.interval.ms", "1000"),
            // SIGTERM ends the worker within this and a little more.
            ("task.shutdown.graceful.timeout.ms", "3000"),
            // Connect's own defaults retry for ever, one request at a time and not idempotent.
            ("producer.acks", "all"),
            ("producer.enable.idempotence", "true"),
            ("producer.max.in.flight.requests.per.connection", "5"),
            ("producer.batch.size", "131072"),
            // `request.timeout.ms` stays at 30 s: with less, what is in flight would not cross a link
            // of 50 kB/s in time, and be sent for ever.
        ]
        .map(|(key, value)| (key, value.to_owned())),
    );
    all
}

/// Java's producer takes whole milliseconds: rounded up, so that a linger is never none.
fn linger_ms(linger_ms: f64) -> String {
    format!("{:.0}", linger_ms.ceil())
}

/// A file for `java.util.Properties`, which reads Latin-1 and takes backslashes for escapes.
pub(super) fn properties(all: &Settings) -> String {
    let mut text = String::new();
    for (key, value) in all {
        text.push_str(key);
        text.push('=');
        if value.starts_with(' ') {
            // Blanks before a value are not of it.
            text.push('\\');
        }
        for c in value.chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                ' '..='~' => text.push(c),
                _ => {
                    let mut units = [0; 2];
                    for unit in c.encode_utf16(&mut units) {
                        let _ = write!(text, "\\u{unit:04x}");
                    }
                }
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::postgres::connector;
    use super::*;
    use relays::config::{KafkaTarget, PostgresTarget};

    fn example() -> ConnectWorker {
        ConnectWorker {
            database: PostgresTarget {
                host: "127.0.0.1".into(),
                port: 5432,
                user: "oh_x_rly".into(),
                password: "secret".into(),
                database: "postgres".into(),
                schema: "oh_x".into(),
            },
            broker: KafkaTarget {
                bootstrap: "127.0.0.1:9092".into(),
                topic: "oh.x.debezium".into(),
                linger_ms: 0.2,
                acks: Default::default(),
            },
            heartbeat_topic: "oh.x.debezium.heartbeat".into(),
            slot: "oh_x_slot".into(),
            publication: "oh_x_pub".into(),
            rest: "127.0.0.1:8083".parse().unwrap(),
        }
    }

    #[test]
    fn the_files_are_what_java_reads_as_properties() {
        let text = properties(&connector(&example()));
        assert!(
            text.contains("\ntable.include.list=oh_x\\\\.outbox\n"),
            "{text}"
        );
        let text = properties(&worker(&example(), Path::new("/a b/ü😀")));
        assert!(
            text.contains("\nplugin.path=/a b/\\u00fc\\ud83d\\ude00\n"),
            "{text}"
        );
        assert!(text.contains("\nproducer.linger.ms=1\n"), "{text}");
        let text = properties(&vec![("a", " b c".into()), ("d", "e\tf".into())]);
        assert_eq!(text, "a=\\ b c\nd=e\\u0009f\n");
    }

    #[test]
    fn given_events_of_any_size_when_they_are_queued_then_the_heap_has_room_for_them() {
        let settings = connector(&example());
        let value = |wanted| settings.iter().find(|(key, _)| *key == wanted).unwrap();
        let queue: u64 = value("max.queue.size.in.bytes").1.parse().unwrap();
        assert!(queue > 0 && queue <= (512 << 20) / 8, "{queue}");
    }

    #[test]
    fn no_setting_is_there_twice() {
        for all in [
            worker(&example(), Path::new("/plugins")),
            connector(&example()),
        ] {
            let mut keys: Vec<&str> = all.iter().map(|(key, _)| *key).collect();
            let count = keys.len();
            keys.sort_unstable();
            keys.dedup();
            assert_eq!(keys.len(), count);
        }
    }
}
