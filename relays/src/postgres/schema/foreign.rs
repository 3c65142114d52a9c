//! Making the tables of an outbox that was not designed here.

use super::session::{bounded, close, connect, execute, line_of, quote_identifier};
use super::{Layout, SchemaError};
use crate::config::{ForeignStatement, Parameter, PostgresTarget};
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

/// What another role may do with what the owner made, by kind of object.
type Rights = [(&'static str, &'static str); 2];
/// Whoever works with it: the order service, or the relay where the order service is the owner.
const WORK: Rights = [
    ("tables", "select, insert, update, delete"),
    ("sequences", "usage, select, update"),
];
/// Whoever reads the truth.
const READ: Rights = [("tables", "select"), ("sequences", "select")];

/// An outbox that was not designed here.
#[derive(Debug, Clone, Copy)]
pub struct ForeignSchema<'a> {
    /// These statements make its tables.
    pub ddl: &'a [String],
    /// These statements announce a change; they are tried. There are none where the order service is not ours.
    pub announce: &'a [ForeignStatement],
    /// Statements that the administrator runs afterwards.
    pub after: &'a [String],
}

/// What a change would have, for the trial: orders of this kind are never placed.
const TRIAL_ID: &str = "00000000-0000-8000-8000-000000000000";
const TRIAL_PAYLOAD: &str = r#"{"run":"0000000000000000","order_id":"00000000-0000-8000-8000-000000000000","version":1,"attempt":"00000000-0000-8000-8000-000000000000","type":"OrderPlaced","content":""}"#;

/// Makes the tables by `ddl`, in one transaction and as the role that owns them, in the schema or the database
/// that [`create`](super::create) made. Where the order service is ours, the relay's role owns them: the order
/// service may write them, and a change is announced as its role and rolled back, so that a statement that
/// cannot work is known before any load. Where it is not, they are its own, and the relay may work on
/// them. Then runs each statement of `after`, in a transaction of its own and as the administrator.
/// Unqualified names are of the schema.
pub async fn lay_out(
    admin: &PostgresTarget,
    layout: &Layout,
    outbox: &ForeignSchema<'_>,
) -> Result<(), SchemaError> {
    let ForeignSchema {
        ddl,
        announce,
        after,
    } = *outbox;
    layout.check_names()?;
    let schema = quote_identifier(layout.schema());
    let admin = &layout.inside(admin);
    let theirs = layout.outbox.is_of_a_foreign_service();
    // Each by its own login: a file with a `commit` in it would end whatever role was only lent.
    let as_role = |user: String| PostgresTarget {
        user,
        password: layout.password.clone(),
        ..admin.clone()
    };
    let owner_role = layout.owner_role();
    let mut owner = connect(&as_role(owner_role.clone())).await?;
    let whose = match theirs {
        true => {
            let (relay, reader) = (layout.relay_role(), layout.reader_role());
            run_all(
                &mut owner,
                layout.grants_to_come(&owner_role, &WORK, &relay),
            )
            .await?;
            run_all(
                &mut owner,
                layout.grants_to_come(&owner_role, &READ, &reader),
            )
            .await?;
            "order service's"
        }
        false => {
            let service = layout.service_role();
            run_all(
                &mut owner,
                layout.grants_to_come(&owner_role, &WORK, &service),
            )
            .await?;
            "relay's"
        }
    };
    let surroundings = layout.surroundings();
    let what = format!("the outbox's DDL, as the {whose} role {surroundings}");
    execute(&mut owner, "beginning the outbox's DDL", "begin".into()).await?;
    run_each(&mut owner, ddl, &what).await?;
    execute(&mut owner, "committing the outbox's DDL", "commit".into()).await?;
    close(owner).await;

    if theirs {
        // What a relay makes beside it is there to be asked as well.
        let mut relay = connect(&as_role(layout.relay_role())).await?;
        let grants = layout.grants_to_come(&layout.relay_role(), &READ, &layout.reader_role());
        run_all(&mut relay, grants).await?;
        close(relay).await;
    } else {
        let mut order_service = connect(&as_role(layout.service_role())).await?;
        search(&mut order_service, &schema).await?;
        try_out(&mut order_service, announce).await?;
        close(order_service).await;
    }

    let mut connection = connect(admin).await?;
    search(&mut connection, &schema).await?;
    run_each(&mut connection, after, "`after_ddl`").await?;
    close(connection).await;
    Ok(())
}

async fn run_all(conn: &mut PgConnection, grants: Vec<String>) -> Result<(), SchemaError> {
    for statement in grants {
        execute(conn, "granting what will be made", statement).await?;
    }
    Ok(())
}

async fn search(conn: &mut PgConnection, schema: &str) -> Result<(), SchemaError> {
    let path = format!("set search_path = {schema}");
    execute(conn, "setting the search path", path).await
}

async fn run_each(
    conn: &mut PgConnection,
    statements: &[String],
    what: &str,
) -> Result<(), SchemaError> {
    for (n, statement) in statements.iter().enumerate() {
        let doing = format!("running statement {} of {what}", n + 1);
        let ran = execute(conn, &doing, statement.clone()).await;
        ran.map_err(|error| with_line(error, statement))?;
    }
    Ok(())
}

/// Says which line of the statement it is, where the server knows.
fn with_line(mut error: SchemaError, statement: &str) -> SchemaError {
    if let Some(line) = line_of(statement, &error.source) {
        error.doing = format!("{}, line {line}", error.doing);
    }
    error
}

/// Announces a change as the order service would, and rolls it back.
async fn try_out(
    conn: &mut PgConnection,
    announce: &[ForeignStatement],
) -> Result<(), SchemaError> {
    execute(conn, "beginning to try `insert`", "begin".into()).await?;
    for (n, statement) in announce.iter().enumerate() {
        let mut query = sqlx::query(AssertSqlSafe(statement.sql.as_str().to_owned()));
        for parameter in &statement.parameters {
            query = query.bind(match parameter {
                Parameter::Attempt | Parameter::OrderId => TRIAL_ID,
                Parameter::Version => "1",
                Parameter::EventType => "OrderPlaced",
                Parameter::Payload => TRIAL_PAYLOAD,
                Parameter::Text(text) => text.as_str(),
            });
        }
        let doing = format!(
            "trying statement {} of `insert` as the order service",
            n + 1
        );
        let tried = bounded(&doing, query.execute(&mut *conn)).await;
        tried.map_err(|error| with_line(error, &statement.sql))?;
    }
    execute(conn, "rolling the trial back", "rollback".into()).await
}
