//! `bench`: one benchmark, its table on standard output, its folder.

use super::args::{BenchArgs, BenchKind, BenchShared};
use super::exit::Outcome;
use super::run::NamedStack;
use super::session::Session;
use super::{places, results, run, terminal};
use crate::bench::{self, BenchOptions, FinishedBench, Kind, capacity, drain, latency, orders};
use crate::process::environment;
use crate::scenario::limits;

/// No benchmark has more at a time.
const CONNECTIONS: u64 = limits::DATABASE_CONNECTIONS as u64;

/// Runs it; says on standard error what is wrong.
pub fn bench(args: &BenchArgs) -> Outcome {
    let (kind, shared, repetitions) = chosen(&args.kind);
    let options = match prepare(&kind, shared, repetitions) {
        Ok(options) => options,
        Err((outcome, message)) => {
            terminal::message(&message);
            return outcome;
        }
    };
    match in_session(&kind, &options, shared) {
        Ok(outcome) | Err(outcome) => outcome,
    }
}

fn in_session(
    kind: &Kind,
    options: &BenchOptions,
    shared: &BenchShared,
) -> Result<Outcome, Outcome> {
    let session = Session::start()?;
    if let Some(file) = &shared.json {
        results::clear(file);
    }
    let result = session.run(async |reaper, reporter, interrupted| {
        bench::run(kind, options, reaper, reporter, interrupted).await
    })?;
    match result {
        Ok(finished) => Ok(show(&finished, shared)),
        Err(error) => {
            terminal::message(&format!("bench {}: {error}", kind.name()));
            Err(Outcome::from(&error))
        }
    }
}

fn chosen(kind: &BenchKind) -> (Kind, &BenchShared, u32) {
    match kind {
        BenchKind::Drain(args) => (
            Kind::Drain(drain::DrainOptions {
                systems: args.systems.named(),
                events: args.events,
                batch: args.batch,
                strategy: args.strategy.clone(),
            }),
            &args.shared,
            args.repetitions,
        ),
        BenchKind::Latency(args) => (
            Kind::Latency(latency::LatencyOptions {
                systems: args.systems.named(),
                rates: args.rates.clone(),
                seconds: args.seconds,
                warm_up_s: args.warm_up,
                strategy: args.strategy.clone(),
            }),
            &args.shared,
            args.repetitions,
        ),
        BenchKind::Capacity(args) => (
            Kind::Capacity(capacity::CapacityOptions {
                from: args.rate,
                ceiling: args.ceiling,
                seconds: args.seconds,
                strategy: args.strategy.clone(),
            }),
            &args.shared,
            args.repetitions,
        ),
        BenchKind::Orders(args) => (
            Kind::Orders(orders::OrdersOptions {
                connections: args.connections.clone(),
                seconds: args.seconds,
            }),
            &args.shared,
            args.repetitions,
        ),
    }
}

fn prepare(
    kind: &Kind,
    shared: &BenchShared,
    repetitions: u32,
) -> Result<BenchOptions, (Outcome, String)> {
    let usage = |message| (Outcome::Usage, message);
    kind.check().map_err(usage)?;
    if let Some(file) = &shared.json {
        results::writable("--json", file).map_err(usage)?;
    }
    let refused = places::unusable("--out", &shared.out);
    if let Some(message) = refused.or_else(|| environment::too_few_files(CONNECTIONS)) {
        return Err((Outcome::Usage, message));
    }
    run::stack_is_named(shared.stack, &shared.external)?;
    let stack = run::stack_choice(NamedStack {
        name: shared.stack,
        external: &shared.external,
        kept: shared.kept.as_deref(),
        programs: shared.programs.as_deref(),
    })
    .map_err(|message| (Outcome::Failed, message))?;
    let command: Vec<String> = std::env::args().skip(1).collect();
    Ok(BenchOptions {
        out: shared.out.clone(),
        stack,
        repetitions,
        command: format!("outbox-harness {}", command.join(" ")),
    })
}

fn show(finished: &FinishedBench, shared: &BenchShared) -> Outcome {
    terminal::results(&reports::bench::terminal::render(&finished.bench));
    terminal::message(&format!(
        "everything about this benchmark: {}",
        finished.folder.display()
    ));
    let mut outcome = Outcome::from(finished.bench.verdict);
    if let Some(file) = &shared.json
        && let Err(message) = results::write(file, reports::bench::json(&finished.bench))
    {
        terminal::message(&message);
        outcome = outcome.max(Outcome::Failed);
    }
    outcome
}
