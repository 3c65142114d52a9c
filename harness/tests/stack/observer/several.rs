//! Several topics as one, whose partitions are numbered across them.

use super::{PATIENCE, TopicBench, requests, until, value};
use harness::broker::{claim, several};
use harness::observer::{Ends, EndsPlan, Observer, Watch, read_again, stray_topics};
use rdkafka::producer::BaseRecord;
use referee::topics::Topics;

/// Where each event is sent, by attempt: the topic's index, and the partition there.
const SENT: [(usize, i32); 5] = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 1)];
/// Where each is then, by partition and offset.
const FOUND: [(i32, i64); 5] = [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1)];

#[tokio::test(flavor = "multi_thread")]
async fn given_several_topics_then_they_are_watched_closed_and_read_again_as_one() {
    // Given two topics, one of a name of its own, beside the run's own topic, to which nothing is to be published
    let bench = TopicBench::new(2).await;
    let (own, broker) = (&bench.watch.topic, &bench.watch.broker);
    let names = vec![format!("{own}.created"), format!("all-of-{own}")];
    let topics = Topics::new(names.clone(), 2);
    let topic = several::topic(broker, own, &topics);
    topic.create().await.unwrap();
    assert!(topic.is_empty().await.unwrap());
    let watch = Watch {
        broker: several::joined(broker, &topics),
        topic: topics.name(),
        partitions: topics.partitions(),
        ..bench.watch.clone()
    };
    let plan = EndsPlan {
        expected: PATIENCE,
        has_transactions: false,
    };
    let observer = Observer::start(watch.clone()).await.unwrap();
    let ends = Ends::start(watch.clone(), plan).await.unwrap();

    // When there are events on both
    let send = |topic: &str, partition: i32, attempt: u32| {
        let key = bench.identity().order_id(attempt).to_string();
        let event = value(bench.identity(), attempt, 1, attempt);
        let record = BaseRecord::to(topic).partition(partition);
        let record = record.key(&key).payload(&event);
        bench.producer.send(record).map_err(|(e, _)| e).unwrap();
        bench.flush();
    };
    for (attempt, (topic, partition)) in (0..).zip(SENT) {
        send(&names[topic], partition, attempt);
    }
    until("the events are seen", || observer.distinct_valid() == 5).await;
    assert_eq!(topic.length().unwrap().records().await, Ok(5));
    topic.close(bench.identity(), PATIENCE).await.unwrap();

    // Then all of them were seen, and are read, each at a place of its own
    let read = read_again(&watch, requests(5)).await.unwrap();
    observer.catch_up(&read.log, PATIENCE).await.unwrap();
    let places: Vec<_> = read.log.iter().map(|r| (r.partition, r.offset)).collect();
    assert_eq!(places, FOUND);
    let attempts: Vec<u32> = read.log.iter().map(|r| r.attempt).collect();
    assert_eq!(attempts, [0, 1, 2, 3, 4]);
    let (sightings, fatal) = observer.stop().await;
    assert_eq!(fatal, None);
    let mut sights: Vec<_> = sightings.iter().map(|s| (s.partition, s.offset)).collect();
    sights.sort_unstable();
    assert_eq!(sights, FOUND);
    let of_partitions: Vec<_> = read.partitions.iter().collect();
    let ended: Vec<_> = of_partitions
        .iter()
        .map(|p| (p.partition, p.read_offset))
        .collect();
    assert_eq!(ended, [(0, 1), (1, 1), (2, 1), (3, 2)]);
    // And the ends were known of each
    let rows = ends.stop().await;
    for (partition, end) in ended {
        let series = harness::history::topic_end_series(partition);
        let last = rows.iter().rfind(|row| row.series == series);
        assert_eq!(last.map(|row| row.value as i64), Some(end), "{series}");
    }
    // What is on another topic is found there
    let strays = async || {
        let Watch {
            broker,
            identity,
            place,
            topic,
            ..
        } = &watch;
        stray_topics(broker, identity, place, topic, &[])
            .await
            .unwrap()
    };
    assert_eq!(strays().await, Vec::<String>::new());
    send(own, 0, 5);
    assert_eq!(strays().await, [own.as_str()]);

    topic.delete().await.unwrap();
    let left = broker.topics().await.unwrap();
    let beside = claim::found_by(own, &names[1]);
    for gone in names.iter().chain([&beside]) {
        assert!(!left.contains(gone), "{gone}: {left:?}");
    }
    bench.drop_topics(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_topic_that_somebody_has_when_a_run_is_to_use_its_name_then_it_is_refused_and_left_alone()
 {
    let bench = TopicBench::new(1).await;
    let broker = &bench.watch.broker;
    let theirs = &bench.watch.topic;
    bench.send_event(0);
    bench.flush();
    let own = format!("oh.{}.it", bench.identity().run());
    let topic = claim::topic(broker, &own, theirs, 1);

    let error = topic.create().await.unwrap_err().to_string();
    assert!(error.contains("there is a topic"), "{error}");
    assert!(error.contains("`topics` in [event]"), "{error}");

    // Whatever is torn down, it is there, and nothing says that it is the run's
    topic.delete().await.unwrap();
    let topics = broker.topics().await.unwrap();
    assert!(topics.contains(theirs), "{topics:?}");
    assert!(!topics.iter().any(|t| t.starts_with(&own)), "{topics:?}");
    let there = broker.topic(theirs, 1).length().unwrap();
    assert_eq!(there.records().await, Ok(1));
    bench.drop_topics(&[]).await;
}
