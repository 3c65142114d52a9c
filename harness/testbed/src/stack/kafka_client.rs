//! The one question a stack asks Kafka: Metadata, version 8 of the protocol, on a connection of its
//! own. librdkafka would go on to what a listener advertises, and for a proxied listener nothing
//! answers there until its proxy is made.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One question must be answered within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A longer answer is no answer of Kafka's.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// These are the request's type and version; a later version has another encoding.
const METADATA: (i16, i16) = (3, 8);
/// How an array that is not there is counted: here, all topics.
const NULL: i32 = -1;

/// What a listener says of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cluster {
    /// The id it was formatted with.
    pub(super) id: String,
    /// This is the `host:port` of each broker, as this listener advertises it.
    pub(super) advertised: Vec<String>,
    /// All topics, where they were asked for.
    pub(super) topics: Vec<String>,
    /// Of each of their partitions, who leads it.
    pub(super) led: Vec<LedPartition>,
}

/// Who leads a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LedPartition {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The `node.id` of the leader; -1 where there is none.
    pub(super) leader: i32,
    /// It counts elections.
    pub(super) epoch: i32,
}

/// Which topics are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Topics {
    /// No topic is asked for, so that the answer is small.
    None,
    /// All topics of the cluster are asked for.
    All,
}

/// Asks the listener at `address` (`host:port`).
pub(super) async fn describe(address: &str, topics: Topics) -> Result<Cluster, String> {
    let asked = tokio::time::timeout(ANSWER_WITHIN, ask(address, topics));
    match asked.await {
        Ok(Ok(answer)) => KafkaResponse(&answer)
            .cluster()
            .ok_or_else(|| format!("{address}: what answered there is no Kafka 1.0 or later")),
        Ok(Err(e)) => Err(format!("{address}: {e}")),
        Err(_) => Err(format!("{address}: no answer within {ANSWER_WITHIN:?}")),
    }
}

async fn ask(address: &str, topics: Topics) -> std::io::Result<Vec<u8>> {
    let mut connection = TcpStream::connect(address).await?;
    connection.write_all(&request(topics)).await?;
    let length = usize::try_from(connection.read_i32().await?).unwrap_or(usize::MAX);
    if length > ANSWER_BYTES_MAX {
        return Err(std::io::Error::other("what answered there is no Kafka"));
    }
    let mut answer = Vec::new();
    let mut rest = connection.take(length as u64);
    if rest.read_to_end(&mut answer).await? < length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(answer)
}

fn request(topics: Topics) -> Vec<u8> {
    let client = b"outbox-harness";
    let mut body = Vec::new();
    body.extend(METADATA.0.to_be_bytes());
    body.extend(METADATA.1.to_be_bytes());
    body.extend(1_i32.to_be_bytes());
    body.extend((client.len() as i16).to_be_bytes());
    body.extend(client);
    body.extend(match topics {
        Topics::None => 0_i32.to_be_bytes(),
        Topics::All => NULL.to_be_bytes(),
    });
    // No topic is to be created, no permissions are asked for.
    body.extend([0; 3]);
    let mut request = (body.len() as i32).to_be_bytes().to_vec();
    request.extend(body);
    request
}

/// This is the rest of an answer; each step takes from its front, or finds it too short.
struct KafkaResponse<'a>(&'a [u8]);

impl KafkaResponse<'_> {
    fn cluster(mut self) -> Option<Cluster> {
        let _correlation = self.int()?;
        let _throttle = self.int()?;
        let advertised = self.list(|answer| {
            let _node = answer.int()?;
            let host = answer.text()?;
            let port = answer.int()?;
            let _rack = answer.text()?;
            Some(format!("{host}:{port}"))
        })?;
        let id = self.text()?;
        let _controller = self.int()?;
        let topics = self.list(Self::topic)?;
        let (topics, led): (Vec<String>, Vec<Vec<LedPartition>>) = topics.into_iter().unzip();
        Some(Cluster {
            id,
            advertised,
            topics,
            led: led.into_iter().flatten().collect(),
        })
    }

    fn topic(&mut self) -> Option<(String, Vec<LedPartition>)> {
        let _error = self.take(2)?;
        let name = self.text()?;
        let _internal = self.take(1)?;
        let led = self.list(|answer| {
            let _error = answer.take(2)?;
            let (partition, leader, epoch) = (answer.int()?, answer.int()?, answer.int()?);
            // Replicas, in-sync ones, offline ones.
            for _ in 0..3 {
                answer.list(Self::int)?;
            }
            Some(LedPartition {
                topic: name.clone(),
                partition,
                leader,
                epoch,
            })
        })?;
        let _operations = self.int()?;
        Some((name, led))
    }

    fn list<T>(&mut self, mut element: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let count = self.int()?.max(0);
        (0..count).map(|_| element(self)).collect()
    }

    /// A text that is not there is empty.
    fn text(&mut self) -> Option<String> {
        let length = i16::from_be_bytes(self.take(2)?.try_into().ok()?);
        let bytes = self.take(usize::try_from(length).unwrap_or(0))?;
        String::from_utf8(bytes.to_vec()).ok()
    }

    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(text: &str) -> Vec<u8> {
        [&(text.len() as i16).to_be_bytes(), text.as_bytes()].concat()
    }

    fn ints(values: &[i32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_be_bytes()).collect()
    }

    fn answer() -> Vec<u8> {
        [
            ints(&[1, 0, 1, 7]),
            text("broker"),
            ints(&[9092]),
            (-1_i16).to_be_bytes().to_vec(),
            text("cluster"),
            ints(&[7, 1]),
            vec![0, 0],
            text("orders"),
            vec![0],
            ints(&[1]),
            vec![0, 0],
            ints(&[0, 7, 3, 1, 7, 1, 7, 0]),
            ints(&[0]),
        ]
        .concat()
    }

    #[test]
    fn an_answer_gives_cluster_brokers_and_topics() {
        let cluster = KafkaResponse(&answer()).cluster().unwrap();
        assert_eq!(cluster.id, "cluster");
        assert_eq!(cluster.advertised, ["broker:9092"]);
        assert_eq!(cluster.topics, ["orders"]);
        let led = LedPartition {
            topic: "orders".to_owned(),
            partition: 0,
            leader: 7,
            epoch: 3,
        };
        assert_eq!(cluster.led, [led]);
    }

    proptest! {
        #[test]
        fn a_damaged_answer_is_no_answer_and_no_panic(cut in 0usize..90, at in 0usize..90, to: u8) {
            let whole = answer();
            prop_assert!(KafkaResponse(&whole[..cut.min(whole.len() - 5)]).cluster().is_none());
            let mut damaged = whole.clone();
            damaged[at % whole.len()] = to;
            let _ = KafkaResponse(&damaged).cluster();
        }
    }
}
