//! Tests that take long, and show of a second kind what a shorter one shows of the first: `make test-all` asks for them.

use crate::not_done::not_done;

/// Set by `make test-all`.
const ASKED_FOR: &str = "OUTBOX_HARNESS_ALL";

/// Whether this test is asked for. One that is not is named as not done.
pub fn is_asked_for() -> bool {
    let asked = std::env::var_os(ASKED_FOR).is_some();
    if !asked {
        not_done("is run by `make test-all`");
    }
    asked
}
