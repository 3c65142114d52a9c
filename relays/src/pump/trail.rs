//! The trail that events leave in the trace on their way through the pump: one write a batch and
//! stage, and everything on file before the step that follows from it.

use crate::publisher::Delivery;
use crate::signal::monotonic_ns;
use crate::source::Held;
use crate::trace::{Stage, Step, Trace};
use serde::Deserialize;
use std::collections::VecDeque;
use uuid::Uuid;

/// Events that can be followed at once; a transaction of more of them ends the trace.
const UNDER_WAY_MAX: usize = 1 << 20;

/// The part of an event's payload that a trace needs.
#[derive(Deserialize)]
struct Named {
    attempt: Uuid,
}

/// This is an event on its way.
#[derive(Debug, Clone, Copy)]
struct Tag {
    /// Events that name no attempt are passed over.
    attempt: Option<Uuid>,
    version: u32,
    /// Its delivery, or that it is not waited for any more, is written down.
    fate_is_known: bool,
}

/// Follows the events of one pump.
#[derive(Debug)]
pub(super) struct Trail {
    trace: Trace,
    /// These steps are noted and not yet written to the trace.
    steps: Vec<Step>,
    /// These events are taken from the source, and not yet by the publisher.
    taken: VecDeque<Tag>,
    /// These events are taken by the publisher, and not yet settled at the source.
    under_way: VecDeque<Tag>,
    /// This is the publisher's position of the first event that is under way.
    first: u64,
    /// This is the publisher's position of the first event that is not noted as out of the cache.
    invalidated: u64,
    /// Events that the source has settled in all.
    settled: u64,
}

impl Trail {
    /// Makes a trail in this trace.
    pub(super) fn new(trace: Trace) -> Self {
        Self {
            trace,
            steps: Vec::new(),
            taken: VecDeque::new(),
            under_way: VecDeque::new(),
            first: 0,
            invalidated: 0,
            settled: 0,
        }
    }

    /// A session begins: the next event that the publisher takes has this position.
    pub(super) fn begin(&mut self, position: u64) {
        self.taken.clear();
        self.under_way.clear();
        (self.first, self.invalidated) = (position, position);
    }

    /// These are taken from the source and not yet by the publisher; the last of them are new.
    pub(super) fn took<T: Held>(&mut self, batch: &VecDeque<T>) {
        if !self.trace.is_on() {
            self.begin(0);
            return;
        }
        let at_ns = monotonic_ns();
        for item in batch.iter().skip(self.taken.len()) {
            let tag = tag(item);
            self.taken.push_back(tag);
            if let Some((stage, detail)) = item.taken_as() {
                self.note(tag, at_ns, stage, detail);
            }
        }
        self.write();
    }

    /// The publisher took the first of those taken from the source, and was asked to at `at_ns`.
    /// On file with the next [`Trail::write`].
    pub(super) fn handed(&mut self, at_ns: u64) {
        let Some(tag) = self.taken.pop_front() else {
            return;
        };
        if self.under_way.len() >= UNDER_WAY_MAX {
            let why = format!("more than {UNDER_WAY_MAX} events are under way");
            self.trace.cut(at_ns, &why);
            return;
        }
        self.under_way.push_back(tag);
        self.note(tag, at_ns, Stage::Handed, 0);
    }

    /// Notes the publisher's report. It is on file with the next [`Trail::write`].
    pub(super) fn delivered(&mut self, delivery: Delivery) {
        let index = delivery.position.checked_sub(self.first);
        let Some(tag) = index.and_then(|i| self.under_way.get_mut(i as usize)) else {
            return;
        };
        tag.fate_is_known = true;
        let tag = *tag;
        match delivery.fate {
            Ok(offset) => self.note(tag, delivery.at_ns, Stage::Delivered, offset),
            Err(status) => {
                self.note(tag, delivery.at_ns, Stage::DeliveryFailed, status as u64);
            }
        }
    }

    /// So many of the first events that the publisher took are out of its cache. On file with the next
    /// [`Trail::write`].
    pub(super) fn invalidated(&mut self, events: u64) {
        let at_ns = monotonic_ns();
        while self.invalidated < events {
            let index = self.invalidated.checked_sub(self.first);
            let tag = index.and_then(|i| self.under_way.get(i as usize));
            if let Some(tag) = tag.copied() {
                self.note(tag, at_ns, Stage::Invalidated, 0);
            }
            self.invalidated += 1;
        }
    }

    /// The producer is given up, with everything from this position on whose delivery was not
    /// reported.
    pub(super) fn abandoned(&mut self, position: u64) {
        let at_ns = monotonic_ns();
        let from = position.saturating_sub(self.first) as usize;
        for index in from..self.under_way.len() {
            let tag = &mut self.under_way[index];
            if !std::mem::replace(&mut tag.fate_is_known, true) {
                let tag = *tag;
                self.note(tag, at_ns, Stage::Abandoned, 0);
            }
        }
        self.write();
    }

    /// The source has settled so many events in all.
    pub(super) fn settled(&mut self, events: u64) {
        let at_ns = monotonic_ns();
        while self.settled < events {
            self.settled += 1;
            if let Some(tag) = self.under_way.pop_front() {
                self.first += 1;
                self.note(tag, at_ns, Stage::Confirmed, 0);
            }
        }
        self.write();
    }

    /// Puts on file what is not.
    pub(super) fn write(&mut self) {
        self.trace.write(&self.steps);
        self.steps.clear();
    }

    fn note(&mut self, tag: Tag, at_ns: u64, stage: Stage, detail: u64) {
        if let Some(attempt) = tag.attempt {
            self.steps.push(Step {
                at_ns,
                attempt,
                version: tag.version,
                stage,
                detail,
            });
        }
    }
}

fn tag(item: &impl Held) -> Tag {
    let event = item.event().ok();
    let named = event.and_then(|e| serde_json::from_str::<Named>(e.payload).ok());
    Tag {
        attempt: named.map(|named| named.attempt),
        version: event.and_then(|e| e.version.parse().ok()).unwrap_or(0),
        fate_is_known: false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::config::TraceTarget;
    use crate::persistence::Persistence;
    use crate::source::{Event, SourceError};

    /// An event of attempt `n`, in version `n`; without an attempt if `n` is 0.
    struct Item {
        payload: String,
        version: String,
        seq: u64,
    }

    impl Held for Item {
        fn event(&self) -> Result<Event<'_>, SourceError> {
            Ok(Event {
                key: "key",
                id: "id",
                event_type: "type",
                version: &self.version,
                payload: &self.payload,
            })
        }

        fn taken_as(&self) -> Option<(Stage, u64)> {
            Some((Stage::Claimed, self.seq))
        }
    }

    fn item(n: u64) -> Item {
        let attempt = Uuid::from_u128(n.into());
        Item {
            payload: match n {
                0 => r#"{"content":"\"attempt\":"}"#.to_owned(),
                _ => format!(r#"{{ "content": "attempt", "attempt" : "{attempt}", "x": [] }}"#),
            },
            version: n.to_string(),
            seq: 100 + n,
        }
    }

    struct Bench {
        folder: std::path::PathBuf,
        trail: Trail,
        batch: VecDeque<Item>,
    }

    impl Bench {
        fn new(max_bytes: u64) -> Self {
            let name = format!("trail-{}", Uuid::new_v4().simple());
            let folder = std::env::temp_dir().join(name);
            let trace = Trace::open(Some(&TraceTarget {
                folder: folder.clone(),
                max_bytes,
            }));
            Self {
                folder,
                trail: Trail::new(trace),
                batch: VecDeque::new(),
            }
        }

        fn take(&mut self, items: impl IntoIterator<Item = u64>) {
            self.batch.extend(items.into_iter().map(item));
            self.trail.took(&self.batch);
        }

        fn hand(&mut self, events: usize) {
            for _ in 0..events {
                self.batch.pop_front().unwrap();
                self.trail.handed(1);
            }
            self.trail.write();
        }

        fn deliver(&mut self, position: u64, fate: Result<u64, Persistence>) {
            self.trail.delivered(Delivery {
                position,
                at_ns: 2,
                fate,
            });
            self.trail.write();
        }

        /// What is on file: attempt, stage, detail.
        fn written(&self) -> Vec<(u128, Stage, u64)> {
            let file = std::fs::read_dir(&self.folder).unwrap().next().unwrap();
            let mut steps = Vec::new();
            crate::trace::read(&file.unwrap().path(), |_, step| {
                let attempt = step.attempt.as_u128();
                assert_eq!(u128::from(step.version), attempt);
                steps.push((attempt, step.stage, step.detail));
            })
            .unwrap();
            steps
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    #[test]
    fn given_events_when_they_go_through_then_each_step_is_on_file_under_its_attempt() {
        let mut bench = Bench::new(1 << 20);
        // given a publisher that has taken 50 in earlier sessions, and an event without an attempt
        bench.trail.begin(50);
        bench.take([1, 0, 2]);
        bench.hand(2);
        bench.take([3]);
        bench.hand(2);
        // when deliveries are reported out of order, and settled in two steps
        bench.deliver(52, Ok(12));
        bench.deliver(51, Ok(11));
        bench.deliver(50, Ok(10));
        bench.trail.settled(2);
        bench.trail.settled(3);
        bench.deliver(53, Ok(13));
        bench.trail.settled(4);
        // then
        let expected = [
            (1, Stage::Claimed, 101),
            (2, Stage::Claimed, 102),
            (1, Stage::Handed, 0),
            (3, Stage::Claimed, 103),
            (2, Stage::Handed, 0),
            (3, Stage::Handed, 0),
            (2, Stage::Delivered, 12),
            (1, Stage::Delivered, 10),
            (1, Stage::Confirmed, 0),
            (2, Stage::Confirmed, 0),
            (3, Stage::Delivered, 13),
            (3, Stage::Confirmed, 0),
        ];
        assert_eq!(bench.written(), expected);
    }

    #[test]
    fn given_a_failed_delivery_when_the_producer_is_given_up_then_the_rest_of_it_is_abandoned() {
        let mut bench = Bench::new(1 << 20);
        bench.trail.begin(0);
        bench.take([1, 2, 3, 4]);
        bench.hand(4);
        // given that the first is durable, the second failed, the third was delivered after it
        bench.deliver(0, Ok(7));
        bench.deliver(1, Err(Persistence::PossiblyPersisted));
        bench.deliver(2, Ok(8));
        // when
        bench.trail.abandoned(1);
        bench.trail.abandoned(1);
        bench.trail.settled(1);
        // then only what nothing is known of is abandoned, once; and the next session starts afresh
        let before = bench.written();
        assert_eq!(
            before[8..],
            [
                (1, Stage::Delivered, 7),
                (2, Stage::DeliveryFailed, 1),
                (3, Stage::Delivered, 8),
                (4, Stage::Abandoned, 0),
                (1, Stage::Confirmed, 0),
            ]
        );
        bench.trail.begin(0);
        bench.deliver(1, Ok(9));
        assert_eq!(bench.written(), before);
        bench.take([2]);
        bench.hand(1);
        bench.deliver(0, Ok(9));
        bench.trail.settled(2);
        assert_eq!(
            bench.written()[before.len()..].last(),
            Some(&(2, Stage::Confirmed, 0))
        );
    }

    #[test]
    fn given_a_cut_when_events_go_on_then_nothing_is_kept_of_them() {
        let mut bench = Bench::new(3 * crate::trace::STEP_BYTES as u64);
        bench.trail.begin(0);
        bench.take([1, 2]);
        bench.hand(1);
        bench.batch.clear();
        bench.take([3, 4]);
        bench.hand(2);
        bench.trail.settled(3);
        assert_eq!(bench.written().len(), 2);
        assert!(bench.trail.taken.is_empty() && bench.trail.under_way.is_empty());
    }
}
