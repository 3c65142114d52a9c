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
                answers(async move { connected.await.map(drop).map_err(|e| e.to_string()) }).boxed()
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
                answers(async move {
                    let answer = asked.await.map_err(|e| e.to_string())?;
                    match answer.status() {
                        status if status.is_success() => Ok(()),
                        status => Err(format!("HTTP {status}")),
                    }
                })
                .boxed()
            }))
        }
        ForeignReady::Sql(query) => {
            let (query, relay) = (values.fill(query), relay.clone());
            Ready::Answers(Arc::new(move || {
                let (query, relay) = (query.clone(), relay.clone());
                answers(async move { is_true(query, &relay).await }).boxed()
            }))
        }
    })
}

/// The query gives `true`, asked as the relay, which may do no more than it could itself, and here only read.
async fn is_true(query: String, relay: &PostgresTarget) -> Result<(), String> {
    let explain = |e: sqlx::Error| relays::postgres::schema::words(&e);
    let mut session = fence::connect(relay, Instant::now()).await?;
    let only_read = "SET default_transaction_read_only = on";
    session.execute(only_read).await.map_err(explain)?;
    let asked = sqlx::query_scalar::<_, Option<bool>>(AssertSqlSafe(query));
    match asked.fetch_optional(&mut session).await.map_err(explain)? {
        Some(Some(true)) => Ok(()),
        Some(Some(false)) => Err("the query gave false".to_owned()),
        Some(None) => Err("the query gave null".to_owned()),
        None => Err("the query gave no row".to_owned()),
    }
}

async fn answers(asked: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await;
    let ready = answer.unwrap_or_else(|_| Err(format!("none within {ANSWER_WITHIN:?}")));
    if ready.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
    ready
}
