//! Relays with a defect: one a file.

mod aborts;
pub mod another_run;
mod cursor;
pub mod dies;
mod flips;
mod flood;
pub mod kit;
mod latest;
mod marks_first;
mod never_starts;
mod newest_lsn;
mod notify_only;
mod odd;
mod parks;
mod refused;
mod repeats_later;
mod requeues;
mod skips;
mod sleeps;
mod spreads;
pub mod stops;
mod swaps;
mod tail;
mod twice;
mod wrong_key;
pub mod wrong_topic;

use relays::config::RelayConfig;

/// A relay's whole life.
pub type Run = fn(RelayConfig) -> Result<(), String>;

/// The broken relay of this name; `None` where the defect is not the relay's.
pub fn find(defect: &str) -> Option<Run> {
    let run: Run = match defect {
        "floods-its-logs" => flood::lines,
        "never-ends-its-line" => flood::endless_line,
        "skips-every-100th" => skips::run,
        "marks-then-publishes" => marks_first::run,
        "goes-on-past-a-failed-publish" => refused::run,
        "cursor" => cursor::run,
        "dies" => dies::run,
        "drops-the-tail" => tail::run,
        "stops-silently" => stops::run,
        "acknowledges-the-newest-lsn" => newest_lsn::run,
        "marks-what-it-aborts" => aborts::run,
        "latest-version-only" => latest::run,
        "parks-after-5-retries" => parks::run,
        "everything-twice" => twice::run,
        "repeats-later" => repeats_later::run,
        "swaps-neighbours" => swaps::run,
        "requeues-at-the-end" => requeues::run,
        "any-partition" => spreads::run,
        "flips-a-bit" => flips::run,
        "wrong-key" => wrong_key::run,
        "wrong-topic" => wrong_topic::run,
        "rows-of-another-run" => another_run::run,
        "sleeps" => sleeps::run,
        "notify-only" => notify_only::run,
        "never-starts" => never_starts::run,
        _ => return odd::find(defect),
    };
    Some(run)
}
