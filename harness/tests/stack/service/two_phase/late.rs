//! A producer that goes on, or whose messages were still on their way, when the recoverer has ended its transaction.

use super::super::given::{Given, eventually, two_phase};
use super::fixture::{NEVER_MS, RunningRecoverer, events};
use crate::patience::PATIENCE;
use crate::stack;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::statistics::Statistics;
use rdkafka::{ClientConfig, ClientContext};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

/// Tells the id and epoch that the broker gave, as often as the library does.
struct Told(Mutex<Sender<(i64, i64)>>);

impl ClientContext for Told {
    fn stats(&self, statistics: Statistics) {
        let Some(eos) = statistics.eos.filter(|eos| eos.producer_id >= 0) else {
            return;
        };
        let _ = self
            .0
            .lock()
            .unwrap()
            .send((eos.producer_id, eos.producer_epoch));
    }
}

impl ProducerContext for Told {
    type DeliveryOpaque = ();
    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// A coordinator's producer whose owner is dead, as far as the decision log can tell, in this state.
async fn producer_of_nobody(given: &Given, state: &'static str) -> ThreadedProducer<Told> {
    let bootstrap = stack().await.kafka_bootstrap.clone();
    let transactional_id = format!("{}.late", given.topic);
    let (tell, told) = channel();
    let made = tokio::task::spawn_blocking({
        let transactional_id = transactional_id.clone();
        move || {
            let mut config = ClientConfig::new();
            config
                .set("bootstrap.servers", bootstrap)
                .set("transactional.id", transactional_id)
                .set("transaction.timeout.ms", "600000")
                .set("statistics.interval.ms", "50");
            let producer: ThreadedProducer<Told> =
                ThreadedProducer::from_config_and_context(&config, Told(Mutex::new(tell))).unwrap();
            producer.init_transactions(PATIENCE).unwrap();
            (producer, told.recv_timeout(PATIENCE).unwrap())
        }
    });
    let (producer, (id, epoch)) = made.await.unwrap();
    let register = format!(
        "insert into $S.decisions (transactional_id, owner, producer_id, producer_epoch, state)
         values ('{transactional_id}', 1, {id}, {epoch}, '{state}')"
    );
    given.rows(&register).await;
    producer
}

/// Waits until the log says that the broker takes nothing of the producer any more; the state that it is in.
async fn until_fenced(given: &Given) -> String {
    eventually("the producer is fenced", || async {
        given
            .rows("select from $S.decisions where fenced")
            .await
            .len()
            == 1
    })
    .await;
    super::fixture::states(given).await.remove(0)
}

/// Begins a transaction and publishes in it; whether the broker took that.
async fn publishes(
    producer: ThreadedProducer<Told>,
    topic: &str,
) -> (ThreadedProducer<Told>, bool) {
    let topic = topic.to_owned();
    let tried = tokio::task::spawn_blocking(move || {
        producer.begin_transaction().unwrap();
        let record = BaseRecord::to(&topic).key("late").payload("late");
        producer.send(record).map_err(|(error, _)| error).unwrap();
        let is_taken =
            producer.flush(PATIENCE).is_ok() && producer.client().fatal_error().is_none();
        (producer, is_taken)
    });
    tried.await.unwrap()
}

#[tokio::test]
async fn given_a_producer_that_was_ended_when_it_goes_on_then_the_broker_takes_nothing_of_it() {
    // Given a coordinator that has lost its lock, and does not know it yet
    let given = two_phase().prepare().await;
    let producer = producer_of_nobody(&given, "open").await;
    let recoverer = RunningRecoverer::start(&given, NEVER_MS).await;
    eventually("the recoverer has ended it", || async {
        super::fixture::states(&given).await == ["aborted"]
    })
    .await;
    // When it begins its next transaction, at any time
    let (producer, _) = publishes(producer, &given.topic).await;
    // Then none is open for long
    eventually("no transaction is open", || async {
        events(&given).await == (vec![], false)
    })
    .await;
    assert_eq!(until_fenced(&given).await, "aborted");
    eventually("nothing is open", || async {
        events(&given).await == (vec![], false)
    })
    .await;
    recoverer.end().await;
    drop(producer);
    given.take_away().await;
}

#[tokio::test]
async fn given_a_commit_that_is_written_down_when_the_recoverer_died_then_the_next_one_fences_and_changes_nothing()
 {
    for state in ["committed", "heuristic", "aborted"] {
        let given = two_phase().prepare().await;
        let producer = producer_of_nobody(&given, state).await;
        let recoverer = RunningRecoverer::start(&given, NEVER_MS).await;
        assert_eq!(until_fenced(&given).await, state);
        // And it can begin nothing
        let (_producer, is_taken) = publishes(producer, &given.topic).await;
        assert!(!is_taken, "{state}");
        assert_eq!(events(&given).await, (vec![], false));
        recoverer.end().await;
        given.take_away().await;
    }
}
