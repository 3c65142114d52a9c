//! The sender and the publisher against a broker that does what a test tells it, without any server.

#![allow(clippy::unwrap_used)]

use super::{RabbitMqPublisher, RabbitMqSender};
use crate::broker::{Awaits, EventSender, Outgoing, Undelivered};
use crate::config::{QueueKind, RabbitMqTarget};
use crate::persistence::Persistence;
use crate::publisher::{Offer, Publisher};
use crate::source::Event;
use std::sync::mpsc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BOUND: Duration = Duration::from_secs(60);
/// Neither confirms nor an end come by themselves before that.
const TIMEOUT_MS: u64 = 200;

/// Appends a method's frame on channel 1.
fn method(out: &mut Vec<u8>, class: u16, method: u16, arguments: &[u8]) {
    frame(
        out,
        1,
        &[&class.to_be_bytes(), &method.to_be_bytes(), arguments].concat(),
    );
}

fn frame(out: &mut Vec<u8>, kind: u8, payload: &[u8]) {
    out.extend([kind, 0, 1]);
    out.extend((payload.len() as u32).to_be_bytes());
    out.extend(payload);
    out.push(0xCE);
}

fn confirmed(out: &mut Vec<u8>, is_ack: bool, tag: u64, is_multiple: bool) {
    let arguments = [&tag.to_be_bytes()[..], &[u8::from(is_multiple)]].concat();
    method(out, 60, if is_ack { 80 } else { 120 }, &arguments);
}

/// Says that nothing is taken for now.
fn blocked(out: &mut Vec<u8>, why: &str) {
    let arguments = [&[why.len() as u8], why.as_bytes()].concat();
    method(out, 10, 60, &arguments);
}

/// Appends a message that comes back, as it is where no queue is bound.
fn returned(out: &mut Vec<u8>, message_id: &str) {
    let mut arguments = 312_u16.to_be_bytes().to_vec();
    for text in ["NO_ROUTE", "events", "key"] {
        arguments.push(text.len() as u8);
        arguments.extend(text.as_bytes());
    }
    method(out, 60, 50, &arguments);
    let mut header = vec![0, 60, 0, 0];
    header.extend(4_u64.to_be_bytes());
    header.extend((1_u16 << 7).to_be_bytes());
    header.push(message_id.len() as u8);
    header.extend(message_id.as_bytes());
    frame(out, 2, &header);
    frame(out, 3, b"body");
}

/// A client's connection to a scripted broker.
struct Client {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Client {
    /// The next frame of the client: its kind and its payload; `None` where it has hung up.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if self.bytes.starts_with(b"AMQP") && self.bytes.len() >= 8 {
                self.bytes.drain(..8);
                return Some((0, Vec::new()));
            }
            if let Some(head) = self.bytes.first_chunk::<7>() {
                let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]) as usize;
                if self.bytes.len() >= length + 8 {
                    let frame = self.bytes.drain(..length + 8).collect::<Vec<u8>>();
                    return Some((frame[0], frame[7..length + 7].to_vec()));
                }
            }
            if self.stream.read_buf(&mut self.bytes).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Waits until so many messages were published; false where the client has hung up.
    async fn published(&mut self, messages: usize) -> bool {
        for _ in 0..messages {
            loop {
                match self.frame().await {
                    Some((3, _)) => break,
                    Some(_) => {}
                    None => return false,
                }
            }
        }
        true
    }

    async fn say(&mut self, fill: impl FnOnce(&mut Vec<u8>)) {
        let mut out = Vec::new();
        fill(&mut out);
        self.stream.write_all(&out).await.unwrap();
    }
}

/// A broker to which clients can connect.
struct ScriptedRabbit(TcpListener);

impl ScriptedRabbit {
    async fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn target(&self, confirms: bool) -> RabbitMqTarget {
        RabbitMqTarget {
            address: self.0.local_addr().unwrap().to_string(),
            topic: "events".into(),
            confirms,
            mandatory: true,
            queue: QueueKind::Quorum,
            groups: Vec::new(),
        }
    }

    /// Takes the next connection, up to where it publishes.
    async fn accept(&self) -> Client {
        let (stream, _) = self.0.accept().await.unwrap();
        let mut client = Client {
            stream,
            bytes: Vec::new(),
        };
        let mut is_ready = false;
        while !is_ready {
            let (_, payload) = client.frame().await.unwrap();
            let said = payload.first_chunk::<4>().copied().unwrap_or([0; 4]);
            let answer: (u16, u16, &[u8]) = match said {
                // The protocol's own header
                [0, 0, 0, 0] => (10, 10, &[]),
                [0, 10, 0, 11] => (10, 30, &[0; 8]),
                [0, 10, 0, 31] => continue,
                [0, 10, 0, 40] => (10, 41, &[0]),
                [0, class, 0, 10] => (u16::from(class), 11, &[0; 16]),
                [0, 50, 0, 20] => (50, 21, &[]),
                other => panic!("{other:?}"),
            };
            // Binding comes last, where nothing is to be confirmed
            is_ready = said == [0, 85, 0, 10];
            client
                .say(|out| method(out, answer.0, answer.1, answer.2))
                .await;
        }
        client
    }
}

struct Report(mpsc::Sender<(usize, Result<u64, Undelivered>)>, usize);

impl Awaits for Report {
    fn told(self, fate: Result<u64, Undelivered>) {
        let _ = self.0.send((self.1, fate));
    }
}

/// A sender, and what it told of its events.
struct SenderBench {
    sender: RabbitMqSender<Report>,
    report: mpsc::Sender<(usize, Result<u64, Undelivered>)>,
    reported: mpsc::Receiver<(usize, Result<u64, Undelivered>)>,
}

impl SenderBench {
    fn new(target: &RabbitMqTarget, timeout_ms: Option<u64>) -> Self {
        let (report, reported) = mpsc::channel();
        Self {
            sender: RabbitMqSender::new(target, timeout_ms).unwrap(),
            report,
            reported,
        }
    }

    fn send(&self, numbers: std::ops::Range<usize>) {
        for number in numbers {
            let event = Outgoing {
                key: "order",
                value: "body",
                headers: [("id", "1"), ("eventType", "OrderPlaced"), ("version", "1")],
            };
            let report = Report(self.report.clone(), number);
            self.sender.send(event, report).unwrap();
        }
    }

    /// What was told of the next so many events, in the order of their numbers.
    async fn fates(self, count: usize) -> (Self, Vec<Result<(), Persistence>>) {
        let (bench, told) = self.told(count).await;
        let fates = told.into_iter().map(|fate| match fate {
            Ok(_) => Ok(()),
            Err(undelivered) => Err(undelivered.persistence),
        });
        (bench, fates.collect())
    }

    async fn told(self, count: usize) -> (Self, Vec<Result<u64, Undelivered>>) {
        tokio::task::spawn_blocking(move || {
            let told = (0..count).map(|_| self.reported.recv_timeout(BOUND).unwrap());
            let mut told: Vec<_> = told.collect();
            told.sort_by_key(|(number, _)| *number);
            (self, told.into_iter().map(|(_, fate)| fate).collect())
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
async fn given_acknowledgements_of_several_when_one_of_them_came_back_then_that_one_is_not_delivered()
 {
    let rabbit = ScriptedRabbit::new().await;
    let bench = SenderBench::new(&rabbit.target(true), Some(60_000));
    let mut client = rabbit.accept().await;
    bench.send(0..5);
    assert!(client.published(5).await);
    // The broker says that the third came back before it acknowledges the first
    client
        .say(|out| {
            returned(out, "2");
            confirmed(out, true, 1, false);
            confirmed(out, true, 4, true);
            confirmed(out, false, 5, false);
        })
        .await;
    let (bench, fates) = bench.fates(5).await;
    let not_there = Err(Persistence::NotPersisted);
    let unknown = Err(Persistence::PossiblyPersisted);
    assert_eq!(fates, [Ok(()), Ok(()), not_there, Ok(()), unknown]);
    bench.sender.flush().await;
}

#[tokio::test]
async fn given_a_connection_that_ends_when_there_is_another_then_what_was_sent_is_not_sent_again() {
    let rabbit = ScriptedRabbit::new().await;
    let bench = SenderBench::new(&rabbit.target(true), Some(60_000));
    let mut client = rabbit.accept().await;
    bench.sender.warm_up().await;
    bench.send(0..3);
    assert!(client.published(3).await);
    client.say(|out| confirmed(out, true, 2, false)).await;
    let (bench, fates) = bench.fates(1).await;
    assert_eq!(fates, [Ok(())]);
    drop(client);
    let (bench, fates) = bench.fates(2).await;
    assert_eq!(fates, [Err(Persistence::PossiblyPersisted); 2]);
    // The next one waits for its connection, on which it is the first
    bench.send(3..4);
    let mut client = rabbit.accept().await;
    assert!(client.published(1).await);
    client.say(|out| confirmed(out, true, 1, false)).await;
    let (bench, fates) = bench.fates(1).await;
    assert_eq!(fates, [Ok(())]);
    drop(bench);
    assert!(!client.published(1).await, "it hangs up and sends no more");
}

#[tokio::test]
async fn given_nobody_who_answers_when_its_time_is_up_then_whoever_waits_is_told_whether_it_was_sent()
 {
    let nobody = RabbitMqTarget {
        address: "127.0.0.1:1".into(),
        ..ScriptedRabbit::new().await.target(true)
    };
    let bench = SenderBench::new(&nobody, Some(TIMEOUT_MS));
    bench.send(0..2);
    let (_, fates) = bench.fates(2).await;
    assert_eq!(fates, [Err(Persistence::NotPersisted); 2]);

    let rabbit = ScriptedRabbit::new().await;
    let bench = SenderBench::new(&rabbit.target(true), Some(TIMEOUT_MS));
    let mut client = rabbit.accept().await;
    bench.send(0..2);
    assert!(client.published(2).await);
    let (_bench, fates) = bench.fates(2).await;
    assert_eq!(fates, [Err(Persistence::PossiblyPersisted); 2]);
    // And a connection on which nothing is heard is given up
    assert!(!client.published(1).await);
    rabbit.accept().await;
}

#[tokio::test]
async fn given_an_event_whose_time_was_up_when_the_broker_is_silent_for_no_longer_than_that_then_its_connection_goes_on()
 {
    let rabbit = ScriptedRabbit::new().await;
    let bench = SenderBench::new(&rabbit.target(true), Some(TIMEOUT_MS));
    let mut client = rabbit.accept().await;
    bench.send(0..1);
    assert!(client.published(1).await);
    let (bench, fates) = bench.fates(1).await;
    assert_eq!(fates, [Err(Persistence::PossiblyPersisted)]);
    // The next one goes over the same connection, where both are confirmed
    bench.send(1..2);
    assert!(client.published(1).await);
    client.say(|out| confirmed(out, true, 2, true)).await;
    let (bench, fates) = bench.fates(1).await;
    assert_eq!(fates, [Ok(())]);
    bench.sender.flush().await;
}

fn offer(publisher: &mut RabbitMqPublisher) -> Offer {
    let event = Event {
        key: "order",
        id: "1",
        event_type: "OrderPlaced",
        version: "1",
        payload: "body",
    };
    publisher.offer(&event).unwrap()
}

/// Has the first event of a connection confirmed, before which no other is taken.
async fn confirm_first(publisher: &mut RabbitMqPublisher, client: &mut Client) {
    assert_eq!(offer(publisher), Offer::Taken);
    assert_eq!(offer(publisher), Offer::Full);
    assert!(client.published(1).await);
    client.say(|out| confirmed(out, true, 1, false)).await;
    while publisher.durable().unwrap() < 1 {
        publisher.progress().await;
    }
}

/// Waits until the publisher has failed, and returns why, and how many are durable.
async fn failure(publisher: &mut RabbitMqPublisher) -> (String, u64) {
    loop {
        match publisher.durable() {
            Ok(_) => tokio::time::timeout(BOUND, publisher.progress())
                .await
                .unwrap(),
            Err(error) => return (error.reason, publisher.durable_despite_failure()),
        }
    }
}

#[tokio::test]
async fn given_anything_that_goes_wrong_when_more_is_confirmed_then_only_what_was_before_it_is_durable()
 {
    type Says = fn(&mut Vec<u8>);
    let cases: [(Says, &str, u64); 4] = [
        (|out| returned(out, ""), "NO_ROUTE", 3),
        (|out| confirmed(out, false, 4, false), "refused", 3),
        (|out| confirmed(out, true, 99, false), "message 99", 3),
        (|out| out.extend(b"HTTP/1.1 400"), "no AMQP", 3),
    ];
    for (says, reason, durable) in cases {
        let rabbit = ScriptedRabbit::new().await;
        let mut publisher = RabbitMqPublisher::new(rabbit.target(true));
        let (mut client, connected) = tokio::join!(rabbit.accept(), publisher.connect());
        connected.unwrap();
        confirm_first(&mut publisher, &mut client).await;
        for _ in 1..10 {
            assert_eq!(offer(&mut publisher), Offer::Taken);
        }
        assert!(client.published(9).await);
        client
            .say(|out| {
                // Out of order, and one of them twice
                confirmed(out, true, 3, false);
                confirmed(out, true, 2, true);
                confirmed(out, true, 3, true);
                confirmed(out, true, 6, false);
                says(out);
                confirmed(out, true, 10, true);
            })
            .await;
        let (said, prefix) = failure(&mut publisher).await;
        assert!(said.contains(reason), "{said}");
        assert_eq!(prefix, durable);
        // And positions begin anew
        publisher.abandon().await;
        let (mut client, connected) = tokio::join!(rabbit.accept(), publisher.connect());
        connected.unwrap();
        assert_eq!((publisher.taken(), publisher.durable().unwrap()), (0, 0));
        assert_eq!(offer(&mut publisher), Offer::Taken);
        assert!(client.published(1).await);
        client.say(|out| confirmed(out, true, 0, true)).await;
        while publisher.durable().unwrap() < 1 {
            publisher.progress().await;
        }
    }
}

#[tokio::test]
async fn given_a_server_that_has_just_started_when_it_refuses_the_first_event_then_no_later_one_was_sent()
 {
    let rabbit = ScriptedRabbit::new().await;
    let mut publisher = RabbitMqPublisher::new(rabbit.target(true));
    let (mut client, connected) = tokio::join!(rabbit.accept(), publisher.connect());
    connected.unwrap();
    assert_eq!(offer(&mut publisher), Offer::Taken);
    assert_eq!(offer(&mut publisher), Offer::Full);
    assert!(client.published(1).await);
    client.say(|out| confirmed(out, false, 1, false)).await;
    let (said, durable) = failure(&mut publisher).await;
    assert!(said.contains("refused"), "{said}");
    assert_eq!(durable, 0);
    publisher.abandon().await;
    assert!(!client.published(1).await);
}

#[tokio::test]
async fn given_a_broker_that_confirms_no_more_when_events_are_offered_then_they_are_bounded() {
    let rabbit = ScriptedRabbit::new().await;
    let large = "x".repeat(1 << 20);
    for (payload, most) in [(&*large, 7), ("body", 4_096)] {
        let mut publisher = RabbitMqPublisher::new(rabbit.target(true));
        let (mut client, connected) = tokio::join!(rabbit.accept(), publisher.connect());
        connected.unwrap();
        confirm_first(&mut publisher, &mut client).await;
        let event = Event {
            key: "order",
            id: "1",
            event_type: "OrderPlaced",
            version: "1",
            payload,
        };
        let mut taken = 0;
        while publisher.offer(&event).unwrap() == Offer::Taken {
            taken += 1;
            assert!(taken < 100_000);
        }
        assert_eq!(taken, most);
    }
}

#[tokio::test]
async fn given_a_broker_that_takes_nothing_when_it_says_so_then_whoever_publishes_says_why_until_it_takes_again()
 {
    let rabbit = ScriptedRabbit::new().await;
    let bench = SenderBench::new(&rabbit.target(true), Some(TIMEOUT_MS));
    let mut client = rabbit.accept().await;
    bench.send(0..1);
    assert!(client.published(1).await);
    client.say(|out| blocked(out, "low on memory")).await;
    let (bench, told) = bench.told(1).await;
    let reason = &told[0].as_ref().unwrap_err().reason;
    let expected = "its time was up: the broker takes nothing: low on memory";
    assert_eq!(reason, expected);
    drop(bench);

    let mut publisher = RabbitMqPublisher::new(rabbit.target(true));
    let (mut client, connected) = tokio::join!(rabbit.accept(), publisher.connect());
    connected.unwrap();
    assert_eq!((publisher.held_up(), publisher.trouble()), (None, None));
    assert_eq!(offer(&mut publisher), Offer::Taken);
    assert!(client.published(1).await);
    client.say(|out| blocked(out, "low on disk")).await;
    let why = loop {
        match publisher.held_up() {
            Some(why) => break why,
            None => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    };
    assert_eq!(why, "low on disk");
    let said = publisher.trouble();
    assert_eq!(
        said.as_deref(),
        Some("the broker takes nothing: low on disk")
    );
    client
        .say(|out| {
            method(out, 10, 61, &[]);
            confirmed(out, true, 1, false);
        })
        .await;
    while publisher.durable().unwrap() < 1 {
        publisher.progress().await;
    }
    assert_eq!(publisher.held_up(), None);
}
