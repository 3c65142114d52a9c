//! One HTTP/1.1 connection, driven by the task that uses it. No pool, and nothing is ever sent
//! twice behind the caller's back: a repeated request would be an attempt nobody recorded.

use crate::clock::RunClock;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use relays::cache::{ANSWERED_FROM, AnsweredFrom};
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// A longer answer is none that the order service gives.
const ANSWER_MAX: usize = 64 * 1024;

type Body = Full<Bytes>;

struct Http {
    sender: http1::SendRequest<Body>,
    driver: http1::Connection<TokioIo<TcpStream>, Body>,
    over: bool,
}

/// This is a connection to the order service, or the lack of one.
pub(crate) struct Connection {
    service: SocketAddr,
    clock: RunClock,
    timeout: Duration,
    /// The timer is made once and reset for every request.
    timer: Pin<Box<Sleep>>,
    http: Option<Http>,
    answer: Vec<u8>,
    answered_from: Option<AnsweredFrom>,
}

/// This says how a request went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reply {
    /// No connection could be made: nothing was sent.
    NotSent,
    /// There was a whole answer with this status; see [`Connection::answer`].
    Answered(u16),
    /// There was no whole answer: timeout, reset, not HTTP. It holds the status, if one was read; else 0.
    Broken(u16),
}

/// This is a reply with its times, in ns of run time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    pub reply: Reply,
    /// It took so long, in ns, to connect for this request; it is 0 where the connection was there.
    pub connecting_ns: i64,
    pub sent_ns: i64,
    pub ended_ns: i64,
}

enum Failure {
    /// The connection had ended before a byte of the request was written.
    NeverWritten(Box<Request<Body>>),
    Broken,
}

impl Connection {
    pub fn new(service: SocketAddr, clock: RunClock, timeout: Duration) -> Self {
        Self {
            service,
            clock,
            timeout,
            timer: Box::pin(tokio::time::sleep(timeout)),
            http: None,
            answer: Vec::with_capacity(256),
            answered_from: None,
        }
    }

    /// Connects ahead of the first request, so that it does not pay for it. A failure shows at
    /// the first request.
    pub async fn prepare(&mut self) {
        self.http = self.connect().await.ok();
    }

    /// Waits for `other` and keeps an eye on the idle connection, so that a close by the server
    /// is known before the next request is written into it.
    pub async fn idle<F: Future>(&mut self, other: F) -> F::Output {
        let output = match &mut self.http {
            Some(http) => http.drive(other).await,
            None => other.await,
        };
        self.drop_if_over();
        output
    }

    /// Returns the body of the last answer.
    pub fn answer(&self) -> &[u8] {
        &self.answer
    }

    /// Returns where the last answer is from, if it says so.
    pub fn answered_from(&self) -> Option<AnsweredFrom> {
        self.answered_from
    }

    /// Sends one request. A connection that had ended before a byte was written is replaced, once.
    pub async fn exchange(&mut self, mut request: Request<Body>) -> Exchange {
        let mut sent_ns = self.clock.now_ns();
        let mut connecting_ns = 0;
        for may_replace in [true, false] {
            if self.http.is_none() {
                let began_ns = self.clock.now_ns();
                match self.connect().await {
                    Ok(http) => self.http = Some(http),
                    Err(error) => {
                        tracing::debug!("connecting to the order service failed: {error}");
                        return self.ended(Reply::NotSent, connecting_ns, sent_ns);
                    }
                }
                connecting_ns += self.clock.now_ns() - began_ns;
            }
            let Some(http) = &mut self.http else { break };
            self.answer.clear();
            self.answered_from = None;
            let mut status = 0;
            sent_ns = self.clock.now_ns();
            self.timer.as_mut().reset(Instant::now() + self.timeout);
            let outcome = tokio::select! {
                biased;
                outcome = http.exchange(request, &mut status, (&mut self.answer, &mut self.answered_from)) => outcome,
                () = &mut self.timer => Err(Failure::Broken),
            };
            match outcome {
                Ok(()) => {
                    self.drop_if_over();
                    return self.ended(Reply::Answered(status), connecting_ns, sent_ns);
                }
                Err(Failure::NeverWritten(same)) if may_replace => {
                    self.http = None;
                    request = *same;
                }
                Err(_) => {
                    self.http = None;
                    return self.ended(Reply::Broken(status), connecting_ns, sent_ns);
                }
            }
        }
        self.ended(Reply::Broken(0), connecting_ns, sent_ns)
    }

    fn ended(&self, reply: Reply, connecting_ns: i64, sent_ns: i64) -> Exchange {
        Exchange {
            reply,
            connecting_ns,
            sent_ns,
            ended_ns: self.clock.now_ns(),
        }
    }

    fn drop_if_over(&mut self) {
        if self.http.as_ref().is_some_and(|http| http.over) {
            self.http = None;
        }
    }

    async fn connect(&self) -> Result<Http, String> {
        let stream = tokio::time::timeout(self.timeout, TcpStream::connect(self.service))
            .await
            .map_err(|_| format!("{}: no connection within {:?}", self.service, self.timeout))?
            .map_err(|e| format!("{}: {e}", self.service))?;
        stream
            .set_nodelay(true)
            .map_err(|e| format!("setting TCP_NODELAY: {e}"))?;
        let (sender, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| format!("{}: {e}", self.service))?;
        Ok(Http {
            sender,
            driver,
            over: false,
        })
    }
}

impl Http {
    async fn exchange(
        &mut self,
        request: Request<Body>,
        status: &mut u16,
        (answer, answered_from): (&mut Vec<u8>, &mut Option<AnsweredFrom>),
    ) -> Result<(), Failure> {
        let Self {
            sender,
            driver,
            over,
        } = self;
        if drive(driver, over, sender.ready()).await.is_err() {
            return Err(Failure::NeverWritten(Box::new(request)));
        }
        let response = sender.try_send_request(request);
        let whole = async {
            let mut response = response.await.map_err(|mut e| match e.take_message() {
                Some(request) => Failure::NeverWritten(Box::new(request)),
                None => Failure::Broken,
            })?;
            *status = response.status().as_u16();
            let said = response.headers().get(ANSWERED_FROM);
            let said = said.and_then(|said| said.to_str().ok());
            *answered_from = said.and_then(AnsweredFrom::parse);
            while let Some(frame) = response.body_mut().frame().await {
                let frame = frame.map_err(|_| Failure::Broken)?;
                if let Some(data) = frame.data_ref() {
                    if answer.len() + data.len() > ANSWER_MAX {
                        return Err(Failure::Broken);
                    }
                    answer.extend_from_slice(data);
                }
            }
            Ok(())
        };
        drive(driver, over, whole).await
    }

    async fn drive<F: Future>(&mut self, other: F) -> F::Output {
        drive(&mut self.driver, &mut self.over, other).await
    }
}

/// Polls the connection along with what waits for it, in one task: a task of its own would cost
/// two switches a request.
async fn drive<F: Future>(
    driver: &mut http1::Connection<TokioIo<TcpStream>, Body>,
    over: &mut bool,
    other: F,
) -> F::Output {
    let mut other = pin!(other);
    poll_fn(|cx| {
        if !*over && Pin::new(&mut *driver).poll(cx).is_ready() {
            *over = true;
        }
        match other.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
