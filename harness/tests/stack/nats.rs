//! NATS JetStream as a topic and as a relay's broker, on a real server of these tests' own.

use crate::installed::lacks;
use crate::own_server::OwnServer;
use crate::patience::PATIENCE;
use harness::broker::nats::{self, DUPLICATE_WINDOW_DEFAULT};
use harness::broker::{Broker, From, Next, Reader, Topic, Visible};
use harness::identity::RunKey;
use harness::scenario::Server;
use relays::NatsPublisher;
use relays::config::{BrokerKind, NatsTarget};
use relays::publisher::{Offer, PublishError, Publisher};
use relays::source::Event;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OnceCell, watch};

/// A server of these tests.
struct NatsBench {
    address: String,
    own: OwnServer,
}

impl NatsBench {
    async fn start(name: &str) -> Self {
        let own = OwnServer::start(Server::NATS, &format!("outbox-harness-nats-{name}")).await;
        let known = own.stack.broker_info(BrokerKind::Nats).unwrap();
        Self {
            address: known.address.clone(),
            own,
        }
    }
}

/// The server of all tests that leave it alone. Where NATS is not installed, the test that asks is named as not done.
async fn address() -> Option<&'static str> {
    static SERVER: OnceCell<NatsBench> = OnceCell::const_new();
    if lacks(Server::NATS) {
        return None;
    }
    let bench = SERVER.get_or_init(|| NatsBench::start("shared")).await;
    Some(&bench.address)
}

/// A topic of one test.
struct Stream {
    broker: Arc<dyn Broker>,
    name: String,
    topic: Box<dyn Topic>,
}

impl Stream {
    async fn new(address: &str, duplicate_window: Duration) -> Self {
        let broker = nats::at(address, duplicate_window);
        let name = format!("oh.{}.test", RunKey::random().run);
        let topic = broker.topic(&name, 1);
        topic.create().await.unwrap();
        Self {
            broker,
            name,
            topic,
        }
    }

    fn publisher(&self, address: &str, message_id: bool) -> NatsPublisher {
        NatsPublisher::new(NatsTarget {
            address: address.to_owned(),
            topic: self.name.clone(),
            message_id,
        })
    }

    /// Reads everything from the beginning to the end that is now: the number of each event, by offset.
    async fn numbers(&self) -> Vec<u64> {
        let (broker, name) = (Arc::clone(&self.broker), self.name.clone());
        let read = tokio::task::spawn_blocking(move || {
            let mut reader = broker.reader(Visible::Committed).unwrap();
            let (low, end) = reader.ends(&name, 0, PATIENCE).unwrap();
            assert_eq!(low, 0);
            start(&mut *reader, &name);
            read_on(&mut *reader, end.unsigned_abs() as usize)
        });
        read.await.unwrap()
    }
}

fn start(reader: &mut dyn Reader, topic: &str) {
    let from = From {
        topic,
        partition: 0,
        offset: 0,
    };
    reader.assign(&[from]).unwrap();
}

/// Reads so many more events, each of which must be at the offset behind the last one, and whole.
fn read_on(reader: &mut dyn Reader, events: usize) -> Vec<u64> {
    let deadline = Instant::now() + PATIENCE;
    let mut offset = 0;
    let known = reader.positions(&mut |place| offset = place.offset);
    known.unwrap();
    let mut numbers = Vec::new();
    while numbers.len() < events {
        assert!(Instant::now() < deadline, "{} of {events}", numbers.len());
        let next = reader.next(Duration::from_millis(20), &mut |record| {
            assert_eq!((record.partition(), record.offset()), (0, offset));
            offset += 1;
            let number = std::str::from_utf8(record.value().unwrap()).unwrap();
            let number = number.parse().unwrap();
            assert_eq!(record.key(), Some(key(number).as_bytes()));
            assert_eq!(record.header("id"), Some(id(number).as_bytes()));
            assert!(record.appended_ms().unwrap() > 1_600_000_000_000);
            let mut headers = Vec::new();
            record.headers(&mut |name, _| headers.push(String::from_utf8(name.to_vec()).unwrap()));
            headers.retain(|name| name != "Nats-Msg-Id");
            assert_eq!(headers, ["eventType", "id", "version"]);
            numbers.push(number);
        });
        if let Next::Over(reason) = next {
            panic!("reading is over: {reason}");
        }
    }
    numbers
}

fn key(number: u64) -> String {
    format!("order-{}", number % 7)
}

fn id(number: u64) -> String {
    format!("event-{number}")
}

fn offer(publisher: &mut NatsPublisher, number: u64) -> Result<Offer, PublishError> {
    publisher.offer(&Event {
        key: &key(number),
        id: &id(number),
        event_type: "OrderPlaced",
        version: "1",
        payload: &number.to_string(),
    })
}

/// Publishes these events as a relay does, until all are durable; an error has how many were.
async fn publish(publisher: &mut NatsPublisher, numbers: Range<u64>) -> Result<(), (u64, String)> {
    let began = publisher.taken();
    let mut next = numbers.start;
    loop {
        let durable = match publisher.durable() {
            Ok(durable) => durable,
            Err(error) => {
                let durable = publisher.durable_despite_failure() - began;
                return Err((durable, error.to_string()));
            }
        };
        if durable - began == numbers.end - numbers.start {
            return Ok(());
        }
        while next < numbers.end && offer(publisher, next).unwrap() == Offer::Taken {
            next += 1;
        }
        let progress = tokio::time::timeout(PATIENCE, publisher.progress());
        progress.await.expect("no answer");
    }
}

/// Connects, however often that takes.
async fn connect(publisher: &mut NatsPublisher) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = publisher.connect().await {
        assert!(Instant::now() < deadline, "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn given_a_topic_when_it_is_published_to_and_closed_then_all_is_there_in_order_and_nothing_comes_after()
 {
    let Some(address) = address().await else {
        return;
    };
    let stream = Stream::new(address, DUPLICATE_WINDOW_DEFAULT).await;
    assert!(stream.topic.is_empty().await.unwrap());
    let again = stream.topic.create().await;
    assert!(
        again.is_ok(),
        "to make it again is no other stream: {again:?}"
    );

    let mut publisher = stream.publisher(address, false);
    connect(&mut publisher).await;
    publish(&mut publisher, 0..5_000).await.unwrap();
    assert!(!stream.topic.is_empty().await.unwrap());
    assert_eq!(
        stream.topic.length().unwrap().records().await.unwrap(),
        5_000
    );

    let identity = RunKey::random().identity().unwrap();
    stream.topic.close(&identity, PATIENCE).await.unwrap();
    let (durable, reason) = publish(&mut publisher, 5_000..5_001).await.unwrap_err();
    assert_eq!(durable, 0);
    assert!(reason.contains("JetStream refused"), "{reason}");
    publisher.abandon().await;
    let error = publisher.connect().await.unwrap_err();
    assert!(error.reason.contains("sealed"), "{error}");

    assert_eq!(stream.numbers().await, Vec::from_iter(0..5_000));
    let topics = stream.broker.topics().await.unwrap();
    assert!(topics.contains(&stream.name), "{topics:?}");
    stream.topic.delete().await.unwrap();
    stream.topic.delete().await.unwrap();
    let error = publisher.connect().await.unwrap_err();
    assert!(error.reason.contains("stream not found"), "{error}");
}

#[tokio::test]
async fn given_a_server_that_is_killed_when_it_is_back_then_it_has_what_it_acknowledged_and_the_reader_goes_on()
 {
    if lacks(Server::NATS) {
        return;
    }
    let bench = NatsBench::start("killed").await;
    let address = &bench.address;
    let stream = Stream::new(address, DUPLICATE_WINDOW_DEFAULT).await;
    let (broker, name) = (Arc::clone(&stream.broker), stream.name.clone());
    let (tell, told) = std::sync::mpsc::channel();
    let reading = std::thread::spawn(move || {
        let mut reader = broker.reader(Visible::Committed).unwrap();
        start(&mut *reader, &name);
        for count in told {
            read_on(&mut *reader, count);
        }
    });
    let mut publisher = stream.publisher(address, true);
    connect(&mut publisher).await;
    publish(&mut publisher, 0..500).await.unwrap();
    tell.send(500).unwrap();

    // Killed while much is on its way
    for number in 500..1_000 {
        assert_eq!(offer(&mut publisher, number), Ok(Offer::Taken));
    }
    bench.own.process().kill().await.unwrap();
    let durable = loop {
        match publisher.durable() {
            Ok(_) => tokio::task::yield_now().await,
            Err(_) => break publisher.durable_despite_failure(),
        }
    };
    publisher.abandon().await;
    bench.own.process().restart().await.unwrap();
    let kept = stream.numbers().await;
    assert!(kept.len() as u64 >= durable, "{} < {durable}", kept.len());

    // And what it has it knows: what comes again is not there twice
    connect(&mut publisher).await;
    publish(&mut publisher, durable..1_000).await.unwrap();
    assert_eq!(stream.numbers().await, Vec::from_iter(0..1_000));
    tell.send(500).unwrap();
    drop(tell);
    tokio::task::spawn_blocking(|| reading.join().unwrap())
        .await
        .unwrap();
}

#[tokio::test]
async fn given_an_event_that_is_sent_again_when_the_window_is_open_then_it_is_there_once_and_beyond_it_twice()
 {
    let Some(address) = address().await else {
        return;
    };
    let stream = Stream::new(address, DUPLICATE_WINDOW_DEFAULT).await;
    for (message_id, records) in [(true, vec![0]), (false, vec![0, 0, 0])] {
        let mut publisher = stream.publisher(address, message_id);
        connect(&mut publisher).await;
        publish(&mut publisher, 0..1).await.unwrap();
        publish(&mut publisher, 0..1).await.unwrap();
        assert_eq!(stream.numbers().await, records, "{message_id}");
    }

    let short = Stream::new(address, Duration::from_millis(200)).await;
    let mut publisher = short.publisher(address, true);
    connect(&mut publisher).await;
    let deadline = Instant::now() + PATIENCE;
    while short.numbers().await.len() < 2 {
        assert!(Instant::now() < deadline, "the window never ended");
        publish(&mut publisher, 0..1).await.unwrap();
    }
}

/// A way to a server that can be cut: everybody who is on it loses his connection.
struct Way {
    address: String,
    cut: watch::Sender<()>,
}

impl Way {
    async fn to(server: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (cut, cuts) = watch::channel(());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut cuts = cuts.clone();
                cuts.mark_unchanged();
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self { address, cut }
    }
}

#[tokio::test]
async fn given_a_way_that_is_cut_again_and_again_when_a_relay_publishes_on_then_every_event_is_there_in_order()
 {
    const EVENTS: u64 = 20_000;
    let Some(address) = address().await else {
        return;
    };
    let stream = Stream::new(address, DUPLICATE_WINDOW_DEFAULT).await;
    let way = Way::to(address).await;
    for message_id in [true, false] {
        let before = stream.numbers().await.len();
        let mut publisher = stream.publisher(&way.address, message_id);
        let (mut durable, mut cuts) = (0, 0_u32);
        loop {
            connect(&mut publisher).await;
            // Cut once something is under way
            let cut = async {
                // Later each time, so that a slow machine comes to the end as well
                tokio::time::sleep(Duration::from_millis(15) * (1 + cuts)).await;
                way.cut.send_replace(());
                std::future::pending::<()>().await;
            };
            let published = tokio::select! {
                published = publish(&mut publisher, durable..EVENTS) => published,
                () = cut => unreachable!(),
            };
            let Err((more, _)) = published else {
                break;
            };
            (durable, cuts) = (durable + more, cuts + 1);
            publisher.abandon().await;
        }
        assert!(cuts > 0, "nothing was cut");
        let numbers = stream.numbers().await.split_off(before);
        if message_id {
            assert_eq!(numbers, Vec::from_iter(0..EVENTS));
        }
        // The first of each comes behind all that were before it
        let mut next = 0;
        for number in numbers {
            assert!(number <= next, "{number} overtook {next}");
            next = next.max(number + 1);
        }
        assert_eq!(next, EVENTS);
    }
}
