//! What is known of a stack's PostgreSQL: which one it is, where, and how durable.

use super::find_programs;
use crate::stack::{StackError, StackInfo, postgres_client, postgres_version};
use relays::config::PostgresTarget;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Returns the version that is installed, as its program says it; `None` where that cannot be told.
pub(in crate::stack) async fn installed() -> Option<String> {
    let folder = find_programs(&["postgres"]).await.ok()?;
    postgres_version::of_programs(&folder).await.ok()
}

impl StackInfo {
    /// A stack of which nothing is known yet but how its database is reached, and by which folder's socket.
    pub(in crate::stack) fn with_database(
        postgres: PostgresTarget,
        postgres_socket: Option<PathBuf>,
    ) -> Self {
        Self {
            provider: String::new(),
            postgres,
            postgres_socket,
            postgres_version: String::new(),
            brokers: BTreeMap::new(),
            broker_nodes: BTreeMap::new(),
            topic_replicas: 1,
            toxiproxy_url: String::new(),
            toxiproxy_version: String::new(),
            redis: None,
            mariadb: None,
            routes: BTreeMap::new(),
            environment: BTreeMap::new(),
        }
    }

    /// Says in which folder the database has its Unix socket.
    pub(in crate::stack) fn set_database_socket(&mut self, folder: Option<PathBuf>) {
        self.postgres_socket = folder;
    }

    /// Returns the version of the database that every stack has.
    pub fn database_version(&self) -> &str {
        &self.postgres_version
    }

    /// Returns its `host:port`, around all proxies.
    pub fn database_address(&self) -> String {
        format!("{}:{}", self.postgres.host, self.postgres.port)
    }

    /// Returns its URL, without the password.
    pub fn database_url(&self) -> String {
        let p = &self.postgres;
        format!("postgres://{}@{}:{}/{}", p.user, p.host, p.port, p.database)
    }

    /// Returns the folder of its Unix socket, where the server is on this machine and has one.
    pub fn database_socket(&self) -> Option<&Path> {
        self.postgres_socket.as_deref()
    }

    /// Asks the server for its version and durability.
    pub(in crate::stack) async fn ask_database(&mut self) -> Result<(), StackError> {
        let failed = |reason| StackError {
            doing: "ask PostgreSQL for its settings".into(),
            reason,
        };
        let mut connection = postgres_client::connect(&self.postgres)
            .await
            .map_err(failed)?;
        self.postgres_version = postgres_client::version(&mut connection)
            .await
            .map_err(failed)?;
        postgres_version::check(&self.postgres_version).map_err(|reason| StackError {
            doing: format!(
                "use PostgreSQL at {}:{}",
                self.postgres.host, self.postgres.port
            ),
            reason: format!("{reason}; name a newer server"),
        })?;
        for (name, query) in [
            ("fsync", "show fsync"),
            ("synchronous_commit", "show synchronous_commit"),
            ("wal_level", "show wal_level"),
        ] {
            let value = postgres_client::ask(&mut connection, query)
                .await
                .map_err(failed)?;
            self.environment.insert(name.into(), value);
        }
        Ok(())
    }
}
