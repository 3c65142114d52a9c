//! The system under test, as subcommands: this program is also the processes that it starts and kills.

use super::args::{ChildArgs, KeeperArgs};
use super::exit::Outcome;
use super::terminal;
use crate::kept;
use crate::stack::kept::KeptFolder;
use serde::de::DeserializeOwned;
use tracing_subscriber::EnvFilter;

/// Runs `order-service` until it ends; a configuration that cannot be read is [`Outcome::Usage`].
pub fn order_service(child: &ChildArgs) -> Outcome {
    log();
    let Some(config) = read(child) else {
        return Outcome::Usage;
    };
    // Two workers: it shares the machine with the load, the broker and the database.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let served = match runtime {
        Ok(runtime) => runtime.block_on(relays::service::serve(config)),
        Err(e) => Err(format!("starting the runtime: {e}")),
    };
    ended("order-service", served)
}

/// Runs `relay` until it ends. It blocks this thread; what it needs of runtimes it makes itself.
pub fn relay(child: &ChildArgs) -> Outcome {
    log();
    match read(child) {
        Some(config) => ended("relay", relays::pump::run(config)),
        None => Outcome::Usage,
    }
}

/// Runs `recoverer` until it ends. It blocks this thread; what it needs of runtimes it makes itself.
pub fn recoverer(child: &ChildArgs) -> Outcome {
    log();
    match read(child) {
        Some(config) => ended("recoverer", relays::recoverer::run(config)),
        None => Outcome::Usage,
    }
}

/// Runs `consumer` until it ends. It blocks this thread; what it needs of runtimes it makes itself.
pub fn consumer(child: &ChildArgs) -> Outcome {
    log();
    match read(child) {
        Some(config) => ended("consumer", relays::consumer::run(config)),
        None => Outcome::Usage,
    }
}

/// Keeps a stack until it is told to end. To be called before any other thread exists.
pub fn stack_keeper(args: &KeeperArgs) -> Outcome {
    terminal::log();
    let folder = KeptFolder::at(&args.at);
    ended("stack-keeper", kept::keeping::keep(&folder, &args.programs))
}

fn ended(what: &str, result: Result<(), String>) -> Outcome {
    match result {
        Ok(()) => Outcome::Met,
        Err(reason) => {
            terminal::message(&format!("{what}: {reason}"));
            Outcome::Failed
        }
    }
}

fn read<T: DeserializeOwned>(child: &ChildArgs) -> Option<T> {
    let file = child.config.display();
    let text = std::fs::read(&child.config)
        .map_err(|e| terminal::message(&format!("{file}: cannot be read: {e}")))
        .ok()?;
    serde_json::from_slice(&text)
        .map_err(|e| {
            terminal::message(&format!(
                "{file}: {e} (this file is written by `outbox-harness run` of the same version)"
            ));
        })
        .ok()
}

/// Logs go to standard error, which the harness keeps in a file of the run.
fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // It would say so on standard error, and panic where that cannot be written either.
        .log_internal_errors(false)
        .with_ansi(false)
        .try_init();
}
