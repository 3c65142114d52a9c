//! A client that keeps no rule of browsers: it asks what it is told to.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Longer than anything takes.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The whole answer to one request.
pub async fn ask(host: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

/// As far as it gets: nothing, where the connection is closed before.
pub async fn ask_in_vain(host: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    let mut answer = Vec::new();
    if stream.write_all(request.as_bytes()).await.is_ok() {
        let read = stream.read_to_end(&mut answer);
        // What came before an error is there all the same.
        let _ = tokio::time::timeout(PATIENCE, read).await.unwrap();
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// A feed of states, as far as somebody reads it.
pub struct Feed {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Feed {
    /// Asks for it; nothing is read yet.
    pub async fn open(host: &str, place: &str) -> Self {
        let mut stream = TcpStream::connect(host).await.unwrap();
        let request = format!("GET {place}feed HTTP/1.1\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            stream,
            read: Vec::new(),
        }
    }

    /// Whether it is fed, and not told that too many are.
    pub async fn is_granted(&mut self) -> bool {
        let mut status = [0; 12];
        let read = self.stream.read_exact(&mut status);
        let read = tokio::time::timeout(PATIENCE, read).await.unwrap();
        read.is_ok() && status == *b"HTTP/1.1 200"
    }

    /// Reads until this was in it.
    pub async fn until(&mut self, text: &str) {
        let wanted = text.as_bytes();
        let found = |read: &[u8]| read.windows(wanted.len()).any(|w| w == wanted);
        let reading = async {
            while !found(&self.read) {
                // What was looked through is not again, but for a piece that may go on.
                let kept = self.read.len().saturating_sub(wanted.len());
                self.read.drain(..kept);
                let mut chunk = [0; 64 * 1024];
                let n = self.stream.read(&mut chunk).await.unwrap();
                assert!(n > 0, "the feed has ended without {text}");
                self.read.extend_from_slice(&chunk[..n]);
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.unwrap();
    }
}
