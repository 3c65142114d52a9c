//! Connections of the page, all of them bounded: so many at once, and none to which nothing can be said.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// Connections at once: those that are fed, and as many for everything else. More wait in the kernel until one is
/// closed.
pub const CONNECTIONS_MAX: usize = 2 * super::server::FEEDS_MAX;
/// A connection on which nothing could be written for so long is closed: its client asks for nothing, or reads nothing. One
/// that is fed gets something sooner than that, whatever happens.
pub const SILENT_MAX: Duration = Duration::from_secs(15);
/// After an error of `accept`, such as too many open files, it is tried again then.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// This listener takes no more connections than that.
pub struct BoundedListener {
    listener: TcpListener,
    free: Arc<Semaphore>,
    silent_max: Duration,
}

impl BoundedListener {
    /// Bounds the connections of a listener; `silent_max` is [`SILENT_MAX`] but in tests.
    pub fn new(listener: TcpListener, silent_max: Duration) -> Self {
        Self {
            listener,
            free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            silent_max,
        }
    }
}

impl axum::serve::Listener for BoundedListener {
    type Io = BoundedStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // It is never closed.
        let permit = Arc::clone(&self.free).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) => {
                    let stream = BoundedStream {
                        stream,
                        silent_max: self.silent_max,
                        closes: Box::pin(tokio::time::sleep(self.silent_max)),
                        _permit: permit,
                    };
                    return (stream, address);
                }
                Err(error) => {
                    tracing::debug!("the page takes no connection: {error}");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// A connection, which ends by itself when nothing could be written on it for so long.
pub struct BoundedStream {
    stream: TcpStream,
    silent_max: Duration,
    closes: Pin<Box<Sleep>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl BoundedStream {
    /// What waits goes on waiting, unless it has waited too long.
    fn or_closed<T>(
        &mut self,
        poll: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            return poll;
        }
        self.closes
            .as_mut()
            .poll(context)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for BoundedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // However much comes in, byte by byte: what counts is that something can be said.
        if self.closes.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for BoundedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        if matches!(poll, Poll::Ready(Ok(1..))) {
            let closes = Instant::now() + self.silent_max;
            self.closes.as_mut().reset(closes);
        }
        self.or_closed(poll, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(context);
        self.or_closed(poll, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(context);
        self.or_closed(poll, context)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use axum::serve::Listener;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn given_as_many_connections_as_are_taken_then_one_more_waits_until_one_is_closed() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut listener = BoundedListener::new(listener, SILENT_MAX);
        let mut clients = Vec::new();
        let mut taken = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            clients.push(TcpStream::connect(address).await.unwrap());
            taken.push(listener.accept().await);
        }
        clients.push(TcpStream::connect(address).await.unwrap());
        let soon = Duration::from_millis(100);
        let one_more = tokio::time::timeout(soon, listener.accept()).await;
        assert!(one_more.is_err(), "it is taken beside all others");
        taken.pop();
        listener.accept().await;
    }
}
