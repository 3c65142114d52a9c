//! Reads given offsets of given partitions, all of them: complete means that the reader's own
//! position has reached the end, never that it reported an end of file.

use crate::broker::{From, Next, OnTopic, Reader};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long one question to the broker may take.
const ASK: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// These are offsets of a partition: `from` up to and without `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range {
    pub topic: Arc<str>,
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

/// Turns true when nobody waits for the result any more.
pub(super) type GivenUp = Arc<AtomicBool>;

/// These bounds say when to stop trying.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    /// Trying ends after so long without progress.
    pub no_progress: Duration,
    /// Trying ends when this turns true.
    pub given_up: GivenUp,
}

impl Bounds {
    fn given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }
}

/// Returns the lowest offset of a partition and its end, one past the last record that the reader gets to see. The
/// broker is asked again until it answers.
pub(super) fn ends(
    reader: &dyn Reader,
    topic: &str,
    partition: i32,
    bounds: &Bounds,
) -> Result<(i64, i64), String> {
    let deadline = Instant::now() + bounds.no_progress;
    loop {
        match reader.ends(topic, partition, ASK.min(bounds.no_progress)) {
            Ok(ends) => return Ok(ends),
            Err(error) if Instant::now() > deadline || bounds.given_up() => {
                return Err(format!(
                    "asking for the ends of partition {partition} of topic {topic}: {error} \
                     (for {:?}): is the broker reachable around its proxies?",
                    bounds.no_progress
                ));
            }
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

/// Reads `ranges` to their ends, each record once; returns the position reached in each.
pub(super) fn read(
    reader: &mut dyn Reader,
    ranges: &[Range],
    bounds: &Bounds,
    mut take: impl FnMut(&dyn OnTopic),
) -> Result<Vec<i64>, String> {
    let mut position: Vec<i64> = ranges.iter().map(|r| r.from).collect();
    let index = Index::new(ranges);
    assign(reader, ranges)?;
    let mut last_error = String::from("no error was reported");
    let mut open = ranges.iter().filter(|r| r.from < r.to).count();
    let mut progress = Instant::now();
    while open > 0 {
        if bounds.given_up() {
            return Err("the reading was given up".into());
        }
        let mut passed = None;
        let next = reader.next(POLL, &mut |record| {
            let Some(at) = index.find(record.topic(), record.partition()) else {
                return;
            };
            let offset = record.offset();
            // Not behind the end (the topic may still grow), and not seen already.
            if (position[at]..ranges[at].to).contains(&offset) {
                take(record);
                passed = Some((at, offset + 1));
            }
        });
        match next {
            Next::Record => {
                if let Some((at, next)) = passed {
                    position[at] = next;
                    open -= usize::from(next >= ranges[at].to);
                    progress = Instant::now();
                }
                continue;
            }
            Next::End(_) | Next::Nothing => {}
            Next::Over(error) => return Err(format!("{}: {error}", unread(ranges, &position))),
            Next::Trouble(error) => last_error = error,
        }
        // Transaction markers have offsets and are never handed out: only the position tells.
        let finished = advance(reader, ranges, &index, &mut position)?;
        if finished > 0 {
            open -= finished;
            progress = Instant::now();
        }
        if progress.elapsed() > bounds.no_progress {
            return Err(format!(
                "{}, no progress for {:?} ({last_error})",
                unread(ranges, &position),
                bounds.no_progress
            ));
        }
    }
    reader.assign(&[])?;
    Ok(position)
}

fn assign(reader: &mut dyn Reader, ranges: &[Range]) -> Result<(), String> {
    let open = ranges.iter().filter(|r| r.from < r.to);
    let from: Vec<From<'_>> = open
        .map(|range| From {
            topic: &range.topic,
            partition: range.partition,
            offset: range.from,
        })
        .collect();
    reader.assign(&from)
}

/// Takes over the reader's positions; returns how many ranges are finished by that.
fn advance(
    reader: &dyn Reader,
    ranges: &[Range],
    index: &Index,
    position: &mut [i64],
) -> Result<usize, String> {
    let mut finished = 0;
    reader.positions(&mut |reached| {
        let Some(at) = index.find(reached.topic, reached.partition) else {
            return;
        };
        let reached = reached.offset.min(ranges[at].to);
        if reached > position[at] {
            position[at] = reached;
            finished += usize::from(reached >= ranges[at].to);
        }
    })?;
    Ok(finished)
}

fn unread(ranges: &[Range], position: &[i64]) -> String {
    let open = ranges.iter().zip(position).find(|(r, p)| **p < r.to);
    match open {
        Some((range, position)) => format!(
            "reading topic {}: partition {} stands at offset {position} of {}",
            range.topic, range.partition, range.to
        ),
        None => "reading".into(),
    }
}

/// Finds the range of a partition.
struct Index(HashMap<Arc<str>, HashMap<i32, usize>>);

impl Index {
    fn new(ranges: &[Range]) -> Self {
        let mut topics: HashMap<Arc<str>, HashMap<i32, usize>> = HashMap::new();
        for (at, range) in ranges.iter().enumerate() {
            topics
                .entry(Arc::clone(&range.topic))
                .or_default()
                .insert(range.partition, at);
        }
        Self(topics)
    }

    fn find(&self, topic: &str, partition: i32) -> Option<usize> {
        self.0.get(topic)?.get(&partition).copied()
    }
}
