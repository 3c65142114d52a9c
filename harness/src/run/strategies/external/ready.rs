//! How a relay that was not written here is known to work.

use super::values::Values;
use crate::database::postgres::fence;
use crate::process::Ready;
use crate::run::RunError;
use crate::run::deployment::failed;
use crate::scenario::relay_file::ForeignReady;
use futures::FutureExt;
use regex::Regex;
use relays::config::PostgresTarget;
use sqlx::{AssertSqlSafe, Executor};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The wait for one answer is bounded by this.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// After an answer that is not yet the right one.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn of(
    ready: &ForeignReady,
    values: &Values,
    relay: &PostgresTarget,
) -> Result<Ready, RunError> {
    Ok(match ready {
        ForeignReady::Log(line) => {
            let line = Regex::new(line).map_err(|e| failed("reading `ready.log`", &e))?;
            Ready::Says(Arc::new(line))
        }
        ForeignReady::Tcp(address) => {
            let address = values.fill(address);
            Ready::Answers(Arc::new(move || {
                let connected = tokio::net::TcpStream::connect(address.clone());
                answers(async move { connected.await.is_ok() }).boxed()
            }))
        }
        ForeignReady::Http(url) => {
            let url = values.fill(url);
            let client = crate::http::direct()
                .timeout(ANSWER_WITHIN)
                .build()
                .map_err(|e| failed("making an HTTP client", &e))?;
            Ready::Answers(Arc::new(move || {
                let asked = client.get(&url).send();
                answers(async move { asked.await.is_ok_and(|a| a.status().is_success()) }).boxed()
            }))
        }
        ForeignReady::Sql(query) => {
            let (query, relay) = (values.fill(query), relay.clone());
            Ready::Answers(Arc::new(move || {
                let (query, relay) = (query.clone(), relay.clone());
                answers(async move {
                    let Ok(mut session) = fence::connect(&relay, Instant::now()).await else {
                        return false;
                    };
                    let only_read = "SET default_transaction_read_only = on";
                    if session.execute(only_read).await.is_err() {
                        return false;
                    }
                    let asked = sqlx::query_scalar::<_, bool>(AssertSqlSafe(query));
                    matches!(asked.fetch_optional(&mut session).await, Ok(Some(true)))
                })
                .boxed()
            }))
        }
    })
}

async fn answers(asked: impl Future<Output = bool>) -> bool {
    let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await;
    let ready = answer.unwrap_or(false);
    if !ready {
        tokio::time::sleep(PAUSE).await;
    }
    ready
}
