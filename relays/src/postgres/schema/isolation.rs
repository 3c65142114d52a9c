//! What of PostgreSQL a strategy has for itself: a schema of the stack's database, or a database. Nobody
//! else asks which: they connect to where [`Layout::inside`] leads, and find the tables in [`Layout::schema`].

use super::session::{bounded, close, connect, execute, quote_identifier, quote_literal};
use super::{Layout, SchemaError};
use crate::config::{Isolation, PostgresTarget};
use sqlx::Row;
use sqlx::postgres::PgConnection;

/// The tables of a strategy with a database of its own are where SQL says they are that names a schema at all.
const PUBLIC: &str = "public";
/// What the server answers to who has no right to it (SQLSTATE `insufficient_privilege`).
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// An Err says what the administrator lacks to give strategies this isolation, and how it is granted.
pub async fn can_isolate(admin: &PostgresTarget, isolation: Isolation) -> Result<(), SchemaError> {
    match isolation {
        Isolation::Schema => return Ok(()),
        Isolation::Database => {}
    }
    let mut connection = connect(admin).await?;
    let doing = "asking whether the administrator may create databases";
    let may = bounded(
        doing,
        sqlx::query("select rolsuper or rolcreatedb from pg_roles where rolname = current_user")
            .fetch_one(&mut connection),
    );
    let may = may.await?.get::<bool, _>(0);
    close(connection).await;
    if may {
        return Ok(());
    }
    let role = quote_identifier(&admin.user);
    Err(SchemaError {
        doing: "making a database for it (`isolation = \"database\"` of its [outbox])".into(),
        source: sqlx::Error::Configuration(
            format!(
                "role {role} may not create databases: `alter role {role} createdb`, or name another role \
                 in the stack file"
            )
            .into(),
        ),
    })
}

impl Layout {
    /// Returns the schema that has the tables.
    pub fn schema(&self) -> &str {
        match self.isolation {
            Isolation::Schema => &self.name,
            Isolation::Database => PUBLIC,
        }
    }

    /// Returns the way of the same role to the database and the schema that have the tables.
    pub fn inside(&self, admin: &PostgresTarget) -> PostgresTarget {
        PostgresTarget {
            database: match self.isolation {
                Isolation::Schema => admin.database.clone(),
                Isolation::Database => self.name.clone(),
            },
            schema: self.schema().to_owned(),
            ..admin.clone()
        }
    }

    /// Says what is its own, by its name.
    pub fn place(&self) -> String {
        format!("{} {}", self.isolation.name(), self.name)
    }

    /// Says in which surroundings its DDL is run.
    pub(super) fn surroundings(&self) -> &'static str {
        match self.isolation {
            Isolation::Schema => {
                "in a schema of its own (`public` is not for it, unless [outbox] says `isolation = \
                 \"database\"`)"
            }
            Isolation::Database => "in a database of its own",
        }
    }

    /// Creates the database, where there is to be one. (No transaction can do that.) Texts are written and
    /// sorted in it as in the stack's own.
    pub(super) async fn create_database(&self, admin: &PostgresTarget) -> Result<(), SchemaError> {
        match self.isolation {
            Isolation::Schema => return Ok(()),
            Isolation::Database => {}
        }
        let mut connection = connect(admin).await?;
        let row = bounded(
            "asking how the stack's database writes texts",
            sqlx::query(
                "select pg_encoding_to_char(encoding)::text, datcollate::text, datctype::text
                   from pg_database where datname = current_database()",
            )
            .fetch_one(&mut connection),
        )
        .await?;
        let [encoding, collate, ctype] = [0, 1, 2].map(|n| quote_literal(row.get::<&str, _>(n)));
        // Of the other template anybody may be a user, which would fail this.
        let statement = format!(
            "{} template template0 encoding {encoding} lc_collate {collate} lc_ctype {ctype}",
            self.creation_of_database()
        );
        let doing = "creating a database of its own (the administrator needs CREATEDB)";
        execute(&mut connection, doing, statement).await?;
        close(connection).await;
        Ok(())
    }

    /// Returns how the statement begins that makes its database, whether it is to have one or not.
    pub(super) fn creation_of_database(&self) -> String {
        format!("create database {}", quote_identifier(&self.name))
    }

    /// Returns what makes the schema, where that is its own.
    pub(super) fn own_schema(&self) -> Vec<(&'static str, String)> {
        match self.isolation {
            Isolation::Schema => vec![(
                "creating the schema (the administrator needs CREATE on the database)",
                format!("create schema {}", quote_identifier(&self.name)),
            )],
            Isolation::Database => Vec::new(),
        }
    }

    /// Returns what lets a role, given as a quoted identifier, make in the strategy's own database what its own
    /// migrations would: trusted extensions, and schemas.
    pub(super) fn lent_database(&self, role: &str) -> Vec<(&'static str, String)> {
        match self.isolation {
            Isolation::Schema => Vec::new(),
            Isolation::Database => {
                let database = quote_identifier(&self.name);
                vec![(
                    "letting a role make extensions and schemas in the database of its own",
                    format!("grant create on database {database} to {role}"),
                )]
            }
        }
    }

    /// Returns what grants a role what another one, `maker`, will make in what is the strategy's own: rights by
    /// kind of object. In a database of its own that may be in further schemas.
    pub(super) fn grants_to_come(
        &self,
        maker: &str,
        rights: &[(&'static str, &'static str)],
        role: &str,
    ) -> Vec<String> {
        let (maker, role) = (quote_identifier(maker), quote_identifier(role));
        let (place, more) = match self.isolation {
            Isolation::Schema => (format!("in schema {}", quote_identifier(&self.name)), None),
            Isolation::Database => (String::new(), Some(("schemas", "usage"))),
        };
        let rights = rights.iter().copied().chain(more);
        let statements = rights.map(|(kind, rights)| {
            format!(
                "alter default privileges for role {maker} {place} grant {rights} on {kind} to {role}"
            )
        });
        statements.collect()
    }
}

/// Drops the database of this name, if there is one, and whoever is connected to it.
pub(super) async fn drop_database(conn: &mut PgConnection, name: &str) -> Result<(), SchemaError> {
    let doing = "dropping the database of its own";
    let statement = format!("drop database if exists {}", quote_identifier(name));
    let forced = execute(conn, doing, format!("{statement} with (force)")).await;
    match forced {
        // Who is no superuser may not end the server's own vacuuming; without force the server ends it by itself.
        Err(error) if code(&error).as_deref() == Some(INSUFFICIENT_PRIVILEGE) => {
            execute(conn, doing, statement).await
        }
        done => done,
    }
}

fn code(error: &SchemaError) -> Option<String> {
    let code = error.source.as_database_error()?.code()?;
    Some(code.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::schema::OutboxKind;

    fn layout(isolation: Isolation) -> Layout {
        Layout {
            name: "oh_x".into(),
            isolation,
            outbox: OutboxKind::Foreign { replication: false },
            failover_slot: false,
            password: "pw".into(),
        }
    }

    #[test]
    fn given_either_isolation_then_the_way_inside_leads_to_its_tables_from_wherever_it_begins() {
        let admin = PostgresTarget {
            host: "h".into(),
            port: 1,
            user: "u".into(),
            password: "p".into(),
            database: "stack".into(),
            schema: String::new(),
        };
        for (isolation, database, schema) in [
            (Isolation::Schema, "stack", "oh_x"),
            (Isolation::Database, "oh_x", "public"),
        ] {
            let layout = layout(isolation);
            let inside = layout.inside(&admin);
            assert_eq!(
                (inside.database.as_str(), inside.schema.as_str()),
                (database, schema)
            );
            assert_eq!(layout.inside(&inside), inside);
        }
    }

    #[test]
    fn given_a_database_of_its_own_then_rights_reach_into_every_schema_of_it_and_else_into_its_own()
    {
        let rights = [("tables", "select")];
        let to_come = |isolation| layout(isolation).grants_to_come("m", &rights, "r");
        assert_eq!(
            to_come(Isolation::Schema),
            [
                "alter default privileges for role \"m\" in schema \"oh_x\" grant select on tables to \"r\""
            ]
        );
        assert_eq!(
            to_come(Isolation::Database),
            [
                "alter default privileges for role \"m\"  grant select on tables to \"r\"",
                "alter default privileges for role \"m\"  grant usage on schemas to \"r\"",
            ]
        );
    }
}
