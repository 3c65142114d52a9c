//! The topic of a strategy, as its administrator: made before the run, closed by the fence,
//! deleted after it. Always over the direct listener.

use super::client;
use super::reader::KafkaReader;
use crate::broker::{Length, NotMade, Reader, Topic, Visible};
use crate::event::SENTINEL_KEY;
use crate::identity::Identity;
use futures::FutureExt;
use futures::future::BoxFuture;
use rdkafka::ClientConfig;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ADMIN_TIMEOUT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// What every topic of a run is: kept for ever, never compacted, stamped by the broker.
const CONFIG: [(&str, &str); 4] = [
    ("retention.ms", "-1"),
    ("retention.bytes", "-1"),
    ("cleanup.policy", "delete"),
    ("message.timestamp.type", "LogAppendTime"),
];

/// This is one topic on the direct listener.
#[derive(Clone)]
pub(super) struct KafkaTopic {
    bootstrap: String,
    name: String,
    partitions: i32,
    replicas: i32,
}

impl KafkaTopic {
    /// Names a topic of so many partitions, each with so many replicas; nothing is made yet.
    pub(super) fn new(bootstrap: &str, name: &str, (partitions, replicas): (i32, i32)) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            name: name.to_owned(),
            partitions,
            replicas,
        }
    }

    /// Creates it, and waits until every partition has a leader.
    async fn make(&self) -> Result<(), NotMade> {
        let replicas = TopicReplication::Fixed(self.replicas);
        let mut topic = NewTopic::new(&self.name, self.partitions, replicas);
        for (key, value) in CONFIG {
            topic = topic.set(key, value);
        }
        let results = self
            .admin()?
            .create_topics([&topic], &options())
            .await
            .map_err(|e| self.failed("creating", &e))?;
        for result in results {
            result.map_err(|(_, code)| {
                let reason = self.failed("creating", &code);
                match code {
                    RDKafkaErrorCode::TopicAlreadyExists => NotMade::Taken(reason),
                    _ => NotMade::Failed(reason),
                }
            })?;
        }
        let reader = self.reader(Visible::All)?;
        let this = self.clone();
        blocking(move || {
            let deadline = Instant::now() + ADMIN_TIMEOUT;
            loop {
                match this.ends(&reader) {
                    Ok(_) => return Ok(()),
                    Err(e) if Instant::now() > deadline => {
                        return Err(format!(
                            "topic {} has no leader after {ADMIN_TIMEOUT:?}: {e}",
                            this.name
                        ));
                    }
                    Err(_) => std::thread::sleep(POLL),
                }
            }
        })
        .await
        .map_err(NotMade::from)
    }

    /// Deletes it; one that is not there is no error.
    async fn remove(&self) -> Result<(), String> {
        let results = self
            .admin()?
            .delete_topics(&[&self.name], &options())
            .await
            .map_err(|e| self.failed("deleting", &e))?;
        for result in results {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
                Err((_, code)) => return Err(self.failed("deleting", &code)),
            }
        }
        Ok(())
    }

    /// Whether it has no record, aborted ones included.
    async fn has_none(&self) -> Result<bool, String> {
        let reader = self.reader(Visible::All)?;
        let this = self.clone();
        blocking(move || Ok(this.ends(&reader)?.iter().all(|end| *end == 0))).await
    }

    /// Closes it to every producer: no record above 100 bytes is taken any more (markers of
    /// transactions still pass). Returns when a sentinel was refused on every partition and every
    /// transaction has ended (last stable offset = end offset), or after `within`.
    async fn shut(&self, identity: &Identity, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        let specifier = ResourceSpecifier::Topic(&self.name);
        let mut config = AlterConfig::new(specifier).set("max.message.bytes", "100");
        for (key, value) in CONFIG {
            config = config.set(key, value);
        }
        let results = self
            .admin()?
            .alter_configs([&config], &options())
            .await
            .map_err(|e| self.failed("closing", &e))?;
        for result in results {
            result.map_err(|(_, code)| self.failed("closing", &code))?;
        }
        self.send_sentinels_until_refused(identity, deadline)
            .await?;
        self.wait_until_stable(deadline).await
    }

    async fn send_sentinels_until_refused(
        &self,
        identity: &Identity,
        deadline: Instant,
    ) -> Result<(), String> {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .set("acks", "all")
            .set("message.timeout.ms", "5000")
            .create()
            .map_err(|e| self.failed("sending a sentinel to", &e))?;
        let value = format!("{:-<200}", identity.sentinel_mark());
        for partition in 0..self.partitions {
            loop {
                let record = FutureRecord::to(&self.name)
                    .partition(partition)
                    .key(SENTINEL_KEY)
                    .payload(&value);
                let sent = producer.send(record, Duration::from_secs(5)).await;
                match sent {
                    Err((
                        KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge),
                        _,
                    )) => break,
                    _ if Instant::now() > deadline => {
                        let what = match sent {
                            Ok(_) => "it still takes 200-byte records".to_owned(),
                            Err((e, _)) => e.to_string(),
                        };
                        return Err(format!(
                            "topic {} partition {partition} could not be closed: {what}",
                            self.name
                        ));
                    }
                    _ => tokio::time::sleep(POLL).await,
                }
            }
        }
        Ok(())
    }

    async fn wait_until_stable(&self, deadline: Instant) -> Result<(), String> {
        let all = self.reader(Visible::All)?;
        let stable = self.reader(Visible::Committed)?;
        let this = self.clone();
        blocking(move || {
            loop {
                // A leader that was just elected does not know its end yet.
                let asked = this.ends(&all).and_then(|ends| Ok((ends, this.ends(&stable)?)));
                match asked {
                    Ok((ends, stables)) if ends == stables => return Ok(()),
                    Ok(_) | Err(_) if Instant::now() <= deadline => std::thread::sleep(POLL),
                    Ok((ends, stables)) => {
                        return Err(format!(
                            "topic {}: a transaction never ended: last stable offsets {stables:?}, end offsets {ends:?}",
                            this.name
                        ));
                    }
                    Err(e) => return Err(e),
                }
            }
        })
        .await
    }

    /// Returns the end offset of each partition, as far as this reader gets to see it.
    fn ends(&self, reader: &KafkaReader) -> Result<Vec<i64>, String> {
        (0..self.partitions)
            .map(|partition| {
                reader
                    .ends(&self.name, partition, ADMIN_TIMEOUT)
                    .map(|(_, end)| end)
                    .map_err(|e| self.failed("asking for the end of", &e))
            })
            .collect()
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>, String> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap)
            .create()
            .map_err(|e| self.failed("connecting for", &e))
    }

    fn reader(&self, visible: Visible) -> Result<KafkaReader, String> {
        KafkaReader::new(&self.bootstrap, visible).map_err(|e| self.failed("connecting for", &e))
    }

    fn failed(&self, doing: &str, error: &dyn std::fmt::Display) -> String {
        format!("{doing} topic {} at {}: {error}", self.name, self.bootstrap)
    }
}

impl Topic for KafkaTopic {
    fn create(&self) -> BoxFuture<'_, Result<(), NotMade>> {
        self.make().boxed()
    }

    fn delete(&self) -> BoxFuture<'_, Result<(), String>> {
        self.remove().boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, String>> {
        self.has_none().boxed()
    }

    fn close<'a>(
        &'a self,
        identity: &'a Identity,
        within: Duration,
    ) -> BoxFuture<'a, Result<(), String>> {
        self.shut(identity, within).boxed()
    }

    /// Kafka says nothing of that.
    fn held_up(&self) -> BoxFuture<'_, Option<String>> {
        async { None }.boxed()
    }

    fn length(&self) -> Result<Box<dyn Length>, String> {
        Ok(Box::new(Watermarks {
            reader: Arc::new(self.reader(Visible::All)?),
            topic: self.clone(),
        }))
    }
}

/// The length of a topic by its watermarks, transaction markers included.
struct Watermarks {
    reader: Arc<KafkaReader>,
    topic: KafkaTopic,
}

impl Length for Watermarks {
    fn records(&self) -> BoxFuture<'_, Result<u64, String>> {
        let (reader, topic) = (Arc::clone(&self.reader), self.topic.clone());
        blocking(move || {
            let ends = topic.ends(&reader)?;
            Ok(ends.iter().map(|end| end.unsigned_abs()).sum())
        })
        .boxed()
    }
}

/// Returns the names of all topics of the cluster.
pub(super) async fn all(bootstrap: &str) -> Result<Vec<String>, String> {
    let bootstrap = bootstrap.to_owned();
    blocking(move || {
        let failed = |e| format!("listing the topics at {bootstrap}: {e}");
        let consumer = client::consumer(&bootstrap, Visible::All)?;
        let cluster = consumer
            .fetch_metadata(None, ADMIN_TIMEOUT)
            .map_err(failed)?;
        let names = cluster.topics().iter().map(|t| t.name().to_owned());
        Ok(names.collect())
    })
    .await
}

fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(ADMIN_TIMEOUT))
        .operation_timeout(Some(ADMIN_TIMEOUT))
}

/// Runs this on a thread for blocking work, since librdkafka's metadata calls block their thread.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|e| format!("a Kafka call panicked: {e}"))?
}
