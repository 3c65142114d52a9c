//! Order services with a defect: one a file.

mod acknowledges_early;
mod answers_what_was;
mod commits_the_broker_first;
mod decides_later;
mod decides_unasked;
mod evicts;
mod forgets_to_invalidate;
mod groups;
mod kit;
mod merges;
mod publishes_and_reuses;
mod publishes_early;
mod rejects_late;
mod retries_blindly;
mod savepoint;
mod two_transactions;

use relays::config::ServiceConfig;

/// This is an order service's whole life, from its configuration to its end; an error says why it failed.
pub type ServiceMain = fn(ServiceConfig) -> Result<(), String>;

/// Returns the broken order service of this name; `None` where the defect is not the service's.
pub fn find(defect: &str) -> Option<ServiceMain> {
    let run: ServiceMain = match defect {
        "publishes-early" => publishes_early::run,
        "publishes-and-reuses" => publishes_and_reuses::run,
        "commits-the-broker-first" => commits_the_broker_first::run,
        "decides-unasked" => decides_unasked::run,
        "acknowledges-early" => acknowledges_early::run,
        "rejects-late" => rejects_late::run,
        "two-transactions" => two_transactions::run,
        "rolls-back-to-a-savepoint" => savepoint::run,
        "merges-rows" => merges::run,
        // The relay's defects, on a service that makes them possible.
        "acknowledges-after-the-first-row" | "skips-what-has-the-lsn" => groups::run,
        // And nobody's.
        "publishes-at-the-rows" | "decides-later" | "remembers-by-itself" => decides_later::run,
        "forgets-to-invalidate" => forgets_to_invalidate::run,
        "answers-what-was" => answers_what_was::run,
        "evicts" => evicts::run,
        "repeats-the-change" => retries_blindly::the_change,
        "repeats-the-publish" => retries_blindly::the_publish,
        _ => return None,
    };
    Some(run)
}
