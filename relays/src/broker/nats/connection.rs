//! One connection to a server of NATS, which never comes back by itself: what was sent on it and not answered is in
//! doubt, and what comes next must not overtake it.

use super::wire::{Said, hear};
use serde::Deserialize;
use std::collections::VecDeque;
use std::io;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// So much is read at once.
const READ_BYTES: usize = 64 * 1024;

/// A socket, and the bytes that are on their way out and in.
pub(super) struct Connection {
    socket: Arc<TcpStream>,
    /// What the server has to say comes to subjects that begin with this.
    inbox: Arc<str>,
    /// The server takes no larger message, headers included.
    max_payload_bytes: usize,
    unsent: VecDeque<u8>,
    /// One event at a time is put together here.
    draft: Vec<u8>,
    unread: Vec<u8>,
    chunk: Box<[u8]>,
}

/// What the server says of itself, as far as it matters.
#[derive(Deserialize)]
struct ServerInfo {
    #[serde(default)]
    headers: bool,
    #[serde(default)]
    jetstream: bool,
    max_payload: usize,
}

impl Connection {
    /// Connects and subscribes to an inbox of its own; an Err says why that was not done in time.
    pub async fn open(address: &str, within: Duration) -> Result<Self, String> {
        let opened = timeout(within, Self::try_open(address)).await;
        opened.unwrap_or_else(|_| Err(format!("no answer within {within:?}")))
    }

    async fn try_open(address: &str) -> Result<Self, String> {
        let socket = TcpStream::connect(address)
            .await
            .map_err(|e| e.to_string())?;
        socket.set_nodelay(true).map_err(|e| e.to_string())?;
        let mut connection = Self {
            socket: Arc::new(socket),
            inbox: format!("_INBOX.{}.", uuid::Uuid::new_v4().simple()).into(),
            max_payload_bytes: 0,
            unsent: VecDeque::new(),
            draft: Vec::new(),
            unread: Vec::new(),
            chunk: vec![0; READ_BYTES].into(),
        };
        let info = connection.greeting().await?;
        if !info.headers || !info.jetstream {
            return Err("the server has no JetStream: start it with `jetstream` on".to_owned());
        }
        connection.max_payload_bytes = info.max_payload;
        let inbox = connection.inbox();
        connection.say(&format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"lang\":\"rust\",\"version\":\"{}\",\"protocol\":1,\
             \"name\":\"outbox-relay\",\"headers\":true,\"no_responders\":true}}\r\nSUB {inbox}* 1\r\n",
            env!("CARGO_PKG_VERSION")
        ));
        Ok(connection)
    }

    /// Waits for the line in which a server introduces itself.
    async fn greeting(&mut self) -> Result<ServerInfo, String> {
        loop {
            let mut greeting = None;
            self.turn(&mut |said, _| {
                if let Said::Info(json) = said {
                    greeting = Some(serde_json::from_slice(json).map_err(|e| e.to_string()));
                }
            })?;
            match greeting {
                Some(info) => return info,
                None => self.watch().changed().await,
            }
        }
    }

    /// Returns what begins the subjects of this connection's answers.
    pub fn inbox(&self) -> Arc<str> {
        Arc::clone(&self.inbox)
    }

    /// Returns how many bytes a message may have, headers included.
    pub fn max_payload_bytes(&self) -> usize {
        self.max_payload_bytes
    }

    /// Returns how many bytes wait for room in the socket.
    pub fn unsent_bytes(&self) -> usize {
        self.unsent.len()
    }

    /// Queues what `put` writes; it goes out with the next [`Connection::turn`].
    pub fn queue(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        self.draft.clear();
        put(&mut self.draft);
        self.unsent.extend(&self.draft);
    }

    /// Queues these lines.
    pub fn say(&mut self, lines: &str) {
        self.unsent.extend(lines.as_bytes());
    }

    /// Sends what there is room for, and shows what has come, with the inbox. It never waits. An Err says why the
    /// connection is over.
    pub fn turn(&mut self, each: &mut dyn FnMut(&Said<'_>, &str)) -> Result<(), String> {
        // What was answered before the end is as good as any answer, so an error while sending comes second.
        let sent = self.send();
        loop {
            let read = match self.socket.try_read(&mut self.chunk) {
                Ok(0) => return Err("the server closed the connection".to_owned()),
                Ok(read) => read,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.to_string()),
            };
            self.unread.extend_from_slice(&self.chunk[..read]);
            self.listen(each)?;
        }
        sent?;
        // A PONG may have been added.
        self.send()
    }

    /// Takes in what has come whole.
    fn listen(&mut self, each: &mut dyn FnMut(&Said<'_>, &str)) -> Result<(), String> {
        let mut passed = 0;
        while let Some((said, taken)) = hear(&self.unread[passed..])? {
            passed += taken;
            match &said {
                Said::Ping => self.unsent.extend(b"PONG\r\n"),
                Said::Trouble(reason) => return Err(format!("the server said: {reason}")),
                Said::Info(_) | Said::Pong | Said::Message { .. } => each(&said, &self.inbox),
            }
        }
        self.unread.drain(..passed);
        Ok(())
    }

    fn send(&mut self) -> Result<(), String> {
        while !self.unsent.is_empty() {
            let (front, _) = self.unsent.as_slices();
            match self.socket.try_write(front) {
                Ok(sent) => drop(self.unsent.drain(..sent)),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e.to_string()),
            }
        }
        Ok(())
    }

    /// Returns something to wait with until another [`Connection::turn`] is worth it; this connection is not held by it.
    pub fn watch(&self) -> SocketWatch {
        SocketWatch {
            socket: Arc::clone(&self.socket),
            interest: match self.unsent.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            },
        }
    }
}

/// Waits for a socket.
pub(super) struct SocketWatch {
    socket: Arc<TcpStream>,
    interest: Interest,
}

impl SocketWatch {
    /// Completes when something has come, there is room again, or the connection is over. Cancel-safe.
    pub async fn changed(self) {
        // An error shows when the socket is used.
        let _ = self.socket.ready(self.interest).await;
    }
}

/// Appends a question without a payload to what goes to the server.
pub(super) fn ask(out: &mut Vec<u8>, subject: &str, inbox: &str, about: &str) {
    let said = write!(out, "PUB {subject} {inbox}{about} 0\r\n\r\n");
    debug_assert!(said.is_ok(), "a vector takes everything");
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    const WITHIN: Duration = Duration::from_secs(20);
    const GREETING: &str = "INFO {\"headers\":true,\"jetstream\":true,\"max_payload\":1000}\r\n";

    /// Somebody who says this first, and then gives the socket away.
    async fn who_says(
        greeting: &'static str,
    ) -> (String, tokio::sync::oneshot::Receiver<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (give, given) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting.as_bytes()).await.unwrap();
            let _ = give.send(stream);
        });
        (address, given)
    }

    #[tokio::test]
    async fn given_a_server_that_wants_a_sign_of_life_when_it_asks_then_it_is_answered() {
        let (address, server) = who_says(GREETING).await;
        let mut connection = Connection::open(&address, WITHIN).await.unwrap();
        let mut server = server.await.unwrap();
        server.write_all(b"PING\r\n").await.unwrap();
        let mut heard = Vec::new();
        while !String::from_utf8_lossy(&heard).contains("PONG\r\n") {
            connection.turn(&mut |_, _| {}).unwrap();
            tokio::select! {
                () = connection.watch().changed() => {}
                read = server.read_buf(&mut heard) => assert!(read.unwrap() > 0),
            }
        }
        let heard = String::from_utf8(heard).unwrap();
        assert!(heard.starts_with("CONNECT {"), "{heard}");
        assert!(heard.contains(&format!("SUB {}* 1\r\n", connection.inbox())));
    }

    #[tokio::test]
    async fn given_an_answer_and_then_the_end_when_both_are_there_then_the_answer_counts() {
        let (address, server) = who_says(GREETING).await;
        let mut connection = Connection::open(&address, WITHIN).await.unwrap();
        let mut server = server.await.unwrap();
        let answer = format!("MSG {}7 1 2\r\n{{}}\r\n", connection.inbox());
        server.write_all(answer.as_bytes()).await.unwrap();
        drop(server);
        let mut heard = 0;
        let end = loop {
            if let Err(end) = connection.turn(&mut |_, _| heard += 1) {
                break end;
            }
            connection.watch().changed().await;
        };
        assert_eq!(heard, 1, "{end}");
    }

    #[tokio::test]
    async fn given_what_is_no_jetstream_when_it_is_connected_to_then_the_error_says_so() {
        for (greeting, why) in [
            (
                "INFO {\"headers\":true,\"max_payload\":1}\r\n",
                "has no JetStream",
            ),
            ("INFO {}\r\n", "max_payload"),
            ("HTTP/1.1 400 Bad\r\n", "no NATS server"),
            ("-ERR 'Authorization Violation'\r\n", "Authorization"),
        ] {
            let (address, _server) = who_says(greeting).await;
            let Err(error) = Connection::open(&address, WITHIN).await else {
                panic!("{greeting} is no JetStream");
            };
            assert!(error.contains(why), "{error}");
        }
    }

    #[tokio::test]
    async fn given_somebody_who_says_nothing_when_it_is_connected_to_then_it_is_given_up_in_time() {
        let (address, _server) = who_says("").await;
        let opened = Connection::open(&address, Duration::from_millis(50)).await;
        assert!(opened.is_err_and(|error| error.contains("no answer within 50ms")));
    }
}
