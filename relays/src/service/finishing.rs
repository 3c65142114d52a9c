//! Work that runs to its end even if nobody waits for it any more.

use futures::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::runtime::Handle;

/// This is what a panic said: the value that it carried.
pub(super) type Panic = Box<dyn Any + Send>;

type Work<T> = Pin<Box<dyn Future<Output = Result<T, Panic>> + Send>>;

/// Work that is done where it is awaited; what is left of it when the waiter is dropped goes on in
/// a task of its own. (To be a task from the start would cost every request a switch.)
pub(super) struct Finishing<T: Send + 'static>(Option<Work<T>>);

impl<T: Send> Finishing<T> {
    /// It begins when it is first awaited. A panic of it is its result.
    pub fn new(work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Some(Box::pin(AssertUnwindSafe(work).catch_unwind())))
    }
}

impl<T: Send> Future for Finishing<T> {
    type Output = Result<T, Panic>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.0 else {
            return Poll::Pending;
        };
        let result = std::task::ready!(work.as_mut().poll(cx));
        self.0 = None;
        Poll::Ready(result)
    }
}

impl<T: Send> Drop for Finishing<T> {
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let (Some(rest), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(rest);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::sync::{Notify, oneshot};

    #[tokio::test]
    async fn it_is_done_where_it_is_awaited() {
        let work = Finishing::new(async { tokio::task::id() });
        let waiting = tokio::spawn(async move { (tokio::task::id(), work.await.unwrap()) });
        let (waiter, worker) = waiting.await.unwrap();
        assert_eq!(waiter, worker);
    }

    #[tokio::test]
    async fn what_is_left_when_the_waiter_goes_is_done_all_the_same() {
        // Given work that is half done
        let (half, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (done, is_done) = oneshot::channel();
        let work = Finishing::new({
            let (half, go_on) = (Arc::clone(&half), Arc::clone(&go_on));
            async move {
                half.notify_one();
                go_on.notified().await;
                done.send(()).unwrap();
            }
        });
        // When nobody waits for it any more
        tokio::select! {
            _ = work => panic!("it cannot be done"),
            () = half.notified() => {}
        }
        go_on.notify_one();
        // Then it is done
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn work_that_was_never_awaited_is_done_too() {
        let (done, is_done) = oneshot::channel();
        drop(Finishing::new(async move { done.send(()).unwrap() }));
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn a_panic_is_a_result() {
        let work = Finishing::new(async { panic!("as this test wants it") });
        let result: Result<(), Panic> = work.await;
        assert!(result.is_err());
    }
}
