//! MariaDB: sessions, what a strategy owns there, orders, and an outbox as a source of events.
//!
//! An event's `seq` is an AUTO_INCREMENT, which is drawn before the commit as a sequence's number is: across orders it
//! does not rise in the order of commits. Per order it does, since the row of the order is locked before an event of it
//! draws its number, and until the commit.

pub mod orders;
pub mod schema;
pub(crate) mod session;
