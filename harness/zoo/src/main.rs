//! `outbox-harness`, with children that are broken on purpose.

use serde::de::DeserializeOwned;
use std::process::ExitCode;

fn main() -> ExitCode {
    harness::process::environment::settle();
    let command = std::env::args().nth(1).unwrap_or_default();
    if let Some(ended) = harness::process::hidden(&command, harness::stack::DUTIES) {
        return ended;
    }
    let Some(defect) = zoo::defect() else {
        return harness::cli::main();
    };
    let (relay, service) = (zoo::relays::find(&defect), zoo::services::find(&defect));
    if relay.is_none() && service.is_none() && defect != zoo::HONEST {
        // Anything else would run the honest system, and find nothing wrong with it.
        return ended(Err(format!(
            "`{defect}` in {} is no defect: take one of src/relays/mod.rs or src/services/mod.rs, \
             or `{}`",
            zoo::DEFECT,
            zoo::HONEST
        )));
    }
    match (command.as_str(), relay, service) {
        ("relay", Some(run), _) => ended(config().and_then(run)),
        ("order-service", _, Some(run)) => ended(config().and_then(run)),
        _ => harness::cli::main(),
    }
}

/// Reads the file of `--config FILE`, as the harness passes it; an Err says what is missing or wrong.
fn config<T: DeserializeOwned>() -> Result<T, String> {
    let file = std::env::args()
        .nth(3)
        .ok_or("expected: relay|order-service --config FILE")?;
    let text = std::fs::read(&file).map_err(|e| format!("{file}: {e}"))?;
    serde_json::from_slice(&text).map_err(|e| format!("{file}: {e}"))
}

fn ended(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("zoo: {reason}");
            ExitCode::FAILURE
        }
    }
}
