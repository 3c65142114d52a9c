//! The demo as a page: served to this machine alone, at an address that nobody can guess, for as long as somebody
//! may want to look at it.

mod connections;
mod guard;
mod server;

use super::hands::Hands;
use crate::cli::live::shown::Shown;
use connections::{BoundedListener, SILENT_MAX};
use server::{FEEDS_MAX, Site};
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// So often pages are told what changed.
const EVERY: Duration = Duration::from_millis(100);
/// A page that is forgotten ends then.
pub const STAYS: Duration = Duration::from_secs(3600);
/// The last words to all pages may take so long.
const CLOSES_WITHIN: Duration = Duration::from_secs(2);

/// A page, for as long as this is kept.
pub struct Page {
    url: String,
    hands: Hands,
    states: watch::Sender<Arc<str>>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Page {
    /// Serves it on a free port of the loopback.
    pub async fn open(hands: Hands) -> std::io::Result<Self> {
        Self::open_for(hands, SILENT_MAX).await
    }

    /// The same, with another bound on connections to which nothing can be said.
    async fn open_for(hands: Hands, silent_max: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let token = Uuid::new_v4().simple().to_string();
        let (states, fed) = watch::channel(state(&hands));
        let (stop, mut stopped) = watch::channel(false);
        let site = Site {
            token: token.as_str().into(),
            states: fed,
            feeds: Arc::new(Semaphore::new(FEEDS_MAX)),
            hands: hands.clone(),
        };
        let listener = BoundedListener::new(listener, silent_max);
        let server = axum::serve(listener, site.router());
        let server = server.with_graceful_shutdown(async move {
            let _ = stopped.wait_for(|stop| *stop).await;
        });
        let server = tokio::spawn(async move {
            if let Err(error) = server.await {
                tracing::warn!("the page is served no longer: {error}");
            }
        });
        Ok(Self {
            url: format!("http://{address}/{token}/"),
            hands,
            states,
            stop,
            server,
        })
    }

    /// Returns the page's address on the loopback, with the token in it that nobody can guess.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Tells what changes, and does nothing more: whoever called it ends it.
    pub async fn feed(&self) -> Infallible {
        loop {
            self.tell();
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Goes on until the user ends it, for a bounded time; every page keeps the last state.
    pub async fn stay(self, mut interrupted: watch::Receiver<bool>) {
        let ended = interrupted.wait_for(|interrupted| *interrupted);
        tokio::select! {
            // Gone or not: nothing more can come of it.
            _ = ended => {}
            () = tokio::time::sleep(STAYS) => {}
            never = self.feed() => match never {},
        }
        self.close().await;
    }

    async fn close(mut self) {
        self.tell();
        self.stop.send_replace(true);
        // Feeds end with what they have not sent yet.
        drop(self.states);
        if tokio::time::timeout(CLOSES_WITHIN, &mut self.server)
            .await
            .is_err()
        {
            // Somebody does not read.
            self.server.abort();
        }
    }

    fn tell(&self) {
        let state = state(&self.hands);
        self.states.send_if_modified(|told| {
            let is_new = *told != state;
            *told = state;
            is_new
        });
    }
}

fn state(hands: &Hands) -> Arc<str> {
    let shown = Shown::of(&hands.board.now());
    // It has no map whose keys are no text, which is all that could fail.
    serde_json::to_string(&shown).unwrap_or_default().into()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
