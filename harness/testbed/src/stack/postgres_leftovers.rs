//! What dead harnesses left on a stack's PostgreSQL: found by name, told from what the living use, and dropped.

use super::description::Description;
use super::leftovers::{RUN_DIGITS, run_of};
use super::postgres_lock::{is_held_by_another, never_idle, try_lock};
use super::{StackInfo, postgres_client};
use relays::config::PostgresTarget;
use relays::postgres::schema::{self, Layout};
use sqlx::PgConnection;

/// The schemas and databases of runs, with what is named after them.
pub(super) struct Schemas {
    server: PostgresTarget,
}

impl Schemas {
    /// Those on this stack.
    pub(super) fn of(info: &StackInfo) -> Self {
        Self {
            server: info.postgres.clone(),
        }
    }

    /// Those on the stack that is described so.
    pub(super) fn described(description: &Description) -> Self {
        Self {
            server: description.database.target(),
        }
    }

    /// Begins to look what is there.
    pub(super) async fn look(&self) -> Result<SchemaLook, String> {
        let mut session = postgres_client::connect(&self.server).await?;
        never_idle(&mut session).await?;
        Ok(SchemaLook { session })
    }

    /// Drops the one of this name, with its roles, slot and publication.
    pub(super) async fn drop(&self, name: &str) -> Result<(), String> {
        let dropped = schema::drop_all(&self.server, &Layout::left_behind(name)).await;
        dropped.map_err(|e| e.to_string())
    }
}

/// A session that looks for what is there, and holds the locks of the harnesses that it takes over.
pub(super) struct SchemaLook {
    session: PgConnection,
}

impl SchemaLook {
    /// Takes the lock of a harness; returns whether nobody had it, here or in another database of the server.
    pub(super) async fn takes_over(&mut self, id: &str) -> Result<bool, String> {
        let free = try_lock(&mut self.session, id).await?;
        Ok(free && !is_held_by_another(&mut self.session, id).await?)
    }

    /// Finds everything with the name of a run: each run, with the name of its schema or database.
    pub(super) async fn layouts(&mut self) -> Result<Vec<(String, String)>, String> {
        let names = self.names().await?;
        let layouts = names.iter().filter_map(NameFound::layout);
        let owned = layouts.map(|(run, layout)| (run.to_owned(), layout.to_owned()));
        Ok(owned.collect())
    }

    async fn names(&mut self) -> Result<Vec<NameFound>, String> {
        let names = sqlx::query_as::<_, (String, bool)>(
            "select nspname::text, true from pg_namespace where nspname like 'oh\\_%'
             -- A database that is a strategy's own is made before all else of it. Another administrator's is not
             -- ours to drop.
             union select datname::text, true from pg_database
                   where datname like 'oh\\_%' and pg_has_role(datdba, 'usage')
             union select rolname::text, false from pg_roles r where rolname like 'oh\\_%'
                   -- What other databases have of it is for who uses those.
                   and not exists (select from pg_shdepend d
                                    where d.refclassid = 'pg_authid'::regclass and d.refobjid = r.oid
                                      and d.dbid not in (0, (select oid from pg_database
                                                              where datname = current_database())))
             union select slot_name::text, false from pg_replication_slots
                   where slot_name like 'oh\\_%' and database = current_database()
             union select pubname::text, false from pg_publication where pubname like 'oh\\_%'",
        )
        .fetch_all(&mut self.session);
        let names = names.await.map_err(|e| e.to_string())?;
        let found = names.into_iter().map(|(name, is_whole)| match is_whole {
            true => NameFound::Whole(name),
            false => NameFound::Derived(name),
        });
        Ok(found.collect())
    }
}

/// A name in PostgreSQL that may be a run's.
enum NameFound {
    /// It is that of a schema or a database.
    Whole(String),
    /// A suffix says what it is of.
    Derived(String),
}

impl NameFound {
    /// The run, and the name from which [`Layout`] derived this one (or which it is).
    fn layout(&self) -> Option<(&str, &str)> {
        match self {
            Self::Whole(name) => Some((run_of(name, "oh_", '_')?, name)),
            Self::Derived(name) => layout_of(name),
        }
    }
}

/// The run, and the name from which [`Layout`] derived this one.
fn layout_of(name: &str) -> Option<(&str, &str)> {
    let run = run_of(name, "oh_", '_')?;
    let suffixes = ["_svc", "_rly", "_rdr", "_slot", "_pub"];
    let layout = suffixes.iter().find_map(|suffix| name.strip_suffix(suffix));
    // A strategy may be called like a suffix: then this is its own name.
    let layout = layout.filter(|l| l.len() > "oh_".len() + RUN_DIGITS);
    Some((run, layout.unwrap_or(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "0123456789abcdef";

    #[test]
    fn a_derived_name_leads_to_what_it_is_derived_from() {
        let layout = format!("oh_{RUN}_my_cdc");
        for suffix in ["", "_svc", "_rly", "_rdr", "_slot", "_pub"] {
            let name = format!("{layout}{suffix}");
            assert_eq!(layout_of(&name), Some((RUN, layout.as_str())));
        }
        let odd = format!("oh_{RUN}_pub");
        assert_eq!(layout_of(&odd), Some((RUN, odd.as_str())));
    }
}
