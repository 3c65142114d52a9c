//! Whom a consumer calls: an HTTP server on loopback that takes every call, counts it, and leaves none out. What a
//! consumer did by calling is what is told here, not what the consumer says.

use crate::clock::RunClock;
use crate::history::{EffectRow, NONE, Rows};
use crate::identity::Identity;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use relays::consumer::{CallBody, CallTarget, IDEMPOTENCY_KEY};
use relays::signal::monotonic_ns;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// So many calls of one consumer are kept, at some 20 bytes each.
const MOST_CALLS: usize = 50_000_000;
/// Calls that have come are taken within this time, once nobody calls any more.
const END_WITHIN: Duration = Duration::from_secs(5);

/// This is the server that one consumer calls.
pub struct CallSink {
    target: CallTarget,
    calls: Arc<CallLog>,
    ending: Arc<Notify>,
    server: JoinHandle<()>,
}

/// What a sink has taken.
struct CallLog {
    identity: Arc<Identity>,
    consumer: u32,
    most: usize,
    taken: Mutex<TakenCalls>,
}

#[derive(Default)]
struct TakenCalls {
    /// With the time of CLOCK_MONOTONIC.
    rows: Rows<EffectRow>,
    /// There were more.
    is_full: bool,
}

impl CallSink {
    /// Listens on a free port of loopback for the calls of the consumer of this index.
    pub async fn open(identity: Arc<Identity>, consumer: u32) -> Result<Self, String> {
        Self::keeping(MOST_CALLS, identity, consumer).await
    }

    async fn keeping(most: usize, identity: Arc<Identity>, consumer: u32) -> Result<Self, String> {
        let failed = |e: std::io::Error| format!("listen on loopback: {e}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let calls = Arc::new(CallLog {
            identity,
            consumer,
            most,
            taken: Mutex::default(),
        });
        // Whoever else is on this machine finds the port, and not this.
        let path = format!("/calls/{}", Uuid::new_v4().simple());
        let router = Router::new()
            .route(&path, post(take))
            .with_state(Arc::clone(&calls));
        let ending = Arc::new(Notify::new());
        let end = Arc::clone(&ending);
        let server = tokio::spawn(async move {
            let served = axum::serve(listener, router);
            let ended = served.with_graceful_shutdown(async move { end.notified().await });
            if let Err(error) = ended.await {
                tracing::warn!("serving a consumer's calls: {error}");
            }
        });
        Ok(Self {
            target: CallTarget { address, path },
            calls,
            ending,
            server,
        })
    }

    /// Returns where it takes calls.
    pub fn target(&self) -> &CallTarget {
        &self.target
    }

    /// Returns how many calls it has taken so far.
    pub fn taken(&self) -> usize {
        let taken = self.calls.taken.lock();
        taken.unwrap_or_else(PoisonError::into_inner).rows.len()
    }

    /// Ends the server, and returns every call that came to it, in the order in which they came. Nobody calls any more.
    pub async fn calls(mut self, clock: RunClock) -> Result<Rows<EffectRow>, String> {
        self.ending.notify_one();
        let ended = tokio::time::timeout(END_WITHIN, &mut self.server).await;
        ended
            .map_err(|_| format!("a call was not taken within {END_WITHIN:?}"))?
            .map_err(|e| format!("the server of its calls failed: {e}"))?;
        let taken = self.calls.taken.lock();
        let taken = taken.unwrap_or_else(PoisonError::into_inner);
        if taken.is_full {
            return Err(format!("it called more than {} times", self.calls.most));
        }
        let rows = taken.rows.iter().map(|row| EffectRow {
            at_ns: clock.at(row.at_ns.cast_unsigned()),
            ..row
        });
        Ok(rows.collect())
    }
}

impl Drop for CallSink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Takes a call, whether there was one like it or not.
async fn take(
    State(calls): State<Arc<CallLog>>,
    headers: HeaderMap,
    Json(call): Json<CallBody>,
) -> (StatusCode, &'static str) {
    let id = headers.get(IDEMPOTENCY_KEY).and_then(|id| id.to_str().ok());
    let Some(event) = id.and_then(|id| Uuid::try_parse(id).ok()) else {
        return (StatusCode::BAD_REQUEST, "idempotency-key is not a UUID\n");
    };
    let row = EffectRow {
        consumer: calls.consumer,
        order: calls.identity.order_index(call.order_id).unwrap_or(NONE),
        version: u32::try_from(call.version).unwrap_or(0),
        attempt: calls.identity.attempt_number(event).unwrap_or(NONE),
        at_ns: i64::try_from(monotonic_ns()).unwrap_or(i64::MAX),
    };
    let mut taken = calls.taken.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.rows.len() >= calls.most {
        taken.is_full = true;
        return (StatusCode::INSUFFICIENT_STORAGE, "no more calls are kept\n");
    }
    taken.rows.push(row);
    (StatusCode::OK, "taken\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::identity::RunKey;

    async fn call(sink: &CallSink, id: &str, order: Uuid, version: i32) -> u16 {
        call_on(&sink.target().path, sink, id, (order, version)).await
    }

    async fn call_on(path: &str, sink: &CallSink, id: &str, (order, version): (Uuid, i32)) -> u16 {
        let body = CallBody {
            order_id: order,
            version,
        };
        let client = crate::http::direct().build().unwrap();
        let request = client
            .post(format!("http://{}{path}", sink.target().address))
            .header(IDEMPOTENCY_KEY, id)
            .json(&body);
        request.send().await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn given_calls_when_one_comes_again_then_both_are_kept_in_their_order() {
        let identity = Arc::new(RunKey::random().identity().unwrap());
        let clock = RunClock::start();
        let sink = CallSink::keeping(3, Arc::clone(&identity), 1)
            .await
            .unwrap();
        let (order, event) = (identity.order_id(4), identity.attempt_id(9).to_string());
        assert_eq!(call(&sink, &event, order, 2).await, 200);
        assert_eq!(call(&sink, "nobody", order, 2).await, 400);
        // Who does not know its path is not counted.
        for path in ["/calls", "/calls/0"] {
            assert_eq!(call_on(path, &sink, &event, (order, 2)).await, 404);
        }
        let foreign = Uuid::from_u128(7);
        assert_eq!(call(&sink, &foreign.to_string(), foreign, -1).await, 200);
        assert_eq!(call(&sink, &event, order, 2).await, 200);
        let rows = sink.calls(clock).await.unwrap();
        let kept = |row: EffectRow| (row.consumer, row.order, row.version, row.attempt);
        assert_eq!(
            rows.iter().map(kept).collect::<Vec<_>>(),
            [(1, 4, 2, 9), (1, NONE, 0, NONE), (1, 4, 2, 9)]
        );
        let times: Vec<i64> = rows.iter().map(|row| row.at_ns).collect();
        assert!(times.is_sorted() && times[0] > 0, "{times:?}");
    }

    #[tokio::test]
    async fn given_more_calls_than_are_kept_then_it_says_so_and_no_count_is_told() {
        let identity = Arc::new(RunKey::random().identity().unwrap());
        let sink = CallSink::keeping(1, Arc::clone(&identity), 0)
            .await
            .unwrap();
        let (order, event) = (identity.order_id(4), identity.attempt_id(9).to_string());
        assert_eq!(call(&sink, &event, order, 1).await, 200);
        assert_eq!(call(&sink, &event, order, 1).await, 507);
        let told = sink.calls(RunClock::start()).await.unwrap_err();
        assert_eq!(told, "it called more than 1 times");
    }
}
