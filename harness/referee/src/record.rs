//! The record of a run, from its histories and judgements alone: so `check` builds the very same
//! record offline that the run built.

use crate::bite::{fired_ns, fired_on};
use crate::checkers::context::Context;
use crate::checkers::{Judgement, Verdict};
use crate::explain::Explainer;
use crate::history::{History, RunMeta};
use crate::measure;
use crate::scenario::{
    Fault, FaultKind, Link, Metric, OrderTest, Scenario, Server, Strategy, StrategyKind, Target,
    Topology, Trigger, Victim, Workload,
};
use reports::record;
use serde_json::json;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// The record carries at most this many offences of one kind; all of them are in the history.
const OFFENCES_PER_METRIC: usize = 5;

/// What is left of a history when it has been judged.
#[derive(Debug)]
pub struct Judged {
    /// This is what the `run.json` of its history holds.
    pub meta: RunMeta,
    /// This is the verdict on its strategy.
    pub verdict: Verdict,
    /// What the record says of its strategy.
    pub strategy: record::Strategy,
}

impl Judged {
    /// One more reason why it cannot pass, from outside the history.
    pub fn inconclusive_because(&mut self, reason: &str) {
        self.verdict = self.verdict.max(Verdict::Unknown);
        self.strategy.verdict = verdict(self.verdict);
        self.strategy.reasons.push(reason.to_owned());
    }
}

/// What a record says beside its strategies.
pub struct Frame<'a> {
    /// This is the name of the run, that of its folder where it has one.
    pub run: &'a str,
    /// This is the scenario that was run.
    pub scenario: &'a Scenario,
    /// This is the wall-clock time at which the run began, as RFC 3339 text.
    pub started_at: String,
    /// As histories have it.
    pub environment: &'a BTreeMap<String, String>,
}

/// This is what became of the strategies of a run.
#[derive(Debug, Default)]
pub struct Came {
    /// Those that were judged.
    pub judged: Vec<Judged>,
    /// Those that were not run.
    pub not_run: Vec<record::NotRun>,
    /// What ended the run before it was complete.
    pub failure: Option<String>,
}

/// Builds a record from histories alone; `judged` is not empty.
pub fn build(judged: Vec<Judged>, took: Duration) -> Result<record::Record, String> {
    let Some(first) = judged.first() else {
        return Err("no strategy was run".to_owned());
    };
    let meta = first.meta.clone();
    let frame = Frame {
        run: &meta.part_of.run,
        scenario: &meta.scenario,
        started_at: meta.started_at.clone(),
        environment: &meta.environment,
    };
    let came = Came {
        judged,
        ..Came::default()
    };
    Ok(assemble(frame, came, took))
}

/// Builds the record of a run, whatever became of it.
pub fn assemble(frame: Frame<'_>, came: Came, took: Duration) -> record::Record {
    let whole = came.not_run.is_empty() && came.failure.is_none() && !came.judged.is_empty();
    let least = if whole {
        Verdict::Pass
    } else {
        Verdict::Unknown
    };
    let verdicts = came.judged.iter().map(|judged| judged.verdict);
    let worst = verdicts.fold(least, Verdict::max);
    let scenario = frame.scenario;
    record::Record {
        schema_version: record::SCHEMA_VERSION,
        harness_version: env!("CARGO_PKG_VERSION").to_owned(),
        run: frame.run.to_owned(),
        scenario: scenario.name.clone(),
        description: scenario.description.clone(),
        seed: scenario.seed,
        verdict: verdict(worst),
        started_at: frame.started_at,
        took_s: took.as_secs_f64(),
        stack: stack(frame.environment),
        workload: workload(&scenario.workload),
        load: Some(load(&scenario.workload)),
        not_tested: not_tested(scenario),
        strategies: came.judged.into_iter().map(|j| j.strategy).collect(),
        not_run: came.not_run,
        failure: came.failure,
    }
}

/// Returns which relay an external strategy has; `None` for any other kind.
fn relay(kind: &StrategyKind) -> Option<record::Relay> {
    let relay = kind.relay_file()?;
    Some(record::Relay {
        name: relay.name.clone(),
        version: relay.version.clone(),
        language: relay.language.clone(),
        homepage: relay.homepage.clone(),
        licence: relay.licence.clone(),
        delivery: relay.promises.delivery.name().to_owned(),
        order: relay.promises.order.name().to_owned(),
    })
}

/// What the record says of a strategy. `explainer` for its offences, if it has any.
pub fn strategy(
    context: &Context<'_>,
    judgement: &Judgement,
    explainer: Option<&Explainer<'_>>,
) -> Result<record::Strategy, String> {
    let history = context.history();
    let meta = &history.meta;
    let strategy = crate::view::strategy(history)
        .ok_or_else(|| format!("the scenario has no strategy {}", meta.strategy))?;
    let kind = &strategy.kind;
    let topology = meta.topology().unwrap_or_else(|| strategy.topology());
    Ok(record::Strategy {
        name: meta.strategy.clone(),
        kind: kind.name().to_owned(),
        broker: topology.broker.name().to_owned(),
        orders_in: topology.database.name().to_owned(),
        relay: relay(kind),
        verdict: verdict(judgement.verdict),
        reasons: judgement.reasons.clone(),
        remarks: meta.remarks.clone(),
        topic: meta.topic.clone(),
        schema: meta.schema.clone(),
        wiring: Link::ALL
            .into_iter()
            .filter(|link| topology.uses(*link))
            .filter(|link| !link.is_of_consumers() || !meta.scenario.consumers.is_empty())
            .map(|link| {
                let way = if meta.proxied.contains(&link) {
                    "proxied"
                } else {
                    "direct"
                };
                (link.name().to_owned(), way.to_owned())
            })
            .collect(),
        counts: judgement.counts,
        outcomes: judgement.outcomes,
        unread: judgement
            .unread
            .iter()
            .map(|(metric, reason)| (metric.name(), reason.clone()))
            .collect(),
        cache: cache(strategy, history, judgement),
        consumers: consumers(history, judgement),
        expectations: expectations(judgement),
        latency_ms: judgement.latency.clone(),
        phases: judgement.phases.clone(),
        drain_s: judgement.drain_s,
        recovery_s: judgement.recovery_s,
        faults: faults(context, judgement, topology),
        throughput_per_s: measure::throughput_per_s(history),
        generator: measure::generator(history),
        series: series(context, judgement),
        offences: explainer.map_or_else(Vec::new, |explainer| offences(explainer, judgement)),
        database: record::DatabaseCosts {
            time_to_normal_s: judgement.time_to_normal_s,
            not_normal_for_s: judgement.not_normal_for_s,
            ..measure::database_costs(history, judgement.counts.committed.unwrap_or(0))
        },
        in_doubt: measure::in_doubt(history),
        costs: costs(history),
        usage: usage(history),
    })
}

/// Charts of what was read; none where it is not known when the events came.
fn series(context: &Context<'_>, judgement: &Judgement) -> record::Series {
    if judgement.arrivals_known {
        measure::series(&context.view.join)
    } else {
        record::Series::default()
    }
}

/// The strategy's own, then those of its consumers.
fn expectations(judgement: &Judgement) -> Vec<record::Expectation> {
    let own = judgement.expectations.iter();
    let own = own.map(|checked| expectation(checked.expectation.metric.name(), checked));
    let of_consumers = judgement.consumers.iter().flat_map(|consumer| {
        let checked = consumer.expectations.iter();
        checked.map(|checked| expectation(consumer.name_of(checked.expectation.metric), checked))
    });
    own.chain(of_consumers).collect()
}

fn consumers(history: &History, judgement: &Judgement) -> Vec<record::Consumer> {
    let planned = &history.meta.scenario.consumers;
    let judged = planned.iter().zip(&judgement.consumers);
    judged
        .map(|(planned, judged)| {
            // Of what was found without all being read there are at least so many; none found is nothing known.
            let count = |metric| {
                let mut findings = judged.findings.iter();
                let of_it = findings.find(|finding| finding.metric == metric)?;
                (of_it.unread.is_none() || of_it.count > 0).then_some(of_it.count)
            };
            record::Consumer {
                name: judged.name.clone(),
                effect: planned.effect.name().to_owned(),
                idempotency: planned.idempotency.name().to_owned(),
                commit: planned.commit.name().to_owned(),
                effects: judged.effects,
                copies: judged.copies,
                unapplied: count(Metric::Unapplied),
                applied_twice: count(Metric::AppliedTwice),
                applied_unseen: count(Metric::AppliedUnseen),
                applied_out_of_order: count(Metric::AppliedOutOfOrder),
            }
        })
        .collect()
}

/// Returns what came of its cache, where it has one.
fn cache(strategy: &Strategy, history: &History, judgement: &Judgement) -> Option<record::Cache> {
    let cache = strategy.cache?;
    let end = history.meta.cache.as_ref();
    let is_read = end.is_some_and(|end| end.unread.is_none());
    Some(record::Cache {
        mode: cache.mode.name().to_owned(),
        fill: cache.fill.name().to_owned(),
        fill_hold_ms: cache.fill_hold.as_secs_f64() * 1e3,
        held_at_the_end: is_read.then_some(history.cached.len() as u64),
        longest_staleness_ms: judgement.longest_staleness_ms,
        reads: measure::reads(history),
    })
}

fn expectation(metric: String, checked: &crate::checkers::Checked) -> record::Expectation {
    record::Expectation {
        metric,
        expected: checked.expectation.text.clone(),
        observed: checked.observed,
        met: checked.met,
        implicit: checked.expectation.implicit,
        reason: checked.reason.clone(),
    }
}

fn faults(context: &Context<'_>, judgement: &Judgement, topology: Topology) -> Vec<record::Fault> {
    let history = context.history();
    let hits_one_of_several = |fault: &Fault| {
        topology.relays > 1 && matches!(fault.target, Target::Process(Victim::Relay(_)))
    };
    let seconds = |ns: i64| (ns - history.meta.load_from_ns) as f64 / 1e9;
    history
        .meta
        .scenario
        .faults
        .iter()
        .enumerate()
        .map(|(index, fault)| {
            let happened = history.faults.iter().find(|f| f.fault as usize == index);
            let bite = judgement.bites.iter().find(|b| b.fault as usize == index);
            let concerns = fault.concerns(topology);
            let bit = bite.filter(|_| concerns).map(|b| b.bit);
            record::Fault {
                target: fault.target.name().to_owned(),
                kind: fault.kind.name().to_owned(),
                settings: Some(fault_settings(fault)),
                trigger: fault.trigger().map(Trigger::describe),
                fired_s: happened
                    .filter(|_| fault.trigger().is_some())
                    .and_then(|f| fired_ns(history, f))
                    .map(seconds),
                fired_on: happened
                    .and_then(|f| fired_on(history, f))
                    .map(str::to_owned),
                injected_s: happened.and_then(|f| f.injected_ns).map(seconds),
                healed_s: happened.and_then(|f| f.healed_ns).map(seconds),
                failover_s: happened
                    .filter(|_| hits_one_of_several(fault) && bit == Some(true))
                    .filter(|_| judgement.arrivals_known)
                    .and_then(|f| measure::failover_s(&context.view.join, f)),
                bit,
                evidence: bite.map_or_else(String::new, |b| b.evidence.clone()),
            }
        })
        .collect()
}

/// What a fault was told beside its target, kind and beginning.
fn fault_settings(fault: &Fault) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    settings.insert("lasts_s".to_owned(), fault.lasts.as_secs_f64().to_string());
    if let FaultKind::Toxic {
        toxic,
        stream,
        toxicity,
    } = fault.kind
    {
        leaves(
            "",
            &json!({ "toxic": toxic, "stream": stream }),
            &mut settings,
        );
        settings.insert("toxicity".to_owned(), toxicity.to_string());
    }
    settings
}

/// Puts the values of a tree by their own names.
fn leaves(name: &str, of: &serde_json::Value, into: &mut BTreeMap<String, String>) {
    match of {
        serde_json::Value::Object(fields) => {
            for (name, value) in fields {
                leaves(name, value, into);
            }
        }
        serde_json::Value::String(text) => {
            into.insert(name.to_owned(), text.clone());
        }
        value => {
            into.insert(name.to_owned(), value.to_string());
        }
    }
}

/// Returns the first few offences of each kind, explained.
fn offences(explainer: &Explainer<'_>, judgement: &Judgement) -> Vec<record::Offence> {
    let explained = judgement.findings.iter().flat_map(|finding| {
        let first = finding.examples.iter().take(OFFENCES_PER_METRIC);
        first.map(|offence| explainer.explain(finding.metric, offence))
    });
    let of_consumers = judgement.consumers.iter().flat_map(|consumer| {
        let findings = consumer.findings.iter();
        findings.flat_map(|finding| {
            let first = finding.examples.iter().take(OFFENCES_PER_METRIC);
            first.map(|offence| record::Offence {
                metric: consumer.name_of(finding.metric),
                ..explainer.explain(finding.metric, offence)
            })
        })
    });
    explained.chain(of_consumers).collect()
}

/// Returns CPU seconds and peak memory by process.
fn usage(history: &History) -> BTreeMap<String, record::Usage> {
    let mut usage: BTreeMap<String, record::Usage> = BTreeMap::new();
    for cpu in measure::cpu_of_processes(history) {
        let of_process = usage.entry(cpu.process.to_owned()).or_default();
        of_process.cpu_s = Some(cpu.used_s);
    }
    for sample in &history.samples {
        if let Some(process) = sample.series.strip_prefix("rss_bytes.") {
            let of_process = usage.entry(process.to_owned()).or_default();
            let peak = &mut of_process.peak_memory_bytes;
            *peak = Some(peak.unwrap_or(0.0).max(sample.value));
        }
    }
    usage
}

/// Returns the same for the reader, by names that have process and unit, such as `relay cpu, s`.
fn costs(history: &History) -> BTreeMap<String, Option<f64>> {
    let mut costs = BTreeMap::new();
    for (process, used) in usage(history) {
        if let Some(cpu_s) = used.cpu_s {
            costs.insert(format!("{process} cpu, s"), Some(cpu_s));
        }
        if let Some(peak) = used.peak_memory_bytes {
            let peak_mib = peak / 1_048_576.0;
            costs.insert(format!("{process} peak memory, MiB"), Some(peak_mib));
        }
    }
    costs
}

/// Returns the stack as `run::environment` describes it.
pub fn stack(environment: &BTreeMap<String, String>) -> record::Stack {
    let get = |name: &str| environment.get(name).cloned().unwrap_or_default();
    record::Stack {
        provider: get("stack.provider"),
        postgres: record::Server {
            version: get("stack.postgres.version"),
            url: get("stack.postgres.url"),
        },
        kafka: record::Broker {
            version: get("stack.kafka.version"),
            bootstrap: get("stack.kafka.bootstrap"),
        },
        others: others(environment),
        toxiproxy: record::Server {
            version: get("stack.toxiproxy.version"),
            url: get("stack.toxiproxy.url"),
        },
        machine: record::Machine {
            processor: environment.get("processor").cloned(),
            cores: number(environment, "cores"),
            memory_mib: number(environment, "memory_mib"),
        },
        environment: environment
            .iter()
            .filter(|(name, _)| !name.starts_with("stack."))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    }
}

/// Returns the servers that only some strategies use.
fn others(environment: &BTreeMap<String, String>) -> Vec<record::OtherServer> {
    let servers = Server::ALL.into_iter();
    let servers = servers.filter(|server| {
        !server.is_of_every_stack() && *server != Server::KAFKA && !server.is_node()
    });
    let known = servers.filter_map(|server| {
        let of = |what: &str| environment.get(&format!("stack.{}.{what}", server.name()));
        Some(record::OtherServer {
            name: server.title().to_owned(),
            version: of("version")?.clone(),
            address: of("address")?.clone(),
        })
    });
    known.collect()
}

fn number<N: FromStr>(environment: &BTreeMap<String, String>, name: &str) -> Option<N> {
    environment.get(name)?.parse().ok()
}

/// What the scenario says of itself that it does not test, in whole sentences.
fn not_tested(scenario: &Scenario) -> Vec<String> {
    match scenario.order {
        OrderTest::Tested => Vec::new(),
        OrderTest::NotTested => vec![
            "Order was not tested, as the scenario says: its load is too slow for two versions of an \
             order to be in flight together, so that none could have been swapped."
                .to_owned(),
        ],
    }
}

fn load(workload: &Workload) -> record::Load {
    let open = workload.clients.is_none();
    record::Load {
        rate_per_s: open.then_some(workload.rate),
        clients: workload.clients.map(|clients| clients as u64),
        connections: workload.connections as u64,
        duration_s: workload.duration.as_secs_f64(),
        ramp_s: workload.ramp.as_secs_f64(),
        changes_per_order: workload.changes_per_order,
        skew: workload.skew,
        payload_bytes: workload.payload_bytes as u64,
        request_timeout_s: workload.request_timeout.as_secs_f64(),
        retries: workload.retries,
        rollback_ratio: workload.rollback_ratio,
        hold_ratio: workload.hold_ratio,
        hold_s: workload.hold.as_secs_f64(),
        partitions: workload.partitions,
        postgres_connections: workload.database_connections as u64,
        min_committed_per_phase: workload.min_committed_per_phase,
        read_share: workload.read_share,
    }
}

fn workload(workload: &Workload) -> BTreeMap<String, String> {
    let load = match workload.clients {
        Some(clients) => vec![
            ("load", "closed".to_owned()),
            ("clients", clients.to_string()),
        ],
        None => vec![
            ("load", "open".to_owned()),
            ("rate", format!("{} changes/s", workload.rate)),
            ("connections", workload.connections.to_string()),
            ("ramp", format!("{:?}", workload.ramp)),
        ],
    };
    let reads = (workload.read_share > 0.0).then(|| {
        let rate = workload.reads_a_second();
        ("reads", format!("{rate:.1} a second"))
    });
    [
        ("duration", format!("{:?}", workload.duration)),
        ("changes_per_order", workload.changes_per_order.to_string()),
        ("payload", format!("{} bytes", workload.payload_bytes)),
        ("request_timeout", format!("{:?}", workload.request_timeout)),
        ("rollback_ratio", workload.rollback_ratio.to_string()),
        (
            "hold_ratio",
            format!("{} for {:?}", workload.hold_ratio, workload.hold),
        ),
        ("retries", workload.retries.to_string()),
        ("skew", workload.skew.to_string()),
        ("partitions", workload.partitions.to_string()),
    ]
    .into_iter()
    .chain(load)
    .chain(reads)
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// As the record has it.
pub fn verdict(verdict: Verdict) -> record::Verdict {
    match verdict {
        Verdict::Pass => record::Verdict::Pass,
        Verdict::Unknown => record::Verdict::Unknown,
        Verdict::Fail => record::Verdict::Fail,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::checkers::fixture::{
        MS, add_fault, attempt, cached, clean, finish, judged, naive, unpublish,
    };
    use crate::history::{ReadOutcome, ReadSource, Sample};
    use crate::scenario::FaultKind;

    fn record_of(scenario: &Scenario) -> record::Record {
        let frame = Frame {
            run: "run",
            scenario,
            started_at: String::new(),
            environment: &BTreeMap::new(),
        };
        assemble(frame, Came::default(), Duration::ZERO)
    }

    #[test]
    fn given_a_file_that_does_not_test_the_order_then_the_record_says_so() {
        let mut scenario = clean(1, naive()).meta.scenario;
        assert!(record_of(&scenario).not_tested.is_empty());
        scenario.order = OrderTest::NotTested;
        let said = record_of(&scenario).not_tested.join(" ");
        assert!(said.starts_with("Order was not tested"), "{said}");
    }

    #[test]
    fn given_a_process_that_was_started_again_then_its_cost_has_what_its_new_life_had_used_at_its_first_sample()
     {
        let mut history = clean(1, naive());
        history.samples = [1.0, 2.0, 0.5]
            .map(|value| Sample {
                series: "cpu_s.relay".to_owned(),
                at_ns: 0,
                value,
            })
            .to_vec();
        assert_eq!(costs(&history)["relay cpu, s"], Some(1.5));
    }

    #[test]
    fn given_a_run_with_a_cache_then_the_record_says_what_became_of_the_reads() {
        let mut history = cached(40);
        {
            let mut reads = history.reads.open();
            reads[0].source = ReadSource::Database;
            reads[1].source = ReadSource::Fallback;
            reads[2].outcome = ReadOutcome::Failed;
            reads[3].held_back = true;
            reads[4].version = 1;
        }
        let judgement = judged(&history);
        let context = Context::new(&history);
        let recorded = strategy(&context, &judgement, None).unwrap();
        let cache = recorded.cache.unwrap();
        assert_eq!(
            (cache.mode.as_str(), cache.fill.as_str(), cache.fill_hold_ms),
            ("invalidate-by-relay", "newer", 0.0)
        );
        assert_eq!(cache.held_at_the_end, Some(40));
        assert_eq!(cache.longest_staleness_ms, Some(0.51));
        let reads = cache.reads;
        assert_eq!((reads.due, reads.answered, reads.failed), (120, 119, 1));
        let sources = (reads.from_cache, reads.missed, reads.cache_unreachable);
        assert_eq!((sources, reads.held_back), ((117, 1, 1), 1));
        // The one that failed was not quick
        let taken = &reads.service_time_ms;
        assert_eq!((taken.count, taken.censored, taken.max), (120, 1, None));
        // One that was not read whole is not said to have held anything
        history.meta.cache = None;
        let context = Context::new(&history);
        let recorded = strategy(&context, &judged(&history), None).unwrap();
        assert_eq!(recorded.cache.unwrap().held_at_the_end, None);
        // And who has none has none
        let history = clean(20, naive());
        let context = Context::new(&history);
        let recorded = strategy(&context, &judged(&history), None).unwrap();
        assert_eq!(recorded.cache, None);
    }

    #[test]
    fn given_the_record_of_a_run_when_it_is_written_then_its_schema_takes_it() {
        let mut history = clean(20, naive());
        add_fault(
            &mut history,
            Target::KAFKA,
            FaultKind::Down,
            10 * MS,
            20 * MS,
        );
        // What is lost is explained, and of what was not read nothing is known.
        let lost = attempt(&history, 0, 1);
        unpublish(&mut history, lost);
        finish(&mut history);
        history.samples.push(Sample {
            series: "cpu_s.relay".to_owned(),
            at_ns: 0,
            value: 1.5,
        });
        let judgement = judged(&history);
        let context = Context::new(&history);
        let explainer = Explainer::new(&context).unwrap();
        let strategy = strategy(&context, &judgement, Some(&explainer)).unwrap();
        assert!(!strategy.offences.is_empty() && !strategy.faults.is_empty());
        let one = Judged {
            meta: history.meta.clone(),
            verdict: judgement.verdict,
            strategy,
        };
        let record = build(vec![one], Duration::from_secs(1)).unwrap();
        let bytes = reports::Exporter::export(&reports::json::Json, &record).unwrap();
        let written: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let schema = reports::schema::record();
        jsonschema::meta::validate(&schema).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let wrong: Vec<String> = validator
            .iter_errors(&written)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert_eq!(wrong, Vec::<String>::new());
        // And one of another version it refuses.
        let mut other = written;
        other["schema_version"] = 99.into();
        assert!(!validator.is_valid(&other));
    }
}
