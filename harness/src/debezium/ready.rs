//! Whether the worker does its work: Connect says so of connector and task, PostgreSQL of the slot
//! (a task that runs may not have its stream yet), and a heartbeat came out on Kafka (so that the
//! whole way has been gone once: a JVM needs a second or two for the first event).

use super::NAME;
use super::SlotSign;
use crate::broker::Topic;
use serde::Deserialize;
use std::net::SocketAddr;
use std::time::Duration;

/// One answer may take so long.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// A look that does not find all signs answers this much later, so that a starting JVM is asked less often.
const PAUSE: Duration = Duration::from_millis(100);

const RUNNING: &str = "RUNNING";

/// What `GET /connectors/NAME/status` says, as far as it matters.
#[derive(Debug, Deserialize)]
struct Status {
    connector: ConnectorState,
    tasks: Vec<ConnectorState>,
}

#[derive(Debug, Deserialize)]
struct ConnectorState {
    state: String,
}

/// As Connect names states: `connector RUNNING, task FAILED`.
impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "connector {}", self.connector.state)?;
        match self.tasks.is_empty() {
            true => write!(f, ", no task"),
            false => self
                .tasks
                .iter()
                .try_for_each(|task| write!(f, ", task {}", task.state)),
        }
    }
}

impl Status {
    fn is_running(&self) -> bool {
        let runs = |s: &ConnectorState| s.state == RUNNING;
        runs(&self.connector) && !self.tasks.is_empty() && self.tasks.iter().all(runs)
    }
}

/// Where the signs of its work are looked for.
pub(super) struct Signs {
    pub http: reqwest::Client,
    pub rest: SocketAddr,
    /// The slot is looked up in the database directly, not through Toxiproxy, as an administrator.
    pub slot: SlotSign,
    /// The topic of the heartbeats is read from the broker directly, not through Toxiproxy.
    pub heartbeats: Box<dyn Topic>,
}

impl Signs {
    /// All of them are there, or this says after a pause which is not, since being asked costs a JVM that is just
    /// starting. After a restart there are heartbeats of an earlier life.
    pub async fn are_there(&self) -> Result<(), String> {
        let there = self.all().await;
        if there.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
        there
    }

    async fn all(&self) -> Result<(), String> {
        self.runs().await?;
        self.slot.is_held().await?;
        match self.heartbeats.is_empty().await? {
            true => Err("no heartbeat of it came to Kafka".to_owned()),
            false => Ok(()),
        }
    }

    /// Connector and task run, by Connect's own account.
    async fn runs(&self) -> Result<(), String> {
        let url = format!("http://{}/connectors/{NAME}/status", self.rest);
        let explain = |e: reqwest::Error| format!("asking Connect: {e}");
        let answer = self.http.get(url).send().await.map_err(explain)?;
        let status: Status = answer.json().await.map_err(explain)?;
        match status.is_running() {
            true => Ok(()),
            false => Err(format!("Connect says {status}")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn status(connector: &str, tasks: &[&str]) -> Status {
        let tasks: Vec<String> = tasks
            .iter()
            .map(|state| format!(r#"{{"id":0,"state":"{state}","worker_id":"127.0.0.1:1"}}"#))
            .collect();
        serde_json::from_str(&format!(
            r#"{{"name":"debezium","type":"source","tasks":[{}],
                "connector":{{"state":"{connector}","worker_id":"127.0.0.1:1"}}}}"#,
            tasks.join(",")
        ))
        .unwrap()
    }

    #[test]
    fn connector_and_every_task_must_run() {
        assert!(status("RUNNING", &["RUNNING"]).is_running());
        assert!(!status("RUNNING", &[]).is_running());
        assert!(!status("RUNNING", &["UNASSIGNED"]).is_running());
        assert!(!status("FAILED", &["RUNNING"]).is_running());
        let failed = status("RUNNING", &["RUNNING", "FAILED"]);
        assert!(!failed.is_running());
        let said = failed.to_string();
        assert_eq!(said, "connector RUNNING, task RUNNING, task FAILED");
    }
}
