//! PostgreSQL as a strategy's database.

mod consumer_schema;
mod costs;
pub mod effects;
pub mod fence;
#[cfg(test)]
mod fixture;
pub mod in_doubt;
mod login;
mod login_words;
mod own_schema;
pub mod pending;
pub mod projection;
mod question;
pub mod snapshot;
pub mod told;

use super::{Costs, Database, DatabaseClient, Hear, Truth, TruthLook};
use crate::history::TruthRow;
use crate::identity::Identity;
pub(crate) use consumer_schema::ConsumerSchema;
use costs::PostgresCosts;
use futures::FutureExt;
use futures::future::BoxFuture;
pub use login::DirectLogin;
pub(crate) use login_words::LoginWords;
pub(crate) use own_schema::OwnSchema;
pub(crate) use question::Refusal;
use relays::config::{AfterPublish, DatabaseTarget, Logged, PostgresTarget, SourceConfig};
use relays::postgres::schema::{self, Layout};
use sqlx::postgres::PgConnection;
use std::time::{Duration, Instant};

/// A server that is just recovering gets so long.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The strategy's schema, or its own database.
pub(super) struct Postgres {
    /// The administrator's way to the stack's database, around all proxies.
    server: PostgresTarget,
    /// The same to the one that has the strategy's tables.
    admin: PostgresTarget,
    layout: Layout,
}

impl Postgres {
    pub(super) fn new(server: PostgresTarget, layout: Layout) -> Self {
        Self {
            admin: layout.inside(&server),
            server,
            layout,
        }
    }
}

impl Database for Postgres {
    fn create(&self) -> BoxFuture<'_, Result<(), String>> {
        async {
            let created = schema::create(&self.server, &self.layout).await;
            created.map_err(|e| e.to_string())
        }
        .boxed()
    }

    fn drop_all(&self) -> BoxFuture<'_, Result<(), String>> {
        async {
            let dropped = schema::drop_all(&self.server, &self.layout).await;
            dropped.map_err(|e| e.to_string())
        }
        .boxed()
    }

    fn place(&self) -> String {
        self.layout.place()
    }

    fn direct(&self) -> (String, u16) {
        (self.admin.host.clone(), self.admin.port)
    }

    fn target(&self, client: DatabaseClient, (host, port): (String, u16)) -> DatabaseTarget {
        DatabaseTarget::Postgres(PostgresTarget {
            host,
            port,
            user: match client {
                DatabaseClient::OrderService => self.layout.service_role(),
                DatabaseClient::Relay => self.layout.relay_role(),
            },
            password: self.layout.password.clone(),
            ..self.admin.clone()
        })
    }

    fn log(&self) -> SourceConfig {
        SourceConfig::Cdc {
            slot: self.layout.slot(),
            publication: self.layout.publication(),
            logged: Logged::Row,
        }
    }

    fn end_relays(&self, deadline: Instant) -> BoxFuture<'_, Result<(), String>> {
        async move {
            let mut connection = fence::connect(&self.admin, deadline).await?;
            let relay = self.layout.relay_role();
            fence::end_sessions(&mut connection, &relay, deadline).await
        }
        .boxed()
    }

    fn close_and_read<'a>(
        &'a self,
        identity: &'a Identity,
        within: Duration,
    ) -> BoxFuture<'a, Result<Truth, String>> {
        fence::close_and_read(&self.admin, &self.layout, identity, within).boxed()
    }

    fn in_outbox<'a>(
        &'a self,
        after_publish: AfterPublish,
        hear: Hear<'a>,
    ) -> BoxFuture<'a, Result<u64, String>> {
        let schema = self.layout.schema();
        let hear = |payload: &str| hear(0, payload);
        pending::in_outbox(&self.admin, schema, after_publish, hear).boxed()
    }

    fn in_log<'a>(&'a self, hear: Hear<'a>) -> BoxFuture<'a, Result<u64, String>> {
        async move {
            let (slot, publication) = (self.layout.slot(), self.layout.publication());
            // Nothing can come from a slot that is lost. Its rows stay in the table, for nobody deletes what was not
            // published.
            if pending::is_lost(&self.admin, &slot).await? {
                return self.in_outbox(AfterPublish::Delete, hear).await;
            }
            pending::in_slot(&self.admin, &slot, &publication, hear).await
        }
        .boxed()
    }

    fn look(&self) -> Box<dyn TruthLook> {
        Box::new(PostgresLook {
            admin: self.admin.clone(),
            layout: self.layout.clone(),
            connection: None,
        })
    }

    fn log_bytes(&self) -> BoxFuture<'_, Result<f64, String>> {
        async {
            let soon = Instant::now() + CONNECT_WITHIN;
            let mut connection = fence::connect(&self.server, soon).await?;
            let sql = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";
            let asked = sqlx::query_scalar(sql).fetch_one(&mut connection);
            asked.await.map_err(|e| e.to_string())
        }
        .boxed()
    }

    fn costs(&self) -> Box<dyn Costs> {
        Box::new(PostgresCosts::new(self.admin.clone(), self.layout.clone()))
    }
}

struct PostgresLook {
    admin: PostgresTarget,
    layout: Layout,
    connection: Option<PgConnection>,
}

impl TruthLook for PostgresLook {
    fn read<'a>(&'a mut self, identity: &'a Identity) -> BoxFuture<'a, Option<Vec<TruthRow>>> {
        async move {
            let mut open = match self.connection.take() {
                Some(open) => open,
                None => fence::connect(&self.admin, Instant::now()).await.ok()?,
            };
            let read = fence::read_committed(&mut open, &self.layout, identity);
            let rows = read.await.ok()?;
            self.connection = Some(open);
            Some(rows)
        }
        .boxed()
    }
}
