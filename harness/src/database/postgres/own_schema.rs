//! The schema of a strategy, or its own database, as the administrator reaches it: for what only strategies in PostgreSQL
//! are asked.

use super::in_doubt::{self, Decided, OldestPrepared, Unfinished};
use super::login::DirectLogin;
use super::projection::{self, Projection};
use super::told::TruthQuery;
use super::{fence, pending};
use crate::database::{Hear, Truth};
use crate::history::{Request, Rows};
use crate::identity::Identity;
use crate::stack::{self, Stack, StackError, StackInfo};
use relays::config::{Isolation, PostgresTarget};
use relays::postgres::schema::{self, ForeignSchema, Layout, Role, SchemaError};
use sqlx::AssertSqlSafe;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A server that is just recovering gets so long.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// It is there for a strategy with another database as well, and has nothing in it.
#[derive(Debug, Clone)]
pub(crate) struct OwnSchema {
    /// The administrator's way to the stack's database.
    server: PostgresTarget,
    /// The same to the one that has the strategy's tables.
    admin: PostgresTarget,
    layout: Layout,
}

impl OwnSchema {
    /// The one of these names on a stack.
    pub(crate) fn on(info: &StackInfo, layout: &Layout) -> Self {
        Self {
            server: info.postgres.clone(),
            admin: layout.inside(&info.postgres),
            layout: layout.clone(),
        }
    }

    /// Tells whether a stack has room for a schema that is kept apart like this.
    pub(crate) async fn can_be(stack: &Stack, isolation: Isolation) -> Result<(), SchemaError> {
        schema::can_isolate(&stack.info().postgres, isolation).await
    }

    /// Returns how a role reaches it at this `host` and port.
    pub(crate) fn login(&self, role: Role, (host, port): (String, u16)) -> PostgresTarget {
        PostgresTarget {
            host,
            port,
            ..self.direct_login(role)
        }
    }

    /// Returns how a role reaches it around all proxies.
    pub(crate) fn direct_login(&self, role: Role) -> PostgresTarget {
        self.as_user(match role {
            Role::Service => self.layout.service_role(),
            Role::Relay => self.layout.relay_role(),
        })
    }

    /// Returns how the role that may only read reaches it, around all proxies.
    pub(crate) fn reader(&self) -> PostgresTarget {
        self.as_user(self.layout.reader_role())
    }

    fn as_user(&self, user: String) -> PostgresTarget {
        PostgresTarget {
            user,
            password: self.layout.password.clone(),
            ..self.admin.clone()
        }
    }

    /// Returns the administrator's own login.
    pub(crate) fn admin(&self) -> DirectLogin {
        self.admin.clone().into()
    }

    /// Makes the role that may only read.
    pub(crate) async fn create_reader(&self) -> Result<(), SchemaError> {
        schema::create_reader(&self.server, &self.layout).await
    }

    /// Makes tables that were not designed here.
    pub(crate) async fn lay_out(&self, foreign: &ForeignSchema<'_>) -> Result<(), SchemaError> {
        schema::lay_out(&self.admin, &self.layout, foreign).await
    }

    /// Tells each event that the slot has not had confirmed, and counts them.
    pub(crate) async fn in_slot(&self, hear: Hear<'_>) -> Result<u64, String> {
        let (slot, publication) = (self.layout.slot(), self.layout.publication());
        pending::in_slot(&self.admin, &slot, &publication, hear).await
    }

    /// The same of events that stay in their table: nothing comes from a slot that is lost, and then each of them is told,
    /// those that it had confirmed among them.
    pub(crate) async fn in_slot_or_events(&self, hear: Hear<'_>) -> Result<u64, String> {
        if !pending::is_lost(&self.admin, &self.layout.slot()).await? {
            return self.in_slot(hear).await;
        }
        let hear = |payload: &str| hear(0, payload);
        pending::in_events(&self.admin, self.layout.schema(), hear).await
    }

    /// The same of events that are messages of the log.
    pub(crate) async fn messages_in_slot(&self, hear: Hear<'_>) -> Result<u64, String> {
        let (slot, publication) = (self.layout.slot(), self.layout.publication());
        let prefix = self.layout.schema();
        pending::messages_in_slot(&self.admin, &slot, &publication, prefix, hear).await
    }

    /// Tells each event behind the position that the relay has kept, and counts them.
    pub(crate) async fn behind_position(&self, hear: Hear<'_>) -> Result<u64, String> {
        let hear = |payload: &str| hear(0, payload);
        pending::behind_position(&self.admin, self.layout.schema(), hear).await
    }

    /// Names who keeps a relay that reads by position from events above the horizon, if anybody does.
    pub(crate) async fn above_the_horizon(&self) -> Result<Option<String>, String> {
        pending::above_the_horizon(&self.admin, &self.layout).await
    }

    /// Hands over each of what a file's query gives, and counts them. It is asked as whoever owns the tables; an order
    /// service, which may write them, as who may only read.
    pub(crate) async fn held_by_query(
        &self,
        owner: Role,
        query: &str,
        each: impl FnMut(&str),
    ) -> Result<u64, String> {
        let asked_as = match owner {
            Role::Relay => self.direct_login(Role::Relay),
            Role::Service => self.reader(),
        };
        pending::by_query(&asked_as, query, each).await
    }

    /// Tells whether so many transactions can be prepared there at a time; an Err says what to set.
    pub(crate) async fn can_prepare(&self, needed: u64) -> Result<(), String> {
        in_doubt::can_prepare(&self.admin, needed).await
    }

    /// Returns what was decided, and is not finished or ended otherwise.
    pub(crate) async fn decided(&self) -> Result<Vec<Decided>, String> {
        in_doubt::decided(&self.admin, self.layout.schema()).await
    }

    /// Will ask for how long the oldest transaction that is prepared has been so.
    pub(crate) fn oldest_prepared(&self) -> OldestPrepared {
        OldestPrepared::of(self.admin.clone(), self.layout.service_role())
    }

    /// Shuts the order service out, and waits until it has nothing in doubt any more, as long as somebody goes on and no
    /// longer than `until`; each step has its bound.
    pub(crate) async fn settle(
        &self,
        until: Instant,
        step_within: Duration,
        goes_on: impl Fn() -> bool,
    ) -> Result<Unfinished, String> {
        let shut_out_by = Instant::now() + step_within;
        let mut connection = fence::shut_out(&self.admin, &self.layout, shut_out_by).await?;
        let deadline = until.min(Instant::now() + step_within);
        in_doubt::settle(&mut connection, &self.layout, deadline, goes_on).await
    }

    /// Closes it to the order service, and only then asks what was committed, as a file says that it is asked.
    pub(crate) async fn close_and_ask(
        &self,
        told: &TruthQuery,
        (identity, requests): (&Identity, &Rows<Request>),
        closed_by: Instant,
        within: Duration,
    ) -> Result<Truth, String> {
        let mut connection = fence::close(&self.admin, &self.layout, closed_by).await?;
        let rows = told.read(identity, requests, within).await?;
        let lsn = fence::log_position(&mut connection).await;
        Ok(Truth {
            rows: rows.into_iter().collect(),
            lsn: lsn.map_err(|e| format!("asking where the log ends: {e}"))?,
        })
    }

    /// Counts its orders, and the rows of its outbox.
    pub(crate) async fn count_orders(&self) -> Result<(u64, u64), String> {
        let deadline = Instant::now() + CONNECT_WITHIN;
        let mut connection = fence::connect(&self.admin, deadline).await?;
        let schema = self.layout.schema();
        let sql = format!(
            "select (select count(*) from {schema}.orders), (select count(*) from {schema}.outbox)"
        );
        let (orders, events): (i64, i64) = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_one(&mut connection)
            .await
            .map_err(|e| e.to_string())?;
        Ok((orders.unsigned_abs(), events.unsigned_abs()))
    }

    /// Returns the name of the database that it is in.
    pub(crate) fn database(&self) -> &str {
        &self.admin.database
    }

    /// Finds a program of the server's installation, e.g. `pgbench`.
    pub(crate) async fn program(name: &str) -> Result<PathBuf, StackError> {
        stack::postgres_program(name).await
    }

    /// Folds its events into a projection, once it is there to be asked.
    pub(crate) async fn rebuild(
        &self,
        identity: &Identity,
        connected_by: Instant,
    ) -> Result<Projection, String> {
        let mut connection = fence::connect(&self.admin, connected_by).await?;
        let rebuilt = projection::rebuild(&mut connection, &self.layout, identity).await;
        rebuilt.map_err(|e| e.to_string())
    }
}
