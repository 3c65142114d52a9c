//! HTTP in, JSON out, as the harness's client expects it.

use super::{Change, Path, rejected};
use axum::extract::{self, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use relays::cache::ANSWERED_FROM;
use relays::order::{Answer, ChangeRequest, ChangeType, Failure};
use relays::pump;
use relays::signal::{Signal, emit};
use std::net::SocketAddr;
use std::sync::Arc;
use uuid::Uuid;

/// Serves until SIGTERM, then finishes the requests in flight.
pub async fn serve<P: Path>(listen: SocketAddr, path: P) -> Result<(), String> {
    let listener = tokio::net::TcpListener::bind(listen)
        .await
        .map_err(|e| format!("listen at {listen}: {e}"))?;
    let router = Router::new()
        .route("/health", get(|| async { "ready\n" }))
        .route("/orders", post(place::<P>))
        .route("/orders/{id}", get(read::<P>))
        .route("/orders/{id}/transitions", post(transition::<P>))
        .with_state(Arc::new(path));
    emit(Signal::Ready);
    axum::serve(listener, router)
        .with_graceful_shutdown(pump::terminated())
        .await
        .map_err(|e| format!("serve HTTP: {e}"))
}

async fn place<P: Path>(
    State(path): State<Arc<P>>,
    Json(request): Json<ChangeRequest>,
) -> Response {
    let Some(order) = request.order_id else {
        return respond(Ok(rejected("`order_id` is missing")));
    };
    let kind = ChangeType::Placed;
    apply(path, order, kind, request).await
}

async fn read<P: Path>(
    State(path): State<Arc<P>>,
    extract::Path(order): extract::Path<Uuid>,
) -> Response {
    match path.read(order).await {
        Ok(answer) => {
            let from = [(ANSWERED_FROM, answer.from.name())];
            match answer.version {
                Some(version) => {
                    let body = serde_json::json!({ "order_id": order, "version": version });
                    (from, Json(body)).into_response()
                }
                None => (StatusCode::NOT_FOUND, from).into_response(),
            }
        }
        Err(error) => respond(Err(error)),
    }
}

async fn transition<P: Path>(
    State(path): State<Arc<P>>,
    extract::Path(order): extract::Path<Uuid>,
    Json(request): Json<ChangeRequest>,
) -> Response {
    let Some(kind) = request.to else {
        return respond(Ok(rejected("`to` is missing")));
    };
    apply(path, order, kind, request).await
}

/// Applies the change in a task of its own: a client that hangs up ends its request, not a transaction in the middle.
async fn apply<P: Path>(
    path: Arc<P>,
    order: Uuid,
    kind: ChangeType,
    request: ChangeRequest,
) -> Response {
    let change = Change {
        order,
        kind,
        request,
    };
    let done = tokio::spawn(async move { path.apply(change).await }).await;
    respond(done.unwrap_or_else(|panic| Err(panic.to_string())))
}

fn respond(answer: Result<Answer, String>) -> Response {
    match answer {
        Ok(answer @ Answer::Committed { .. }) => (StatusCode::OK, Json(answer)).into_response(),
        Ok(answer @ Answer::Rejected { .. }) => {
            (StatusCode::CONFLICT, Json(answer)).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, Json(Failure { error })).into_response(),
    }
}
