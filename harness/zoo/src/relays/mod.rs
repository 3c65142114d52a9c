//! Relays with a defect: one a file.

mod flood;

use relays::config::RelayConfig;

/// A relay's whole life.
pub type Run = fn(RelayConfig) -> Result<(), String>;

/// The broken relay of this name; `None` where the defect is not the relay's.
pub fn find(defect: &str) -> Option<Run> {
    let run: Run = match defect {
        "floods-its-logs" => flood::lines,
        "never-ends-its-line" => flood::endless_line,
        _ => return None,
    };
    Some(run)
}
