//! HTTP in, JSON out. What a status means is fixed here: 2xx committed, 4xx not committed and
//! never to be, 503 not known.

use super::WritePath;
use super::change::{Change, Outcome, Rejection};
use super::finishing::Finishing;
use super::monitor::Monitor;
use super::reading::{OrderReader, ReadOrder};
use crate::order::{Answer, CONTENT_BYTES_MAX, ChangeRequest, ChangeType, Failure};
use crate::trace::{Stage, Trace};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, FromRequest, Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use contract::cache::ANSWERED_FROM;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

/// A body has at most so many bytes: the longest content, and room for the ids around it.
const BODY_BYTES_MAX: usize = CONTENT_BYTES_MAX as usize + 4 * 1024;
/// Bound on the arrival of a body once its head is there.
const BODY_WITHIN: Duration = Duration::from_secs(10);
/// So many requests are at work at once at most; those beyond that are turned away.
pub(super) const IN_FLIGHT_MAX: usize = 16 * 1024;
/// And so many reads, which take no change's place.
const READS_IN_FLIGHT_MAX: usize = IN_FLIGHT_MAX;

/// The handlers share this.
pub(super) struct Service<P> {
    path: P,
    /// Who reads orders for clients; without one they are not read here.
    reader: Option<OrderReader>,
    monitor: Arc<Monitor>,
    trace: Trace,
    in_flight: Arc<Semaphore>,
    reads_in_flight: Arc<Semaphore>,
}

impl<P: WritePath> Service<P> {
    /// Serves this write path, and reads by this reader.
    pub fn new(
        path: P,
        reader: Option<OrderReader>,
        monitor: Arc<Monitor>,
        trace: Trace,
    ) -> Arc<Self> {
        Arc::new(Self {
            path,
            reader,
            monitor,
            trace,
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            reads_in_flight: Arc::new(Semaphore::new(READS_IN_FLIGHT_MAX)),
        })
    }

    /// Returns the routes of the service, with a rejection in JSON for any other path or method.
    pub fn router(self: &Arc<Self>) -> Router {
        let mut routes = Router::new();
        if self.reader.is_some() {
            routes = routes.route("/orders/{id}", get(read_order::<P>));
        }
        routes
            .route("/health", get(|| async { "ready\n" }))
            .route("/orders", post(place::<P>))
            .route("/orders/{id}/transitions", post(transition::<P>))
            .fallback(|| async {
                rejection(
                    StatusCode::NOT_FOUND,
                    "no such resource: POST /orders, POST /orders/ID/transitions or GET /health",
                )
            })
            .method_not_allowed_fallback(|| async {
                rejection(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "orders are changed with POST; GET is for /health",
                )
            })
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .with_state(Arc::clone(self))
    }

    /// Waits until no change and no read is at work any more, those whose client has hung up included, and
    /// lets the write path finish.
    pub async fn finish(&self) {
        let all = u32::try_from(IN_FLIGHT_MAX).unwrap_or(u32::MAX);
        // An error would mean that the semaphore is closed, which nobody does.
        let _ = self.in_flight.acquire_many(all).await;
        let all = u32::try_from(READS_IN_FLIGHT_MAX).unwrap_or(u32::MAX);
        let _ = self.reads_in_flight.acquire_many(all).await;
        self.path.finish().await;
    }

    /// The change is [`Finishing`]: a client that hangs up ends its request, not a transaction in
    /// the middle.
    async fn answer(
        self: Arc<Self>,
        request: Request,
        decode: impl FnOnce(ChangeRequest) -> Result<Change, String>,
    ) -> Response {
        self.monitor.request_begun();
        let response = match read(request, decode).await {
            Ok(change) => self.apply_traced(change).await,
            Err(refusal) => refusal,
        };
        self.monitor.request_answered();
        response
    }

    /// Also a read is [`Finishing`]: a connection to the database that is dropped in the middle is of no more use.
    async fn read(self: Arc<Self>, order: Uuid) -> Response {
        let Ok(permit) = Arc::clone(&self.reads_in_flight).try_acquire_owned() else {
            return crowded();
        };
        let work = Finishing::new(async move {
            let read = match &self.reader {
                Some(reader) => Some(reader.read(order).await),
                None => None,
            };
            drop(permit);
            read
        });
        match work.await {
            Ok(Some(Ok(read))) => answer_read(order, read),
            Ok(Some(Err(error))) => failure(error.to_string()),
            Ok(None) => rejection(StatusCode::NOT_FOUND, "orders are not read here"),
            Err(_panic) => midway(),
        }
    }

    async fn apply_traced(self: &Arc<Self>, change: Change) -> Response {
        let attempt = change.attempt;
        self.trace.step(attempt, 0, Stage::Received, 0);
        let response = self.apply(change).await;
        let status = response.status().as_u16();
        self.trace.step(attempt, 0, Stage::Answered, status.into());
        response
    }

    async fn apply(self: &Arc<Self>, change: Change) -> Response {
        let Ok(permit) = Arc::clone(&self.in_flight).try_acquire_owned() else {
            return crowded();
        };
        let created = change.kind == ChangeType::Placed;
        let service = Arc::clone(self);
        let work = Finishing::new(async move {
            let outcome = service.path.apply(&change).await;
            drop(permit);
            outcome
        });
        match work.await {
            Ok(outcome) => respond(outcome, created),
            Err(_panic) => midway(),
        }
    }
}

async fn place<P: WritePath>(State(service): State<Arc<Service<P>>>, request: Request) -> Response {
    service.answer(request, Change::placing).await
}

async fn transition<P: WritePath>(
    State(service): State<Arc<Service<P>>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    service
        .answer(request, move |body| Change::transition(&id, body))
        .await
}

async fn read_order<P: WritePath>(
    State(service): State<Arc<Service<P>>>,
    Path(id): Path<String>,
) -> Response {
    match Uuid::try_parse(&id) {
        Ok(order) => service.read(order).await,
        Err(error) => rejection(
            StatusCode::BAD_REQUEST,
            format!("`{id}` in the path is no order id, which is a UUID: {error}"),
        ),
    }
}

/// The header says where the answer is from, also where it is that there is none.
fn answer_read(order: Uuid, read: ReadOrder) -> Response {
    let mut response = match read.body {
        Some(body) => {
            let content_type = [(header::CONTENT_TYPE, "application/json")];
            (StatusCode::OK, content_type, body).into_response()
        }
        None => rejection(StatusCode::NOT_FOUND, format!("there is no order {order}")),
    };
    let from = HeaderValue::from_static(read.from.name());
    response.headers_mut().insert(ANSWERED_FROM, from);
    response
}

/// Reads and checks the body. Nothing is written yet, so every failure is a rejection.
async fn read(
    request: Request,
    decode: impl FnOnce(ChangeRequest) -> Result<Change, String>,
) -> Result<Change, Response> {
    let body = timeout(BODY_WITHIN, Bytes::from_request(request, &()))
        .await
        .map_err(|_| {
            rejection(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body did not arrive within {BODY_WITHIN:?}"),
            )
        })?
        .map_err(|error| match error.status() {
            status @ StatusCode::PAYLOAD_TOO_LARGE => rejection(
                status,
                format!("the body has more than {BODY_BYTES_MAX} bytes: send less content"),
            ),
            status => rejection(status, format!("reading the body: {}", error.body_text())),
        })?;
    let bad = |reason: String| rejection(StatusCode::BAD_REQUEST, reason);
    let body = serde_json::from_slice(&body)
        .map_err(|error| bad(format!("the body is no JSON of a change: {error}")))?;
    decode(body).map_err(bad)
}

fn respond(outcome: Outcome, created: bool) -> Response {
    match outcome {
        Outcome::Committed { version } => {
            let status = if created {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            json(status, &Answer::Committed { version })
        }
        Outcome::Rejected { why, reason } => {
            let status = match why {
                Rejection::UnknownOrder => StatusCode::NOT_FOUND,
                Rejection::Conflict => StatusCode::CONFLICT,
                Rejection::Forbidden => StatusCode::UNPROCESSABLE_ENTITY,
                Rejection::Dependency => StatusCode::FAILED_DEPENDENCY,
            };
            rejection(status, reason)
        }
        Outcome::Failed { error } => failure(error),
    }
}

fn crowded() -> Response {
    failure(format!(
        "{IN_FLIGHT_MAX} requests are at work already: send fewer at a time"
    ))
}

/// What it said is on stderr.
fn midway() -> Response {
    failure("the service failed midway, which is a bug".to_owned())
}

fn rejection(status: StatusCode, reason: impl Into<String>) -> Response {
    let reason = reason.into();
    json(status, &Answer::Rejected { reason })
}

fn failure(error: String) -> Response {
    json(StatusCode::SERVICE_UNAVAILABLE, &Failure { error })
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    match serde_json::to_vec(body) {
        Ok(text) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
