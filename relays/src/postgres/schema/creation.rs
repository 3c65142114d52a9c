//! Making what a strategy owns.

use super::by_turns::VACUUMED;
use super::session::{bounded, close, connect, execute, quote_identifier, quote_literal};
use super::{Layout, OutboxKind, Role, SchemaError};
use crate::config::PostgresTarget;
use sqlx::Row;
use sqlx::postgres::PgConnection;

/// Creates schema or database, tables, roles with their grants, and where the WAL is read publication and slot.
/// `admin` is a role that may create roles and slots, in the stack's own database; its `schema` field is ignored.
///
/// All but database and slot is one transaction. After a failure, [`drop_all`](super::drop_all) removes what is
/// there.
pub async fn create(admin: &PostgresTarget, layout: &Layout) -> Result<(), SchemaError> {
    layout.check_names()?;
    layout.create_database(admin).await?;
    let mut connection = connect(&layout.inside(admin)).await?;
    let conn = &mut connection;
    execute(conn, "beginning the set-up", "begin".into()).await?;
    let own = [
        layout.own_schema(),
        layout.tables(),
        layout.roles_and_grants(),
    ];
    for (doing, statement) in own.into_iter().flatten() {
        execute(conn, doing, statement).await?;
    }
    grant_connections(conn, &layout.roles_that_are_made()).await?;
    for (doing, statement) in layout.ownership() {
        execute(conn, doing, statement).await?;
    }
    if layout.outbox.is_read_from_wal() {
        let statement = layout.publication_statement();
        execute(conn, "creating the publication", statement).await?;
    }
    execute(conn, "committing the set-up", "commit".into()).await?;
    if layout.outbox.is_read_from_wal() {
        let slot = layout.slot();
        // Neither temporary, nor of two phases; older versions do not know the last argument.
        let statement = match layout.failover_slot {
            true => {
                "select 1 from pg_create_logical_replication_slot($1, 'pgoutput', false, false, true)"
            }
            false => "select 1 from pg_create_logical_replication_slot($1, 'pgoutput')",
        };
        let made = sqlx::query(statement).bind(&slot);
        bounded(
            "creating the replication slot (it takes wal_level = logical, a free slot under \
             max_replication_slots, REPLICATION for the administrator, and the end of every \
             transaction that is running)",
            sqlx::Executor::execute(&mut *conn, made),
        )
        .await?;
    }
    close(connection).await;
    Ok(())
}

/// Creates a role that may read every table of the schema, those too that the relay's role makes later (also in
/// other schemas, where the database is the strategy's own), and do nothing else.
pub async fn create_reader(admin: &PostgresTarget, layout: &Layout) -> Result<(), SchemaError> {
    layout.check_names()?;
    if layout.outbox.is_of_a_foreign_service() {
        // It has been made with the rest.
        return Ok(());
    }
    let mut connection = connect(&layout.inside(admin)).await?;
    let conn = &mut connection;
    let schema = quote_identifier(layout.schema());
    let reader = layout.reader_role();
    let mut grants = vec![format!(
        "grant select on all tables in schema {schema} to {}",
        quote_identifier(&reader)
    )];
    grants.extend(layout.grants_to_come(&layout.relay_role(), &[("tables", "select")], &reader));
    execute(
        conn,
        "beginning the role that may only read",
        "begin".into(),
    )
    .await?;
    for (doing, statement) in layout.reader() {
        execute(conn, doing, statement).await?;
    }
    for statement in grants {
        execute(conn, "letting it read all tables", statement).await?;
    }
    grant_connections(conn, &[reader]).await?;
    execute(conn, "committing that role", "commit".into()).await?;
    close(connection).await;
    Ok(())
}

/// Lets roles connect where PUBLIC may not, and makes an administrator who is no superuser a member of
/// them, which is what ending their sessions takes.
pub(super) async fn grant_connections(
    conn: &mut PgConnection,
    roles: &[String],
) -> Result<(), SchemaError> {
    let row = bounded(
        "reading the administrator's rights",
        sqlx::query(
            "select (select rolsuper from pg_roles where rolname = current_user) as superuser,
                    (select bool_and(has_database_privilege(name::name, current_database(), 'connect'))
                      from unnest($1::text[]) name) as open,
                    current_database()::text as database",
        )
        .bind(roles)
        .fetch_one(&mut *conn),
    )
    .await?;
    let roles: Vec<String> = roles.iter().map(|role| quote_identifier(role)).collect();
    let roles = roles.join(", ");
    if !row.get::<bool, _>("superuser") {
        execute(
            conn,
            "making the administrator a member of the roles",
            format!("grant {roles} to current_user"),
        )
        .await?;
    }
    if !row.get::<bool, _>("open") {
        let database = quote_identifier(row.get::<&str, _>("database"));
        execute(
            conn,
            "granting connections to the database (PUBLIC has none, so the administrator needs \
             the grant option)",
            format!("grant connect on database {database} to {roles}"),
        )
        .await?;
    }
    Ok(())
}

/// A role finds what is in the schema without naming it.
fn searching(role: &str, schema: &str) -> (&'static str, String) {
    let path = format!("alter role {role} set search_path = {schema}");
    ("setting a search path", path)
}

impl Layout {
    /// Returns what makes the tables: for each statement what it does, and its SQL. `seq` is drawn while the
    /// order's row is locked, so that per order it rises in commit order; across orders it does not.
    fn tables(&self) -> Vec<(&'static str, String)> {
        let schema = quote_identifier(self.schema());
        if self.outbox.is_of_a_foreign_service() {
            return Vec::new();
        }
        if self.outbox.has_events() {
            return self.tables_of_events();
        }
        let mut statements = vec![(
            "creating table orders",
            // Room in each page keeps the updates of an order on it (HOT: no index write).
            format!(
                "create table {schema}.orders (
                   id uuid primary key,
                   version int generated always as (cardinality(attempts)) stored,
                   state text not null,
                   attempts uuid[] not null,
                   changes uuid[] not null
                 ) with (fillfactor = 70)"
            ),
        )];
        let status = match self.outbox {
            OutboxKind::Decisions => {
                // Each order updates a row twice, and each producer has a row.
                statements.push((
                    "creating table decisions",
                    format!(
                        "create table {schema}.decisions ({}) with (fillfactor = 50)",
                        crate::decisions::COLUMNS
                    ),
                ));
                return statements;
            }
            OutboxKind::Partitions { .. } | OutboxKind::Turns { .. } => {
                statements.extend(self.tables_by_turns());
                return statements;
            }
            OutboxKind::None
            | OutboxKind::Message
            | OutboxKind::Events
            | OutboxKind::LoggedEvents
            | OutboxKind::Foreign { .. }
            | OutboxKind::ForeignService { .. } => return statements,
            OutboxKind::Delete | OutboxKind::Cdc | OutboxKind::Fleeting => "",
            OutboxKind::Mark => ", status text not null default 'pending'",
        };
        statements.push((
            "creating table outbox",
            format!(
                "create table {schema}.outbox (
                   seq bigint generated always as identity primary key,
                   id uuid not null,
                   aggregatetype text not null,
                   aggregateid text not null,
                   type text not null,
                   version int not null,
                   payload text not null,
                   created_at timestamptz not null default now()
                   {status}
                 ) with ({VACUUMED})"
            ),
        ));
        if self.outbox == OutboxKind::Mark {
            statements.push((
                "indexing the pending rows of outbox",
                format!("create index on {schema}.outbox (seq) where status = 'pending'"),
            ));
        }
        if self.outbox == OutboxKind::Fleeting {
            // A statement cannot delete what it inserts itself; a trigger saves the round trip of a
            // second one. The role that inserted is the one that deletes.
            statements.push((
                "creating the function that deletes what was inserted",
                format!(
                    "create function {schema}.forget() returns trigger language plpgsql as $$
                     begin
                       delete from {schema}.outbox where seq = new.seq;
                       return null;
                     end $$"
                ),
            ));
            statements.push((
                "creating the trigger that deletes what was inserted",
                format!(
                    "create trigger forget after insert on {schema}.outbox
                     for each row execute function {schema}.forget()"
                ),
            ));
        }
        statements
    }

    /// A stream of messages names a publication too, and would bring the rows of its tables.
    fn publication_statement(&self) -> String {
        let publication = quote_identifier(&self.publication());
        let schema = quote_identifier(self.schema());
        let tables = match self.outbox {
            OutboxKind::Message => String::new(),
            OutboxKind::Events | OutboxKind::LoggedEvents => format!("for table {schema}.events "),
            OutboxKind::None
            | OutboxKind::Delete
            | OutboxKind::Mark
            | OutboxKind::Partitions { .. }
            | OutboxKind::Turns { .. }
            | OutboxKind::Cdc
            | OutboxKind::Fleeting
            | OutboxKind::Decisions
            | OutboxKind::Foreign { .. }
            | OutboxKind::ForeignService { .. } => {
                format!("for table {schema}.outbox ")
            }
        };
        format!("create publication {publication} {tables}with (publish = 'insert')")
    }

    /// Returns the roles of this kind of outbox; a reader's is among them where the order service is a foreign one.
    fn roles_that_are_made(&self) -> Vec<String> {
        let mut roles = vec![self.service_role(), self.relay_role()];
        roles.extend(
            self.outbox
                .is_of_a_foreign_service()
                .then(|| self.reader_role()),
        );
        roles
    }

    fn roles_and_grants(&self) -> Vec<(&'static str, String)> {
        let schema = quote_identifier(self.schema());
        let service = quote_identifier(&self.service_role());
        let relay = quote_identifier(&self.relay_role());
        let password = quote_literal(&self.password);
        let replication = |role| match self.outbox.has_replication(role) {
            true => "replication",
            false => "noreplication",
        };
        let (of_service, of_relay) = (replication(Role::Service), replication(Role::Relay));
        let mut statements = vec![
            (
                "creating the order service's role (the administrator needs CREATEROLE)",
                format!("create role {service} login {of_service} password {password}"),
            ),
            (
                "creating the relay's role (the administrator needs CREATEROLE; for CDC also \
                 REPLICATION, and before PostgreSQL 16 superuser)",
                format!("create role {relay} login {of_relay} password {password}"),
            ),
            (
                "granting use of the schema",
                format!("grant usage on schema {schema} to {service}, {relay}"),
            ),
        ];
        if self.outbox.is_of_a_foreign_service() {
            statements.extend(self.foreign_service_grants());
            return statements;
        }
        if self.outbox.has_events() {
            statements.extend(self.grants_of_events());
            return statements;
        }
        statements.push((
            "granting orders to the order service",
            format!("grant select, insert, update on {schema}.orders to {service}"),
        ));
        if let OutboxKind::Foreign { .. } = self.outbox {
            statements.extend([
                (
                    "letting the relay make tables",
                    format!("grant create on schema {schema} to {relay}"),
                ),
                searching(&relay, &schema),
            ]);
            statements.extend(self.lent_database(&relay));
        } else if self.outbox == OutboxKind::Decisions {
            statements.extend([
                (
                    "granting the decision log to the order service",
                    format!("grant select, insert, update on {schema}.decisions to {service}"),
                ),
                (
                    "letting the recoverer finish what the order service prepared (only its role may)",
                    format!("grant {service} to {relay}"),
                ),
            ]);
        } else if !matches!(self.outbox, OutboxKind::None | OutboxKind::Message) {
            statements.push((
                "granting insertion into outbox to the order service",
                format!("grant insert on {schema}.outbox to {service}"),
            ));
            if self.outbox == OutboxKind::Fleeting {
                statements.push((
                    "granting deletion from outbox to the order service",
                    format!("grant select (seq), delete on {schema}.outbox to {service}"),
                ));
            }
            statements.push((
                "granting outbox to the relay",
                format!("grant select, update, delete on {schema}.outbox to {relay}"),
            ));
            statements.extend(self.grants_by_turns());
        }
        statements
    }

    /// The role that may only read, and as yet reads nothing.
    fn reader(&self) -> Vec<(&'static str, String)> {
        let schema = quote_identifier(self.schema());
        let password = quote_literal(&self.password);
        let reader = quote_identifier(&self.reader_role());
        vec![
            (
                "creating the role that may only read (the administrator needs CREATEROLE)",
                format!("create role {reader} login noreplication password {password}"),
            ),
            (
                "letting it read only",
                format!("alter role {reader} set default_transaction_read_only = on"),
            ),
            (
                "granting it use of the schema",
                format!("grant usage on schema {schema} to {reader}"),
            ),
            searching(&reader, &schema),
        ]
    }

    /// An order service that was not written here makes its own tables, as its migrations would; a relay
    /// of it may have some too. The reader may do nothing but read what they let it.
    fn foreign_service_grants(&self) -> Vec<(&'static str, String)> {
        let schema = quote_identifier(self.schema());
        let service = quote_identifier(&self.service_role());
        let relay = quote_identifier(&self.relay_role());
        let mut statements = self.reader();
        statements.push((
            "letting order service and relay make tables",
            format!("grant create on schema {schema} to {service}, {relay}"),
        ));
        statements.extend(self.lent_database(&service));
        statements.extend(self.lent_database(&relay));
        statements.extend([service, relay].map(|role| searching(&role, &schema)));
        statements
    }
}
