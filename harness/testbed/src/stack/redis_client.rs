//! A question to Redis, and its answer, as far as a stack asks any: a line in, a reply out (RESP), bounded.

use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// An answer comes within this time, connecting included.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// No answer to what is asked here is longer.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A Redis answers at `HOST:PORT`, and takes commands; an error says what was there instead.
pub(super) async fn answers(address: &str) -> Result<(), String> {
    match ask(address, "PING").await?.as_str() {
        "PONG" => Ok(()),
        said => Err(format!("{address} said `{said}` to a PING")),
    }
}

/// Returns the server's version, e.g. `7.0.15`.
pub(super) async fn version(address: &str) -> Result<String, String> {
    let said = ask(address, "INFO server").await?;
    let mut lines = said.lines();
    let version = lines.find_map(|line| line.strip_prefix("redis_version:"));
    let version = version.ok_or_else(|| format!("{address} does not say its version"))?;
    Ok(version.trim().to_owned())
}

/// An error says that the server lets entries go when its memory is full: what keeps an old fill away would be gone
/// silently.
pub(super) async fn keeps_everything(address: &str) -> Result<(), String> {
    let said = ask(address, "INFO memory").await?;
    let field = |name: &str| {
        let mut lines = said.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.map(str::trim)
    };
    match (field("maxmemory"), field("maxmemory_policy")) {
        (Some("0"), _) | (_, Some("noeviction") | None) => Ok(()),
        (_, Some(policy)) => Err(format!(
            "{address} evicts entries when its memory is full (maxmemory-policy {policy}), and a run could not \
             tell that from a mistake of the system under test: set maxmemory-policy to noeviction, or maxmemory to 0"
        )),
    }
}

/// Asks one line, and returns the text of the reply.
async fn ask(address: &str, line: &str) -> Result<String, String> {
    let asked = timeout(ANSWER_WITHIN, exchange(address, line)).await;
    asked.unwrap_or_else(|_| Err(format!("{address} did not answer within {ANSWER_WITHIN:?}")))
}

async fn exchange(address: &str, line: &str) -> Result<String, String> {
    let failed = |e: std::io::Error| format!("{address}: {e}");
    let stream = TcpStream::connect(address).await.map_err(failed)?;
    let mut stream = BufReader::new(stream.take(ANSWER_BYTES_MAX as u64));
    let asked = format!("{line}\r\n");
    let sent = stream.get_mut().get_mut().write_all(asked.as_bytes());
    sent.await.map_err(failed)?;
    let mut first = String::new();
    stream.read_line(&mut first).await.map_err(failed)?;
    let first = first.trim_end();
    if let Some(text) = first.strip_prefix('+') {
        return Ok(text.to_owned());
    }
    let length = first
        .strip_prefix('$')
        .and_then(|length| length.parse().ok());
    match length {
        Some(length) if length <= ANSWER_BYTES_MAX => {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.map_err(failed)?;
            Ok(String::from_utf8_lossy(&body).into_owned())
        }
        _ => Err(format!("{address} answered `{first}` to {line}")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Somebody at this address who answers one line with this.
    async fn who_says(reply: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 64]).await;
            stream.write_all(reply.as_bytes()).await.unwrap();
        });
        address
    }

    #[tokio::test]
    async fn given_a_server_when_it_is_asked_then_its_pong_and_its_version_are_read() {
        assert_eq!(answers(&who_says("+PONG\r\n").await).await, Ok(()));
        let info = "$36\r\n# Server\r\nredis_version:7.0.15\r\na:b\r\n\r\n";
        assert_eq!(
            version(&who_says(info).await).await,
            Ok("7.0.15".to_owned())
        );
    }

    #[tokio::test]
    async fn given_a_server_that_would_evict_when_it_is_asked_then_it_is_refused_with_what_to_do() {
        for (reply, keeps) in [
            ("$35\r\nmaxmemory:0\r\nmaxmemory_policy:lru\r\n\r\n", true),
            (
                "$42\r\nmaxmemory:9\r\nmaxmemory_policy:noeviction\r\n\r\n",
                true,
            ),
            (
                "$43\r\nmaxmemory:9\r\nmaxmemory_policy:allkeys-lru\r\n\r\n",
                false,
            ),
        ] {
            let kept = keeps_everything(&who_says(reply).await).await;
            assert_eq!(kept.is_ok(), keeps, "{reply:?}: {kept:?}");
            if let Err(reason) = kept {
                assert!(
                    reason.contains("set maxmemory-policy to noeviction"),
                    "{reason}"
                );
            }
        }
    }

    #[tokio::test]
    async fn given_anything_else_when_it_is_asked_then_the_error_says_what_was_answered() {
        let loading = "-LOADING Redis is loading the dataset in memory\r\n";
        let told = answers(&who_says(loading).await).await;
        assert!(told.unwrap_err().contains("LOADING"));
        let error = version(&who_says("-NOAUTH Authentication required.\r\n").await).await;
        assert!(error.unwrap_err().contains("NOAUTH"));
        for reply in [
            "",
            "HTTP/1.1 400 Bad\r\n\r\n",
            "$999999999999\r\n",
            "$-1\r\n",
            "$5\r\nab",
        ] {
            assert!(version(&who_says(reply).await).await.is_err(), "{reply:?}");
        }
    }
}
