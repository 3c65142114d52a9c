//! The observer and the final read on a real broker.

#![allow(clippy::unwrap_used)]

mod several;
mod standstill;

use crate::patience::PATIENCE;
use harness::clock::RunClock;
use harness::envelope::{EventField, EventPlace, HeaderPiece, Part, RequiredHeader};
use harness::event::SENTINEL_KEY;
use harness::history::{Body, Intent, NONE, Outcome, Request, Rows};
use harness::identity::{Identity, RunKey};
use harness::observer::{Observer, Watch, read_again, stray_topics};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use relays::config::BrokerKind;
use relays::order::ChangeType;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::time::Duration;

const PAYLOAD: usize = 64;

/// A topic of one test and what produces into it.
struct TopicBench {
    watch: Watch,
    admin: AdminClient<DefaultClientContext>,
    producer: ThreadedProducer<DefaultProducerContext>,
}

impl TopicBench {
    async fn new(partitions: i32) -> Self {
        Self::with(partitions, |_| {}).await
    }

    async fn transactional(partitions: i32) -> Self {
        let bench = Self::with(partitions, |config| {
            config.set("transactional.id", RunKey::random().run);
        })
        .await;
        bench.producer.init_transactions(PATIENCE).unwrap();
        bench
    }

    async fn with(partitions: i32, configure: impl FnOnce(&mut ClientConfig)) -> Self {
        let key = RunKey::random();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &crate::stack().await.kafka_bootstrap);
        let admin = config.create().unwrap();
        config.set("linger.ms", "0");
        configure(&mut config);
        let bench = Self {
            watch: Watch {
                broker: crate::stack().await.info.broker(BrokerKind::Kafka).unwrap(),
                topic: format!("test.observer.{}", key.run),
                partitions,
                identity: Arc::new(key.identity().unwrap()),
                place: EventPlace::default(),
                payload_bytes: PAYLOAD,
                clock: RunClock::start(),
                keeps_recent: false,
            },
            admin,
            producer: config.create().unwrap(),
        };
        bench.create_topic(&bench.watch.topic).await;
        bench
    }

    async fn create_topic(&self, name: &str) {
        let topic = NewTopic::new(name, self.watch.partitions, TopicReplication::Fixed(1))
            .set("message.timestamp.type", "LogAppendTime");
        let options = AdminOptions::new();
        let made = self.admin.create_topics([&topic], &options).await.unwrap();
        made[0].as_ref().unwrap();
    }

    async fn drop_topics(self, more: &[&str]) {
        let mut names = vec![self.watch.topic.as_str()];
        names.extend(more);
        let options = AdminOptions::new();
        self.admin.delete_topics(&names, &options).await.unwrap();
    }

    fn send(&self, partition: i32, key: &str, value: &str) {
        let topic = &self.watch.topic;
        let record = BaseRecord::to(topic)
            .partition(partition)
            .key(key)
            .payload(value);
        self.producer.send(record).map_err(|(e, _)| e).unwrap();
    }

    /// Sends the event of an attempt; attempt n makes version n / 100 + 1 of order n % 100.
    fn send_event(&self, attempt: u32) {
        let (order, version) = (attempt % 100, attempt / 100 + 1);
        let key = self.identity().order_id(order).to_string();
        let value = value(self.identity(), order, version, attempt);
        self.send(order as i32 % self.watch.partitions, &key, &value);
    }

    fn identity(&self) -> &Identity {
        &self.watch.identity
    }

    fn flush(&self) {
        self.producer.flush(PATIENCE).unwrap();
    }
}

fn value(identity: &Identity, order: u32, version: u32, attempt: u32) -> String {
    let mut content = String::new();
    identity.write_content(attempt, PAYLOAD, &mut content);
    format!(
        r#"{{"run":"{}","order_id":"{}","version":{version},"attempt":"{}","type":"{}","content":"{content}"}}"#,
        identity.run(),
        identity.order_id(order),
        identity.attempt_id(attempt),
        ChangeType::for_version(version).event_type(),
    )
}

/// The requests behind [`TopicBench::send_event`].
fn requests(count: u32) -> Arc<Rows<Request>> {
    let request = |attempt: u32| Request {
        change: attempt,
        order: attempt % 100,
        change_type: ChangeType::for_version(attempt / 100 + 1).code(),
        intent: Intent::Commit,
        outcome: Outcome::Committed,
        status: 201,
        told_version: attempt / 100 + 1,
        intended_ns: 0,
        sent_ns: 0,
        ended_ns: 0,
        lag_ns: 0,
        held_back: false,
    };
    Arc::new((0..count).map(request).collect())
}

fn pairs(attempts: std::ops::Range<u32>) -> Vec<(u32, u32)> {
    attempts.map(|n| (n, n / 100 + 1)).collect()
}

async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition() {
        assert!(
            tokio::time::Instant::now() < deadline,
            "not within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_seen_at_once_and_read_again_the_same() {
    // Given an observer on an empty topic
    let bench = TopicBench::new(3).await;
    let observer = Observer::start(bench.watch.clone()).await.unwrap();
    assert_eq!(
        (observer.distinct_valid(), observer.last_seen_ns()),
        (0, None)
    );

    // When 500 changes of 100 orders are published, some twice, with other records among them
    let before_ns = bench.watch.clock.now_ns();
    (0..500).for_each(|attempt| bench.send_event(attempt));
    (0..50).for_each(|attempt| bench.send_event(attempt));
    let sentinel = format!("{} and padding", bench.identity().sentinel_mark());
    bench.send(0, SENTINEL_KEY, &sentinel);
    bench.send(1, "nobody's", "hello");
    bench.send(2, "wrong key", &value(bench.identity(), 7, 1, 7));
    bench.flush();

    // Then the observer sees each valid event once
    until("all are seen", || observer.missing(&pairs(0..500)) == 0).await;
    until("the last ones too", || observer.distinct_valid() == 500).await;
    assert_eq!(observer.missing(&pairs(490..510)), 10);
    assert_eq!(observer.missing(&[(0, 2)]), 1, "attempt 0 made version 1");
    assert!(observer.last_seen_ns().unwrap() > before_ns);

    // And the final read finds the same records, apart from the sentinel
    let read = read_again(&bench.watch, requests(500)).await.unwrap();
    assert_eq!((read.log.len(), read.uncommitted_records), (552, 552));
    assert!(
        read.log
            .iter()
            .is_sorted_by_key(|r| (r.partition, r.offset))
    );
    let of = |body| read.log.iter().filter(move |r| r.body == body);
    assert_eq!(of(Body::Intact).count(), 550);
    let damaged = of(Body::Damaged).next().unwrap();
    assert_eq!((damaged.attempt, damaged.order, damaged.version), (7, 7, 1));
    let foreign = of(Body::Foreign).next().unwrap();
    assert_eq!((foreign.attempt, foreign.partition), (NONE, 1));
    assert_eq!(read.raw.len(), 2);
    assert!(
        read.raw
            .iter()
            .any(|r| r.key == "nobody's" && r.value == "hello")
    );
    for end in &read.partitions {
        assert_eq!(
            (end.stable_offset, end.read_offset),
            (end.end_offset, end.end_offset)
        );
    }
    let unix_ms = bench.watch.clock.origin_unix_ns / 1_000_000;
    assert!(
        read.log
            .iter()
            .all(|r| (i128::from(r.append_ms) - unix_ms).abs() < 60_000)
    );

    let (sightings, fatal) = observer.stop().await;
    assert_eq!(fatal, None);
    let seen: BTreeSet<_> = sightings.iter().map(|s| (s.partition, s.offset)).collect();
    let log: BTreeSet<_> = read.log.iter().map(|r| (r.partition, r.offset)).collect();
    assert_eq!(seen, log);
    bench.drop_topics(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_observer_that_starts_late_sees_everything_once() {
    let bench = TopicBench::new(2).await;
    (0..300).for_each(|attempt| bench.send_event(attempt));
    bench.flush();
    let observer = Observer::start(bench.watch.clone()).await.unwrap();
    until("all are seen", || observer.distinct_valid() == 300).await;
    let (sightings, fatal) = observer.stop().await;
    assert_eq!((sightings.len(), fatal), (300, None));
    bench.drop_topics(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn aborted_records_are_counted_apart_and_open_transactions_are_not_read() {
    // Given a committed transaction, and an aborted one at the end of the topic
    let bench = TopicBench::transactional(1).await;
    let observer = Observer::start(bench.watch.clone()).await.unwrap();
    let producer = &bench.producer;
    producer.begin_transaction().unwrap();
    (0..10).for_each(|attempt| bench.send_event(attempt));
    producer.commit_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    (10..20).for_each(|attempt| bench.send_event(attempt));
    bench.flush();
    producer.abort_transaction(PATIENCE).unwrap();

    // Then only the committed ones are seen, and the read still reaches the end
    until("the committed ones are seen", || {
        observer.distinct_valid() == 10
    })
    .await;
    // (the broker writes the marker of an abort after it has answered)
    let mut read = read_again(&bench.watch, requests(20)).await.unwrap();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while read.partitions[0].read_offset < 22 && tokio::time::Instant::now() < deadline {
        read = read_again(&bench.watch, requests(20)).await.unwrap();
    }
    assert_eq!((read.log.len(), read.uncommitted_records), (10, 20));
    let end = read.partitions[0];
    assert_eq!(
        (end.end_offset, end.stable_offset, end.read_offset),
        (22, 22, 22)
    );

    // When a transaction is left open
    producer.begin_transaction().unwrap();
    (20..25).for_each(|attempt| bench.send_event(attempt));
    bench.flush();

    // Then the read ends before it and says so
    let read = read_again(&bench.watch, requests(25)).await.unwrap();
    assert_eq!((read.log.len(), read.uncommitted_records), (10, 25));
    let end = read.partitions[0];
    assert_eq!(
        (end.end_offset, end.stable_offset, end.read_offset),
        (27, 22, 22)
    );

    producer.abort_transaction(PATIENCE).unwrap();
    let (sightings, fatal) = observer.stop().await;
    assert_eq!((sightings.len(), fatal), (10, None));
    bench.drop_topics(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_topic_is_read_to_its_end() {
    let bench = TopicBench::new(2).await;
    let read = read_again(&bench.watch, requests(0)).await.unwrap();
    assert!(read.log.is_empty() && read.uncommitted_records == 0);
    assert!(
        read.partitions
            .iter()
            .all(|p| p.end_offset == 0 && p.read_offset == 0)
    );
    bench.drop_topics(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_on_another_topic_are_found() {
    let bench = TopicBench::new(1).await;
    let stray = format!("{}.stray", bench.watch.topic);
    let other = format!("{}.other", bench.watch.topic);
    bench.create_topic(&stray).await;
    bench.create_topic(&other).await;
    let event = value(bench.identity(), 1, 1, 1);
    let wrapped: String = event.bytes().map(|byte| format!("{byte:02x}")).collect();
    for (topic, value) in [(&stray, event.as_str()), (&other, wrapped.as_str())] {
        let record = BaseRecord::to(topic).key("k").payload(value);
        bench.producer.send(record).map_err(|(e, _)| e).unwrap();
    }
    bench.send_event(1);
    bench.flush();
    let Watch {
        broker,
        topic,
        identity,
        ..
    } = &bench.watch;
    let found = async |place| {
        let found = stray_topics(broker, identity, &place, topic, &[]).await;
        found.unwrap()
    };
    assert_eq!(found(EventPlace::default()).await, [stray.as_str()]);
    // And where the relay's file says that they are; one whose ids show is found anywhere
    let in_hex = EventPlace {
        value: Part::parse("value hex").unwrap(),
        ..EventPlace::default()
    };
    assert_eq!(found(in_hex).await, [other.as_str(), stray.as_str()]);
    bench.drop_topics(&[&stray, &other]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_events_in_an_envelope_then_they_are_found_where_the_relays_file_says() {
    // Given a relay that keeps the order's id in a header and the event as base64 in a JSON object
    let mut bench = TopicBench::new(1).await;
    bench.watch.place = EventPlace {
        key: Part::parse("header:order").unwrap(),
        value: Part::parse("json:/data/event base64").unwrap(),
        ..EventPlace::default()
    };
    let observer = Observer::start(bench.watch.clone()).await.unwrap();
    let send = |order: &str, value: &str| {
        let encoded = base64_of(value);
        let envelope = format!(r#"{{"data":{{"event":"{encoded}"}}}}"#);
        let header = Header {
            key: "order",
            value: Some(order),
        };
        let record = BaseRecord::<str, str>::to(&bench.watch.topic)
            .payload(&envelope)
            .headers(OwnedHeaders::new().insert(header));
        bench.producer.send(record).map_err(|(e, _)| e).unwrap();
    };
    let order = |n: u32| bench.identity().order_id(n).to_string();
    // When events come so, one under another order's id, and one without its envelope
    for attempt in 0..20 {
        send(
            &order(attempt),
            &value(bench.identity(), attempt, 1, attempt),
        );
    }
    send(&order(3), &value(bench.identity(), 20, 1, 20));
    bench.send(0, &order(21), &value(bench.identity(), 21, 1, 21));
    bench.send(
        0,
        SENTINEL_KEY,
        &format!("{} x", bench.identity().sentinel_mark()),
    );
    bench.flush();

    // Then those are seen, the other two are damaged, and the sentinel is one all the same
    until("all are seen", || observer.missing(&pairs(0..20)) == 0).await;
    let read = read_again(&bench.watch, requests(100)).await.unwrap();
    let of = |body| read.log.iter().filter(|r| r.body == body).count();
    assert_eq!(
        (of(Body::Intact), of(Body::Damaged), read.log.len()),
        (20, 2, 22)
    );
    let reasons: Vec<&str> = read.raw.iter().map(|r| r.reason.as_str()).collect();
    assert!(
        reasons
            .iter()
            .any(|r| r.contains("key is not its order id")),
        "{reasons:?}"
    );
    assert!(
        reasons.iter().any(|r| r.contains("no event where")),
        "{reasons:?}"
    );
    drop(observer.stop().await);
    bench.drop_topics(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_header_that_each_record_must_have_then_those_without_it_are_damaged_and_say_so() {
    let mut bench = TopicBench::new(1).await;
    bench.watch.place.headers = vec![RequiredHeader {
        name: "id".to_owned(),
        value: vec![HeaderPiece::Field(EventField::Attempt)],
    }];
    let observer = Observer::start(bench.watch.clone()).await.unwrap();
    // When events come with their id in a header, one with another's, and one without
    let send = |attempt: u32, headed: u32| {
        let id = bench.identity().attempt_id(headed).to_string();
        let header = Header {
            key: "id",
            value: Some(&id),
        };
        let key = bench.identity().order_id(attempt).to_string();
        let value = value(bench.identity(), attempt, 1, attempt);
        let record = BaseRecord::to(&bench.watch.topic)
            .key(&key)
            .payload(&value)
            .headers(OwnedHeaders::new().insert(header));
        bench.producer.send(record).map_err(|(e, _)| e).unwrap();
    };
    (0..20).for_each(|attempt| send(attempt, attempt));
    send(20, 3);
    bench.send_event(21);
    bench.flush();
    // Then the others are seen, and of these two the history has the reason
    until("all are seen", || observer.missing(&pairs(0..20)) == 0).await;
    let read = read_again(&bench.watch, requests(100)).await.unwrap();
    let damaged: Vec<u32> = read
        .log
        .iter()
        .filter(|r| r.body == Body::Damaged)
        .map(|r| r.attempt)
        .collect();
    assert_eq!(damaged, [20, 21]);
    let [wrong, right] = [3, 20].map(|attempt| bench.identity().attempt_id(attempt));
    let reasons: Vec<&str> = read.raw.iter().map(|r| r.reason.as_str()).collect();
    let different = format!("its header `id` is `{wrong}`, not `{right}`");
    assert_eq!(reasons, [different.as_str(), "it has no header `id`"]);
    drop(observer.stop().await);
    bench.drop_topics(&[]).await;
}

/// Sends a record with these headers, whose names need not be texts.
fn send_with(bench: &TopicBench, key: &str, value: &str, headers: &[(&CStr, &str)]) {
    use rdkafka::bindings::*;
    let topic = CString::new(bench.watch.topic.as_str()).unwrap();
    let memory = |text: &str| rd_kafka_vu_s__bindgen_ty_1 {
        mem: rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
            ptr: text.as_ptr().cast_mut().cast(),
            size: text.len(),
        },
    };
    let said = |vtype, u| rd_kafka_vu_t { vtype, u };
    let cstr = topic.as_ptr();
    // So librdkafka copies the value: RD_KAFKA_MSG_F_COPY of rdkafka.h.
    let copies = rd_kafka_vu_s__bindgen_ty_1 { i: 0x2 };
    let mut all = vec![
        said(
            rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC,
            rd_kafka_vu_s__bindgen_ty_1 { cstr },
        ),
        said(rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY, memory(key)),
        said(rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE, memory(value)),
        said(rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS, copies),
    ];
    all.extend(headers.iter().map(|(name, value)| {
        let header = rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 {
            name: name.as_ptr(),
            val: value.as_ptr().cast(),
            size: value.len().try_into().unwrap(),
        };
        let u = rd_kafka_vu_s__bindgen_ty_1 { header };
        said(rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADER, u)
    }));
    let client = bench.producer.client().native_ptr();
    // SAFETY: all that is pointed to outlives the call, which copies it.
    let failed = unsafe { rd_kafka_produceva(client, all.as_ptr(), all.len()) };
    assert!(failed.is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_header_whose_name_is_no_text_then_the_record_is_read_like_any_other() {
    let mut bench = TopicBench::new(1).await;
    bench.watch.place.headers = vec![RequiredHeader {
        name: "id".to_owned(),
        value: vec![HeaderPiece::Field(EventField::Attempt)],
    }];
    let observer = Observer::start(bench.watch.clone()).await.unwrap();
    let key = bench.identity().order_id(0).to_string();
    let event = value(bench.identity(), 0, 1, 0);
    let id = bench.identity().attempt_id(0).to_string();
    send_with(&bench, &key, &event, &[(c"\xff\xfe", "x"), (c"id", &id)]);
    // And one that is kept as it is, since it does not verify
    send_with(&bench, &key, "no event", &[(c"\xff\xfe", "x")]);
    bench.flush();
    until("it is seen", || observer.missing(&pairs(0..1)) == 0).await;
    let read = read_again(&bench.watch, requests(100)).await.unwrap();
    let bodies: Vec<Body> = read.log.iter().map(|row| row.body).collect();
    assert_eq!(bodies, [Body::Intact, Body::Damaged]);
    let kept: Vec<&str> = read.raw.iter().map(|raw| raw.headers.as_str()).collect();
    assert_eq!(kept, ["\u{fffd}\u{fffd}=x"]);
    drop(observer.stop().await);
    bench.drop_topics(&[]).await;
}

/// By its definition (RFC 4648), for the test alone.
fn base64_of(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |bits: u32, at: u32| char::from(DIGITS[(bits >> at & 63) as usize]);
    let mut encoded = String::new();
    for three in text.as_bytes().chunks(3) {
        let byte = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        encoded.push(digit(bits, 18));
        encoded.push(digit(bits, 12));
        encoded.push(if three.len() > 1 { digit(bits, 6) } else { '=' });
        encoded.push(if three.len() > 2 { digit(bits, 0) } else { '=' });
    }
    encoded
}
