//! How often a PostgreSQL of our own looks for tables to vacuum.

use crate::stack::{StackError, StackInfo, postgres_client};

/// Has it look so often, in seconds; the record says so.
pub(in crate::stack) async fn every(
    info: &mut StackInfo,
    naptime_s: u64,
) -> Result<(), StackError> {
    let set = format!("alter system set autovacuum_naptime = '{naptime_s}s'");
    postgres_client::say(&info.postgres, &[&set, "select pg_reload_conf()"])
        .await
        .map_err(|reason| StackError {
            doing: "have PostgreSQL vacuum more often".into(),
            reason,
        })?;
    let environment = &mut info.environment;
    environment.insert("autovacuum_naptime_s".into(), naptime_s.to_string());
    Ok(())
}
