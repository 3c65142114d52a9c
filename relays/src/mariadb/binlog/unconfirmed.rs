//! What the log has of an outbox that no relay has confirmed, for who reads it when they are gone.

use super::event::LogEvent;
use super::groups::Groups;
use super::position::LogPosition;
use super::stream::LogStream;
use crate::config::MariaDbTarget;
use crate::mariadb::schema::{MariaDbLayout, connect_admin};
use crate::mariadb::session::{bounded, close, words};
use mysql_async::prelude::Queryable;
use std::time::Duration;
use tokio::time::timeout;

/// Each word of the server comes within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Reads, as the administrator, from the kept position to the end of the log, and tells of each event the number of its
/// commit and its text. Returns how many there were; `None` where the server cannot read its log from there on. What was
/// prepared and nobody has decided on is not among them.
pub async fn read_unconfirmed(
    admin: &MariaDbTarget,
    layout: &MariaDbLayout,
    hear: &mut (dyn FnMut(u64, &str) + Send),
) -> Result<Option<u64>, String> {
    let target = MariaDbTarget {
        database: layout.name.clone(),
        ..admin.clone()
    };
    let doing = format!("reading what the binlog has of {}", layout.name);
    let kept = kept(&target).await.map_err(|e| format!("{doing}: {e}"))?;
    let mut stream = match LogStream::open(&target, &kept, true).await {
        Ok(stream) => stream,
        Err(error) if error.is_of_log => return Ok(None),
        Err(error) => return Err(format!("{doing} behind {kept}: {}", error.reason)),
    };
    let (mut groups, mut count) = (Groups::default(), 0);
    loop {
        let next = timeout(ANSWER_WITHIN, stream.next()).await;
        let next = next.map_err(|_| format!("{doing}: no answer within {ANSWER_WITHIN:?}"))?;
        let event = match next {
            Ok(Some(event)) => event,
            Ok(None) => return Ok(Some(count)),
            Err(error) if error.is_of_log && count == 0 => return Ok(None),
            Err(error) => return Err(format!("{doing}: {}", error.reason)),
        };
        let decoded = LogEvent::decode(event.header(), event.data(), &layout.name);
        let decoded = decoded.map_err(|e| format!("{doing}: {e}"))?;
        let ended = groups.take(decoded);
        let ended = ended.map_err(|e| format!("{doing}: {e:?}"))?;
        for (group, row) in ended
            .iter()
            .flat_map(|g| g.rows.iter().map(move |row| (g, row)))
        {
            hear(group.gtid.number, &row.payload);
            count += 1;
        }
    }
}

async fn kept(target: &MariaDbTarget) -> Result<LogPosition, String> {
    let mut conn = connect_admin(target, Some(&target.database)).await?;
    let asked = conn.query_first("SELECT gtid FROM relay_position");
    let kept: Option<String> = bounded(ANSWER_WITHIN, asked).await.map_err(|e| words(&e))?;
    close(conn).await;
    kept.ok_or("relay_position has no row")?.parse()
}
