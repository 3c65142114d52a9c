//! Whether this process lives, said so that the recoverer can see it: an advisory lock of a session. The server gives
//! it back when the session ends, by whatever death.

use crate::service::connections::exchange;
use crate::service::database::postgres;
use crate::service::database_error::DatabaseError;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// The session is asked for a word this often, so that its end is noticed.
const BEAT: Duration = Duration::from_millis(500);
/// It must answer within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// The pause between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);

/// Holds a lock until the receivers are gone, and tells which; `None` while there is none. Each session has another
/// lock: of a producer that was registered under an earlier one the recoverer may think that its owner is dead.
pub(super) async fn hold(options: PgConnectOptions, tell: watch::Sender<Option<i64>>) {
    while !tell.is_closed() {
        match take(&options).await {
            Ok((session, owner)) => {
                tell.send_replace(Some(owner));
                keep(session, &tell).await;
                tell.send_replace(None);
            }
            Err(error) => {
                tracing::debug!(error, "no lock says that this process lives");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn take(options: &PgConnectOptions) -> Result<(PgConnection, i64), String> {
    let mut session = postgres::connect(options)
        .await
        .map_err(|e| e.to_string())?;
    let owner = Uuid::new_v4().as_u64_pair().0.cast_signed();
    let locked = sqlx::query("select pg_advisory_lock($1)").bind(owner);
    let locked: Result<_, DatabaseError> =
        exchange("taking a lock", locked.execute(&mut session)).await;
    locked.map_err(|e| e.to_string())?;
    Ok((session, owner))
}

/// Returns when the session is lost, or nobody needs it any more.
async fn keep(mut session: PgConnection, tell: &watch::Sender<Option<i64>>) {
    loop {
        tokio::select! {
            () = sleep(BEAT) => {}
            () = tell.closed() => {
                let _ = timeout(ANSWER_WITHIN, session.close()).await;
                return;
            }
        }
        match timeout(ANSWER_WITHIN, session.ping()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "the lock that says that this process lives is lost");
                return;
            }
            Err(_) => {
                tracing::warn!("the lock that says that this process lives is given up: no answer");
                return;
            }
        }
    }
}
