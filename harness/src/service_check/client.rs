//! A client of the service: the load generator's own connection, and what its answers come to.

use super::Fault;
use crate::clock::RunClock;
use crate::history::Outcome;
use crate::workload::{Connection, Exchange, Reply, classify};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Uri};
use relays::order::{ChangeRequest, ChangeType, Directive};
use std::net::SocketAddr;
use std::time::Duration;
use uuid::Uuid;

/// The wait for each answer is bounded by this.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A message quotes at most so many characters of a body.
const QUOTED: usize = 120;

/// A client has one connection to the service.
pub(super) struct Client {
    connection: Connection,
    host: HeaderValue,
}

/// This is what came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServiceAnswer {
    /// As the load generator takes it.
    pub outcome: Outcome,
    /// The version, where it was told one.
    pub version: u32,
    /// 0 where there was no answer.
    pub status: u16,
    /// It took so long from the request to the whole answer.
    pub took: Duration,
    /// Whether a new connection had to be made for it.
    pub reconnected: bool,
    /// This says in words what the service did, for messages, e.g. `answered 409 with an empty body`.
    pub how: String,
}

impl ServiceAnswer {
    pub fn is_committed(&self) -> bool {
        self.outcome == Outcome::Committed
    }

    /// Returns whether the answer is a 4xx, in whatever words.
    pub fn is_refused(&self) -> bool {
        (400..500).contains(&self.status)
    }
}

/// This is a change about to be asked for.
#[derive(Debug, Clone)]
pub(super) struct AskedChange {
    pub order: Uuid,
    pub kind: ChangeType,
    pub id: Uuid,
    pub content: String,
    pub directive: Directive,
}

impl AskedChange {
    /// Returns a new change of this kind to an order, with a new id and the directive to commit.
    pub fn of(order: Uuid, kind: ChangeType) -> Self {
        Self {
            order,
            kind,
            id: Uuid::new_v4(),
            content: "0123456789abcdef".to_owned(),
            directive: Directive::Commit,
        }
    }
}

impl Client {
    pub fn new(service: SocketAddr, authority: &str) -> Self {
        let host = HeaderValue::from_str(authority);
        Self {
            connection: Connection::new(service, RunClock::start(), ANSWER_WITHIN),
            host: host.unwrap_or(HeaderValue::from_static("localhost")),
        }
    }

    /// Connects, and sends nothing.
    pub async fn connect(&mut self) {
        self.connection.prepare().await;
    }

    /// Asks for a change, by a new attempt.
    pub async fn ask(&mut self, change: &AskedChange) -> ServiceAnswer {
        let placing = change.kind == ChangeType::Placed;
        let body = ChangeRequest {
            order_id: placing.then_some(change.order),
            to: (!placing).then_some(change.kind),
            change_id: change.id,
            attempt: Uuid::new_v4(),
            content: change.content.clone(),
            directive: change.directive,
        };
        let path = match placing {
            true => "/orders".to_owned(),
            false => format!("/orders/{}/transitions", change.order),
        };
        match serde_json::to_vec(&body) {
            Ok(text) => self.post(&path, text).await,
            Err(_) => unreachable!("ids and text always serialise"),
        }
    }

    /// Sends these bytes as the body of a POST to `path`, and returns what came of it.
    pub async fn post(&mut self, path: &str, body: Vec<u8>) -> ServiceAnswer {
        self.send(Method::POST, path, body).await
    }

    /// Sends a GET of `path` without a body, and returns what came of it.
    pub async fn get(&mut self, path: &str) -> ServiceAnswer {
        self.send(Method::GET, path, Vec::new()).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Vec<u8>) -> ServiceAnswer {
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or(Uri::from_static("/"));
        request.headers_mut().insert(HOST, self.host.clone());
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        let exchange = self.connection.exchange(request).await;
        self.told(exchange)
    }

    fn told(&self, exchange: Exchange) -> ServiceAnswer {
        let body = self.connection.answer();
        let (outcome, status, version, how) = match exchange.reply {
            Reply::NotSent => {
                let how = "refused the connection".to_owned();
                (Outcome::NotSent, 0, 0, how)
            }
            Reply::Broken(0) => {
                let how = format!("hung up, or gave no answer within {ANSWER_WITHIN:?}");
                (Outcome::Unknown, 0, 0, how)
            }
            Reply::Broken(status) => {
                let how = format!("began an answer with status {status} and did not end it");
                (Outcome::Unknown, status, 0, how)
            }
            Reply::Answered(status) => {
                let (outcome, version) = classify(status, body);
                let how = format!("answered {status} with {}", quoted(body));
                (outcome, status, version, how)
            }
        };
        let took_ns = exchange.ended_ns.saturating_sub(exchange.sent_ns);
        ServiceAnswer {
            outcome,
            version,
            status,
            took: Duration::from_nanos(u64::try_from(took_ns).unwrap_or(0)),
            reconnected: exchange.connecting_ns > 0,
            how,
        }
    }

    /// Places a new order as version 1, and returns its id; else a rule that is not about placing cannot go on.
    pub async fn placed(&mut self) -> Result<Uuid, Fault> {
        let order = Uuid::new_v4();
        let told = self.ask(&AskedChange::of(order, ChangeType::Placed)).await;
        match told.is_committed() && told.version == 1 {
            true => Ok(order),
            false => Err(Fault::Untried(format!(
                "an order could not be placed: it {}",
                told.how
            ))),
        }
    }

    /// Makes the next change of an order, as this version; else a rule that is not about that cannot go on.
    pub async fn changed(&mut self, change: &AskedChange, version: u32) -> Result<(), Fault> {
        let told = self.ask(change).await;
        match told.is_committed() && told.version == version {
            true => Ok(()),
            false => Err(Fault::Untried(format!(
                "an order could not be {} as version {version}: it {}",
                change.kind.name(),
                told.how
            ))),
        }
    }

    /// Does the same with an amendment.
    pub async fn amended(&mut self, order: Uuid, version: u32) -> Result<(), Fault> {
        let change = AskedChange::of(order, ChangeType::Amended);
        self.changed(&change, version).await
    }

    /// The version that an amendment gets, whatever it is.
    pub async fn next_version(&mut self, order: Uuid) -> Result<u32, Fault> {
        let told = self.ask(&AskedChange::of(order, ChangeType::Amended)).await;
        match told.is_committed() {
            true => Ok(told.version),
            false => Err(Fault::Untried(format!(
                "an order could not be amended: it {}",
                told.how
            ))),
        }
    }
}

fn quoted(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        return "an empty body".to_owned();
    }
    let mut shown: String = text.chars().take(QUOTED).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    // What moves a terminal's cursor is nothing to show.
    format!("`{}`", shown.replace(char::is_control, " "))
}
