//! A worker: sends changes over a connection of its own, keeps its own rows.

use super::answer::classify;
use super::connection::{Connection, Exchange, Reply};
use super::crew::{Call, Seat};
use super::desk::{Desk, Job, pause};
use super::orders::{Change, Next};
use super::{Progress, Sent};
use crate::history::{Outcome, Request};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Method, Uri};
use relays::order::{ChangeRequest, ChangeType};
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A free connection keeps buffers up to this size, since most connections are free most of the
/// time.
const BUFFER_KEPT: usize = 16 * 1024;

/// This sends changes over a connection of its own, with buffers of its own, and keeps the rows of what it sent.
pub(super) struct Worker {
    desk: Arc<Desk>,
    seat: Arc<Seat>,
    connection: Connection,
    headers: HeaderMap,
    path: BytesMut,
    body: BytesMut,
    content: String,
    rows: Vec<Sent>,
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
            content: String::new(),
            rows: Vec::new(),
            seat: Arc::new(Seat::new()),
            desk,
        }
    }

    /// Connects, and works when it is called.
    pub async fn open_and_work(mut self) -> Vec<Sent> {
        self.connection.prepare().await;
        let job = self.desk.rest(&self.seat, false);
        self.work(job).await
    }

    /// Takes this call, and works on when it is called.
    pub async fn answer(self, call: Call) -> Vec<Sent> {
        let job = self.desk.job(call);
        self.work(job).await
    }

    /// Works until it is told to leave; gives back a row for each attempt, with its number.
    async fn work(mut self, mut job: Option<Job>) -> Vec<Sent> {
        let desk = Arc::clone(&self.desk);
        let mut free_ns = i64::MIN;
        loop {
            if job.is_none() {
                job = match self.connection.idle(self.seat.called()).await {
                    Call::Leave => return self.rows,
                    call => desk.job(call),
                };
            }
            let settled = match job.take() {
                Some(job) => {
                    let next = self.attempt(&job, free_ns).await;
                    free_ns = desk.load.clock.now_ns();
                    self.shed();
                    if next == Next::Repeat {
                        desk.repeat_later(job.change);
                    }
                    next == Next::Settled
                }
                None => false,
            };
            job = desk.rest(&self.seat, settled);
        }
    }

    /// Works as a client that sends its next change when the one before is answered, retries
    /// included. What it sends was not due at any time: it is meant to start when it is sent.
    pub async fn work_closed(mut self, from_ns: i64, until_ns: i64) -> Vec<Sent> {
        self.connection.prepare().await;
        let desk = Arc::clone(&self.desk);
        let clock = desk.load.clock;
        let wait_ns = from_ns.saturating_sub(clock.now_ns()).max(0);
        let begin = tokio::time::sleep(Duration::from_nanos(wait_ns.unsigned_abs()));
        self.connection.idle(begin).await;
        while desk.is_open() && clock.now_ns() < until_ns {
            let mut job = Job {
                change: desk.orders.change(clock.now_ns()),
                held_back: false,
            };
            while self.attempt(&job, i64::MIN).await == Next::Repeat {
                let pause = tokio::time::sleep(pause(job.change.repeats));
                self.connection.idle(pause).await;
                if !desk.is_open() {
                    break;
                }
                job.change.repeats += 1;
                job.change.intended_ns = clock.now_ns();
            }
        }
        self.rows
    }

    /// Lets go of what a large content needed.
    fn shed(&mut self) {
        if self.content.capacity() > BUFFER_KEPT {
            self.content = String::new();
            self.body = BytesMut::new();
        }
    }

    async fn attempt(&mut self, job: &Job, free_ns: i64) -> Next {
        let desk = Arc::clone(&self.desk);
        let change = &job.change;
        let kind = ChangeType::for_version(change.order.version.saturating_add(1));
        let attempt = desk.attempt();
        desk.hot.note(change.order.index);
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
            connecting_ns,
            sent_ns,
            ended_ns,
            ..
        } = exchange;
        let could_ns = change.intended_ns.max(free_ns) + connecting_ns;
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
                held_back: job.held_back,
            },
        ));
        count(&desk.load.progress, outcome);
        if let (Outcome::Committed, Some(answers)) = (outcome, &desk.load.progress.answers) {
            answers.note(attempt, ended_ns);
        }
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
