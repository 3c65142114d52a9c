//! Everything the checkers ask about, joined once into dense arrays: committed versions by order,
//! each with the record that first carried it and the moment it was first seen. Linear in the
//! history, and under 32 bytes an event beside it.

use super::NEVER;
use super::bits::Bits;
use super::on_topic::{self, Ends};
use crate::history::{Body, History, LogRow, NONE, Places, Request, Rows, TruthRow};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::ops::Range;

/// What a record on the topic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Class {
    /// The record is the first valid event of a committed version.
    First,
    /// The record is a valid event of a committed version, beyond the first.
    Duplicate,
    /// Its attempt is not committed at its version.
    Phantom,
    /// Key or value are not what its attempt implies.
    Corrupted,
    /// The record is another run's, or nobody's.
    Foreign,
}

/// This is the joined history. A *slot* is a committed version: an index into [`Join::truth`].
pub struct Join<'a> {
    /// The join was made of this history, and borrows from it.
    pub history: &'a History,
    /// These are the committed versions, sorted by order and version.
    pub truth: Cow<'a, Rows<TruthRow>>,
    /// These are the topic's records, sorted by partition and offset.
    pub log: Cow<'a, Rows<LogRow>>,
    /// This gives, by order, its first slot; there is one more entry at the end.
    base: Vec<u32>,
    /// Whether each order has the versions 1, 2, 3, ..., each once, as any has that a database wrote.
    dense: bool,
    /// This gives, by slot, the change of the attempt that made it; NONE where nobody did (or where the change is of
    /// that number).
    change: Vec<u32>,
    /// By slot, one bit says whether the attempt that made it was for its order.
    own: Bits,
    /// This gives, by slot, the row of [`Join::log`] that first carried it, or NONE.
    first: Vec<u32>,
    /// This gives, by slot, when a valid event of it was first seen (run time, ns), or [`NEVER`].
    seen: Vec<i64>,
    /// This gives, by attempt, the first slot it made, or NONE.
    slot_of_attempt: Vec<u32>,
    /// These are the slots beyond the first of an attempt that made several.
    repeated: Vec<u32>,
    /// This says, by row of [`Join::log`], what the record is.
    class: Vec<Class>,
    /// Whether the valid events of each order are on one partition, first ones by version: then
    /// nothing is split and nothing reordered.
    calm: bool,
    /// By attempt, one bit says whether the source still holds its event.
    held: Bits,
    /// By row of [`Join::log`], one bit says whether the record was seen live.
    sighted: Bits,
    /// Sightings whose record is not in the final read: partition and offset of the first few.
    pub vanished: Vec<(i32, i64)>,
    /// So many sightings in all have no record in the final read.
    pub vanished_count: u64,
    /// These two are worked out when asked for: how far each partition was known to reach, and by row of
    /// [`Join::log`] when the record was there.
    ends: OnceCell<Ends>,
    on_topic: OnceCell<Vec<i64>>,
}

impl<'a> Join<'a> {
    /// Joins a history: sorts it, tells what each record is, and finds when each slot was first seen.
    pub fn new(history: &'a History) -> Self {
        let truth = history.truth.sorted_by_key(|r| (r.order, r.version));
        let log = history.log.sorted_by_key(|r| (r.partition, r.offset));
        let base = bases(&history.requests, &truth);
        let mut held = Bits::new(history.requests.len());
        for row in &history.pending {
            held.set(row.attempt as usize);
        }
        let mut join = Self {
            history,
            dense: true,
            change: Vec::with_capacity(truth.len()),
            own: Bits::new(truth.len()),
            calm: true,
            first: vec![NONE; truth.len()],
            seen: vec![NEVER; truth.len()],
            class: Vec::with_capacity(log.len()),
            sighted: Bits::new(log.len()),
            truth,
            log,
            base,
            slot_of_attempt: vec![NONE; history.requests.len()],
            repeated: Vec::new(),
            held,
            vanished: Vec::new(),
            vanished_count: 0,
            ends: OnceCell::new(),
            on_topic: OnceCell::new(),
        };
        join.attribute();
        join.classify();
        join.sight();
        join
    }

    /// Attributes each version to the change that made it.
    fn attribute(&mut self) {
        let (mut order, mut version) = (NONE, 0);
        for (slot, row) in self.truth.numbered() {
            version = if row.order == order { version + 1 } else { 1 };
            order = row.order;
            self.dense &= row.version == version || order == NONE;
            let request = self.history.requests.get(row.attempt as usize);
            self.change.push(request.map_or(NONE, |r| r.change));
            if request.is_some_and(|r| r.order == row.order) {
                self.own.set(slot);
            }
            match self.slot_of_attempt.get_mut(row.attempt as usize) {
                Some(first) if *first == NONE => *first = slot as u32,
                Some(_) => self.repeated.push(slot as u32),
                None => {}
            }
        }
    }

    fn classify(&mut self) {
        let mut latest = vec![Latest::default(); self.orders()];
        for (index, row) in self.log.numbered() {
            let slot = self.valid_slot(row);
            let class = match (row.body, slot) {
                (Body::Foreign, _) => Class::Foreign,
                (Body::Damaged, _) => Class::Corrupted,
                (Body::Intact, Some(slot)) if self.own.get(slot) => {
                    let latest = &mut latest[row.order as usize];
                    let on_one = latest.version == 0 || latest.partition == row.partition;
                    let first = self.first[slot] == NONE;
                    self.calm &= on_one && (!first || latest.version < row.version);
                    *latest = Latest {
                        partition: row.partition,
                        version: latest.version.max(row.version),
                    };
                    if first {
                        self.first[slot] = index as u32;
                        Class::First
                    } else {
                        Class::Duplicate
                    }
                }
                (Body::Intact, _) => match self.history.requests.get(row.attempt as usize) {
                    None => Class::Foreign,
                    Some(request) if request.order != row.order => Class::Corrupted,
                    Some(_) => Class::Phantom,
                },
            };
            self.class.push(class);
        }
    }

    fn sight(&mut self) {
        let mut places = Places::new(&self.log);
        for sighting in &self.history.sightings {
            let Some(row) = places.row(sighting.partition, sighting.offset) else {
                self.vanished_count += 1;
                if self.vanished.len() < 5 {
                    self.vanished.push((sighting.partition, sighting.offset));
                }
                continue;
            };
            self.sighted.set(row);
            if matches!(self.class[row], Class::First | Class::Duplicate)
                && let Some(slot) = self.slot_of_row(row)
            {
                self.seen[slot] = self.seen[slot].min(sighting.seen_ns);
            }
        }
    }

    /// The slot of a record whose attempt is committed at its version.
    fn valid_slot(&self, row: LogRow) -> Option<usize> {
        self.slot(row.order, row.version)
            .filter(|slot| self.attempt(*slot) == row.attempt)
    }

    /// Returns the slot of a valid event; nearly always it is the first of its attempt's.
    pub fn slot_of_row(&self, row: usize) -> Option<usize> {
        let slot = self.slot_of(self.log.at(row).attempt);
        slot.filter(|slot| self.first[*slot] as usize == row)
            .or_else(|| self.valid_slot(self.log.at(row)))
    }

    /// Returns the slot of an order's version; `None` where no such version is committed.
    #[inline]
    pub fn slot(&self, order: u32, version: u32) -> Option<usize> {
        let start = *self.base.get(order as usize)? as usize;
        let end = *self.base.get(order as usize + 1)? as usize;
        if self.dense {
            let slot = start + (version as usize).checked_sub(1)?;
            return (slot < end).then_some(slot);
        }
        let found = self
            .truth
            .partition_point(start..end, |r| r.version < version);
        (found < end && self.truth.at(found).version == version).then_some(found)
    }

    /// Returns the slots of an order's versions, in their order; none of an order that nobody changed.
    pub fn slots_of(&self, order: u32) -> Range<usize> {
        let at = |n: usize| self.base.get(n).map(|base| *base as usize);
        match (at(order as usize), at((order as usize).saturating_add(1))) {
            (Some(start), Some(end)) if order != NONE => start..end,
            _ => 0..0,
        }
    }

    /// Whether the valid events of each order are on one partition, first ones by version.
    pub fn is_calm(&self) -> bool {
        self.calm
    }

    /// Whether the attempt that made a slot was for its order.
    pub fn is_own(&self, slot: usize) -> bool {
        self.own.get(slot)
    }

    /// How many orders there are.
    pub fn orders(&self) -> usize {
        self.base.len() - 1
    }

    /// Returns the request that made a slot; `None` for an attempt that nobody made.
    #[inline(always)]
    pub fn request(&self, slot: usize) -> Option<Request> {
        self.history.requests.get(self.attempt(slot) as usize)
    }

    /// The attempt that made a slot, as the database has it.
    #[inline(always)]
    pub fn attempt(&self, slot: usize) -> u32 {
        self.truth.at(slot).attempt
    }

    /// Returns the change that made a slot; `None` for one that nobody made.
    pub fn change(&self, slot: usize) -> Option<u32> {
        match self.change[slot] {
            NONE => self.request(slot).map(|request| request.change),
            change => Some(change),
        }
    }

    /// Returns the slots beyond the first of each attempt that made several.
    pub fn repeated(&self) -> impl Iterator<Item = usize> + '_ {
        self.repeated.iter().map(|slot| *slot as usize)
    }

    /// Returns the first slot that an attempt made; `None` where it made none.
    pub fn slot_of(&self, attempt: u32) -> Option<usize> {
        self.slot_of_attempt
            .get(attempt as usize)
            .filter(|slot| **slot != NONE)
            .map(|slot| *slot as usize)
    }

    /// Returns the row of the log that first carried a slot; `None` where none did.
    pub fn first_row(&self, slot: usize) -> Option<usize> {
        Some(self.first[slot])
            .filter(|row| *row != NONE)
            .map(|row| row as usize)
    }

    /// When a slot was first seen live.
    pub fn seen(&self, slot: usize) -> Option<i64> {
        Some(self.seen[slot]).filter(|at| *at != NEVER)
    }

    /// What a row of the log is.
    pub fn class(&self, row: usize) -> Class {
        self.class[row]
    }

    /// Whether a row of the log was seen live.
    pub fn sighted(&self, row: usize) -> bool {
        self.sighted.get(row)
    }

    /// Whether the source still holds a slot's event.
    pub fn held(&self, slot: usize) -> bool {
        self.held.get(self.attempt(slot) as usize)
    }

    /// Returns the rows of the log of one class, in order.
    pub fn rows_of(&self, class: Class) -> impl Iterator<Item = usize> + '_ {
        self.class
            .iter()
            .enumerate()
            .filter(move |(_, c)| **c == class)
            .map(|(row, _)| row)
    }

    /// Returns the slots without a valid event.
    pub fn unpublished(&self) -> impl Iterator<Item = usize> + '_ {
        self.first
            .iter()
            .enumerate()
            .filter(|(_, row)| **row == NONE)
            .map(|(slot, _)| slot)
    }

    /// When a record was on the topic, on the run's own clock (see [`super::on_topic`]).
    pub fn on_topic_ns(&self, row: usize) -> i64 {
        if self.ends().is_empty() {
            return on_topic::by_the_broker(self.history, self.log.at(row));
        }
        self.on_topic
            .get_or_init(|| on_topic::times(self.history, &self.log, self.ends()))[row]
    }

    /// How far each partition was known to reach, and when.
    pub fn ends(&self) -> &Ends {
        self.ends.get_or_init(|| Ends::of(self.history))
    }
}

/// Where an order's valid events are, and its highest version among them; 0 before the first.
#[derive(Clone, Copy, Default)]
pub(crate) struct Latest {
    pub partition: i32,
    pub version: u32,
}

/// Returns, by order, the index of its first row; rows of no order of this run sort behind all of them.
fn bases(requests: &Rows<Request>, truth: &Rows<TruthRow>) -> Vec<u32> {
    let offered = requests.iter().map(|r| r.order);
    let stored = truth.iter().map(|r| r.order);
    let orders = offered
        .chain(stored)
        .filter(|order| *order != NONE)
        .max()
        .map_or(0, |order| order as usize + 1);
    let mut base = vec![0u32; orders + 1];
    for row in truth.iter().filter(|r| r.order != NONE) {
        base[row.order as usize + 1] += 1;
    }
    for order in 0..orders {
        base[order + 1] += base[order];
    }
    base
}
