//! `[expect.NAME]`: what is expected of a strategy.

use super::consumer;
use super::metric::Unit;
use super::section::{Entry, Section, article};
use super::source::suggest;
use super::unfollowed::has_one_partition;
use super::units::{parse_duration, parse_size};
use super::{Comparison, Consumer, ConsumerExpectations, Expectation, Metric, Strategy};
use toml::de::DeValue;

/// This text tells what to write for a count.
const COUNT_HELP: &str = "write a count such as 0, or a bound such as \">= 1\" or \"<= 5\"";
/// This text tells what to write for a latency, the drain or the recovery.
const TIME_HELP: &str = "write a bound with its unit, such as \"<= 10s\" or \"<= 250ms\"";
/// This text tells what to write for a size.
const SIZE_HELP: &str = "write a bound with its unit, such as \"<= 64MB\" or \">= 512KiB\"";

/// Reads one section. `most` is how many changes the load intends, where that is known.
pub(super) fn read(
    s: Section<'_>,
    strategy: &Strategy,
    consumers: &[Consumer],
    most: Option<f64>,
) -> (Vec<Expectation>, Vec<ConsumerExpectations>) {
    let kind = &strategy.kind;
    let mut expectations = Vec::new();
    let mut of_consumers = Vec::new();
    for entry in s.entries() {
        if consumer::is_of_consumer(entry.key) {
            of_consumers.extend(consumer::read_expectations(&s, entry, consumers, most));
            continue;
        }
        let Some(metric) = Metric::parse(entry.key) else {
            let names: Vec<String> = Metric::all().into_iter().map(Metric::name).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            s.problem(
                entry.key_span(),
                format!("there is no metric `{}`", entry.key),
                suggest(entry.key, &names),
            );
            continue;
        };
        if metric == Metric::Undrained && !kind.has_outbox() && is_of_some(entry) {
            s.problem(
                entry.span(),
                "a dual write has no outbox that could still hold a change, so `undrained` is always 0",
                "expect `lost` of it",
            );
            continue;
        }
        let broker = strategy.broker.kind();
        if metric == Metric::Split && has_one_partition(broker) {
            s.problem(
                entry.key_span(),
                format!(
                    "a topic of {} has one partition, so `split` is always 0",
                    broker.title()
                ),
                "remove the line",
            );
            continue;
        }
        if metric.is_of_cache() && strategy.cache.is_none() {
            s.problem(
                entry.key_span(),
                format!("`{}` has no cache, so it has no `{}`", strategy.name, entry.key),
                "give the strategy a line such as `cache = \"invalidate-after-commit\"`, or remove this one",
            );
            continue;
        }
        if let Metric::Cost(cost) = metric
            && let Some(lacking) = cost.info().lacks(kind)
        {
            s.problem(
                entry.key_span(),
                format!(
                    "a strategy of kind `{}` has no {lacking}, so it has no `{}`",
                    kind.name(),
                    entry.key
                ),
                "remove the line",
            );
            continue;
        }
        expectations.extend(read_one(&s, entry, metric, most));
    }
    (expectations, of_consumers)
}

/// Reads one expectation; what is wrong with it is noted.
pub(super) fn read_one(
    s: &Section<'_>,
    entry: Entry<'_>,
    metric: Metric,
    most: Option<f64>,
) -> Option<Expectation> {
    let read = value(entry, metric).and_then(|expectation| match impossible(&expectation, most) {
        None => Ok(expectation),
        Some(problem) => Err(problem),
    });
    read.map_err(|(what, help)| s.problem(entry.span(), what, help))
        .ok()
}

/// Whether it asks for one at least.
fn is_of_some(entry: Entry<'_>) -> bool {
    value(entry, Metric::Undrained)
        .is_ok_and(|e| e.comparison != Comparison::AtMost && e.value != 0.0)
}

/// What somebody is held to, whether the file says so or not.
pub(super) fn zero(metric: Metric) -> Expectation {
    Expectation {
        metric,
        comparison: Comparison::Equal,
        value: 0.0,
        text: "0".to_owned(),
        implicit: true,
    }
}

/// What the file says, then the implicit zeros of a strategy that it does not override.
pub(super) fn with_implicit(mut said: Vec<Expectation>, zeros: Vec<Metric>) -> Vec<Expectation> {
    for metric in zeros {
        if !said.iter().any(|e| e.metric == metric) {
            said.push(zero(metric));
        }
    }
    said
}

type ExpectationProblem = (String, String);

fn value(entry: Entry<'_>, metric: Metric) -> Result<Expectation, ExpectationProblem> {
    let text = match entry.value() {
        DeValue::Integer(i) if i.radix() == 10 => i.as_str().to_owned(),
        DeValue::String(text) => text.trim().to_owned(),
        other => {
            return Err((
                format!("`{}` is {}", entry.key, article(other)),
                help(metric).to_owned(),
            ));
        }
    };
    let (comparison, rest) = comparison(&text)?;
    let value = match metric.unit() {
        Unit::Count => rest
            .parse::<u64>()
            .ok()
            .filter(|v| *v <= 1 << 50)
            .map(|v| v as f64),
        Unit::Milliseconds => parse_duration(rest).map(|d| d.as_nanos() as f64 / 1e6),
        Unit::Seconds => parse_duration(rest).map(|d| d.as_nanos() as f64 / 1e9),
        Unit::Microseconds => parse_duration(rest).map(|d| d.as_nanos() as f64 / 1e3),
        Unit::Bytes => parse_size(rest)
            .filter(|bytes| *bytes <= 1 << 50)
            .map(|bytes| bytes as f64),
    }
    .ok_or_else(|| {
        let what = match metric.unit() {
            Unit::Count => "no count",
            _ if rest.parse::<f64>().is_ok() => "a number without a unit",
            Unit::Milliseconds | Unit::Seconds | Unit::Microseconds => "no duration",
            Unit::Bytes => "no size",
        };
        (
            format!("`{}` is compared with `{rest}`, {what}", entry.key),
            help(metric).to_owned(),
        )
    })?;
    if metric.unit() != Unit::Count && comparison == Comparison::Equal {
        let noun = match metric.unit() {
            Unit::Bytes => "size",
            Unit::Count | Unit::Milliseconds | Unit::Seconds | Unit::Microseconds => "time",
        };
        return Err((
            format!(
                "`{}` is a {noun}, and no {noun} is exactly {rest}",
                entry.key
            ),
            help(metric).to_owned(),
        ));
    }
    if is_of_the_whole_run(metric) && comparison == Comparison::AtLeast {
        return Err((
            format!(
                "`{}` is a figure of the whole run, of which no part is known to be a fault's effect",
                entry.key
            ),
            "bound it from above".to_owned(),
        ));
    }
    if comparison == Comparison::AtLeast && value == 0.0 {
        return Err((
            format!(
                "`{}` is always at least 0: this expectation proves nothing",
                entry.key
            ),
            help(metric).to_owned(),
        ));
    }
    Ok(Expectation {
        metric,
        comparison,
        value,
        text,
        implicit: false,
    })
}

fn help(metric: Metric) -> &'static str {
    match metric.unit() {
        Unit::Count => COUNT_HELP,
        Unit::Milliseconds | Unit::Seconds | Unit::Microseconds => TIME_HELP,
        Unit::Bytes => SIZE_HELP,
    }
}

/// Whether it is the whole run's cost, and no peak.
fn is_of_the_whole_run(metric: Metric) -> bool {
    matches!(metric, Metric::Cost(kind) if !kind.info().is_peak)
}

/// Splits a text such as `0`, `= 0`, `>= 1` or `<= 10s` into comparison and rest; an Err says that the sign is none.
fn comparison(text: &str) -> Result<(Comparison, &str), ExpectationProblem> {
    let end = text
        .find(|c| !matches!(c, '<' | '>' | '=' | '!' | '~'))
        .unwrap_or(text.len());
    let (sign, rest) = text.split_at(end);
    let comparison = match sign {
        "" | "=" => Comparison::Equal,
        ">=" => Comparison::AtLeast,
        "<=" => Comparison::AtMost,
        _ => {
            return Err((
                format!("`{sign}` is no comparison"),
                "write = (or nothing), >= or <=, for example \">= 1\"; \"> 0\" is \">= 1\", \"< 10s\" is \"<= 10s\""
                    .to_owned(),
            ));
        }
    };
    Ok((comparison, rest.trim()))
}

/// Why an expectation can never be met, whatever happens.
fn impossible(e: &Expectation, most: Option<f64>) -> Option<ExpectationProblem> {
    if e.comparison == Comparison::AtMost || e.value == 0.0 {
        // `propagation_p99 <= 0s`: nothing takes no time, nor does anything need no memory.
        return (e.metric.unit() != Unit::Count && e.value == 0.0).then(|| {
            (
                format!("`{}` cannot be {}", e.metric.name(), e.text),
                help(e.metric).to_owned(),
            )
        });
    }
    let of_changes = matches!(
        e.metric,
        Metric::Lost
            | Metric::Undrained
            | Metric::Missing
            | Metric::Unacknowledged
            | Metric::FalseRejection
            | Metric::DoubleApplied
            | Metric::Late
            | Metric::Unapplied
            | Metric::Stale
    );
    let most = most.filter(|most| of_changes && e.value > most.ceil())?;
    Some((
        format!(
            "`{}` cannot be {}: the load has {most:.0} changes",
            e.metric.name(),
            e.text
        ),
        "lower the count, or raise `rate` or `duration`".to_owned(),
    ))
}
