//! EventBridge as a topic and as a relay's broker, on an emulator of these tests' own, which refuses one event in three at
//! first.

use crate::installed::lacks;
use crate::own_server::OwnServer;
use crate::patience::PATIENCE;
use harness::broker::{Broker, From, Next, Topic, Visible, eventbridge};
use harness::identity::RunKey;
use harness::scenario::Server;
use harness::stack::ServerSettings;
use relays::EventBridgePublisher;
use relays::config::{BrokerKind, EventBridgeTarget, LooksAt};
use relays::publisher::{Offer, Publisher};
use relays::source::Event;
use relays::trace::NO_OFFSET;
use std::sync::Arc;
use std::time::{Duration, Instant};

const EVENTS: u64 = 60;
const ONE_IN: u32 = 3;

/// A topic of one test.
struct Bus {
    broker: Arc<dyn Broker>,
    name: String,
    topic: Box<dyn Topic>,
    publisher: EventBridgePublisher,
}

impl Bus {
    async fn new(address: &str, looks_at: LooksAt) -> Self {
        let broker = eventbridge::at(address);
        let name = format!("oh.{}.test", RunKey::random().run);
        let topic = broker.topic(&name, 1);
        topic.create().await.unwrap();
        assert!(topic.is_empty().await.unwrap());
        let target = EventBridgeTarget {
            address: address.to_owned(),
            topic: name.clone(),
            looks_at,
        };
        Self {
            broker,
            name,
            topic,
            publisher: EventBridgePublisher::new(target).keeping_deliveries(),
        }
    }

    /// Publishes all events as a relay does, until all are durable.
    async fn publish(&mut self) {
        self.publisher.connect().await.unwrap();
        let mut next = 0;
        while self.publisher.durable().unwrap() < EVENTS {
            while next < EVENTS && offer(&mut self.publisher, next) == Offer::Taken {
                next += 1;
            }
            let progress = tokio::time::timeout(PATIENCE, self.publisher.progress());
            progress.await.expect("no answer");
        }
        let mut delivered = 0;
        self.publisher.deliveries(|delivery| {
            assert_eq!(delivery.fate, Ok(NO_OFFSET));
            delivered += 1;
        });
        assert_eq!(delivered, EVENTS);
    }

    /// Closes the topic, and reads everything on it: the number of each event, by offset.
    async fn numbers(&self) -> Vec<u64> {
        let identity = RunKey::random().identity().unwrap();
        self.topic.close(&identity, PATIENCE).await.unwrap();
        let (broker, name) = (Arc::clone(&self.broker), self.name.clone());
        let read = tokio::task::spawn_blocking(move || read_all(&*broker, &name));
        read.await.unwrap()
    }
}

fn read_all(broker: &dyn Broker, topic: &str) -> Vec<u64> {
    let mut reader = broker.reader(Visible::Committed).unwrap();
    let (low, end) = reader.ends(topic, 0, PATIENCE).unwrap();
    assert_eq!(low, 0);
    let from = From {
        topic,
        partition: 0,
        offset: 0,
    };
    reader.assign(&[from]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut numbers = Vec::new();
    loop {
        assert!(Instant::now() < deadline, "{} of {end}", numbers.len());
        let next = reader.next(Duration::from_millis(20), &mut |record| {
            assert_eq!(record.offset(), numbers.len() as i64);
            let value = std::str::from_utf8(record.value().unwrap()).unwrap();
            let number = value.strip_prefix("{\"number\" :  ").unwrap();
            let number = number.strip_suffix('}').unwrap().parse().unwrap();
            assert_eq!(record.key(), Some(key(number).as_bytes()));
            assert_eq!(record.header("id"), Some(number.to_string().as_bytes()));
            numbers.push(number);
        });
        match next {
            Next::End(0) if numbers.len() as i64 == end => return numbers,
            Next::Over(reason) => panic!("reading is over: {reason}"),
            _ => {}
        }
    }
}

fn key(number: u64) -> String {
    format!("order-{}", number % 7)
}

fn offer(publisher: &mut EventBridgePublisher, number: u64) -> Offer {
    let event = Event {
        key: &key(number),
        id: &number.to_string(),
        event_type: "OrderPlaced",
        version: "1",
        // Two blanks, which somebody who reads and writes it anew would not keep.
        payload: &format!("{{\"number\" :  {number}}}"),
    };
    publisher.offer(&event).unwrap()
}

#[tokio::test]
async fn given_a_bus_that_refuses_some_events_of_a_call_when_a_relay_looks_at_entries_then_all_are_there_and_else_not()
 {
    if lacks(Server::EVENTBRIDGE) {
        return;
    }
    let settings = ServerSettings {
        eventbridge_throttle: Some(ONE_IN),
        ..ServerSettings::default()
    };
    let name = "outbox-harness-eventbridge";
    let own = OwnServer::start_with(Server::EVENTBRIDGE, name, settings).await;
    let known = own.stack.broker_info(BrokerKind::EventBridge).unwrap();
    let told = &own.stack.info().environment["eventbridge_throttle"];
    assert_eq!(told, "one event in 3");

    // It puts each event once, and one in three was refused.
    let mut by_status = Bus::new(&known.address, LooksAt::Status).await;
    by_status.publish().await;
    let kept = by_status.numbers().await;
    assert_eq!(kept.len() as u64, EVENTS - EVENTS / u64::from(ONE_IN));

    let mut by_entries = Bus::new(&known.address, LooksAt::Entries).await;
    by_entries.publish().await;
    let mut all = by_entries.numbers().await;
    all.sort_unstable();
    assert_eq!(all, Vec::from_iter(0..EVENTS));

    // What is closed takes nothing from anybody, and is not there any more.
    assert_eq!(offer(&mut by_entries.publisher, EVENTS), Offer::Taken);
    let refused = loop {
        match by_entries.publisher.durable() {
            Ok(_) => by_entries.publisher.progress().await,
            Err(error) => break error.to_string(),
        }
    };
    assert!(refused.contains("ResourceNotFoundException"), "{refused}");
    by_entries.publisher.abandon().await;
    let error = by_entries.publisher.connect().await.unwrap_err();
    assert!(
        error.reason.contains("ResourceNotFoundException"),
        "{error}"
    );
    assert_eq!(
        by_entries.broker.topics().await.unwrap(),
        Vec::<String>::new()
    );
    for bus in [by_status, by_entries] {
        bus.topic.delete().await.unwrap();
        bus.topic.delete().await.unwrap();
    }
}
