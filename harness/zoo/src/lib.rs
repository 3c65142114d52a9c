//! Systems under test with one realistic defect each, and odd ones without any.
//!
//! The binary of this crate is the whole of `outbox-harness`, but for its children: where the
//! environment names a defect, `relay` or `order-service` is a broken one. So each defect is run and
//! judged by the very code that judges honest systems, and no release build has any of it.

pub mod confession;
pub mod relays;
pub mod services;

/// This environment variable names the defect (or the oddity).
pub const DEFECT: &str = "OUTBOX_ZOO_DEFECT";
/// What it is where nothing is broken; any other name must be that of a defect.
pub const HONEST: &str = "honest";
/// This environment variable has the path of the confession.
pub const CONFESSION: &str = "OUTBOX_ZOO_CONFESSION";

/// The name of the defect that this process is to have.
pub fn defect() -> Option<String> {
    std::env::var(DEFECT).ok()
}
