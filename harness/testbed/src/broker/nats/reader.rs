//! Reads streams for whoever blocks his thread for it: a client on a runtime of its own, which runs while it is asked.

use super::client::connect;
use super::feed::Feed;
use super::topic;
use crate::broker::{From, KnownEnds, Next, Offsets, OnTopic, Reader};
use async_nats::jetstream::Context;
use relays::signal::monotonic_ns;
use std::future::{Future, poll_fn};
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// A record is waited for so much longer than asked, where a connection or a consumer has to be made.
const NEXT_WITHIN: Duration = Duration::from_secs(20);

pub(super) struct NatsReader {
    address: String,
    /// It is none only while it is dropped.
    runtime: Option<Runtime>,
    context: OnceLock<Context>,
    feeds: Vec<Feed>,
}

impl NatsReader {
    /// Makes a reader; nothing is connected yet.
    pub fn new(address: &str) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| format!("starting a reader's runtime: {e}"))?;
        Ok(Self {
            address: address.to_owned(),
            runtime: Some(runtime),
            context: OnceLock::new(),
            feeds: Vec::new(),
        })
    }

    fn run<T>(
        &self,
        within: Duration,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let runtime = self.runtime.as_ref();
        let runtime = runtime.ok_or_else(|| "the reader has ended".to_owned())?;
        let done = runtime.block_on(async { timeout(within, work).await });
        done.unwrap_or_else(|_| Err(format!("no answer within {within:?}")))
    }

    /// The connection, made when it is first asked for. It comes back by itself.
    async fn context(&self) -> Result<&Context, String> {
        if let Some(context) = self.context.get() {
            return Ok(context);
        }
        let context = connect(&self.address).await?;
        Ok(self.context.get_or_init(|| context))
    }

    async fn poll_feeds(feeds: &mut [Feed], take: &mut dyn FnMut(&dyn OnTopic)) -> Next {
        poll_fn(|context| {
            for feed in &mut *feeds {
                if let Poll::Ready(next) = feed.poll(context, take) {
                    return Poll::Ready(next);
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl Reader for NatsReader {
    fn assign(&mut self, from: &[From<'_>]) -> Result<(), String> {
        let feeds = from.iter().map(|from| Feed::new(from.topic, from.offset));
        self.feeds = feeds.collect();
        Ok(())
    }

    fn next(&mut self, wait: Duration, take: &mut dyn FnMut(&dyn OnTopic)) -> Next {
        let mut feeds = std::mem::take(&mut self.feeds);
        let next = self.run(NEXT_WITHIN + wait, async {
            let context = self.context().await?;
            for feed in &mut feeds {
                feed.open(context).await?;
            }
            let next = timeout(wait, Self::poll_feeds(&mut feeds, take)).await;
            Ok(next.unwrap_or(Next::Nothing))
        });
        self.feeds = feeds;
        match next {
            Ok(next) => next,
            // Whoever asks again at once would ask a server that is away without a pause.
            Err(reason) => {
                std::thread::sleep(wait);
                Next::Trouble(reason)
            }
        }
    }

    fn positions(&self, each: &mut dyn FnMut(From<'_>)) -> Result<(), String> {
        for feed in &self.feeds {
            each(From {
                topic: feed.topic(),
                partition: 0,
                offset: feed.offset(),
            });
        }
        Ok(())
    }

    fn ends(&self, topic: &str, partition: i32, within: Duration) -> Result<(i64, i64), String> {
        if partition != 0 {
            return Err(format!("a stream has no partition {partition}"));
        }
        let state = self.run(within, async {
            topic::state(self.context().await?, topic).await
        })?;
        // Without a message the first sequence is the one that comes next, or 0.
        let lowest = state.first_sequence.saturating_sub(1);
        Ok((lowest.cast_signed(), state.last_sequence.cast_signed()))
    }

    fn ends_of_all(&self, topic: &str, _: i32, within: Duration) -> Result<KnownEnds, String> {
        let asked_ns = monotonic_ns();
        let (_, end) = self.ends(topic, 0, within)?;
        let ends = Offsets::from([(0, end)]);
        Ok(KnownEnds::midway(ends, asked_ns, monotonic_ns()))
    }

    fn topics(&self, within: Duration) -> Result<Vec<(String, Vec<i32>)>, String> {
        let names = self.run(within, async { topic::all(self.context().await?).await })?;
        Ok(names.into_iter().map(|name| (name, vec![0])).collect())
    }
}

impl Drop for NatsReader {
    fn drop(&mut self) {
        // An ordinary drop waits for its threads, which an asynchronous caller must not.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
