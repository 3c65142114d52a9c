//! Making the tables of an outbox that was not designed here.

use super::session::{close, connect, execute, quote_identifier};
use super::{Layout, SchemaError};
use crate::config::PostgresTarget;

/// What the order service may do with what the relay's role made, by kind of object.
const GRANTS: [(&str, &str); 2] = [
    ("tables", "select, insert, update, delete"),
    ("sequences", "usage, select, update"),
];

/// Makes the tables by `ddl`, in one transaction and as the relay's role, in the schema that
/// [`create`](super::create) made; lets the order service write them; then runs each statement of
/// `after`, in a transaction of its own and as the administrator. Unqualified names are of the schema.
pub async fn lay_out(
    admin: &PostgresTarget,
    layout: &Layout,
    ddl: &[String],
    after: &[String],
) -> Result<(), SchemaError> {
    layout.check_names()?;
    let mut connection = connect(admin).await?;
    let conn = &mut connection;
    let schema = quote_identifier(&layout.schema);
    let relay = quote_identifier(&layout.relay_role());
    let service = quote_identifier(&layout.service_role());
    let path = format!("set search_path = {schema}");
    execute(conn, "setting the search path", path).await?;
    execute(conn, "beginning the outbox's set-up", "begin".into()).await?;
    let role = format!("set local role {relay}");
    execute(conn, "becoming the relay's role", role).await?;
    for (kind, rights) in GRANTS {
        let statement = format!(
            "alter default privileges in schema {schema} grant {rights} on {kind} to {service}"
        );
        execute(
            conn,
            "granting the order service what will be made",
            statement,
        )
        .await?;
    }
    for (n, statement) in ddl.iter().enumerate() {
        let doing = format!("running statement {} of the outbox's DDL", n + 1);
        execute(conn, &doing, statement.clone()).await?;
    }
    execute(conn, "committing the outbox's set-up", "commit".into()).await?;
    for (n, statement) in after.iter().enumerate() {
        let doing = format!("running statement {} of `after_ddl`", n + 1);
        execute(conn, &doing, statement.clone()).await?;
    }
    close(connection).await;
    Ok(())
}
