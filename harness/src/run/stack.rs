//! The stack of a run: started, warmed, and left running where that is wanted.

use super::deployment::failed;
use super::rehearsal::{self, Rehearsal};
use super::{Event, Options, Reporter, RunError, ScenarioRun, StackChoice, folder, strategies};
use crate::process::reaper::Reaper;
use crate::scenario::{self, Server};
use crate::stack::{BRIEF_WARM_UP, Jit, ServerSettings, Stack};
use relays::config::BrokerKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Starts it, with these settings where it is ours. It is up, but not warm.
pub(crate) async fn start(
    options: &Options,
    folder: &Path,
    (jit, settings): (Jit, ServerSettings),
    reaper: &Arc<Reaper>,
    reporter: &Reporter,
) -> Result<Stack, RunError> {
    let provider = options.stack.provider(folder, jit, settings);
    reporter.event(Event::StackStarting {
        provider: options.stack.name().to_owned(),
    });
    let started = Instant::now();
    let stack = Stack::start(provider, reaper).await?;
    let info = stack.info();
    let mut what = format!(
        "PostgreSQL {} at {}",
        info.database_version(),
        info.database_address(),
    );
    let mut add = |title: &str, version: &str, address: &str| {
        what.push_str(&format!(", {title} {version} at {address}"));
    };
    let of = |server: Server| Some((server.title(), info.server(server)?));
    let (brokers, others): (Vec<_>, Vec<_>) = Server::ALL
        .into_iter()
        .partition(|server| server.is_broker());
    for (title, known) in brokers.into_iter().filter_map(of) {
        add(title, &known.version, &known.address);
    }
    add("Toxiproxy", &info.toxiproxy_version, &info.toxiproxy_url);
    for (title, known) in others.into_iter().filter_map(of) {
        add(title, &known.version, &known.address);
    }
    reporter.event(Event::StackUp {
        what,
        took: started.elapsed(),
    });
    for text in stack.notes() {
        reporter.event(Event::Note { text: text.clone() });
    }
    Ok(stack)
}

/// Sees that everything is there that the strategies need, before anything is run; then warms the stack, briefly
/// where it is for `show`.
pub(crate) async fn ready(scenario_run: &ScenarioRun<'_>, show: bool) -> Result<(), RunError> {
    for strategy in scenario_run.chosen() {
        scenario_run.stack.broker_info(strategy.broker.kind())?;
        if strategy.topology().has_cache {
            scenario_run.stack.cache()?;
        }
        let parts = strategies::of(strategy);
        let log = folder::log(scenario_run.folder, &strategy.name, "install");
        let mut interrupted = scenario_run.interrupted.clone();
        tokio::select! {
            ready = parts.make_ready(scenario_run.stack, scenario_run.reaper, &log) => ready?,
            Ok(_) = interrupted.wait_for(|i| *i) => {
                return Err(RunError::Interrupted { folder: scenario_run.folder.to_owned() });
            }
        }
    }
    warm(scenario_run, show).await
}

/// Brings a stack to the speed that is its own. Strategies that are compared are worth a rehearsal:
/// a short one where the broker's compiler is soon done, on somebody's stack, of which nothing is
/// known, until it gets no faster.
async fn warm(scenario_run: &ScenarioRun<'_>, show: bool) -> Result<(), RunError> {
    // Figures for show are compared with nothing.
    let compared = scenario_run.chosen().len() > 1 && !show;
    match scenario_run.stack {
        Stack::Own(_) if compared => rehearsal::rehearse(scenario_run, Rehearsal::Brief).await,
        Stack::Own(_) => {
            let mut interrupted = scenario_run.interrupted.clone();
            tokio::select! {
                warm = warm_up(scenario_run.stack, BRIEF_WARM_UP) => warm,
                failed = scenario_run.stack.ends_by_itself() => Err(failed.into()),
                Ok(_) = interrupted.wait_for(|i| *i) => Err(RunError::Interrupted {
                    folder: scenario_run.folder.to_owned(),
                }),
            }
        }
        // It was, for all runs on it, when it was started.
        Stack::External(external) if external.is_kept() => Ok(()),
        Stack::External(_) if compared => {
            rehearsal::rehearse(scenario_run, Rehearsal::UntilSteady).await
        }
        Stack::External(_) => Ok(()),
    }
}

/// What a stack that is kept is warmed with: the orders of an ordinary load.
const ORDINARY: &str = "\
name = \"warm-up\"
[workload]
duration = \"6s\"
[strategy.cdc]
kind = \"cdc\"
";

/// Warms a stack that will be kept, as one is that strategies are compared on, so that no run on it has to.
pub(crate) async fn warm_to_keep(
    stack: &Stack,
    choice: StackChoice,
    folder: &Path,
    reaper: &Arc<Reaper>,
    reporter: &Reporter,
) -> Result<(), RunError> {
    let doing = "warming up the stack";
    let scenario = scenario::parse("warm-up.toml", ORDINARY).map_err(|e| failed(doing, &e))?;
    std::fs::create_dir_all(folder.join("logs")).map_err(|e| failed(doing, &e))?;
    let options = Options {
        strategy: None,
        out: folder.to_owned(),
        stack: choice,
        keep_stack: false,
        trace: false,
    };
    // Whoever is told to end drops the whole of it.
    let (_never, interrupted) = watch::channel(false);
    let scenario_run = ScenarioRun {
        scenario: &scenario,
        options: &options,
        stack,
        folder,
        reaper,
        reporter,
        interrupted: &interrupted,
    };
    rehearsal::rehearse(&scenario_run, Rehearsal::Brief).await
}

/// Gives a broker so much ordinary work that its speed is its own.
pub(crate) async fn warm_up(stack: &Stack, lasts: Duration) -> Result<(), RunError> {
    let topic = format!("oh.{}.warm-up", stack.run_key().run);
    match stack.warm_up(&topic, lasts).await {
        Ok(()) => Ok(()),
        Err(e) => Err(match stack.failure().await {
            Some(failed) => failed.into(),
            None => failed("warming up the stack", &e),
        }),
    }
}

/// Leaves the stack running, and says how to use it and how to stop it.
pub(super) async fn keep(stack: Stack, folder: &Path, reporter: &Reporter) -> Result<(), RunError> {
    let has_nodes = !stack.info().broker_nodes.is_empty();
    let has_usual = stack.info().brokers.contains_key(&BrokerKind::USUAL);
    if !has_usual || has_nodes {
        for text in stack.keep().await? {
            reporter.event(Event::Note { text });
        }
        let text = match has_nodes {
            true => {
                "  run on it   not by --stack external, which takes a Kafka of one broker, and this one is of several"
            }
            false => {
                "  run on it   not by --stack external, which takes a Kafka, and this one has none"
            }
        };
        reporter.event(Event::Note {
            text: text.to_owned(),
        });
        return Ok(());
    }
    let file = folder.join("external.toml");
    let description = crate::stack::external::stack_file(stack.info());
    folder::write_secret(&file, description.as_bytes())?;
    for text in stack.keep().await? {
        reporter.event(Event::Note { text });
    }
    let text = format!(
        "  run on it   --stack external --external {}",
        crate::stack::shell_word(&file)
    );
    reporter.event(Event::Note { text });
    Ok(())
}
