//! RabbitMQ behind the referee's traits and under a relay, on a real server.

mod consumer;
mod fixture;

use crate::patience::PATIENCE;
use fixture::{
    KEYS, ReadRecord, connect, delete_queues, key_of, offer, publish, publish_at_last, read_until,
    turn,
};
use harness::broker::rabbitmq::with_queues;
use harness::broker::{From, Next};
use harness::event::SENTINEL_KEY;
use harness::toxiproxy::ToxiproxyClient;
use relays::RabbitMqPublisher;
use relays::config::{QueueKind, RabbitMqTarget};
use relays::publisher::{Offer, Publisher};
use relays::signal::monotonic_ns;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The number of an event that was read.
fn number(record: &ReadRecord) -> usize {
    record
        .value
        .strip_prefix("event ")
        .unwrap()
        .parse()
        .unwrap()
}

/// Whether each event of a key appears for the first time behind all earlier ones of that key, and all these are there.
fn assert_first_appearances(read: &[ReadRecord], numbers: std::ops::Range<usize>) {
    let mut next: HashMap<usize, usize> = HashMap::new();
    for record in read {
        let number = number(record);
        let due = next.entry(number % KEYS).or_insert(number % KEYS);
        assert!(number <= *due, "event {number} came before {due}");
        if number == *due {
            *due += KEYS;
        }
    }
    for number in numbers {
        let reached = next.get(&(number % KEYS)).copied().unwrap_or(0);
        assert!(number < reached, "event {number} is not there");
    }
}

#[tokio::test]
async fn given_queues_of_each_kind_when_events_are_published_then_the_stream_has_them_in_order_and_its_end_is_exact()
 {
    for queue in QueueKind::ALL {
        let Some(turn) = turn().await else { return };
        assert_eq!(turn.topic.is_empty().await, Ok(true));
        let broker = with_queues(&turn.target(queue).address, queue);
        let length = broker.topic(&turn.name, 1).length().unwrap();
        let mut publisher = RabbitMqPublisher::new(turn.target(queue));
        publisher.connect().await.unwrap();
        // The harness's own record is the first.
        let mut count = 0;
        for batch in [1, 1, 2, 3, 500, 1, 2_100] {
            publish(&mut publisher, count..count + batch).await.unwrap();
            count += batch;
            assert_eq!(turn.end().await, 1 + count as i64);
            assert_eq!(length.records().await, Ok(1 + count as u64));
        }
        let read = turn.read_from(0).await;
        let numbers: Vec<usize> = read.iter().map(number).collect();
        assert_eq!(numbers, (0..count).collect::<Vec<_>>());
        let last = read.last().unwrap();
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(last.key, key_of(count - 1));
        assert_eq!(
            last.headers,
            [
                header("eventType", "OrderPlaced"),
                header("id", "2607"),
                header("version", "2607")
            ]
        );
        // And again from the middle
        let later = turn.read_from(2_000).await;
        assert_eq!(later, read[1_999..]);
        assert_eq!(turn.topic.is_empty().await, Ok(false));
        turn.clear().await;
    }
}

#[tokio::test]
async fn given_an_end_that_is_asked_for_again_and_again_then_each_answer_has_all_there_is_and_is_of_no_earlier_time()
 {
    let Some(turn) = turn().await else { return };
    let mut publisher = RabbitMqPublisher::new(turn.target(QueueKind::Classic));
    publisher.connect().await.unwrap();
    let mut reader = turn.reader();
    let mut count = 0;
    // Now and then nothing new, also for so long that what was kept for it is used up
    for (batch, questions) in [(1, 3), (0, 3), (700, 2), (5_000, 1), (3, 450), (1, 2)] {
        publish(&mut publisher, count..count + batch).await.unwrap();
        count += batch;
        let name = turn.name.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let ask = || {
                let before_ns = monotonic_ns();
                let known = reader.ends_of_all(&name, 1, PATIENCE).unwrap();
                (before_ns, known, monotonic_ns())
            };
            let told: Vec<_> = (0..questions).map(|_| ask()).collect();
            (reader, told)
        });
        let told;
        (reader, told) = asked.await.unwrap();
        for (before_ns, known, after_ns) in told {
            // The harness's own record is the first.
            assert_eq!(known.offsets[&0], 1 + count as i64);
            let at_ns = known.at_monotonic_ns;
            assert!((before_ns..=after_ns).contains(&at_ns));
        }
    }
    turn.clear().await;
}

#[tokio::test]
async fn given_an_end_that_is_asked_for_while_events_come_then_none_of_what_it_saw_was_sent_after_its_time()
 {
    let Some(turn) = turn().await else { return };
    let mut publisher = RabbitMqPublisher::new(turn.target(QueueKind::Stream));
    publisher.connect().await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let (reader, name, stop) = (turn.reader(), turn.name.clone(), Arc::clone(&is_over));
    let asked = tokio::task::spawn_blocking(move || {
        let mut told = Vec::new();
        while !stop.load(Ordering::Acquire) {
            told.push(reader.ends_of_all(&name, 1, PATIENCE).unwrap());
        }
        told
    });
    let mut sent_ns = Vec::new();
    for number in 0..3_000 {
        sent_ns.push(monotonic_ns());
        publish(&mut publisher, number..number + 1).await.unwrap();
    }
    is_over.store(true, Ordering::Release);
    let mut before = 1;
    for known in asked.await.unwrap() {
        let end = known.offsets[&0];
        assert!(end >= before, "{end} after {before}");
        before = end;
        // The harness's own record is the first.
        if let Some(last) = usize::try_from(end - 2).ok().map(|number| sent_ns[number]) {
            let at_ns = known.at_monotonic_ns;
            assert!(
                last <= at_ns,
                "of {} ns before the last it saw",
                last - at_ns
            );
        }
    }
    turn.clear().await;
}

#[tokio::test]
async fn given_a_topic_when_it_is_closed_then_nothing_gets_onto_it_and_all_that_did_is_read() {
    let Some(turn) = turn().await else { return };
    let mut publisher = RabbitMqPublisher::new(turn.target(QueueKind::Classic));
    publisher.connect().await.unwrap();
    publish(&mut publisher, 0..100).await.unwrap();
    // Without the sentinel nobody knows whether it is all
    let unproved = turn.unproved().await.unwrap();
    assert!(unproved.contains("the sentinel"), "{unproved}");
    turn.topic.close(&turn.identity, PATIENCE).await.unwrap();
    let error = publish(&mut publisher, 100..101).await.unwrap_err();
    assert!(error.reason.contains("NOT_FOUND"), "{error}");
    publisher.abandon().await;
    let error = publisher.connect().await.unwrap_err();
    assert!(error.reason.contains("NOT_FOUND"), "{error}");
    let read = turn.read_from(0).await;
    let (sentinel, events) = read.split_last().unwrap();
    assert_eq!(events.len(), 100);
    assert_eq!(turn.unproved().await, None);
    assert_eq!(sentinel.key, SENTINEL_KEY);
    assert_eq!(sentinel.value, turn.identity.sentinel_mark());
    turn.clear().await;
}

#[tokio::test]
async fn given_a_server_that_is_killed_when_it_is_back_then_everything_confirmed_is_there_and_reading_goes_on()
 {
    // Not a quorum queue: one that was made just before is not back after a kill (3.10.8).
    for queue in [QueueKind::Classic] {
        let Some(turn) = turn().await else { return };
        // Somebody who reads on through it all
        let (mut reader, topic) = (turn.reader(), turn.name.clone());
        let from = From {
            topic: &topic,
            partition: 0,
            offset: 0,
        };
        reader.assign(&[from]).unwrap();
        let mut publisher = RabbitMqPublisher::new(turn.target(queue));
        publisher.connect().await.unwrap();
        publish(&mut publisher, 0..300).await.unwrap();
        let mut reader = tokio::task::spawn_blocking(move || {
            let seen = read_until(&mut *reader, 301);
            assert_eq!(seen.len(), 300);
            reader
        })
        .await
        .unwrap();
        // As many as it takes are under way when it dies
        let mut offered = 300;
        while publisher.durable().unwrap() < 1_000 {
            while offer(&mut publisher, offered).unwrap() == Offer::Taken {
                offered += 1;
            }
            publisher.progress().await;
        }
        turn.rabbit.server().kill().await.unwrap();
        let error = loop {
            match publisher.durable() {
                Ok(_) => publisher.progress().await,
                Err(error) => break error,
            }
        };
        assert!(error.reason.contains("connection"), "{error}");
        let confirmed = publisher.durable_despite_failure() as usize;
        assert!(
            (1_000..offered).contains(&confirmed),
            "{confirmed} of {offered}"
        );
        publisher.abandon().await;
        turn.rabbit.server().restart().await.unwrap();
        let read = turn.read_from(0).await;
        assert_first_appearances(&read, 0..confirmed);
        // And it goes on with what is not durable
        connect(&mut publisher).await;
        let said = publish_at_last(&mut publisher, confirmed..offered).await;
        assert!(said.is_ok(), "{queue:?}: {said:?}");
        let end = turn.end().await;
        let later = tokio::task::spawn_blocking(move || read_until(&mut *reader, end));
        let later = later.await.unwrap();
        assert_eq!(later.first().unwrap().offset, 301);
        let all = turn.read_from(0).await;
        assert_first_appearances(&all, 0..offered);
        assert_eq!(later, all[300..]);
        turn.clear().await;
    }
}

#[tokio::test]
async fn given_a_server_that_stands_still_and_is_killed_then_what_counts_as_durable_without_confirms_is_lost()
 {
    for confirms in [false, true] {
        let Some(turn) = turn().await else { return };
        let mut publisher = RabbitMqPublisher::new(RabbitMqTarget {
            confirms,
            ..turn.target(QueueKind::Classic)
        });
        publisher.connect().await.unwrap();
        publish(&mut publisher, 0..1).await.unwrap();
        turn.rabbit.server().pause().await.unwrap();
        for number in 1..50 {
            assert_eq!(offer(&mut publisher, number).unwrap(), Offer::Taken);
        }
        if confirms {
            let soon = Duration::from_millis(300);
            let waited = tokio::time::timeout(soon, publisher.progress()).await;
            assert!(waited.is_err(), "somebody reported something");
            assert_eq!(publisher.durable().unwrap(), 1);
        } else {
            publish(&mut publisher, 50..100).await.unwrap();
            assert_eq!(publisher.durable().unwrap(), 100);
        }
        turn.rabbit.server().kill().await.unwrap();
        turn.rabbit.server().restart().await.unwrap();
        let read = turn.read_from(0).await;
        // Without confirms nobody knows whether the first was there in time.
        let there: Vec<usize> = read.iter().map(number).collect();
        assert!(there == [0] || (!confirms && there.is_empty()), "{there:?}");
        turn.clear().await;
    }
}

#[tokio::test]
async fn given_no_queue_at_all_when_events_are_mandatory_then_none_counts_as_delivered_and_else_all_do()
 {
    for mandatory in [true, false] {
        let Some(turn) = turn().await else { return };
        let mut publisher = RabbitMqPublisher::new(RabbitMqTarget {
            mandatory,
            ..turn.target(QueueKind::Classic)
        });
        publisher.connect().await.unwrap();
        publish(&mut publisher, 0..10).await.unwrap();
        let queues = [turn.name.clone(), format!("{}.observer", turn.name)];
        delete_queues(&turn.rabbit.address, queues).await;
        let published = publish(&mut publisher, 10..20).await;
        match published {
            Err(error) => {
                assert!(mandatory);
                assert!(error.reason.contains("NO_ROUTE"), "{error}");
                assert_eq!(publisher.durable_despite_failure(), 10);
            }
            // Nobody has them.
            Ok(()) => assert!(!mandatory),
        }
        turn.clear().await;
    }
}

#[tokio::test]
async fn given_a_link_that_is_cut_when_it_is_back_then_events_go_on_in_order_from_the_first_that_is_not_durable()
 {
    let Some(turn) = turn().await else { return };
    let client = ToxiproxyClient::new(turn.rabbit.toxiproxy_url()).unwrap();
    let proxy = turn.name.clone();
    let upstream = &turn.rabbit.address;
    let address = client
        .create(&proxy, "127.0.0.1:0", upstream)
        .await
        .unwrap();
    let mut publisher = RabbitMqPublisher::new(RabbitMqTarget {
        address: address.clone(),
        ..turn.target(QueueKind::Classic)
    });
    let (mut first, mut cuts) = (0, 0);
    connect(&mut publisher).await;
    const ALL: usize = 15_000;
    let deadline = Instant::now() + PATIENCE;
    while first < ALL {
        assert!(Instant::now() < deadline);
        let mut next = first;
        // All that fits is under way, and some of it is confirmed
        let lost = loop {
            while next < ALL && offer(&mut publisher, next).unwrap() == Offer::Taken {
                next += 1;
            }
            if cuts < 3 && publisher.durable().is_ok_and(|durable| durable > 100) {
                client.set_enabled(&proxy, false).await.unwrap();
                cuts += 1;
            }
            match publisher.durable() {
                Ok(durable) if first + durable as usize == ALL => break false,
                Ok(_) => publisher.progress().await,
                Err(_) => break true,
            }
        };
        first += publisher.durable_despite_failure() as usize;
        if lost {
            publisher.abandon().await;
            let error = publisher.connect().await.unwrap_err();
            assert!(error.reason.contains("connect"), "{error}");
            client.set_enabled(&proxy, true).await.unwrap();
            connect(&mut publisher).await;
        }
    }
    assert_eq!(cuts, 3);
    assert_first_appearances(&turn.read_from(0).await, 0..ALL);
    client.delete(&proxy).await.unwrap();
    turn.clear().await;
}

#[tokio::test]
async fn given_a_reader_when_it_has_all_there_is_then_it_says_so_once_and_waits_for_more() {
    let Some(turn) = turn().await else { return };
    let (mut reader, topic) = (turn.reader(), turn.name.clone());
    let told = tokio::task::spawn_blocking(move || {
        let wait = Duration::from_millis(50);
        let from = |partition| From {
            topic: &topic,
            partition,
            offset: 0,
        };
        assert!(reader.assign(&[from(1)]).is_err());
        reader.assign(&[from(0)]).unwrap();
        let mut none = |_: &dyn harness::broker::OnTopic| panic!("nothing is there");
        let told = [(); 2].map(|()| reader.next(wait, &mut none));
        reader.assign(&[]).unwrap();
        (told, reader.next(wait, &mut none))
    });
    let (told, unassigned) = told.await.unwrap();
    assert_eq!(told, [Next::End(0), Next::Nothing]);
    assert_eq!(unassigned, Next::Nothing);
    turn.clear().await;
}
