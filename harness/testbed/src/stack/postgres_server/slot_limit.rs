//! How much log a PostgreSQL of our own keeps for a replication slot. What is beyond that it removes at a checkpoint, and
//! the slot is lost with it.

use crate::stack::{StackError, StackInfo, postgres_client};

/// Checkpoints come this often at most, by the log that was written: the least that the server takes, two of its
/// segments. A slot that is beyond its limit is then lost soon, and not when the next five minutes are over.
const CHECKPOINT_AFTER: &str = "32MB";

/// Sets the limit, in bytes; the record says so.
pub(in crate::stack) async fn set(info: &mut StackInfo, bytes: u64) -> Result<(), StackError> {
    let failed = |reason: String| StackError {
        doing: "limit the log that PostgreSQL keeps for slots".into(),
        reason,
    };
    // The setting counts megabytes.
    let megabytes = bytes.div_ceil(1 << 20);
    let setting = |name: &str, value: &str| format!("alter system set {name} = '{value}'");
    let statements = [
        setting("max_slot_wal_keep_size", &format!("{megabytes}MB")),
        setting("max_wal_size", CHECKPOINT_AFTER),
        setting("min_wal_size", CHECKPOINT_AFTER),
        "select pg_reload_conf()".to_owned(),
    ];
    let statements = statements.each_ref().map(String::as_str);
    postgres_client::say(&info.postgres, &statements)
        .await
        .map_err(failed)?;
    let environment = &mut info.environment;
    environment.insert("max_slot_wal_keep_bytes".into(), bytes.to_string());
    Ok(())
}
