//! An order service that behaves as it is told, down to the bytes on the connection.

use relays::order::ChangeRequest;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

/// A request as it came in.
#[derive(Debug, Clone)]
pub struct Seen {
    pub order: Uuid,
    pub path: String,
    pub body: ChangeRequest,
    /// Whether another request of the same order had no answer yet.
    pub overlaps: bool,
}

/// What the service does with a request.
pub enum Reaction {
    /// Commits it as the order's next version (or the one its change already has).
    Commit,
    /// The same, after a pause.
    CommitAfter(Duration),
    /// Commits it and closes the idle connection behind the answer.
    CommitAndClose,
    /// An answer with this status and body.
    Answer(u16, &'static str),
    /// These bytes, then the end of the connection.
    Bytes(&'static str),
    /// A reset.
    Reset,
    /// No answer.
    Silence,
}

#[derive(Default)]
struct State {
    seen: Vec<Seen>,
    changes: HashMap<Uuid, Vec<Uuid>>,
    in_flight: HashMap<Uuid, u32>,
    /// All that are in flight, and the most there were at a time.
    flying: (usize, usize),
    /// Connections that are open, and all that ever were.
    connections: (usize, usize),
}

/// The service; it ends with the runtime of its test.
pub struct FakeService {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl FakeService {
    pub async fn start(react: impl Fn(&Seen, usize) -> Reaction + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let react = Arc::new(react);
        tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (state, react) = (Arc::clone(&state), Arc::clone(&react));
                    tokio::spawn(async move {
                        {
                            let mut state = state.lock().unwrap();
                            state.connections.0 += 1;
                            state.connections.1 += 1;
                        }
                        serve(stream, Arc::clone(&state), react).await;
                        state.lock().unwrap().connections.0 -= 1;
                    });
                }
            }
        });
        Self { address, state }
    }

    /// Everything that came in, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// The most requests that had no answer at a time.
    pub fn most_in_flight(&self) -> usize {
        self.state.lock().unwrap().flying.1
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections.0
    }

    /// Connections that were ever opened.
    pub fn opened(&self) -> usize {
        self.state.lock().unwrap().connections.1
    }
}

async fn serve(
    mut stream: TcpStream,
    state: Arc<Mutex<State>>,
    react: Arc<impl Fn(&Seen, usize) -> Reaction>,
) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = Vec::new();
    while let Some((path, body)) = read_request(&mut stream, &mut buffer).await {
        let order = match body.order_id {
            Some(id) => id,
            None => path.split('/').nth(2).unwrap().parse().unwrap(),
        };
        let reaction = {
            let mut state = state.lock().unwrap();
            let in_flight = state.in_flight.entry(order).or_default();
            *in_flight += 1;
            let overlaps = *in_flight > 1;
            state.flying.0 += 1;
            state.flying.1 = state.flying.1.max(state.flying.0);
            let seen = Seen {
                order,
                path,
                body: body.clone(),
                overlaps,
            };
            let reaction = react(&seen, state.seen.len());
            state.seen.push(seen);
            reaction
        };
        if let Reaction::CommitAfter(pause) = reaction {
            tokio::time::sleep(pause).await;
        }
        let reply = match reaction {
            Reaction::Commit | Reaction::CommitAfter(_) | Reaction::CommitAndClose => {
                let version = commit(&state, order, body.change_id);
                let answer = format!(r#"{{"outcome":"committed","version":{version}}}"#);
                response(if version == 1 { 201 } else { 200 }, &answer)
            }
            Reaction::Answer(status, body) => response(status, body),
            Reaction::Bytes(bytes) => bytes.to_owned(),
            Reaction::Silence => std::future::pending().await,
            Reaction::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
        };
        {
            let mut state = state.lock().unwrap();
            *state.in_flight.get_mut(&order).unwrap() -= 1;
            state.flying.0 -= 1;
        }
        if stream.write_all(reply.as_bytes()).await.is_err() {
            return;
        }
        if matches!(reaction, Reaction::CommitAndClose | Reaction::Bytes(_)) {
            return;
        }
    }
}

fn commit(state: &Mutex<State>, order: Uuid, change: Uuid) -> usize {
    let mut state = state.lock().unwrap();
    let changes = state.changes.entry(order).or_default();
    let known = changes.iter().position(|&c| c == change);
    known.unwrap_or_else(|| {
        changes.push(change);
        changes.len() - 1
    }) + 1
}

fn response(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
) -> Option<(String, ChangeRequest)> {
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let length: usize = head
                .lines()
                .find_map(|l| l.strip_prefix("content-length: "))
                .unwrap()
                .parse()
                .unwrap();
            if buffer.len() >= end + 4 + length {
                assert!(head.contains("\r\nhost: 127.0.0.1:"), "{head}");
                let path = head.split(' ').nth(1).unwrap().to_owned();
                let body = serde_json::from_slice(&buffer[end + 4..end + 4 + length]).unwrap();
                buffer.drain(..end + 4 + length);
                return Some((path, body));
            }
        }
        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}
