//! What one change came to over all attempts at it: a retry starts no clock anew.

use crate::history::{NONE, Outcome, Request};
use crate::view::{Bits, Join};

/// This is what a client sees of a change, over all attempts at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// This is when its first attempt was due, run time.
    pub intended_ns: i64,
    /// This is when its first attempt was sent, run time.
    pub sent_ns: i64,
    /// When its last attempt had its outcome.
    pub ended_ns: i64,
    /// First answer that it is committed.
    pub committed_ns: Option<i64>,
    /// Whether an attempt was refused in so many words.
    pub refused: bool,
}

impl Change {
    fn of(request: Request) -> Self {
        let committed = request.outcome == Outcome::Committed;
        Self {
            intended_ns: request.intended_ns,
            sent_ns: request.sent_ns,
            ended_ns: request.ended_ns,
            committed_ns: committed.then_some(request.ended_ns),
            refused: request.outcome == Outcome::Rejected,
        }
    }

    fn and(self, other: Self) -> Self {
        let answers = [self.committed_ns, other.committed_ns];
        Self {
            intended_ns: self.intended_ns.min(other.intended_ns),
            sent_ns: self.sent_ns.min(other.sent_ns),
            ended_ns: self.ended_ns.max(other.ended_ns),
            committed_ns: answers.into_iter().flatten().min(),
            refused: self.refused || other.refused,
        }
    }
}

/// These are the changes of a history. Most are of one attempt that made
/// one version at most; only the others are kept.
pub struct Changes<'a, 'b> {
    join: &'b Join<'a>,
    /// One bit for each number of a change tells whether it has more than one attempt, or one with several versions.
    several: Bits,
    /// These are the changes with that bit, each with one of its attempts, sorted by both.
    attempts: Vec<(u32, u32)>,
    /// These are the attempts with several versions, each with a slot beyond its first, sorted by both.
    more_slots: Vec<(u32, u32)>,
}

impl<'a, 'b> Changes<'a, 'b> {
    /// Looks at the number of each attempt's change; at nothing else where there are no retries.
    pub fn new(join: &'b Join<'a>) -> Self {
        let requests = &join.history.requests;
        let numbers = || requests.iter().map(|request| request.change);
        let highest = numbers().filter(|change| *change != NONE).max();
        let length = highest.map_or(0, |change| change as usize + 1);
        let mut known = Bits::new(length);
        let mut several = Bits::new(length);
        let mut any = false;
        for change in numbers() {
            let change = change as usize;
            if known.get(change) {
                several.set(change);
                any = true;
            }
            known.set(change);
        }
        let mut more_slots: Vec<(u32, u32)> = join
            .repeated()
            .map(|slot| (join.attempt(slot), slot as u32))
            .collect();
        more_slots.sort_unstable();
        for (attempt, _) in &more_slots {
            if let Some(request) = requests.get(*attempt as usize) {
                several.set(request.change as usize);
                any = true;
            }
        }
        let mut attempts: Vec<(u32, u32)> = Vec::new();
        if any {
            let numbered = (0..).zip(numbers());
            let of_it = numbered.filter(|(_, change)| several.get(*change as usize));
            attempts.extend(of_it.map(|(attempt, change)| (change, attempt)));
            attempts.sort_unstable();
        }
        Self {
            join,
            several,
            attempts,
            more_slots,
        }
    }

    /// Returns the change that an attempt belongs to, over all attempts at it.
    pub fn of(&self, request: Request) -> Change {
        if !self.several.get(request.change as usize) {
            return Change::of(request);
        }
        let from = self.attempts.partition_point(|(n, _)| *n < request.change);
        let until = self.attempts.partition_point(|(n, _)| *n <= request.change);
        self.together(&self.attempts[from..until], request)
    }

    fn together(&self, attempts: &[(u32, u32)], first: Request) -> Change {
        let requests = &self.join.history.requests;
        let all = attempts
            .iter()
            .filter_map(|(_, attempt)| requests.get(*attempt as usize));
        all.fold(Change::of(first), |known, request| {
            known.and(Change::of(request))
        })
    }

    /// Visits every change once, with the committed versions that its attempts made.
    pub fn each(&self, mut visit: impl FnMut(Change, &[usize])) {
        let join = self.join;
        for (attempt, request) in join.history.requests.numbered() {
            if self.several.get(request.change as usize) {
                continue;
            }
            let slot = join.slot_of(attempt as u32);
            visit(Change::of(request), slot.as_slice());
        }
        let mut slots = Vec::new();
        for attempts in self.attempts.chunk_by(|a, b| a.0 == b.0) {
            slots.clear();
            for (_, attempt) in attempts {
                slots.extend(join.slot_of(*attempt));
                let from = self.more_slots.partition_point(|(a, _)| a < attempt);
                let more = self.more_slots[from..].iter();
                slots.extend(
                    more.take_while(|(a, _)| a == attempt)
                        .map(|(_, slot)| *slot as usize),
                );
            }
            let first = attempts[0].1 as usize;
            if let Some(first) = join.history.requests.get(first) {
                visit(self.together(attempts, first), &slots);
            }
        }
    }
}
