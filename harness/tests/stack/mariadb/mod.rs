//! MariaDB as the database of a strategy: what it owns there, its orders, and its relays, on a real server.

mod orders;
mod schema;
mod server;
