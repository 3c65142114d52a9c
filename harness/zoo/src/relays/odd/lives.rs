//! Several lives of a relay in one process, of which only SIGTERM ends the last.

use relays::pump;
use tokio::sync::watch;

/// This knows whether SIGTERM came, whichever life it came in, or between two.
pub struct Lives(watch::Receiver<bool>);

impl Lives {
    /// Listens for SIGTERM from here on.
    pub fn until_terminated() -> Self {
        let (tell, told) = watch::channel(false);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let Ok(runtime) = runtime {
                runtime.block_on(pump::terminated());
            }
            let _ = tell.send(true);
        });
        Self(told)
    }

    /// Returns whether SIGTERM has come, in whichever life.
    pub fn terminated(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns the end of one life: it comes when `end` completes, or at SIGTERM.
    pub fn one(
        &self,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let mut told = self.0.clone();
        async move {
            tokio::select! {
                () = end => {}
                _ = told.wait_for(|told| *told) => {}
            }
        }
    }
}
