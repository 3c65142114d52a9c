//! The page, its feed of states and its keys, over HTTP.

use super::guard;
use crate::cli::demo::hands::Hands;
use crate::cli::demo::occasion::EXPLANATION;
use crate::cli::live::screen::Performance;
use axum::extract::{DefaultBodyLimit, Json, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, response::sse};
use futures::stream;
use serde::Deserialize;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// Pages that are fed at once.
pub const FEEDS_MAX: usize = 32;
/// A key takes no more.
const BODY_BYTES_MAX: usize = 64;
/// So often something is sent to a page for which there is nothing: one that is gone is found out then.
const ALIVE_EVERY: Duration = Duration::from_secs(5);

const PAGE: &str = include_str!("page.html");

/// These headers allow no address but this one, nothing in another site's frame, no name of it anywhere else.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// All handlers share this.
#[derive(Clone)]
pub struct Site {
    /// Without it nothing is told.
    pub token: Arc<str>,
    /// This gives the newest state, as JSON; whoever is slow misses those in between, and holds up nobody.
    pub states: watch::Receiver<Arc<str>>,
    /// One for each page that is fed.
    pub feeds: Arc<Semaphore>,
    /// Keys that a page sends are pressed through these.
    pub hands: Hands,
}

impl Site {
    /// Returns the routes of the page, of its feed and of its keys, all of them below the token and guarded.
    pub fn router(self) -> Router {
        let below = |path: &str| format!("/{}/{path}", self.token);
        Router::new()
            .route(&below(""), get(page))
            .route(&below("feed"), get(feed))
            .route(&below("press"), post(press))
            .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
            .layer(middleware::from_fn_with_state(self.clone(), guarded))
            .with_state(self)
    }
}

async fn guarded(State(site): State<Site>, request: Request, next: Next) -> Response {
    let admitted = guard::admits(&site.token, request.uri().path(), request.headers());
    let mut response = match admitted {
        Ok(()) => next.run(request).await,
        Err(turned_away) => turned_away.into_response(),
    };
    for (name, value) in HEADERS {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

async fn page() -> Html<String> {
    Html(PAGE.replace("{{explanation}}", EXPLANATION))
}

async fn feed(State(site): State<Site>) -> Response {
    let Ok(permit) = Arc::clone(&site.feeds).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    let mut states = site.states;
    // The state there is comes first.
    states.mark_changed();
    let of = async |(mut states, permit): (watch::Receiver<Arc<str>>, _)| {
        states.changed().await.ok()?;
        let state = Arc::clone(&states.borrow_and_update());
        let event = sse::Event::default().data(&*state);
        Some((Ok::<_, Infallible>(event), (states, permit)))
    };
    let events = stream::unfold((states, permit), of);
    Sse::new(events)
        .keep_alive(KeepAlive::new().interval(ALIVE_EVERY))
        .into_response()
}

/// A page sends this for a key.
#[derive(Deserialize)]
struct Pressed {
    key: char,
}

async fn press(State(site): State<Site>, Json(pressed): Json<Pressed>) -> StatusCode {
    site.hands.press(pressed.key);
    StatusCode::NO_CONTENT
}
