//! PostgreSQL in the file that describes a stack, and what is asked of one that runs already.

use super::{StackInfo, postgres_client};
use relays::config::PostgresTarget;
use serde::{Deserialize, Serialize};

/// This is the section `[postgres]` of a stack file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DescribedDatabase {
    host: String,
    pub(super) port: u16,
    user: String,
    #[serde(default)]
    pub(super) password: String,
    database: String,
}

impl DescribedDatabase {
    /// The section that would lead to the one of this stack.
    pub(super) fn of(info: &StackInfo) -> Self {
        let p = info.postgres.clone();
        Self {
            host: p.host,
            port: p.port,
            user: p.user,
            password: p.password,
            database: p.database,
        }
    }

    /// Returns the administrator's way to it.
    pub(super) fn target(&self) -> PostgresTarget {
        let Self {
            host,
            port,
            user,
            password,
            database,
        } = self.clone();
        PostgresTarget {
            host,
            port,
            user,
            password,
            database,
            schema: String::new(),
        }
    }

    /// Returns its `host:port`.
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Asks it whether relays can read its log, and whether its administrator may do what strategies need; an Err says
    /// what to set.
    pub(super) async fn check(&self) -> Result<(), String> {
        let target = self.target();
        let mut connection = postgres_client::connect(&target).await?;
        let level = postgres_client::ask(&mut connection, "show wal_level").await?;
        if level != "logical" {
            return Err(format!(
                "wal_level is {level}: a CDC relay reads nothing then; set wal_level = logical in \
                 postgresql.conf and restart the server"
            ));
        }
        let may = postgres_client::ask(
            &mut connection,
            "select (rolsuper or (rolcreaterole and rolreplication))::text from pg_roles
             where rolname = current_user",
        );
        if may.await? != "true" {
            return Err(format!(
                "role {0} may not make roles and replication slots: `alter role \"{0}\" createrole \
                 replication`, or name another role in the stack file",
                target.user
            ));
        }
        Ok(())
    }
}

impl StackInfo {
    /// Asks the database whether it is there, by the proxy at this `host` and port; an Err says why it is not.
    pub(super) async fn ask_database_by(&self, (host, port): (String, u16)) -> Result<(), String> {
        let target = PostgresTarget {
            host,
            port,
            ..self.postgres.clone()
        };
        let mut connection = postgres_client::connect(&target).await?;
        postgres_client::ask(&mut connection, "select '1'")
            .await
            .map(drop)
    }
}
