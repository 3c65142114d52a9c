//! The whole topic again, after the fence.

use super::Watch;
use super::range::{Bounds, GivenUp, Range, ends, read};
use crate::broker::{OnTopic, Reader, Visible};
use crate::envelope::EventPlace;
use crate::event::{Record, Verifier};
use crate::history::{LogRow, MAX_RAW, PartitionEnd, RawRecord, Request, Rows};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Reading ends without progress for so long.
const NO_PROGRESS_MAX: Duration = Duration::from_secs(30);

/// This is what the final read found on the topic.
#[derive(Debug, Default)]
pub struct FinalRead {
    /// These are the committed records of the topic, by partition and offset, sentinels left out.
    pub log: Rows<LogRow>,
    /// Those that did not verify.
    pub raw: Vec<RawRecord>,
    /// These say where each partition ended.
    pub partitions: Vec<PartitionEnd>,
    /// This is the count of all records, sentinels left out.
    pub uncommitted_records: u64,
    /// This says why what was read is not known to be all of the topic; `None` where it is.
    pub unproved: Option<String>,
}

/// Reads the whole topic from offset 0 with a fresh reader until its position is the end offset
/// of every partition (bounded by no progress for 30 s). `requests` by attempt number.
///
/// Committed records end at the last stable offset: a transaction still open there leaves
/// `read_offset` and `stable_offset` behind `end_offset`. The ends are asked for once more after
/// the reading, so that a topic that still grew shows as not read to its end.
pub async fn read_again(watch: &Watch, requests: Arc<Rows<Request>>) -> Result<FinalRead, String> {
    let watch = watch.clone();
    in_background(move |given_up| {
        let bounds = Bounds {
            no_progress: NO_PROGRESS_MAX,
            given_up,
        };
        read_topic(&watch, &requests, &bounds)
    })
    .await
}

/// Runs blocking reads on a thread; they end soon after the caller has gone.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce(GivenUp) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    struct OnDrop(GivenUp);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Release);
        }
    }
    let given_up = GivenUp::default();
    let _guard = OnDrop(Arc::clone(&given_up));
    tokio::task::spawn_blocking(move || work(given_up))
        .await
        .map_err(|e| format!("the reading thread ended: {e}"))?
}

fn read_topic(
    watch: &Watch,
    requests: &Rows<Request>,
    bounds: &Bounds,
) -> Result<FinalRead, String> {
    let mut committed = watch.broker.reader(Visible::Committed)?;
    let mut uncommitted = watch.broker.reader(Visible::All)?;
    let whole = |reader: &dyn Reader| -> Result<Vec<Range>, String> {
        let topic: Arc<str> = Arc::from(watch.topic.as_str());
        (0..watch.partitions)
            .map(|partition| {
                let (low, to) = ends(reader, &topic, partition, bounds)?;
                if low > 0 {
                    return Err(format!(
                        "partition {partition} of topic {topic} begins at offset {low}, not at 0: \
                         the broker has dropped records (retention must be without limit)"
                    ));
                }
                Ok(Range {
                    topic: Arc::clone(&topic),
                    partition,
                    from: 0,
                    to,
                })
            })
            .collect()
    };
    let verifier = Verifier {
        identity: &watch.identity,
        requests: Some(requests),
        payload_bytes: watch.payload_bytes,
    };

    let mut result = FinalRead::default();
    let mut log = Vec::new();
    let stable = whole(&*committed)?;
    let mut has_sentinel = false;
    let reached = read(&mut *committed, &stable, bounds, |record| {
        has_sentinel |= verifier.is_sentinel(record.key(), record.value());
        log.extend(take(&verifier, &watch.place, record, &mut result.raw));
    })?;
    log.sort_unstable_by_key(|row: &LogRow| (row.partition, row.offset));
    result.log = log.into_iter().collect();

    let all = whole(&*uncommitted)?;
    let mut count = 0;
    read(&mut *uncommitted, &all, bounds, |record| {
        count += u64::from(!verifier.is_sentinel(record.key(), record.value()));
    })?;
    result.uncommitted_records = count;

    let (stable, all) = (whole(&*committed)?, whole(&*uncommitted)?);
    result.partitions = reached
        .into_iter()
        .zip(stable.iter().zip(&all))
        .map(|(read_offset, (stable, all))| PartitionEnd {
            partition: all.partition,
            end_offset: all.to,
            stable_offset: stable.to,
            read_offset,
        })
        .collect();
    if watch.broker.ends_with_sentinel() && !has_sentinel {
        result.unproved = Some(format!(
            "the sentinel that closes topic {} is not on it: what was in front of it may be missing too",
            watch.topic
        ));
    }
    Ok(result)
}

/// Its row, unless it is the harness's own; what did not verify is kept in full as well.
fn take(
    verifier: &Verifier<'_>,
    place: &EventPlace,
    record: &dyn OnTopic,
    raw: &mut Vec<RawRecord>,
) -> Option<LogRow> {
    let Record::Event(event) = verifier.verify_at(place, record) else {
        return None;
    };
    let (partition, offset) = (record.partition(), record.offset());
    let row = LogRow {
        partition,
        offset,
        append_ms: record.appended_ms().unwrap_or(-1),
        attempt: event.attempt,
        order: event.order,
        version: event.version,
        body: event.body,
    };
    if let Some(reason) = event.reason
        && raw.len() < MAX_RAW
    {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut headers = Vec::new();
        record.headers(&mut |name, value| headers.push(format!("{}={}", text(name), text(value))));
        raw.push(RawRecord {
            partition,
            offset,
            key: text(record.key().unwrap_or(b"")),
            value: text(record.value().unwrap_or(b"")),
            headers: headers.join("\n"),
            reason,
        });
    }
    Some(row)
}
