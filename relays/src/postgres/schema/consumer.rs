//! Making what a consumer owns: a schema with the tables of its effect, and a role that may write them.

use super::creation::grant_connections;
use super::session::{close, connect, execute, quote_identifier, quote_literal};
use super::{Layout, SchemaError};
use crate::config::PostgresTarget;
use contract::consumer::{EffectKind, Idempotency};

/// Creates the schema of a consumer (see [`Layout::of_consumer`]) in one transaction;
/// [`drop_all`](super::drop_all) removes it. Its role is that of a service.
pub async fn create_consumer(
    admin: &PostgresTarget,
    layout: &Layout,
    effect: EffectKind,
    idempotency: Idempotency,
) -> Result<(), SchemaError> {
    layout.check_names()?;
    let mut connection = connect(admin).await?;
    let conn = &mut connection;
    execute(conn, "beginning the set-up of a consumer", "begin".into()).await?;
    let own = [
        layout.own_schema(),
        tables(layout.schema(), effect, idempotency),
        grants(layout),
    ];
    for (doing, statement) in own.into_iter().flatten() {
        execute(conn, doing, statement).await?;
    }
    grant_connections(conn, &[layout.service_role()]).await?;
    execute(conn, "committing the set-up of a consumer", "commit".into()).await?;
    close(connection).await;
    Ok(())
}

/// What makes the tables: what each statement does, and its SQL.
fn tables(
    schema: &str,
    effect: EffectKind,
    idempotency: Idempotency,
) -> Vec<(&'static str, String)> {
    let schema = quote_identifier(schema);
    let key = match idempotency {
        Idempotency::Key => ", primary key (order_id, version)",
        Idempotency::None | Idempotency::Inbox => "",
    };
    let mut statements = match effect {
        EffectKind::Insert => vec![(
            "creating table charges",
            format!(
                "create table {schema}.charges (order_id uuid not null, version int not null{key})"
            ),
        )],
        EffectKind::Increment => vec![
            (
                "creating table stock",
                // Its one row is updated by every batch: room in its page keeps that there (HOT: no index write).
                format!(
                    "create table {schema}.stock (reserved bigint not null) with (fillfactor = 10)"
                ),
            ),
            (
                "filling table stock",
                format!("insert into {schema}.stock values (0)"),
            ),
        ],
        // What it does is done elsewhere.
        EffectKind::Call => Vec::new(),
        EffectKind::State => vec![(
            "creating table shipments",
            format!(
                "create table {schema}.shipments (order_id uuid primary key, version int not null)"
            ),
        )],
    };
    if idempotency == Idempotency::Inbox {
        statements.push((
            "creating table inbox",
            format!("create table {schema}.inbox (event_id uuid primary key)"),
        ));
    }
    if !effect.is_in_transaction() {
        return statements;
    }
    statements.push((
        "creating table effects",
        format!(
            "create table {schema}.effects (
               seq bigint generated always as identity primary key,
               order_id uuid not null,
               version int not null,
               attempt uuid not null,
               at_ns bigint not null
             )"
        ),
    ));
    statements
}

fn grants(layout: &Layout) -> Vec<(&'static str, String)> {
    let schema = quote_identifier(layout.schema());
    let role = quote_identifier(&layout.service_role());
    let password = quote_literal(&layout.password);
    vec![
        (
            "creating the consumer's role (the administrator needs CREATEROLE)",
            format!("create role {role} login noreplication password {password}"),
        ),
        (
            "granting use of the consumer's schema",
            format!("grant usage on schema {schema} to {role}"),
        ),
        (
            "granting its tables to the consumer",
            format!("grant select, insert, update on all tables in schema {schema} to {role}"),
        ),
    ]
}
