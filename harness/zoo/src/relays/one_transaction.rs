//! Relays to which a transaction is one event: its rows have one LSN. They meet a service that
//! commits several changes at a time.

use super::kit::is_first_life;
use super::kit::sifted::{Sift, relay};
use crate::confession::Confession;
use relays::config::RelayConfig;

/// Events that are published before it happens.
const HEALTHY: u64 = 100;

/// Acknowledges a transaction's end when its first row is delivered. It is killed before it comes
/// to the others, and its successor goes on behind them.
pub fn acknowledges_after_the_first(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    let doomed = is_first_life();
    let (mut published, mut held_back) = (0, 0);
    // The transaction that it is in, and whether it is the one.
    let (mut open, mut torn) = (0, false);
    relay(config, move |entry, lsn| {
        if lsn != open {
            if held_back > 0 {
                return Sift::Hang;
            }
            (open, torn) = (lsn, doomed && published >= HEALTHY);
        } else if torn {
            confession.admit("held-back", &entry.name());
            held_back += 1;
            return Sift::HoldBack;
        }
        published += 1;
        Sift::Publish
    })
}

/// Keeps the LSN of what it published, and skips what is not behind it: its own guard against
/// publishing twice.
pub fn skips_what_has_the_lsn(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    let mut last = 0;
    relay(config, move |entry, lsn| {
        if lsn <= last {
            confession.admit("skipped", &entry.name());
            return Sift::HoldBack;
        }
        last = lsn;
        Sift::Publish
    })
}
