//! MariaDB: sessions, what a strategy owns there, orders, and an outbox as a source of events.
//!
//! An event's `seq` is an AUTO_INCREMENT, which is drawn before the commit as a sequence's number is: across orders it
//! does not rise in the order of commits. Per order it does, since the row of the order is locked before an event of it
//! draws its number, and until the commit.

pub mod binlog;
mod leadership;
pub mod orders;
pub mod polling;
mod read_rows;
mod row;
pub mod schema;
pub(crate) mod session;

pub use binlog::unconfirmed::read_unconfirmed;
pub use row::MariaDbRow;
pub use schema::{MariaDbLayout, MariaDbOutbox, close_accounts, connect_admin, create, drop_all};
