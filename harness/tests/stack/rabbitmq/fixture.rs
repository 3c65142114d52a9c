//! A RabbitMQ of these tests alone, started once; its tests take turns, since one of them kills it.

use crate::installed::lacks;
use crate::own_server::OwnServer;
use crate::patience::PATIENCE;
use futures::FutureExt;
use harness::broker::{Broker, From, Next, Reader, Topic, Visible, at};
use harness::clock::RunClock;
use harness::envelope::{EventPlace, Wire};
use harness::identity::{Identity, RunKey};
use harness::observer::{Watch, read_again};
use harness::process::Child;
use harness::scenario::Server;
use relays::RabbitMqPublisher;
use relays::amqp::{Conversation, Heard, Opening, Reply, request};
use relays::config::{BrokerKind, PostgresTarget, QueueKind, RabbitMqTarget};
use relays::publisher::{Offer, PublishError, Publisher};
use relays::source::Event;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

/// A stack with RabbitMQ, and without Kafka.
pub struct TestRabbit {
    own: OwnServer,
    pub address: String,
}

impl TestRabbit {
    /// The server's process.
    pub fn server(&self) -> &Child {
        self.own.process()
    }

    /// The administrator's way to its PostgreSQL.
    pub fn postgres(&self) -> &PostgresTarget {
        &self.own.stack.info().postgres
    }

    /// The URL of Toxiproxy's admin API.
    pub fn toxiproxy_url(&self) -> &str {
        &self.own.stack.info().toxiproxy_url
    }
}

/// The turn of one test, with a topic of its own.
pub struct Turn {
    pub rabbit: MutexGuard<'static, TestRabbit>,
    pub broker: Arc<dyn Broker>,
    pub topic: Box<dyn Topic>,
    pub identity: Identity,
    pub name: String,
}

async fn start() -> Mutex<TestRabbit> {
    // With a blank in its path.
    let own = OwnServer::start(Server::RABBITMQ, "outbox-harness rabbit").await;
    assert_eq!(own.stack.info().kafka(), None);
    let known = own.stack.broker_info(BrokerKind::RabbitMq).unwrap();
    assert!(known.version.starts_with(char::is_numeric), "{known:?}");
    Mutex::new(TestRabbit {
        address: known.address.clone(),
        own,
    })
}

/// A turn on the server; `None` where it is not installed, which names the test as not done.
pub async fn turn() -> Option<Turn> {
    static SERVER: OnceCell<Mutex<TestRabbit>> = OnceCell::const_new();
    if lacks(Server::RABBITMQ) {
        return None;
    }
    let rabbit = SERVER.get_or_init(start).await.lock().await;
    let key = RunKey::random();
    let broker = at(BrokerKind::RabbitMq, &rabbit.address);
    let name = format!("test.rabbitmq.{}", key.run);
    let topic = broker.topic(&name, 1);
    topic.create().await.unwrap();
    Some(Turn {
        rabbit,
        broker,
        topic,
        identity: key.identity().unwrap(),
        name,
    })
}

/// A record as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRecord {
    pub offset: i64,
    pub key: String,
    pub value: String,
    pub headers: Vec<(String, String)>,
}

impl Turn {
    pub fn target(&self, queue: QueueKind) -> RabbitMqTarget {
        RabbitMqTarget {
            address: self.rabbit.address.clone(),
            topic: self.name.clone(),
            confirms: true,
            mandatory: true,
            queue,
            groups: Vec::new(),
        }
    }

    pub fn reader(&self) -> Box<dyn Reader> {
        self.broker.reader(Visible::Committed).unwrap()
    }

    /// The end of the stream, as it is asked for: again and again, since after a restart it takes its time to be there.
    pub async fn end(&self) -> i64 {
        let (reader, name) = (self.reader(), self.name.clone());
        let ask = move || {
            let deadline = Instant::now() + PATIENCE;
            loop {
                match reader.ends(&name, 0, PATIENCE) {
                    Ok((low, end)) => {
                        assert_eq!(low, 0);
                        return end;
                    }
                    Err(error) => assert!(Instant::now() < deadline, "{error}"),
                }
                std::thread::sleep(Duration::from_millis(50));
            }
        };
        tokio::task::spawn_blocking(ask).await.unwrap()
    }

    /// All that is on the stream, from this offset on.
    pub async fn read_from(&self, offset: i64) -> Vec<ReadRecord> {
        let end = self.end().await;
        let (mut reader, topic) = (self.reader(), self.name.clone());
        let read = move || {
            let from = From {
                topic: &topic,
                partition: 0,
                offset,
            };
            reader.assign(&[from]).unwrap();
            read_until(&mut *reader, end)
        };
        tokio::task::spawn_blocking(read).await.unwrap()
    }

    /// Why a final read of it would not be known to be whole.
    pub async fn unproved(&self) -> Option<String> {
        let watch = Watch {
            broker: Arc::clone(&self.broker),
            topic: self.name.clone(),
            partitions: 1,
            identity: Arc::new(self.identity.clone()),
            place: EventPlace::default(),
            payload_bytes: 0,
            clock: RunClock::start(),
            keeps_recent: false,
        };
        let read = read_again(&watch, Arc::default()).await;
        read.unwrap().unproved
    }

    /// Deletes what the test made.
    pub async fn clear(self) {
        self.topic.delete().await.unwrap();
    }
}

/// Reads until this position is reached.
pub fn read_until(reader: &mut dyn Reader, end: i64) -> Vec<ReadRecord> {
    let (mut all, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    loop {
        let mut reached = 0;
        reader.positions(&mut |at| reached = at.offset).unwrap();
        if reached >= end {
            return all;
        }
        assert!(Instant::now() < deadline, "at {reached} of {end}");
        let next = reader.next(Duration::from_millis(100), &mut |record| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let mut headers = Vec::new();
            record.headers(&mut |name, value| headers.push((text(name), text(value))));
            all.push(ReadRecord {
                offset: record.offset(),
                key: text(Wire::key(record).unwrap()),
                value: text(record.value().unwrap()),
                headers,
            });
        });
        assert!(!matches!(next, Next::Over(_)), "{next:?}");
    }
}

/// Events of this many keys: the n-th has this number as its id, its version and in its value.
pub const KEYS: usize = 30;

pub fn key_of(number: usize) -> String {
    format!("order-{}", number % KEYS)
}

pub fn offer(publisher: &mut RabbitMqPublisher, number: usize) -> Result<Offer, PublishError> {
    let (key, id) = (key_of(number), number.to_string());
    publisher.offer(&Event {
        key: &key,
        id: &id,
        event_type: "OrderPlaced",
        version: &id,
        payload: &format!("event {id}"),
    })
}

/// Publishes these events, and waits until all of them are durable.
pub async fn publish(
    publisher: &mut RabbitMqPublisher,
    numbers: std::ops::Range<usize>,
) -> Result<(), PublishError> {
    let before = publisher.taken();
    for number in numbers.clone() {
        while offer(publisher, number)? == Offer::Full {
            look(publisher).await?;
        }
    }
    while publisher.durable()? < before + numbers.len() as u64 {
        look(publisher).await?;
    }
    Ok(())
}

/// Does so however often it is refused, each time from the first that is not durable on, as a relay does.
pub async fn publish_at_last(
    publisher: &mut RabbitMqPublisher,
    numbers: std::ops::Range<usize>,
) -> Result<u32, String> {
    let (mut first, deadline) = (numbers.start, Instant::now() + PATIENCE / 3);
    let (mut before, mut refused) = (publisher.taken() as usize, 0);
    while let Err(error) = publish(publisher, first..numbers.end).await {
        if Instant::now() > deadline {
            return Err(error.to_string());
        }
        refused += 1;
        first += publisher.durable_despite_failure() as usize - before;
        publisher.abandon().await;
        // As a relay's back-off does.
        tokio::time::sleep(Duration::from_millis(200)).await;
        connect(publisher).await;
        before = 0;
    }
    Ok(refused)
}

/// Waits until something is reported.
pub async fn look(publisher: &mut RabbitMqPublisher) -> Result<(), PublishError> {
    let waited = tokio::time::timeout(PATIENCE, publisher.progress()).await;
    waited.expect("something is reported");
    publisher.durable().map(drop)
}

/// Connects, however often that takes.
pub async fn connect(publisher: &mut RabbitMqPublisher) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = publisher.connect().await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Deletes queues, as somebody with the administrator's rights may at any moment.
pub async fn delete_queues(address: &str, queues: [String; 2]) {
    let address = address.to_owned();
    let deleted = tokio::task::spawn_blocking(move || {
        let mut stream = TcpStream::connect(address).unwrap();
        let mut conversation = Conversation::default();
        let mut hear = |stream: &mut TcpStream| loop {
            if let Some(heard) = conversation.hear().unwrap() {
                return heard;
            }
            let mut bytes = [0; 4096];
            let came = stream.read(&mut bytes).unwrap();
            conversation.room().extend(&bytes[..came]);
        };
        let mut out = Vec::new();
        let mut opening = Opening::begin("test", &mut out);
        loop {
            stream.write_all(&out).unwrap();
            out.clear();
            if opening.heard(hear(&mut stream), &mut out).unwrap() {
                break;
            }
        }
        for queue in queues {
            let mut out = Vec::new();
            request::delete_queue(&mut out, &queue).unwrap();
            stream.write_all(&out).unwrap();
            assert_eq!(hear(&mut stream), Heard::Reply(Reply::QueueDeleted));
        }
    });
    deleted.boxed().await.unwrap();
}
