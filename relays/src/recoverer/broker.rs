//! Ending a transaction of Kafka that another process began, and keeping that process from beginning another one.

use super::frames::{self, ProducerIdentity};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connecting takes no longer than this.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// An answer takes no longer than this.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// No answer that is asked for here is longer than this.
const ANSWER_BYTES_MAX: u32 = 64 * 1024;
/// There is one question on a connection at a time.
const CORRELATION: i32 = 1;

/// The broker's code where a transaction is just ending.
const CONCURRENT_TRANSACTIONS: i16 = 51;

/// What came of the end of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BrokerEnd {
    /// It has ended as it was to, now or before.
    AsAsked,
    /// It has ended otherwise, or was never begun; in the broker's words.
    Otherwise(String),
}

/// Asks the coordinator of a transaction, which one of these brokers names, to end it. An error says why that is
/// worth another try.
pub(super) async fn end(
    bootstrap: &str,
    producer: &ProducerIdentity,
    is_commit: bool,
) -> Result<BrokerEnd, String> {
    let coordinator = find(bootstrap, &producer.transactional_id).await?;
    let question = frames::end_transaction(CORRELATION, producer, is_commit);
    let failed = |reason: &str| format!("ending a transaction at {coordinator}: {reason}");
    let code = code(&coordinator, &question)
        .await
        .map_err(|e| failed(&e))?;
    meaning(code).map_err(|e| failed(&e))
}

/// Asks for a new producer by the same transactional id: whatever the one that had it sends, or has sent and is still on
/// its way, the broker refuses from then on, and aborts what that has begun meanwhile. Says whether this is so now; where
/// not, the broker is just ending a transaction of it.
pub(super) async fn fence(bootstrap: &str, transactional_id: &str) -> Result<bool, String> {
    let coordinator = find(bootstrap, transactional_id).await?;
    let question = frames::take_over(CORRELATION, transactional_id);
    let failed = |reason: &str| format!("taking a producer over at {coordinator}: {reason}");
    match code(&coordinator, &question)
        .await
        .map_err(|e| failed(&e))?
    {
        0 => Ok(true),
        CONCURRENT_TRANSACTIONS => Ok(false),
        code => Err(failed(&words(code))),
    }
}

/// Returns the coordinator of a transactional id, as the first of these brokers that can tell names it.
async fn find(bootstrap: &str, transactional_id: &str) -> Result<String, String> {
    let mut failure = "there is no address of a broker".to_owned();
    for address in bootstrap.split(',').map(str::trim) {
        match coordinator(address, transactional_id).await {
            Ok(coordinator) => return Ok(coordinator),
            Err(reason) => failure = reason,
        }
    }
    Err(failure)
}

async fn coordinator(address: &str, transactional_id: &str) -> Result<String, String> {
    let failed = |reason: &str| format!("asking {address} who coordinates a transaction: {reason}");
    let question = frames::find_coordinator(CORRELATION, transactional_id);
    let answer = ask(address, &question).await.map_err(|e| failed(&e))?;
    match frames::coordinator(&answer, CORRELATION).map_err(|e| failed(&e))? {
        Ok((host, port)) if host.contains(':') => Ok(format!("[{host}]:{port}")),
        Ok((host, port)) => Ok(format!("{host}:{port}")),
        Err(code) => Err(failed(&words(code))),
    }
}

/// Asks a coordinator, and returns its code.
async fn code(coordinator: &str, question: &[u8]) -> Result<i16, String> {
    let answer = ask(coordinator, question).await?;
    frames::code(&answer, CORRELATION)
}

/// What a code says of a transaction; the error is that of a broker that cannot say yet.
fn meaning(code: i16) -> Result<BrokerEnd, String> {
    match code {
        0 => Ok(BrokerEnd::AsAsked),
        // By its timeout, by a producer that took the id over, or earlier in the other way.
        47 | 48 | 49 | 90 => Ok(BrokerEnd::Otherwise(words(code))),
        _ => Err(words(code)),
    }
}

/// The broker's word for an error code, with what it means here.
fn words(code: i16) -> String {
    let name = match code {
        14 => "COORDINATOR_LOAD_IN_PROGRESS: it is just starting",
        15 => "COORDINATOR_NOT_AVAILABLE: it is just starting",
        16 => "NOT_COORDINATOR: another broker is",
        35 => "UNSUPPORTED_VERSION: it takes a broker of 2.7 or newer",
        47 => "INVALID_PRODUCER_EPOCH: the broker, or another producer of this id, has ended it",
        48 => "INVALID_TXN_STATE: it is not open, or ended otherwise",
        49 => "INVALID_PRODUCER_ID_MAPPING: the broker has forgotten it",
        CONCURRENT_TRANSACTIONS => "CONCURRENT_TRANSACTIONS: it is just ending",
        53 => "TRANSACTIONAL_ID_AUTHORIZATION_FAILED: this client may not end it",
        90 => "PRODUCER_FENCED: the broker, or another producer of this id, has ended it",
        _ => return format!("the broker's error {code}"),
    };
    format!("the broker's error {code}, {name}")
}

/// Sends one request, and reads its answer.
async fn ask(address: &str, question: &[u8]) -> Result<Vec<u8>, String> {
    let connected = timeout(CONNECT_WITHIN, TcpStream::connect(address)).await;
    let mut stream = connected
        .map_err(|_| format!("no connection within {CONNECT_WITHIN:?}"))?
        .map_err(|e| e.to_string())?;
    let exchange = async {
        stream
            .write_all(question)
            .await
            .map_err(|e| e.to_string())?;
        let length = stream.read_u32().await.map_err(|e| e.to_string())?;
        if length > ANSWER_BYTES_MAX {
            return Err(format!(
                "an answer of {length} bytes: is this a Kafka broker?"
            ));
        }
        let mut answer = vec![0; length as usize];
        let read = stream.read_exact(&mut answer).await;
        read.map(|_| answer).map_err(|e| e.to_string())
    };
    let answer = timeout(ANSWER_WITHIN, exchange).await;
    answer.map_err(|_| format!("no answer within {ANSWER_WITHIN:?}"))?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn given_a_code_then_it_is_an_end_another_end_or_worth_another_try() {
        assert_eq!(meaning(0), Ok(BrokerEnd::AsAsked));
        for code in [47, 48, 49, 90] {
            assert!(
                matches!(meaning(code), Ok(BrokerEnd::Otherwise(_))),
                "{code}"
            );
        }
        assert!(meaning(51).unwrap_err().contains("CONCURRENT_TRANSACTIONS"));
        assert_eq!(meaning(77).unwrap_err(), "the broker's error 77");
    }

    #[tokio::test]
    async fn given_something_that_is_no_broker_when_it_is_asked_then_the_error_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n")
                .await
                .unwrap();
        });
        let asked = coordinator(&address, "tx").await;
        assert!(asked.unwrap_err().contains("is this a Kafka broker?"));
    }

    #[tokio::test]
    async fn given_nobody_when_a_transaction_is_to_be_ended_then_the_error_says_who_was_asked() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        drop(listener);
        let producer = ProducerIdentity {
            transactional_id: "tx".into(),
            producer_id: 1,
            producer_epoch: 0,
        };
        let error = end(&address, &producer, true).await.unwrap_err();
        assert!(
            error.starts_with(&format!("asking {address} who")),
            "{error}"
        );
    }
}
