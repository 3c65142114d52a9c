//! A worker: takes ticks, sends changes over its own connection, keeps its own rows.

use super::answer::classify;
use super::choices::Choices;
use super::connection::{Connection, Exchange, Reply};
use super::orders::{Change, Next, Orders};
use super::pacing::Ticks;
use super::schedule::Schedule;
use super::{Load, Progress};
use crate::history::{Outcome, Request};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Uri};
use relays::order::{ChangeRequest, ChangeType};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Pause before the first repetition of a change; doubled for each further one.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// The longest such pause.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// What the workers share.
pub(super) struct Desk {
    load: Load,
    pub ticks: Arc<Ticks>,
    orders: Orders,
    next_attempt: AtomicU32,
}

impl Desk {
    pub fn new(load: Load, schedule: Schedule, load_from_ns: i64) -> Self {
        let choices = Choices::new(load.seed, &load.workload);
        Self {
            ticks: Arc::new(Ticks::new(schedule, load.clock, load_from_ns)),
            orders: Orders::new(choices, load.workload.retries),
            next_attempt: AtomicU32::new(0),
            load,
        }
    }

    fn take(&self) -> Option<Change> {
        self.orders.repeated().or_else(|| {
            self.ticks
                .take()
                .map(|intended| self.orders.change(intended))
        })
    }

    /// Sends `change` again after its pause. Bounded by the number of retries of a change; what is
    /// still pausing when the load is given up is never sent.
    fn repeat_later(self: &Arc<Self>, change: Change) {
        let pause = RETRY_PAUSE
            .saturating_mul(1 << change.repeats.min(10))
            .min(RETRY_PAUSE_MAX);
        let desk = Arc::clone(self);
        let intended_ns = desk.load.clock.now_ns() + pause.as_nanos() as i64;
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            desk.orders.repeat(change, intended_ns);
            desk.ticks.retry_due();
        });
    }
}

/// A worker and its buffers.
pub(super) struct Worker {
    desk: Arc<Desk>,
    connection: Connection,
    headers: HeaderMap,
    path: BytesMut,
    body: BytesMut,
    content: String,
    rows: Vec<(u32, Request)>,
}

impl Worker {
    pub fn new(desk: Arc<Desk>) -> Self {
        let load = &desk.load;
        let mut headers = HeaderMap::with_capacity(4);
        if let Ok(host) = HeaderValue::from_str(&load.service.to_string()) {
            headers.insert(HOST, host);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let timeout = load.workload.request_timeout;
        Self {
            connection: Connection::new(load.service, load.clock, timeout),
            headers,
            path: BytesMut::new(),
            body: BytesMut::new(),
            content: String::with_capacity(load.workload.payload_bytes),
            rows: Vec::new(),
            desk,
        }
    }

    /// Works until the ticks are closed; gives back a row for each attempt, with its number.
    pub async fn run(mut self) -> Vec<(u32, Request)> {
        self.connection.prepare().await;
        let desk = Arc::clone(&self.desk);
        let mut free_ns = desk.load.clock.now_ns();
        while self.connection.idle(desk.ticks.wait()).await {
            // A tick that overflowed the queue leaves its wake-up behind.
            let Some(change) = desk.take() else { continue };
            let outcome = self.attempt(&change, free_ns).await;
            free_ns = desk.load.clock.now_ns();
            match outcome {
                Next::Settled => desk.ticks.settle_one(),
                Next::Repeat => desk.repeat_later(change),
            }
        }
        self.rows
    }

    async fn attempt(&mut self, change: &Change, free_ns: i64) -> Next {
        let desk = Arc::clone(&self.desk);
        let kind = ChangeType::for_version(change.order.version.saturating_add(1));
        let attempt = desk.next_attempt.fetch_add(1, Ordering::Relaxed);
        let request = self.request(change, kind, attempt);
        let exchange = self.connection.exchange(request).await;
        let (outcome, status, told_version) = match exchange.reply {
            Reply::NotSent => (Outcome::NotSent, 0, 0),
            Reply::Broken(status) => (Outcome::Unknown, status, 0),
            Reply::Answered(status) => {
                let (outcome, version) = classify(status, self.connection.answer());
                (outcome, status, version)
            }
        };
        let Exchange {
            connected_ns,
            sent_ns,
            ended_ns,
            ..
        } = exchange;
        let could_ns = change.intended_ns.max(free_ns).max(connected_ns);
        self.rows.push((
            attempt,
            Request {
                change: change.number,
                order: change.order.index,
                change_type: kind.code(),
                intent: change.intent,
                outcome,
                status,
                told_version,
                intended_ns: change.intended_ns,
                sent_ns,
                ended_ns,
                lag_ns: sent_ns.saturating_sub(could_ns).max(0),
            },
        ));
        count(&desk.load.progress, outcome);
        desk.orders.answered(change, outcome, told_version)
    }

    fn request(
        &mut self,
        change: &Change,
        kind: ChangeType,
        attempt: u32,
    ) -> hyper::Request<Full<Bytes>> {
        let load = &self.desk.load;
        let identity = &load.identity;
        let order_id = identity.order_id(change.order.index);
        let first = kind == ChangeType::Placed;
        self.content.clear();
        identity.write_content(attempt, load.workload.payload_bytes, &mut self.content);
        let body = ChangeRequest {
            order_id: first.then_some(order_id),
            to: (!first).then_some(kind),
            change_id: identity.change_id(change.number),
            attempt: identity.attempt_id(attempt),
            content: std::mem::take(&mut self.content),
            directive: self.desk.orders.choices().directive(change.intent),
        };
        self.body.reserve(body.content.len() + 512);
        serde_json::to_writer((&mut self.body).writer(), &body)
            .expect("ids and text always serialise into memory");
        self.content = body.content;
        let uri = if first {
            Uri::from_static("/orders")
        } else {
            self.path.reserve(128);
            write!(self.path, "/orders/{order_id}/transitions")
                .expect("a buffer in memory takes text");
            Uri::from_maybe_shared(self.path.split().freeze())
                .expect("an id and plain words are a path")
        };
        let mut request = hyper::Request::new(Full::new(self.body.split().freeze()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        request
    }
}

fn count(progress: &Progress, outcome: Outcome) {
    if outcome != Outcome::NotSent {
        progress.sent.fetch_add(1, Ordering::Relaxed);
    }
    let counter = match outcome {
        Outcome::Committed => &progress.acknowledged,
        Outcome::Rejected => &progress.rejected,
        Outcome::NotSent | Outcome::Unknown => &progress.unknown,
    };
    counter.fetch_add(1, Ordering::Relaxed);
}
