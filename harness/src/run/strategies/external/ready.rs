//! How a relay that was not written here is known to work.

use super::values::Values;
use crate::database::DirectLogin;
use crate::process::Ready;
use crate::run::RunError;
use crate::run::deployment::failed;
use crate::scenario::relay_file::ForeignReady;
use futures::FutureExt;
use regex::Regex;
use std::sync::Arc;
use std::time::Duration;

/// The wait for one answer is bounded by this.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// After an answer that is not yet the right one.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) fn of(
    ready: &ForeignReady,
    values: &Values,
    login: &DirectLogin,
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
            let (query, login) = (values.fill(query), login.clone());
            Ready::Answers(Arc::new(move || {
                let (query, login) = (query.clone(), login.clone());
                answers(async move { login.says_yes(query).await }).boxed()
            }))
        }
    })
}

async fn answers(asked: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let answer = tokio::time::timeout(ANSWER_WITHIN, asked).await;
    let ready = answer.unwrap_or_else(|_| Err(format!("none within {ANSWER_WITHIN:?}")));
    if ready.is_err() {
        tokio::time::sleep(PAUSE).await;
    }
    ready
}
