//! `[consumer.NAME]`: what reads the events, and what it does with each; and what is expected of it.

pub(super) mod rabbitmq;

use super::expectations::{self, zero};
use super::keys::{self, KeyInfo, Shape};
use super::section::{Entry, Section};
use super::source::{Problems, suggest};
use super::strategies::{name_problem, plain};
use super::{BrokerChoice, Comparison, Expectation, Metric, Strategy, StrategyKind, limits};
use crate::envelope::EventPlace;
use contract::broker::BrokerKind;
use contract::config::{QueueKind, RabbitMqGroup};
use contract::consumer::{EffectKind, Idempotency, OffsetCommit};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use toml::de::DeValue;

/// The names of consumers' processes begin with this, as in `consumer-payments`.
pub(super) const PREFIX: &str = "consumer-";

fn effect_words() -> Vec<&'static str> {
    EffectKind::ALL.map(EffectKind::name).to_vec()
}

fn idempotency_words() -> Vec<&'static str> {
    Idempotency::ALL.map(Idempotency::name).to_vec()
}

fn commit_words() -> Vec<&'static str> {
    OffsetCommit::ALL.map(OffsetCommit::name).to_vec()
}

/// These are the keys that `[consumer.NAME]` can have.
pub(super) const KEYS: [KeyInfo; 4] = [
    KeyInfo::required(
        "effect",
        Shape::Word(effect_words),
        "what it does with each event: `insert` a row (a charge), `increment` a number (a reservation), `call` somebody by HTTP (a notification), or set the order to its `state` (a shipment)",
    ),
    KeyInfo::usually(
        "idempotency",
        Shape::Word(idempotency_words),
        "\"none\"",
        "by what it knows an event that it has applied already: nothing; the effect's own `key` (of `insert`: order and version; of `state`: only a higher version is set); or an `inbox` of event ids, written in the effect's transaction, or before or after a call",
    ),
    KeyInfo::usually(
        "commit",
        Shape::Word(commit_words),
        "\"after\"",
        "whether it commits its offset `before` the effect (at most once) or `after` it (at least once)",
    ),
    KeyInfo::optional(
        "rabbitmq",
        Shape::Table,
        "each of its keys as it usually is",
        "how its group takes events from RabbitMQ, where a strategy has that",
    ),
];

/// `[consumer.NAME]` of a scenario file is read into this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consumer {
    /// This is the NAME of its section: letters, digits, `-` and `_`.
    pub name: String,
    /// This is what it does with each event.
    pub effect: EffectKind,
    /// By this it knows an event that it has applied already.
    pub idempotency: Idempotency,
    /// This says when it commits its offset.
    pub commit: OffsetCommit,
    /// This is how its group takes events from RabbitMQ, where the file says that.
    #[serde(default)]
    pub rabbitmq: Option<RabbitMqGroup>,
}

impl Consumer {
    /// Returns the name of its process, such as `consumer-payments`.
    pub fn process(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Returns how its group takes events from RabbitMQ.
    pub fn rabbitmq_group(&self) -> RabbitMqGroup {
        self.rabbitmq.unwrap_or_default()
    }

    /// Whether it applies the events of one order in the order in which this broker has them.
    fn keeps_order(&self, broker: BrokerKind) -> bool {
        match broker {
            BrokerKind::RabbitMq => self.rabbitmq_group().keeps_order(),
            BrokerKind::Kafka | BrokerKind::Nats => true,
            BrokerKind::EventBridge => false,
        }
    }

    /// Returns what is counted of it. What has no order cannot be taken back to an older state.
    pub fn metrics(&self) -> Vec<Metric> {
        let mut all = Metric::of_consumers();
        all.retain(|metric| *metric != Metric::AppliedOutOfOrder || self.effect.has_order());
        all
    }

    /// Counts that are expected to be 0 unless the file says otherwise: those that its way of working promises, as long
    /// as the strategy keeps what it is held to, by itself or by the file. No consumer can tell a phantom from an event,
    /// and one that took a phantom's key for the event's leaves that out; so where the strategy is not held to have none,
    /// what follows is not expected. The same holds of events that come out of order.
    fn zeros(&self, of_strategy: &[Expectation], broker: BrokerKind) -> Vec<Metric> {
        let has_none_of = |metric| {
            let mut of_it = of_strategy.iter().filter(|e| e.metric == metric);
            of_it.any(|e| e.comparison != Comparison::AtLeast && e.value == 0.0)
        };
        let no_phantoms = has_none_of(Metric::Phantom);
        let in_order = has_none_of(Metric::Reordered) && self.keeps_order(broker);
        let has_order = self.effect.has_order();
        let (by_key, is_after) = match (self.idempotency, self.commit) {
            (Idempotency::None, _) => return Vec::new(),
            (Idempotency::Key, OffsetCommit::After) => (true, true),
            (Idempotency::Key, OffsetCommit::Before) => (true, false),
            (Idempotency::Inbox, OffsetCommit::After) => (false, true),
            (Idempotency::Inbox, OffsetCommit::Before) => (false, false),
        };
        // A key that is taken, or a higher version that is there, leaves an event out.
        let leaves_none_out = !by_key || (no_phantoms && (in_order || !has_order));
        // Between a call and the inbox behind it there is always room for a crash.
        let is_never_again = self.effect.is_in_transaction() || !is_after;
        let promised = [
            (Metric::Unapplied, is_after && leaves_none_out),
            (Metric::AppliedTwice, is_never_again),
            (Metric::AppliedUnseen, no_phantoms),
            (Metric::AppliedOutOfOrder, has_order && (by_key || in_order)),
        ];
        let promised = promised.into_iter().filter(|(_, is_promised)| *is_promised);
        promised.map(|(metric, _)| metric).collect()
    }
}

/// What is expected of one consumer of a strategy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumerExpectations {
    /// This is the consumer's name, without `consumer-`.
    pub consumer: String,
    /// The consumer is expected to keep these: what the file says, then its implicit zeros.
    pub expectations: Vec<Expectation>,
}

/// Reads `[consumer]`, all of them, in the file's order.
pub(super) fn read(
    entry: Option<Entry<'_>>,
    brokers: &[BrokerKind],
    problems: &Problems,
) -> Vec<Consumer> {
    let Some(section) = entry.and_then(|e| Section::of(e, "[consumer.NAME]", Vec::new(), problems))
    else {
        return Vec::new();
    };
    let entries = section.entries();
    if entries.len() > limits::CONSUMERS {
        let what = format!("there are {} consumers", entries.len());
        let help = format!("at most {} fit in a scenario", limits::CONSUMERS);
        section.problem(section.span(), what, help);
        return Vec::new();
    }
    let mut consumers: Vec<Consumer> = Vec::new();
    for entry in entries {
        if !matches!(entry.value(), DeValue::Table(_)) {
            section.problem(
                entry.key_span(),
                format!("`{}` stands in [consumer] itself", entry.key),
                "each consumer is a table with a name: [consumer.NAME]",
            );
            continue;
        }
        if let Some(help) = name_problem(entry.key, limits::CONSUMER_NAME) {
            section.problem(
                entry.key_span(),
                "this cannot be the name of a consumer (it becomes part of a process's and a group's name)",
                help,
            );
        }
        if let Some(twin) = consumers
            .iter()
            .find(|c| plain(&c.name) == plain(entry.key))
        {
            section.problem(
                entry.key_span(),
                format!(
                    "`{}` and `{}` are too much alike: names are told apart without case, and `-` is `_`",
                    entry.key, twin.name
                ),
                "give one of them another name",
            );
        }
        let title = format!("[consumer.{}]", entry.key);
        let own = Section::of(entry, title, keys::names(&KEYS), problems);
        consumers.extend(own.and_then(|own| read_one(own, entry.key, brokers)));
    }
    consumers
}

fn read_one(mut s: Section<'_>, name: &str, brokers: &[BrokerKind]) -> Option<Consumer> {
    let effects = EffectKind::ALL.map(|effect| (effect.name(), effect));
    let effect = s
        .required("effect", "effect = \"insert\"")
        .and_then(|e| s.word(e, &effects));
    let idempotency_entry = s.get("idempotency");
    let ways = Idempotency::ALL.map(|way| (way.name(), way));
    let idempotency = idempotency_entry
        .and_then(|e| s.word(e, &ways))
        .unwrap_or_default();
    let moments = OffsetCommit::ALL.map(|moment| (moment.name(), moment));
    let commit = s
        .get("commit")
        .and_then(|e| s.word(e, &moments))
        .unwrap_or_default();
    if let (Some(entry), Some(effect), Idempotency::Key) = (idempotency_entry, effect, idempotency)
        && let Some(why) = no_key(effect)
    {
        s.problem(
            entry.span(),
            why,
            "take idempotency = \"inbox\", or effect = \"insert\" or \"state\"",
        );
    }
    let table = s.get("rabbitmq");
    let rabbitmq = table.and_then(|entry| rabbitmq::read(&s, entry, commit, brokers));
    if let (Some(entry), Some(group)) = (table, &rabbitmq)
        && (effect, idempotency) == (Some(EffectKind::Call), Idempotency::Inbox)
    {
        rabbitmq::one_caller(&s, entry, group);
    }
    s.finish();
    Some(Consumer {
        name: name.to_owned(),
        effect: effect?,
        idempotency,
        commit,
        rabbitmq,
    })
}

/// Why an effect has no key of its own; `None` of one that has.
fn no_key(effect: EffectKind) -> Option<&'static str> {
    match effect {
        EffectKind::Insert | EffectKind::State => None,
        EffectKind::Increment => {
            Some("an `increment` has no key of its own: a number does not say what was added to it")
        }
        EffectKind::Call => Some(
            "a `call` has no key of its own: whoever is called could know it again, and not the consumer",
        ),
    }
}

/// A consumer reads events that are the value of a record, as those of the relays here are.
pub(super) fn unreadable(
    consumers: &[Consumer],
    strategies: &[Strategy],
    span: Range<usize>,
    problems: &Problems,
) {
    if consumers.is_empty() {
        return;
    }
    let reads = |kind: &StrategyKind| kind.event_place() == EventPlace::default();
    for strategy in strategies.iter().filter(|s| !reads(&s.kind)) {
        problems.add(
            span.clone(),
            format!(
                "consumers cannot read the events of `{}`: its relay's file says that they are not the records' plain values",
                strategy.name
            ),
            "take the consumers out, or put this strategy into a file of its own",
        );
    }
    for strategy in strategies {
        let topics = strategy.kind.topics("").len();
        if topics > 1 {
            problems.add(
                span.clone(),
                format!(
                    "a consumer reads one topic, and the events of `{}` are on {topics}",
                    strategy.name
                ),
                "take the consumers out, or put this strategy into a file of its own",
            );
        }
    }
    for strategy in strategies.iter().filter(|s| !s.database.has_consumers()) {
        problems.add(
            span.clone(),
            format!(
                "consumers keep their effects beside the orders, in PostgreSQL, and those of `{}` are in {}",
                strategy.name,
                strategy.database.title()
            ),
            "take the consumers out, or put this strategy into a file of its own",
        );
    }
    for strategy in strategies {
        if let Some((why, help)) = not_consumed(&strategy.broker) {
            let what = format!(
                "consumers cannot read the events of `{}`: {why}",
                strategy.name
            );
            problems.add(span.clone(), what, help);
        }
    }
}

/// Why consumers of the project cannot read what a strategy publishes to its broker, and what to do; `None` where they can.
fn not_consumed(broker: &BrokerChoice) -> Option<(&'static str, &'static str)> {
    match broker {
        BrokerChoice::Kafka(_)
        | BrokerChoice::RabbitMq {
            queue: QueueKind::Classic | QueueKind::Quorum,
            ..
        } => None,
        BrokerChoice::RabbitMq {
            queue: QueueKind::Stream,
            ..
        } => Some((
            "the queues of their groups would be streams, from which nothing is taken by an acknowledgement",
            "give it rabbitmq = { queue = \"classic\" } or \"quorum\", or take the consumers out",
        )),
        BrokerChoice::Nats(_) => Some((
            "they do not know NATS",
            "take the consumers out, or put this strategy into a file of its own",
        )),
        BrokerChoice::EventBridge(_) => Some((
            "they do not know EventBridge",
            "take the consumers out, or put this strategy into a file of its own",
        )),
    }
}

/// Whether a key of `[expect.STRATEGY]` is about a consumer.
pub(super) fn is_of_consumer(key: &str) -> bool {
    key.starts_with(PREFIX)
}

/// Reads what `[expect.STRATEGY]` says of one consumer. `most` is how many changes the load intends.
pub(super) fn read_expectations(
    s: &Section<'_>,
    entry: Entry<'_>,
    consumers: &[Consumer],
    most: Option<f64>,
) -> Option<ConsumerExpectations> {
    let Some(consumer) = consumers.iter().find(|c| c.process() == entry.key) else {
        let names: Vec<String> = consumers.iter().map(Consumer::process).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let help = match names.as_slice() {
            [] => "the file has none: add a table such as [consumer.payments]".to_owned(),
            [..] => suggest(entry.key, &names),
        };
        s.problem(
            entry.key_span(),
            format!("there is no `{}`", entry.key),
            help,
        );
        return None;
    };
    let example = format!("`{}.applied_twice = 0`", entry.key);
    let inner = Section::of(entry, example, Vec::new(), s.problems())?;
    let mut expectations = Vec::new();
    for entry in inner.entries() {
        match Metric::parse_of_consumer(entry.key) {
            Some(metric) if !consumer.metrics().contains(&metric) => s.problem(
                entry.key_span(),
                format!(
                    "`{}` has no order that it could break: its effect is `{}`",
                    consumer.process(),
                    consumer.effect.name()
                ),
                "take this line out, or give the consumer effect = \"state\"",
            ),
            Some(metric) => expectations.extend(expectations::read_one(s, entry, metric, most)),
            None => {
                let names = consumer.metrics().into_iter().map(Metric::name);
                let names: Vec<String> = names.collect();
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                s.problem(
                    entry.key_span(),
                    format!("there is no metric `{}` of consumers", entry.key),
                    suggest(entry.key, &names),
                );
            }
        }
    }
    Some(ConsumerExpectations {
        consumer: consumer.name.clone(),
        expectations,
    })
}

/// What the file says of each consumer, then the implicit zeros that it does not override. `of_strategy` is all that
/// the strategy itself is held to.
pub(super) fn with_implicit(
    said: Vec<ConsumerExpectations>,
    consumers: &[Consumer],
    of_strategy: &[Expectation],
    broker: BrokerKind,
) -> Vec<ConsumerExpectations> {
    let all = consumers.iter().map(|consumer| {
        let of_it = said.iter().find(|s| s.consumer == consumer.name);
        let mut expectations = of_it.map_or_else(Vec::new, |s| s.expectations.clone());
        for metric in consumer.zeros(of_strategy, broker) {
            if !expectations.iter().any(|e| e.metric == metric) {
                expectations.push(zero(metric));
            }
        }
        ConsumerExpectations {
            consumer: consumer.name.clone(),
            expectations,
        }
    });
    all.collect()
}
