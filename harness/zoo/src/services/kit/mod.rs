//! What the broken order services are made of: HTTP ([`http`]), a pool of sessions and the two
//! writes of a change ([`database`]), a producer ([`broker`]), one of transactions ([`transactional`]),
//! orders behind a cache ([`cached`]).

pub mod broker;
pub mod cached;
pub mod database;
pub mod http;
pub mod transactional;

use cached::ReadAnswer;
use relays::order::{Answer, ChangeRequest, ChangeType, Directive};
use std::time::Duration;
use uuid::Uuid;

/// This is one change of one order, as a client asked for it.
pub struct Change {
    /// This is the id of the order to change: from the body of a request that places it, else from the URL.
    pub order: Uuid,
    /// This is the kind of change: `placed` where the request places an order, else its `to`.
    pub kind: ChangeType,
    /// This is the request as the client sent it.
    pub request: ChangeRequest,
}

impl Change {
    /// Returns the JSON text of the event that announces it as this version.
    pub fn event(&self, run: &str, version: u32) -> String {
        let [before, behind] = self.event_around_version(run);
        format!("{before}{version}{behind}")
    }

    /// Returns that text before its version, and behind it.
    pub fn event_around_version(&self, run: &str) -> [String; 2] {
        let before = format!(r#"{{"run":"{run}","order_id":"{}","version":"#, self.order);
        let behind = format!(
            r#","attempt":"{}","type":"{}","content":{}}}"#,
            self.request.attempt,
            self.kind.event_type(),
            serde_json::Value::from(self.request.content.as_str())
        );
        [before, behind]
    }

    /// Returns order and version, as `ORDER/VERSION`, for a confession.
    pub fn name(&self, version: u32) -> String {
        format!("{}/{version}", self.order)
    }

    /// Does what the business does between the write and the commit, and says whether one of its
    /// rules forbids the change.
    pub async fn is_forbidden(&self) -> bool {
        match self.request.directive {
            Directive::Commit => false,
            Directive::HoldMs(ms) => {
                tokio::time::sleep(Duration::from_millis(ms.into())).await;
                false
            }
            Directive::Veto => true,
        }
    }
}

/// The answer to a change that is not written.
pub fn rejected(reason: &str) -> Answer {
    Answer::Rejected {
        reason: reason.to_owned(),
    }
}

/// A path takes one change in and gives what the client is told, or why nothing is known.
pub trait Path: Send + Sync + 'static {
    /// Takes the change through.
    fn apply(&self, change: Change) -> impl Future<Output = Result<Answer, String>> + Send;

    /// Reads an order. Most services answer no reader.
    fn read(&self, order: Uuid) -> impl Future<Output = Result<ReadAnswer, String>> + Send {
        async move { Err(format!("nobody reads order {order} here")) }
    }
}

/// Runs a service on a runtime of its own.
pub fn live(service: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|e| format!("start the service's runtime: {e}"))?
        .block_on(service)
}
