//! `[promises]` of a relay's file: by what it promises it is judged; the rest is measured and shown.

use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::limits;
use crate::scenario::section::Section;
use crate::scenario::{Metric, implicit};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// These are the promises that a relay makes, by its file or by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promises {
    /// How often an event comes.
    pub delivery: Delivery,
    /// This says which events keep their order.
    pub order: OrderPromise,
    /// So long an event may be held by somebody who is dead before another takes it: a lease, a
    /// heartbeat, a session's timeout. The drain has to wait for it to be fair.
    pub lease: Duration,
}

/// How often an event comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Each event comes once or more: none is lost, and duplicates are allowed.
    AtLeastOnce,
    /// Each event comes exactly once: none is lost, and none is duplicated.
    ExactlyOnce,
    /// Each event comes once or not at all: none is duplicated, and losses are allowed.
    AtMostOnce,
}

/// This is the relay's promise about which events keep their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderPromise {
    /// No events are promised to keep their order.
    None,
    /// The events of one order keep their order.
    Key,
    /// The events of one partition keep it as well, of whatever orders: they are there in the order in which
    /// their changes happened.
    Partition,
    /// All events of the topic do: it has one partition.
    Total,
}

fn delivery_words() -> Vec<&'static str> {
    Delivery::ALL.map(Delivery::name).to_vec()
}

fn order_words() -> Vec<&'static str> {
    OrderPromise::ALL.map(OrderPromise::name).to_vec()
}

/// These are the keys that `[promises]` can have.
pub(super) const KEYS: [KeyInfo; 3] = [
    KeyInfo::usually(
        "delivery",
        Shape::Word(delivery_words),
        "\"at-least-once\"",
        "how often an event comes",
    ),
    KeyInfo::usually(
        "order",
        Shape::Word(order_words),
        "\"key\"",
        "which events keep their order: `key`, those of one order; `partition`, those of one partition too, \
         whatever their orders; `total`, all of the topic, which then has one partition. Of several topics each keeps it by itself",
    ),
    KeyInfo::usually(
        "lease",
        Shape::Duration {
            least: Duration::ZERO,
            most: limits::DRAIN,
        },
        "\"0s\"",
        "how long an event may be held by a relay that is dead",
    ),
];

impl Default for Promises {
    fn default() -> Self {
        Self {
            delivery: Delivery::AtLeastOnce,
            order: OrderPromise::Key,
            lease: Duration::ZERO,
        }
    }
}

impl Delivery {
    const ALL: [Self; 3] = [Self::AtLeastOnce, Self::ExactlyOnce, Self::AtMostOnce];

    /// Returns its name in files and records, such as `at-least-once`.
    pub fn name(self) -> &'static str {
        match self {
            Self::AtLeastOnce => "at-least-once",
            Self::ExactlyOnce => "exactly-once",
            Self::AtMostOnce => "at-most-once",
        }
    }
}

impl OrderPromise {
    const ALL: [Self; 4] = [Self::None, Self::Key, Self::Partition, Self::Total];

    /// Whether it is about the events of different orders too.
    fn is_across_orders(self) -> bool {
        match self {
            Self::None | Self::Key => false,
            Self::Partition | Self::Total => true,
        }
    }

    /// Returns its name in files and records, such as `key`.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Key => "key",
            Self::Partition => "partition",
            Self::Total => "total",
        }
    }
}

impl Promises {
    /// What is 0 where the promises are kept.
    pub fn zeros(&self) -> Vec<Metric> {
        let delivered = self.delivery != Delivery::AtMostOnce;
        let once = self.delivery != Delivery::AtLeastOnce;
        let ordered = self.order != OrderPromise::None;
        let promised = |metric: &Metric| match metric {
            Metric::Lost | Metric::Undrained => delivered,
            Metric::Reordered | Metric::Split => ordered,
            _ => true,
        };
        let mut zeros: Vec<Metric> = implicit().into_iter().filter(promised).collect();
        zeros.extend(once.then_some(Metric::Duplicated));
        zeros.extend(self.order.is_across_orders().then_some(Metric::Overtaken));
        zeros
    }
}

/// Reads the table; gives the byte at which it promises a total order as well, if it does.
pub(super) fn read(mut s: Section<'_>) -> Option<(Promises, Option<usize>)> {
    let usual = Promises::default();
    let delivery = match s.get("delivery") {
        Some(entry) => s.word(entry, &Delivery::ALL.map(|d| (d.name(), d))),
        None => Some(usual.delivery),
    };
    let said = s.get("order");
    let order = match said {
        Some(entry) => s.word(entry, &OrderPromise::ALL.map(|o| (o.name(), o))),
        None => Some(usual.order),
    };
    let lease = match s.get("lease") {
        Some(entry) => s.duration(entry, Duration::ZERO..=limits::DRAIN),
        None => Some(usual.lease),
    };
    s.finish();
    let promises = Promises {
        delivery: delivery?,
        order: order?,
        lease: lease?,
    };
    let total = said.filter(|_| promises.order == OrderPromise::Total);
    Some((promises, total.map(|entry| entry.key_span().start)))
}
