//! The ends of the topic, asked for again and again: what exists by when, on our own clock. The time
//! that the broker writes into a record is another host's, and is never compared with ours.
//!
//! A thread and a reader of their own, so that an observer that is late does not make this late too.

use super::Watch;
use super::standstill::Standstill;
use crate::broker::{Reader, Visible};
use crate::history::{Sample, topic_end_series};
use crate::measure::BLOCKED_CONSUMERS_MS;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often, unless the run is so long that it would be too many.
const EVERY: Duration = Duration::from_millis(100);
/// Rows that are kept at most; no more is asked then.
const MAX_ROWS: usize = 200_000;
/// How long one question may take.
const ASK: Duration = Duration::from_millis(500);
/// How long the first may take.
const FIRST_WITHIN: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct EndsPlan {
    /// The run lasts about so long; the longer, the less often is asked.
    pub expected: Duration,
    /// Whether transactions may be open on the topic: then it is also asked for how long they hold readers up.
    pub has_transactions: bool,
}

/// Asks until it is stopped or dropped.
pub struct Ends {
    stop: Arc<AtomicBool>,
    rows: Option<oneshot::Receiver<Vec<Sample>>>,
}

impl Ends {
    /// Returns when the first question was answered.
    pub async fn start(watch: Watch, plan: EndsPlan) -> Result<Self, String> {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell_ready, ready) = oneshot::channel();
        let (tell_rows, rows) = oneshot::channel();
        let ends = Self {
            stop: Arc::clone(&stop),
            rows: Some(rows),
        };
        std::thread::Builder::new()
            .name("topic-ends".into())
            .spawn(move || {
                let mut asker = match Asker::new(watch, plan, &stop) {
                    Ok(asker) => asker,
                    Err(reason) => {
                        let _ = tell_ready.send(Err(reason));
                        return;
                    }
                };
                let _ = tell_ready.send(Ok(()));
                let every = EVERY.max(plan.expected / asker.questions());
                asker.go_on(every, &stop);
                let _ = tell_rows.send(asker.rows);
            })
            .map_err(|e| format!("starting the thread that asks for the topic's ends: {e}"))?;
        ready
            .await
            .unwrap_or_else(|_| Err("the thread that asks for the topic's ends ended".into()))?;
        Ok(ends)
    }

    /// Stops and gives what was answered: by partition, each end with when it was first known, and the
    /// one before it with when it was last true. With transactions, also for how long they held readers up.
    pub async fn stop(mut self) -> Vec<Sample> {
        self.stop.store(true, Ordering::Release);
        match self.rows.take() {
            Some(rows) => rows.await.unwrap_or_default(),
            None => Vec::new(),
        }
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

struct Asker {
    watch: Watch,
    reader: Box<dyn Reader>,
    /// These are the names of the series that the ends are kept under, by partition.
    series: Vec<String>,
    /// By partition, this is the last answer, and whether it is kept; it is none before the first.
    last: Vec<Option<(Sample, bool)>>,
    /// With transactions, who sees what is behind an open one, and how readers stand by partition.
    of_open: Option<(Box<dyn Reader>, Vec<Standstill>)>,
    rows: Vec<Sample>,
}

impl Asker {
    /// Makes an asker that has had its first answer; an Err says why none came in time.
    fn new(watch: Watch, plan: EndsPlan, stop: &AtomicBool) -> Result<Self, String> {
        let partitions = 0..watch.partitions;
        let of_open = match plan.has_transactions {
            true => {
                let all = watch.broker.reader(Visible::All)?;
                let stands = partitions.clone().map(|_| Standstill::default());
                Some((all, stands.collect()))
            }
            false => None,
        };
        let mut asker = Self {
            reader: watch.broker.reader(Visible::Committed)?,
            series: partitions.clone().map(topic_end_series).collect(),
            last: partitions.map(|_| None).collect(),
            of_open,
            rows: Vec::new(),
            watch,
        };
        let deadline = Instant::now() + FIRST_WITHIN;
        loop {
            match asker.ask() {
                Ok(()) => return Ok(asker),
                Err(reason) if Instant::now() > deadline || stop.load(Ordering::Acquire) => {
                    return Err(format!(
                        "asking for the ends of topic {}, {}: {reason} (for {FIRST_WITHIN:?}): \
                         does this address reach the broker?",
                        asker.watch.topic,
                        asker.watch.broker.place()
                    ));
                }
                Err(_) => std::thread::sleep(EVERY),
            }
        }
    }

    /// One question leaves two rows a partition at most, and one of the readers.
    fn rows_each(&self) -> usize {
        self.series.len().saturating_mul(2).saturating_add(1)
    }

    /// How many questions there is room for.
    fn questions(&self) -> u32 {
        let rows = self.rows_each();
        u32::try_from(MAX_ROWS / rows).unwrap_or(u32::MAX).max(1)
    }

    fn go_on(&mut self, every: Duration, stop: &AtomicBool) {
        let mut due = Instant::now() + every;
        while !stop.load(Ordering::Acquire) {
            let now = Instant::now();
            if now < due {
                // Short enough for a stop to be seen at once.
                std::thread::sleep((due - now).min(EVERY));
                continue;
            }
            due = now + every;
            if self.rows.len() + self.rows_each() > MAX_ROWS {
                return;
            }
            // Brokers go down in these runs: then nothing is known, and later more is.
            if let Err(reason) = self.ask() {
                tracing::debug!("asking for the ends of the topic: {reason}");
            }
        }
        let _ = self.ask();
        let last = self.last.iter_mut().flatten();
        let unkept = last.filter(|(_, kept)| !kept).map(|(row, _)| row.clone());
        self.rows.extend(unkept);
    }

    /// Asks one question about all partitions. When the answer was true, the broker's reader knows: a broker may take
    /// several questions for one.
    fn ask(&mut self) -> Result<(), String> {
        let behind = match &self.of_open {
            Some((all, _)) => ends(&**all, &self.watch)?.0,
            None => Vec::new(),
        };
        let asked_ns = self.watch.clock.now_ns();
        let (stable, at_ns) = ends(&*self.reader, &self.watch)?;
        let told_ns = self.watch.clock.now_ns();
        for (partition, end) in stable.iter().enumerate() {
            self.answered(partition, at_ns, *end);
        }
        if let Some((_, stands)) = &mut self.of_open {
            let found = stands.iter_mut().zip(stable.iter().zip(&behind));
            let asked = (asked_ns, told_ns);
            let stood_ns = found.map(|(stand, (stable, end))| stand.found(asked, *stable, *end));
            self.rows.push(Sample {
                series: BLOCKED_CONSUMERS_MS.to_owned(),
                // What it says was so by then.
                at_ns: asked_ns,
                value: stood_ns.max().unwrap_or(0) as f64 / 1e6,
            });
        }
        Ok(())
    }

    fn answered(&mut self, partition: usize, at_ns: i64, end: i64) {
        let (Some(series), Some(last)) = (self.series.get(partition), self.last.get_mut(partition))
        else {
            return;
        };
        let row = Sample {
            series: series.clone(),
            at_ns,
            value: end as f64,
        };
        let changed = last
            .as_ref()
            .is_none_or(|(last, _)| last.value != row.value);
        if changed && let Some((unkept, false)) = last.take() {
            self.rows.push(unkept);
        }
        if changed {
            self.rows.push(row.clone());
        }
        *last = Some((row, changed));
    }
}

/// The ends of all partitions, as this reader sees them, with their run time; an Err says why not all are known.
fn ends(reader: &dyn Reader, watch: &Watch) -> Result<(Vec<i64>, i64), String> {
    let told = reader.ends_of_all(&watch.topic, watch.partitions, ASK)?;
    let end = |partition: i32| {
        let end = told.offsets.get(&partition).copied();
        end.ok_or_else(|| format!("no answer about partition {partition}"))
    };
    let ends = (0..watch.partitions).map(end).collect::<Result<_, _>>()?;
    Ok((ends, watch.clock.at(told.at_monotonic_ns)))
}
