//! HTTP to whoever is called: one connection, which is kept.

use super::batch::ConsumedEvent;
use super::ending::EndSignal;
use bytes::Bytes;
use contract::consumer::{CallBody, CallTarget, IDEMPOTENCY_KEY};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A call with its answer takes this long at most. Long enough that the one who is called may stand still for a while,
/// with all else on its machine: what it had taken by then would be called for twice.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Nobody who is called has more to say.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(super) struct SinkClient {
    sink: CallTarget,
    answer_within: Duration,
    connection: Option<http1::SendRequest<Full<Bytes>>>,
}

impl SinkClient {
    pub fn new(sink: CallTarget) -> Self {
        Self {
            sink,
            answer_within: ANSWER_WITHIN,
            connection: None,
        }
    }

    /// Calls once, for one event. After an Err the call may have come or not.
    pub async fn call(&mut self, event: ConsumedEvent, ending: &EndSignal) -> Result<(), String> {
        let within = self.answer_within;
        let answered = tokio::select! {
            answered = timeout(within, self.exchange(event)) => answered,
            () = ending.over() => Ok(Err("it was told to end, and waits no longer".to_owned())),
        };
        let address = self.sink.address;
        let reason = match answered {
            Ok(Ok(status)) if status.is_success() => return Ok(()),
            // The connection is as good as before.
            Ok(Ok(status)) => return Err(format!("call {address}: it answered {status}")),
            Ok(Err(reason)) => reason,
            Err(_) => format!("no answer within {within:?}"),
        };
        // Its answer may still be on the way: of no more use.
        self.connection = None;
        Err(format!("call {address}: {reason}"))
    }

    async fn exchange(&mut self, event: ConsumedEvent) -> Result<StatusCode, String> {
        let request = self.request(event)?;
        let mut connection = match self.connection.take() {
            Some(open) if !open.is_closed() => open,
            Some(_) | None => self.connect().await?,
        };
        let answer = connection.send_request(request).await;
        let (head, body) = answer.map_err(|e| e.to_string())?.into_parts();
        // Only behind the whole answer there is room for the next one.
        let whole = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        whole.map_err(|e| format!("its answer: {e}"))?;
        connection.ready().await.map_err(|e| e.to_string())?;
        self.connection = Some(connection);
        Ok(head.status)
    }

    fn request(&self, event: ConsumedEvent) -> Result<Request<Full<Bytes>>, String> {
        let body = CallBody {
            order_id: event.order,
            version: event.version,
        };
        let body = serde_json::to_vec(&body).map_err(|e| e.to_string())?;
        let request = Request::post(self.sink.path.as_str())
            .header("host", self.sink.address.to_string())
            .header("content-type", "application/json")
            .header(IDEMPOTENCY_KEY, event.id.to_string())
            .body(Full::new(Bytes::from(body)));
        request.map_err(|e| e.to_string())
    }

    async fn connect(&self) -> Result<http1::SendRequest<Full<Bytes>>, String> {
        let stream = TcpStream::connect(self.sink.address).await;
        let stream = stream.map_err(|e| e.to_string())?;
        stream.set_nodelay(true).map_err(|e| e.to_string())?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| e.to_string())?;
        // It ends with the connection, whose end shows at the next call.
        tokio::spawn(driver);
        Ok(connection)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::post;
    use tokio::net::TcpListener;
    use uuid::Uuid;

    /// A client of somebody who never answers.
    async fn unanswered() -> SinkClient {
        let never = post(std::future::pending::<&'static str>);
        let router = Router::new().route("/calls", never);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = CallTarget {
            address: listener.local_addr().unwrap(),
            path: "/calls".to_owned(),
        };
        tokio::spawn(async move { axum::serve(listener, router).await });
        SinkClient::new(sink)
    }

    const EVENT: ConsumedEvent = ConsumedEvent {
        order: Uuid::from_u128(7),
        version: 1,
        id: Uuid::from_u128(1),
    };

    #[tokio::test]
    async fn given_a_call_that_is_never_answered_then_it_fails_in_time_and_earlier_when_told_to_end()
     {
        let ending = EndSignal::default();
        let mut client = unanswered().await;
        client.answer_within = Duration::from_millis(50);
        let late = client.call(EVENT, &ending).await.unwrap_err();
        assert!(late.contains("no answer within 50ms"), "{late}");
        // As long as it usually waits, and told to end meanwhile.
        let mut client = unanswered().await;
        ending.tell();
        let told = client.call(EVENT, &ending).await.unwrap_err();
        assert!(told.contains("told to end"), "{told}");
    }
}
