//! How far the binlog was read, what of that is durable elsewhere, and which position may be kept.
//!
//! Keeping a position is a transaction, which is itself in the log. So one is due only where events of the outbox were
//! behind the last one, or so much else that the log may be purged before any come: or the relay would wake itself for ever.

use super::event::Gtid;
use super::position::LogPosition;
use std::collections::VecDeque;

/// After so many bytes of log without events of the outbox a position is kept all the same.
const BYTES_WITHOUT_EVENTS: u64 = 64 << 20;

/// See the module. Events are counted as [`crate::source::Source`] has it.
#[derive(Debug, Default)]
pub(super) struct LogProgress {
    /// Behind the last group that was read to its end.
    read: LogPosition,
    read_events: u64,
    durable_events: u64,
    /// Positions that may be kept once so many events are durable; one for each number of events.
    waiting: VecDeque<(u64, LogPosition)>,
    /// This one may be kept, and so many events are before it.
    reached: LogPosition,
    reached_events: u64,
    /// So many events are before the one that is kept.
    kept_events: u64,
    /// Bytes of log since a position was kept.
    bytes: u64,
}

impl LogProgress {
    /// Begins behind this position, which is kept.
    pub fn resume(kept: LogPosition) -> Self {
        Self {
            read: kept.clone(),
            reached: kept,
            ..Self::default()
        }
    }

    /// Some of the log came in.
    pub fn came(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    /// A group was read to its end, with so many events. While rows wait for a decision (`holds_prepared`) no position behind
    /// them may be kept: they would be left out by whoever goes on from there.
    pub fn passed(&mut self, gtid: Gtid, events: u64, holds_prepared: bool) {
        self.read.advance(gtid);
        self.read_events += events;
        if holds_prepared {
            return;
        }
        match self.waiting.back_mut() {
            Some((events, position)) if *events == self.read_events => {
                position.clone_from(&self.read);
            }
            _ => self
                .waiting
                .push_back((self.read_events, self.read.clone())),
        }
        self.settle();
    }

    /// The first `events` events are durable.
    pub fn confirm(&mut self, events: u64) {
        self.durable_events = self.durable_events.max(events);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some((events, _)) = self.waiting.front()
            && *events <= self.durable_events
            && let Some(next) = self.waiting.pop_front()
        {
            (self.reached_events, self.reached) = next;
        }
    }

    /// Where to go on from, in this session or another one.
    pub fn reached(&self) -> &LogPosition {
        &self.reached
    }

    /// Returns the position that is to be kept, if one is.
    pub fn due(&self) -> Option<&LogPosition> {
        let is_due = self.reached_events > self.kept_events || self.bytes >= BYTES_WITHOUT_EVENTS;
        is_due.then_some(&self.reached)
    }

    /// What was due is kept.
    pub fn kept(&mut self) {
        (self.kept_events, self.bytes) = (self.reached_events, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum LogStep {
        Group { events: u8, holds: bool },
        Confirm(u8),
        Keep,
    }

    fn steps() -> impl Strategy<Value = Vec<LogStep>> {
        let step = prop_oneof![
            (0_u8..4, any::<bool>()).prop_map(|(events, holds)| LogStep::Group { events, holds }),
            (0_u8..6).prop_map(LogStep::Confirm),
            Just(LogStep::Keep),
        ];
        prop::collection::vec(step, 0..200)
    }

    /// Everything that was read: for each group its number, the events up to its end, and whether rows were held then.
    type ReadGroups = Vec<(u64, u64, bool)>;

    /// The last group that a position may be behind: nothing before it is not durable, and nothing was held.
    fn last(groups: &ReadGroups, durable: u64) -> (u64, u64) {
        let mut groups = groups.iter();
        let fit = groups.rfind(|(_, events, holds)| *events <= durable && !holds);
        fit.map_or((0, 0), |(number, events, _)| (*number, *events))
    }

    proptest! {
        #[test]
        fn given_any_steps_then_it_agrees_with_a_slow_model(steps in steps()) {
            let mut progress = LogProgress::resume(LogPosition::default());
            let (mut groups, mut read, mut durable, mut kept) = (ReadGroups::new(), 0, 0, 0);
            for step in steps {
                match step {
                    LogStep::Group { events, holds } => {
                        read += u64::from(events);
                        let number = groups.len() as u64 + 1;
                        groups.push((number, read, holds));
                        let gtid = Gtid { domain: 0, server: 1, number };
                        progress.passed(gtid, events.into(), holds);
                    }
                    LogStep::Confirm(more) => {
                        durable = (durable + u64::from(more)).min(read);
                        progress.confirm(durable);
                    }
                    LogStep::Keep => {
                        kept = last(&groups, durable).1;
                        progress.kept();
                    }
                }
                let (number, events) = last(&groups, durable);
                let text = if number == 0 { String::new() } else { format!("0-1-{number}") };
                prop_assert_eq!(progress.reached().to_string(), text);
                prop_assert_eq!(progress.due().is_some(), events > kept);
                prop_assert!(progress.waiting.len() as u64 <= read - durable + 1);
            }
        }
    }

    #[test]
    fn given_a_log_without_events_when_it_goes_on_then_a_position_is_due_only_after_much_of_it() {
        let mut progress = LogProgress::resume(LogPosition::default());
        let gtid = |number| Gtid {
            domain: 0,
            server: 1,
            number,
        };
        // What keeps a position is in the log too
        for number in 1..1_000 {
            progress.came(300);
            progress.passed(gtid(number), 0, false);
            assert_eq!(progress.due(), None);
        }
        progress.came(BYTES_WITHOUT_EVENTS);
        assert_eq!(
            progress.due().map(ToString::to_string),
            Some("0-1-999".into())
        );
        progress.kept();
        assert_eq!(progress.due(), None);
    }
}
