//! MariaDB as the database of a strategy: what it owns there, its orders, and its relays, on a real server.

mod binlog;
mod fence;
mod orders;
mod polling;
mod schema;
mod server;
mod service;
mod source;
