//! HTTP to whoever is called: one connection, which is kept.

use super::batch::ConsumedEvent;
use bytes::Bytes;
use contract::consumer::{CallBody, IDEMPOTENCY_KEY};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A call with its answer takes this long at most.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Nobody who is called has more to say.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

pub(super) struct SinkClient {
    sink: SocketAddr,
    connection: Option<http1::SendRequest<Full<Bytes>>>,
}

impl SinkClient {
    pub fn new(sink: SocketAddr) -> Self {
        Self {
            sink,
            connection: None,
        }
    }

    /// Calls once, for one event. After an Err the call may have come or not.
    pub async fn call(&mut self, event: ConsumedEvent) -> Result<(), String> {
        let reason = match timeout(ANSWER_WITHIN, self.exchange(event)).await {
            Ok(Ok(status)) if status.is_success() => return Ok(()),
            // The connection is as good as before.
            Ok(Ok(status)) => return Err(format!("call {}: it answered {status}", self.sink)),
            Ok(Err(reason)) => reason,
            Err(_) => format!("no answer within {ANSWER_WITHIN:?}"),
        };
        // Its answer may still be on the way: of no more use.
        self.connection = None;
        Err(format!("call {}: {reason}", self.sink))
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
        let request = Request::post("/calls")
            .header("host", self.sink.to_string())
            .header("content-type", "application/json")
            .header(IDEMPOTENCY_KEY, event.id.to_string())
            .body(Full::new(Bytes::from(body)));
        request.map_err(|e| e.to_string())
    }

    async fn connect(&self) -> Result<http1::SendRequest<Full<Bytes>>, String> {
        let stream = TcpStream::connect(self.sink).await;
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
