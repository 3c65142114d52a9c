//! `broker = "rabbitmq"`: an exchange, a queue for the strategy, and a stream that the referee reads.

use super::{BrokerChoice, BrokerInfo};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::section::Section;
use contract::broker::BrokerKind;
use contract::config::QueueKind;

fn queue_words() -> Vec<&'static str> {
    QueueKind::ALL.map(QueueKind::name).to_vec()
}

pub(super) const INFO: BrokerInfo = BrokerInfo {
    kind: BrokerKind::RabbitMq,
    what: "an exchange with a queue and, for the referee, a stream; persistent messages over one channel, with publisher confirms and mandatory",
    example: "kind = \"polling\", broker = \"rabbitmq\", rabbitmq = { queue = \"quorum\" }",
    keys: &[
        KeyInfo::usually(
            "queue",
            Shape::Word(queue_words),
            "\"classic\"",
            "of which kind the queue is that is bound to the exchange beside the referee's stream",
        ),
        KeyInfo::usually(
            "confirms",
            Shape::Flag,
            "true",
            "whether an event counts as delivered only when the broker has confirmed it; without, as soon as it is handed to the operating system",
        ),
        KeyInfo::usually(
            "mandatory",
            Shape::Flag,
            "true",
            "whether the broker returns an event that no queue gets; without, it drops and confirms it",
        ),
    ],
    table: Some(KeyInfo::optional(
        "rabbitmq",
        Shape::Table,
        "each of its keys as it usually is",
        "settings of RabbitMQ, where it is the broker",
    )),
    read,
};

fn read(s: Option<&mut Section<'_>>) -> Option<BrokerChoice> {
    let (mut queue, mut confirms, mut mandatory) = (None, None, None);
    if let Some(s) = s {
        let kinds = QueueKind::ALL.map(|kind| (kind.name(), kind));
        queue = s.get("queue").and_then(|e| s.word(e, &kinds));
        confirms = s.get("confirms").and_then(|e| s.flag(e));
        mandatory = s.get("mandatory").and_then(|e| s.flag(e));
    }
    Some(BrokerChoice::RabbitMq {
        queue: queue.unwrap_or_default(),
        confirms: confirms.unwrap_or(true),
        mandatory: mandatory.unwrap_or(true),
    })
}
