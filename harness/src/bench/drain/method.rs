//! How a drain is measured, in words, for its report.

use super::{DrainOptions, WARM_UP_BROKER, WARM_UP_EVENTS, databases};
use crate::bench::systems::Systems;
use relays::config::BrokerKind;

/// Says all of it.
pub(super) fn method(options: &DrainOptions) -> Vec<String> {
    [
        format!(
            "Each row of each round has a schema, a slot, a topic and a backlog of {} events of its \
             own, one transaction an event, made before the relay starts. The rows are outbox rows \
             alone, without their orders', written by several connections that commit after each.",
            options.events
        ),
        timing(options.systems.broker),
        "second half: the same for the later half of the events alone; where it is much above \
         drained, a JVM was still compiling in the first half, and a longer backlog drains faster. \
         from start: from the relay's start until the last event was seen; first event: until the \
         first one was. Both are by the harness's own clock, which looks every 20 ms."
            .to_owned(),
        "Every drain is checked: each event of the backlog at least once, byte for byte, each \
         order's events in order, nothing else on the topic."
            .to_owned(),
        limits(options.systems),
        "CPU and peak memory are those of the relay's processes (of pg_recvlogical: a sample up to \
         50 ms before its end); what the harness does by itself (claims, reading, publishing alone) has none."
            .to_owned(),
        databases::of(options.systems.database).log_an_event().to_owned(),
    ]
    .into_iter()
    .chain(options.systems.are_usual().then(start_up).into_iter().flatten())
    .chain([warm_up(options.systems)])
    .collect()
}

/// How the speed is measured, with a broker that says when it took each event, and with one that does not.
fn timing(broker: BrokerKind) -> String {
    match broker {
        BrokerKind::Kafka | BrokerKind::Nats => {
            "drained: events by the time from the first to the last of them on the topic, by the \
             broker's own append times, read back afterwards: while the relay works, the harness asks \
             for the topic's length and nothing else. Where those times and what the harness saw \
             meanwhile differ by more than a quarter of a second and a tenth, there are no figures."
        }
        // No benchmark asks for EventBridge.
        BrokerKind::RabbitMq | BrokerKind::EventBridge => {
            "drained: events by the time from when the first of them were seen on the topic until the \
             last was, those that were there at the first sight left out. RabbitMQ does not say when it \
             took an event, so the harness asks 50 times a second how many messages are in the queue \
             that publishers make and nobody reads; what counts is what its stream has, read back \
             afterwards."
        }
    }
    .to_owned()
}

/// What relays are held against.
fn limits(systems: Systems) -> String {
    let publish = format!(
        "publish: as many events of the same size, made before and kept in memory, by the relay's own \
         publisher with the same confirms of {}; no database has them, and they are checked and timed \
         like a relay's.",
        systems.broker.title()
    );
    let usual = systems.are_usual();
    databases::of(systems.database).limits(usual, &publish)
}

/// What is to be known of relays that take their time to start.
fn start_up() -> [String; 2] {
    [
        "Start-up is not in drained, which begins with the first event on the topic. It is in from \
         start, in first event, in the CPU time and in the memory, of all relays alike: a relay of \
         this project needs milliseconds for it, Kafka Connect's JVM seconds, which weigh the less \
         the longer the backlog is. It drains as it was started: no relay is warmed up by other \
         events before."
            .to_owned(),
        "debezium: the same outbox rows, deleted by a trigger in the transaction that inserts \
         them, as Debezium's own outbox library does, so before it starts, and what the deletes \
         write is not in its WAL an event; until it is ready it is asked for that as well, ten \
         times a second at most."
            .to_owned(),
    ]
}

fn warm_up(systems: Systems) -> String {
    let drain = format!("a drain of up to {WARM_UP_EVENTS} events that is not counted");
    let broker = match systems.broker {
        BrokerKind::Kafka => format!(
            "{} s of records through the broker (less before a small backlog), since its JVM compiles \
             for so long, and ",
            WARM_UP_BROKER.as_secs()
        ),
        BrokerKind::RabbitMq | BrokerKind::Nats | BrokerKind::EventBridge => String::new(),
    };
    let each = databases::of(systems.database).before_each();
    format!("Before the first round: {broker}{drain}.{each}")
}
