//! PostgreSQL: sessions, what a strategy owns there, and an outbox, or the events themselves, as a source.

mod bookmark;
pub mod cdc;
mod claiming;
mod housekeeping;
mod leadership;
pub mod pgoutput;
pub mod polling;
pub mod position;
mod positions;
pub mod schema;
mod session;
mod sweeper;
mod transaction;
