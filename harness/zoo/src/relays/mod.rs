//! Relays with a defect: one a file.

mod aborts;
pub mod another_run;
mod at_the_rows;
mod cursor;
mod deduplicates;
pub mod dies;
mod done_first;
mod flips;
mod flood;
mod held_back;
mod in_flight;
pub mod kit;
mod latest;
mod mark_up_to;
mod never_starts;
mod new_slot;
mod newest_lsn;
mod notify_only;
mod number;
mod odd;
mod one_transaction;
mod parks;
mod refused;
mod repeats_later;
mod requeues;
mod retention;
mod same_id;
mod skip_locked;
mod skips;
mod sleeps;
mod spreads;
mod status;
mod stops;
mod successor;
mod swaps;
mod tail;
mod times_out;
mod truncates;
mod twice;
mod unbound;
mod wrong_key;
pub mod wrong_topic;

use relays::config::RelayConfig;

/// A function of this type is a relay's whole life; its Err says why the relay ended by itself.
pub type RelayMain = fn(RelayConfig) -> Result<(), String>;

/// Returns the relay of this name, broken or odd; `None` where the defect is not the relay's.
pub fn find(defect: &str) -> Option<RelayMain> {
    let run: RelayMain = match defect {
        "floods-its-logs" => flood::lines,
        "never-ends-its-line" => flood::endless_line,
        "skips-every-100th" => skips::run,
        "marks-then-publishes" => done_first::marks,
        "deletes-then-publishes" => done_first::deletes,
        "stores-its-offset-first" => done_first::stores_its_offset,
        "goes-on-past-a-failed-publish" => refused::run,
        "cursor" => cursor::by_seq,
        "cursor-on-created-at" => cursor::by_created_at,
        "events-by-number" => number::run,
        "dies" => dies::run,
        "marks-up-to-the-highest" => mark_up_to::run,
        "drops-the-tail" => tail::run,
        "stops-silently" => stops::run,
        "acknowledges-the-newest-lsn" => newest_lsn::run,
        "acknowledges-after-the-first-row" => one_transaction::acknowledges_after_the_first,
        "skips-what-has-the-lsn" => one_transaction::skips_what_has_the_lsn,
        "snapshot-then-slot" => new_slot::after_the_snapshot,
        "new-slot-at-a-restart" => new_slot::at_a_restart,
        "marks-what-it-aborts" => aborts::run,
        "latest-version-only" => latest::run,
        "parks-after-5-retries" => parks::parks,
        "deletes-after-5-retries" => parks::deletes,
        "deletes-what-is-old" => retention::run,
        "truncates-what-is-over" => truncates::run,
        "deduplicates-by-type" => deduplicates::run,
        "everything-twice" => twice::run,
        "repeats-later" => repeats_later::run,
        "swaps-neighbours" => swaps::run,
        "holds-back-last-events" => held_back::run,
        "requeues-at-the-end" => requeues::run,
        "any-partition" => spreads::evenly,
        "partition-by-type" => spreads::by_type,
        "two-skip-locked-workers" => skip_locked::run,
        "several-in-flight" => in_flight::run,
        "times-out-one-by-one" => times_out::run,
        "zombie" => successor::zombie,
        "producer-lives-on" => successor::producer_lives_on,
        "publishes-at-the-rows" => at_the_rows::run,
        "believes-acks" => unbound::believes_acks,
        "same-id-for-a-type" => same_id::run,
        "looks-at-the-status" => status::run,
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
