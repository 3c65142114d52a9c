//! What of a drain depends on the database: one system, one file, one line in [`of`].

mod mariadb;
mod postgres;

use super::subjects::DrainSubject;
use crate::run::deployment::Deployment;
use crate::stack::Stack;
use futures::future::BoxFuture;
use relays::config::DatabaseKind;

/// This is what a drain has of its database.
pub(super) trait DrainDatabase: Sync {
    /// Returns its rows in the order of a round: those with the usual broker, or with another one.
    fn rows(&self, usual: bool) -> &'static [DrainSubject];

    /// Says what relays are held against; of publishing alone these words say it.
    fn limits(&self, usual: bool, publish: &str) -> String;

    /// Says what the database wrote to its log meanwhile.
    fn log_an_event(&self) -> &'static str;

    /// Says what is done before each drain, behind other words; nothing where nothing is.
    fn before_each(&self) -> &'static str;

    /// Writes a backlog of so many events, and makes it durable; gives the position in the log after its last commit.
    fn fill<'a>(
        &'a self,
        stack: &'a Stack,
        deployment: &'a Deployment<'_>,
        events: u32,
    ) -> BoxFuture<'a, Result<String, String>>;

    /// Ends writers that go on in the server after their client has given up.
    fn give_up<'a>(
        &'a self,
        stack: &'a Stack,
        deployment: &'a Deployment<'_>,
    ) -> BoxFuture<'a, Result<(), String>>;
}

/// Returns what a drain has of this database.
pub(super) fn of(kind: DatabaseKind) -> &'static dyn DrainDatabase {
    match kind {
        DatabaseKind::Postgres => &postgres::PostgresDrain,
        DatabaseKind::MariaDb => &mariadb::MariaDbDrain,
    }
}
