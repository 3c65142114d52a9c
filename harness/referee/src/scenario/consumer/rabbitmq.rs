//! `rabbitmq = { ... }` of a consumer: how its group takes events from RabbitMQ.

use crate::scenario::keys::{self, KeyInfo, Shape};
use crate::scenario::section::{Entry, Section};
use contract::broker::BrokerKind;
use contract::config::{GroupQueues, OnFailure, RabbitMqGroup};
use contract::consumer::OffsetCommit;
use std::ops::RangeInclusive;

/// So many members fit into the process of a consumer.
const MEMBERS: RangeInclusive<u16> = 1..=8;
/// More than this is on its way to a member for nothing: it applies no more at a time.
const PREFETCH: RangeInclusive<u16> = 1..=500;

fn queue_words() -> Vec<&'static str> {
    GroupQueues::ALL.map(GroupQueues::name).to_vec()
}

fn failure_words() -> Vec<&'static str> {
    OnFailure::ALL.map(OnFailure::name).to_vec()
}

/// These are the keys that the table can have.
pub(in crate::scenario) const KEYS: [KeyInfo; 4] = [
    KeyInfo::usually(
        "members",
        Shape::Integer {
            least: *MEMBERS.start() as i64,
            most: *MEMBERS.end() as i64,
        },
        "1",
        "so many members of the group read at a time, in one process, each over a connection of its own",
    ),
    KeyInfo::usually(
        "queues",
        Shape::Word(queue_words),
        "\"one\"",
        "`one` queue for all members, each event for whoever is free; or `hashed`: a queue for each member, into which events go by a consistent hash of the order, with a single active consumer",
    ),
    KeyInfo::usually(
        "on_failure",
        Shape::Word(failure_words),
        "\"again\"",
        "what becomes of an event whose effect could not be done: it is tried `again` before any other; or it is given back to its queue (`requeue`), and the next one is tried",
    ),
    KeyInfo::usually(
        "prefetch",
        Shape::Integer {
            least: *PREFETCH.start() as i64,
            most: *PREFETCH.end() as i64,
        },
        "100",
        "so many events a member is given at most that it has not acknowledged",
    ),
];

/// Reads the table. `commit` and `brokers` are what the consumer's own section, and the strategies, say.
pub(super) fn read(
    consumer: &Section<'_>,
    entry: Entry<'_>,
    commit: OffsetCommit,
    brokers: &[BrokerKind],
) -> Option<RabbitMqGroup> {
    if !brokers.contains(&BrokerKind::RabbitMq) {
        consumer.problem(
            entry.span(),
            "`rabbitmq` has settings of a broker that no strategy of this file has",
            "give a strategy `broker = \"rabbitmq\"`, or remove the line",
        );
    }
    let mut s = Section::of(
        entry,
        "`rabbitmq` of a consumer",
        keys::names(&KEYS),
        consumer.problems(),
    )?;
    let usual = RabbitMqGroup::default();
    let members = s.get("members").and_then(|e| s.integer(e, MEMBERS));
    let words = GroupQueues::ALL.map(|queues| (queues.name(), queues));
    let queues = s.get("queues").and_then(|e| s.word(e, &words));
    let words = OnFailure::ALL.map(|what| (what.name(), what));
    let failure_entry = s.get("on_failure");
    let on_failure = failure_entry.and_then(|e| s.word(e, &words));
    if let (Some(entry), Some(OnFailure::Requeue), OffsetCommit::Before) =
        (failure_entry, on_failure, commit)
    {
        s.problem(
            entry.span(),
            "what is acknowledged `before` the effect cannot be given back when the effect fails",
            "take commit = \"after\", or remove `on_failure`",
        );
    }
    let prefetch = s.get("prefetch").and_then(|e| s.integer(e, PREFETCH));
    s.finish();
    Some(RabbitMqGroup {
        members: members.unwrap_or(usual.members),
        queues: queues.unwrap_or(usual.queues),
        on_failure: on_failure.unwrap_or(usual.on_failure),
        prefetch: prefetch.unwrap_or(usual.prefetch),
    })
}

/// Notes a group with an inbox in which two members may call for one event: who has called and not noted it yet, none but
/// itself knows.
pub(super) fn one_caller(consumer: &Section<'_>, entry: Entry<'_>, group: &RabbitMqGroup) {
    if group.members > 1 && group.queues == GroupQueues::One {
        consumer.problem(
            entry.span(),
            "members that take from one queue may `call` for the same event before its note is in the inbox",
            "take `queues = \"hashed\"`, or one member, or another effect",
        );
    }
}
