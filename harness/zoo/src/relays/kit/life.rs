//! A naive relay's life: ready when it says so, until SIGTERM.

use relays::pump;
use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::watch;

/// Tells whether SIGTERM came.
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Returns whether SIGTERM has come.
    pub fn told(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it comes.
    pub async fn wait(&mut self) {
        let _ = self.0.wait_for(|told| *told).await;
    }

    /// A pause that it ends.
    pub async fn pause(&mut self, pause: Duration) {
        let _ = tokio::time::timeout(pause, self.wait()).await;
    }
}

/// Runs `body` on a runtime of one thread.
pub fn live<F>(body: impl FnOnce(Stop) -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>>,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("start the relay's runtime: {e}"))?;
    runtime.block_on(async {
        let (tell, told) = watch::channel(false);
        tokio::spawn(async move {
            pump::terminated().await;
            let _ = tell.send(true);
            // Open until the relay has ended: a closed channel would look like a stop.
            tell.closed().await;
        });
        body(Stop(told)).await
    })
}

/// Whether this process is the first relay of its run: each leaves a byte beside the confession.
pub fn is_first_life() -> bool {
    let Some(confession) = std::env::var_os(crate::CONFESSION) else {
        return true;
    };
    let lives = PathBuf::from(confession).with_extension("lives");
    let counted = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&lives)
        .and_then(|mut file| {
            file.write_all(b".")?;
            file.metadata()
        });
    counted.is_ok_and(|file| file.len() == 1)
}
