//! What a server of NATS says of itself to whoever connects, without being asked: one line, bounded.

use serde::Deserialize;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The line comes within this time, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// No such line is longer.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What it says, as far as a stack wants to know it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct NatsInfo {
    /// This is the name that it was started with, or that it gave itself.
    #[serde(rename = "server_name")]
    pub(super) name: String,
    /// This is its version, e.g. `2.15.1`.
    pub(super) version: String,
    /// Whether it has streams, which survive its end.
    #[serde(default)]
    pub(super) jetstream: bool,
}

/// Returns what the server at `HOST:PORT` says of itself; an error says what was there instead.
pub(super) async fn info(address: &str) -> Result<NatsInfo, String> {
    let asked = timeout(ANSWER_WITHIN, listen(address)).await;
    asked.unwrap_or_else(|_| Err(format!("{address} did not answer within {ANSWER_WITHIN:?}")))
}

async fn listen(address: &str) -> Result<NatsInfo, String> {
    let failed = |e: std::io::Error| format!("{address}: {e}");
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    let mut line = Vec::new();
    let mut stream = BufReader::new(stream.take(LINE_BYTES_MAX));
    stream.read_until(b'\n', &mut line).await.map_err(failed)?;
    let line = String::from_utf8_lossy(&line);
    let json = line.strip_prefix("INFO ").ok_or_else(|| {
        let said: String = line.trim_end().chars().take(100).collect();
        format!("{address} said `{said}`, which no NATS server says")
    })?;
    serde_json::from_str(json).map_err(|e| format!("{address} describes itself strangely: {e}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    /// Somebody at this address who says this to whoever comes first.
    async fn who_says(line: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(line.as_bytes()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn given_a_server_when_it_is_connected_to_then_its_name_and_version_are_read() {
        let line = "INFO {\"server_name\":\"n\",\"version\":\"2.15.1\",\"jetstream\":true,\"go\":\"go1.26\"} \r\n";
        let told = info(&who_says(line).await).await.unwrap();
        assert_eq!((told.name.as_str(), told.version.as_str()), ("n", "2.15.1"));
        assert!(told.jetstream);
    }

    #[tokio::test]
    async fn given_anything_else_when_it_is_connected_to_then_the_error_says_what_it_said() {
        for line in [
            "",
            "HTTP/1.1 400 Bad Request\r\n",
            "INFO {}\r\n",
            "INFO {\"server_name\"",
        ] {
            let error = info(&who_says(line).await).await.unwrap_err();
            assert!(error.starts_with("127.0.0.1:"), "{error}");
        }
    }
}
