//! Events of this run on topics where nobody expects them.

use super::final_read::in_background;
use super::range::{Bounds, Range, ends, read};
use crate::broker::{Broker, Reader, Visible};
use crate::envelope::EventPlace;
use crate::event::{Record, Verifier};
use crate::history::Body;
use crate::identity::Identity;
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
/// hundred records of each partition are read. The broker's own topics are left out. Topics that did
/// not exist before the run (`topics_before`) come first; on a large cluster not every topic is
/// looked at, which the log says.
pub async fn stray_topics(
    broker: &Arc<dyn Broker>,
    identity: &Identity,
    place: &EventPlace,
    own_topic: &str,
    topics_before: &[String],
) -> Result<Vec<String>, String> {
    let (broker, identity) = (Arc::clone(broker), identity.clone());
    let (own, before) = (own_topic.to_owned(), topics_before.to_vec());
    let place = place.clone();
    in_background(move |given_up| {
        let bounds = Bounds {
            no_progress: NO_PROGRESS_MAX,
            given_up,
        };
        find(&*broker, (&identity, &place), &own, &before, &bounds)
    })
    .await
}

fn find(
    broker: &dyn Broker,
    (identity, place): (&Identity, &EventPlace),
    own_topic: &str,
    topics_before: &[String],
    bounds: &Bounds,
) -> Result<Vec<String>, String> {
    // Aborted records count: they are on the wrong topic all the same.
    let mut reader = broker.reader(Visible::All)?;
    let list = |reader: &dyn Reader, doing: &str| {
        let listed = reader.topics(LIST_WITHIN);
        listed.map_err(|e| format!("{doing} at {}: {e}", broker.place()))
    };
    let mut places: Vec<(bool, Arc<str>, i32)> = Vec::new();
    for (name, partitions) in list(&*reader, "listing the topics")? {
        if name == own_topic {
            continue;
        }
        let old = topics_before.contains(&name);
        let name: Arc<str> = Arc::from(name);
        places.extend(partitions.into_iter().map(|p| (old, Arc::clone(&name), p)));
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
        let tail = ends(&*reader, &topic, partition, bounds).and_then(|(low, to)| {
            let tail = Range {
                topic: Arc::clone(&topic),
                partition,
                from: low.max(to - TAIL),
                to,
            };
            read(&mut *reader, &[tail], bounds, |record| {
                let record = verifier.verify_at(place, record);
                if matches!(record, Record::Event(event) if event.body != Body::Foreign) {
                    stray.insert(Arc::clone(&topic));
                }
            })
        });
        if let Err(error) = tail {
            list(&*reader, "looking for stray events")?;
            tracing::warn!("not looked at for stray events: {error}");
        }
    }
    Ok(stray.iter().map(|topic| topic.to_string()).collect())
}
