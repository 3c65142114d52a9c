//! What the broken relays are made of: the honest relay with its events altered on the way
//! ([`altered`], [`sifted`]), or a naive one of rows ([`outbox`],
//! [`binlog`]) and a producer ([`broker`], [`rabbit`]).

pub mod aftermath;
pub mod altered;
pub mod binlog;
pub mod broker;
mod entry;
mod ledger;
mod life;
pub mod offset;
pub mod outbox;
pub mod rabbit;
pub mod reporting;
pub mod sifted;

pub use entry::Entry;
pub use life::{Stop, is_first_life, live};
