//! Events of this run on topics where nobody expects them.

use super::client::{Isolation, consumer};
use super::final_read::in_background;
use super::range::{Bounds, Range, ends, read};
use super::wire::OnTopic;
use crate::envelope::EventPlace;
use crate::event::{Record, Verifier};
use crate::history::Body;
use crate::identity::Identity;
use rdkafka::consumer::Consumer;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// Records looked at, at the end of each partition.
const TAIL: i64 = 300;
/// At most so many partitions are looked at, of all topics together.
const PARTITIONS_MAX: usize = 200;
/// How long the broker may take to list its topics.
const LIST_WITHIN: Duration = Duration::from_secs(10);
/// A partition that does not answer for so long is passed over: it is somebody else's, and may be
/// dropped while it is read.
const NO_PROGRESS_MAX: Duration = Duration::from_secs(3);

/// Other topics of the cluster on which events of this run are found, by name and wherever `place` says
/// that a record has them: the last few
/// hundred records of each partition are read. Kafka's own topics are left out. Topics that did
/// not exist before the run (`topics_before`) come first; on a large cluster not every topic is
/// looked at, which the log says.
pub async fn stray_topics(
    bootstrap: &str,
    identity: &Identity,
    place: &EventPlace,
    own_topic: &str,
    topics_before: &[String],
) -> Result<Vec<String>, String> {
    let (bootstrap, identity) = (bootstrap.to_owned(), identity.clone());
    let (own, before) = (own_topic.to_owned(), topics_before.to_vec());
    let place = place.clone();
    in_background(move |given_up| {
        let bounds = Bounds {
            no_progress: NO_PROGRESS_MAX,
            given_up,
        };
        find(&bootstrap, (&identity, &place), &own, &before, &bounds)
    })
    .await
}

fn find(
    bootstrap: &str,
    (identity, place): (&Identity, &EventPlace),
    own_topic: &str,
    topics_before: &[String],
    bounds: &Bounds,
) -> Result<Vec<String>, String> {
    // Aborted records count: they are on the wrong topic all the same.
    let consumer = consumer(bootstrap, Isolation::Uncommitted)?;
    let cluster = consumer
        .fetch_metadata(None, LIST_WITHIN)
        .map_err(|e| format!("listing the topics at {bootstrap}: {e}"))?;
    let mut places: Vec<(bool, Arc<str>, i32)> = Vec::new();
    for topic in cluster.topics() {
        let name = topic.name();
        if name == own_topic || name.starts_with("__") {
            continue;
        }
        let old = topics_before.iter().any(|before| before == name);
        let name: Arc<str> = Arc::from(name);
        let partitions = topic.partitions().iter();
        places.extend(partitions.map(|p| (old, Arc::clone(&name), p.id())));
    }
    places.sort_unstable();
    if places.len() > PARTITIONS_MAX {
        tracing::warn!(
            "looking for stray events on {PARTITIONS_MAX} of {} partitions of other topics",
            places.len()
        );
        places.truncate(PARTITIONS_MAX);
    }

    let verifier = Verifier {
        identity,
        requests: None,
        payload_bytes: 0,
    };
    let mut stray: BTreeSet<Arc<str>> = BTreeSet::new();
    for (_, topic, partition) in places {
        if stray.contains(&topic) {
            continue;
        }
        let tail = ends(&consumer, &topic, partition, bounds).and_then(|(low, to)| {
            let tail = Range {
                topic: Arc::clone(&topic),
                partition,
                from: low.max(to - TAIL),
                to,
            };
            read(&consumer, &[tail], bounds, |message| {
                let record = verifier.verify_at(place, &OnTopic(message));
                if matches!(record, Record::Event(event) if event.body != Body::Foreign) {
                    stray.insert(Arc::clone(&topic));
                }
            })
        });
        if let Err(error) = tail {
            consumer
                .fetch_metadata(None, LIST_WITHIN)
                .map_err(|e| format!("looking for stray events at {bootstrap}: {e}"))?;
            tracing::warn!("not looked at for stray events: {error}");
        }
    }
    Ok(stray.iter().map(|topic| topic.to_string()).collect())
}
