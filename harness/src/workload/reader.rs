//! A reader: asks for orders over a connection of its own, keeps its own rows.

use super::connection::{Connection, Exchange, Reply};
use super::crew::{Call, Seat};
use super::reads::{ReadDesk, ReadTick};
use crate::history::{ReadOutcome, ReadRow, ReadSource};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Uri;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use relays::cache::AnsweredFrom;
use serde::Deserialize;
use std::sync::Arc;
use uuid::Uuid;

/// Reads over a connection of its own.
pub(super) struct Reader {
    desk: Arc<ReadDesk>,
    seat: Arc<Seat>,
    connection: Connection,
    headers: HeaderMap,
    rows: Vec<ReadTick>,
}

/// What is read of an answer.
#[derive(Deserialize)]
struct AnsweredOrder {
    order_id: Uuid,
    version: u32,
}

impl Reader {
    pub fn new(desk: Arc<ReadDesk>) -> Self {
        let load = desk.load();
        let mut headers = HeaderMap::with_capacity(2);
        if let Ok(host) = HeaderValue::from_str(&load.service.to_string()) {
            headers.insert(HOST, host);
        }
        Self {
            connection: Connection::new(load.service, load.clock, load.workload.request_timeout),
            headers,
            rows: Vec::new(),
            seat: Arc::new(Seat::new()),
            desk,
        }
    }

    /// Makes this read, and works on when it is called; gives back a row for each read, with its number.
    pub async fn begin_with(mut self, first: u64) -> Vec<ReadTick> {
        let desk = Arc::clone(&self.desk);
        let (mut tick, mut held_back) = (Some(first), false);
        let mut free_ns = i64::MIN;
        loop {
            let number = match tick {
                Some(number) => number,
                None => match self.connection.idle(self.seat.called()).await {
                    Call::Tick(number) => number,
                    Call::Repeat | Call::Leave => return self.rows,
                },
            };
            self.read(number, held_back && tick.is_some(), free_ns)
                .await;
            free_ns = desk.load().clock.now_ns();
            tick = desk.rest(&self.seat);
            held_back = true;
        }
    }

    async fn read(&mut self, tick: u64, held_back: bool, free_ns: i64) {
        let (intended_ns, order) = self.desk.read(tick);
        let id = self.desk.load().identity.order_id(order);
        let exchange = self.connection.exchange(self.request(id)).await;
        let Exchange {
            reply,
            connecting_ns,
            sent_ns,
            ended_ns,
        } = exchange;
        let (outcome, version) = match reply {
            Reply::NotSent => (ReadOutcome::NotSent, 0),
            Reply::Broken(_) => (ReadOutcome::Failed, 0),
            Reply::Answered(status) => classify_read(status, self.connection.answer(), id),
        };
        let source = match outcome {
            ReadOutcome::Answered | ReadOutcome::NotFound => {
                source(self.connection.answered_from())
            }
            ReadOutcome::NotSent | ReadOutcome::Failed => ReadSource::Unknown,
        };
        let could_ns = intended_ns.max(free_ns) + connecting_ns;
        let row = ReadRow {
            order,
            intended_ns,
            sent_ns,
            ended_ns,
            lag_ns: sent_ns.saturating_sub(could_ns).max(0),
            held_back,
            outcome,
            source,
            version,
        };
        self.rows.push((tick, row));
    }

    fn request(&self, order: Uuid) -> hyper::Request<Full<Bytes>> {
        let uri = Uri::try_from(format!("/orders/{order}")).expect("an id and a word are a path");
        let mut request = hyper::Request::new(Full::default());
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// What an answer says of this order: the version, or that there is none; anything else says nothing.
fn classify_read(status: u16, body: &[u8], order: Uuid) -> (ReadOutcome, u32) {
    match status {
        200 => match serde_json::from_slice(body) {
            Ok(AnsweredOrder { order_id, version }) if order_id == order && version > 0 => {
                (ReadOutcome::Answered, version)
            }
            Ok(_) | Err(_) => (ReadOutcome::Failed, 0),
        },
        404 => (ReadOutcome::NotFound, 0),
        _ => (ReadOutcome::Failed, 0),
    }
}

fn source(from: Option<AnsweredFrom>) -> ReadSource {
    match from {
        Some(AnsweredFrom::Hit) => ReadSource::Cache,
        Some(AnsweredFrom::Miss) => ReadSource::Database,
        Some(AnsweredFrom::Unreachable) => ReadSource::Fallback,
        None => ReadSource::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORDER: Uuid = Uuid::from_u128(7);

    #[test]
    fn given_answers_then_only_a_version_of_the_order_that_was_asked_for_is_one() {
        let of = |order: Uuid, version: u32| {
            format!("{{\"order_id\":\"{order}\",\"version\":{version},\"state\":\"paid\"}}")
        };
        let right = of(ORDER, 4);
        let read = |status, body: &str| classify_read(status, body.as_bytes(), ORDER);
        assert_eq!(read(200, &right), (ReadOutcome::Answered, 4));
        assert_eq!(read(404, "{}"), (ReadOutcome::NotFound, 0));
        let another = of(Uuid::from_u128(8), 4);
        for (status, body) in [
            (200, another.as_str()),
            (200, of(ORDER, 0).as_str()),
            (200, "{}"),
            (201, right.as_str()),
            (503, right.as_str()),
            (405, ""),
        ] {
            assert_eq!(
                read(status, body),
                (ReadOutcome::Failed, 0),
                "{status} {body}"
            );
        }
    }

    proptest! {
        #[test]
        fn given_any_answer_then_nothing_panics(status: u16, body: Vec<u8>) {
            let (outcome, version) = classify_read(status, &body, ORDER);
            prop_assert_eq!(outcome == ReadOutcome::Answered, version > 0);
        }
    }
}
