//! Makes the folder of a clean run of any size, to see what `check` takes for it:
//!
//!     cargo run --release --example clean_run -- FOLDER EVENTS
//!     outbox-harness check FOLDER

#[path = "../benches/common/mod.rs"]
#[allow(dead_code)]
mod common;

use harness::history;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, events] = &arguments[..] else {
        eprintln!("usage: clean_run FOLDER EVENTS");
        return ExitCode::from(2);
    };
    let Ok(events) = events.parse() else {
        eprintln!("{events}: not a number of events");
        return ExitCode::from(2);
    };
    let run = common::clean::clean(events);
    let place = Path::new(folder).join("history").join(&run.meta.strategy);
    match history::save(&run, &place) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("{e}");
            ExitCode::FAILURE
        }
    }
}
