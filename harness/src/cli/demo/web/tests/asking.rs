//! A client that keeps no rule of browsers: it asks what it is told to.

use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(180);

/// The whole answer to one request.
pub async fn ask(host: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(host).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
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
