//! Relays without a defect that look as if they had one: one a file.

mod abort_and_retry;
mod bursts;
mod by_partition;
mod compresses;
mod hands_over;
mod headers;
mod lives;
mod plain;
mod remembers;
mod replays;
mod reserialises;
mod restarts;
mod shuffles;

use super::{RelayMain, unbound};

/// Returns the odd relay of this name; `None` where there is none.
pub fn find(oddity: &str) -> Option<RelayMain> {
    let run: RelayMain = match oddity {
        "replays" => replays::run,
        "aborts-and-retries" => abort_and_retry::run,
        "shuffles" => shuffles::run,
        "by-partition" => by_partition::run,
        "hands-over" => hands_over::run,
        "bursts" => bursts::run,
        "headers" => headers::run,
        "gzip" => compresses::gzip,
        "lz4" => compresses::lz4,
        "snappy" => compresses::snappy,
        "reserialises" => reserialises::run,
        "restarts" => restarts::run,
        "remembers-by-itself" => remembers::run,
        "heeds-returns" => unbound::heeds_returns,
        _ => return None,
    };
    Some(run)
}
