//! Publishing alone, with no source behind it: what a broker and its client take, for the referee's benchmarks.

use super::{Offer, PublishError, Publisher};
use crate::source::Held;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// It looks around so often: at a stall, at what has become due.
const LOOK_AROUND: Duration = Duration::from_millis(100);
/// Wait for room where no delivery may announce it.
const FULL_PAUSE: Duration = Duration::from_millis(2);

/// Publishes these events by a publisher that is connected, in their order, and each when it is due: those below the
/// number that `due` has. Returns when all of them are durable; it is as patient as a relay.
pub async fn publish_due<P: Publisher, E: Held>(
    publisher: &mut P,
    events: &[E],
    mut due: watch::Receiver<u64>,
) -> Result<(), PublishError> {
    let (base, all) = (publisher.taken(), events.len() as u64);
    let mut left = events.iter();
    let (mut reported, mut news) = (publisher.reported(), Instant::now());
    loop {
        let durable = publisher.durable()? - base;
        if durable >= all {
            return Ok(());
        }
        let wanted = (*due.borrow_and_update()).min(all);
        let has_room = offer_until(publisher, &mut left, base + wanted)?;
        let sent = publisher.taken() - base;
        let in_flight = sent - durable;
        let reports = publisher.reported();
        if std::mem::replace(&mut reported, reports) != reports || in_flight == 0 {
            news = Instant::now();
        } else if news.elapsed() >= publisher.patience() {
            let quiet = news.elapsed();
            let reason = format!("none of {in_flight} was confirmed for {quiet:.0?}");
            return Err(alone(reason, in_flight));
        }
        tokio::select! {
            biased;
            () = publisher.progress(), if in_flight > 0 => {}
            more = due.changed(), if has_room && sent < all => {
                more.map_err(|_| alone(format!("{} events never become due", all - sent), 0))?;
            }
            () = tokio::time::sleep(FULL_PAUSE), if !has_room => {}
            () = tokio::time::sleep(LOOK_AROUND) => {}
        }
    }
}

/// Hands over what is left up to this position, as far as there is room; says whether there was for all of it.
fn offer_until<E: Held>(
    publisher: &mut impl Publisher,
    left: &mut std::slice::Iter<'_, E>,
    position: u64,
) -> Result<bool, PublishError> {
    while publisher.taken() < position
        && let Some(next) = left.as_slice().first()
    {
        let event = next.event().map_err(|e| alone(e.to_string(), 0))?;
        match publisher.offer(&event)? {
            Offer::Taken => left.next(),
            Offer::Full => return Ok(false),
        };
    }
    Ok(true)
}

fn alone(reason: String, failed: u64) -> PublishError {
    PublishError {
        doing: "publish alone".to_owned(),
        reason,
        failed,
        is_of_cache: false,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::source::{Event, SourceError};
    use std::cell::Cell;

    struct Nothing;

    impl Held for Nothing {
        fn event(&self) -> Result<Event<'_>, SourceError> {
            Ok(Event {
                key: "order",
                id: "",
                event_type: "",
                version: "",
                payload: "",
            })
        }
    }

    /// Has room for three at a time, and delivers one in each millisecond, unless it is dead.
    struct ThreeAtATime {
        taken: u64,
        durable: Cell<u64>,
        is_dead: bool,
    }

    impl ThreeAtATime {
        fn new(is_dead: bool) -> Self {
            Self {
                taken: 0,
                durable: Cell::new(0),
                is_dead,
            }
        }
    }

    impl Publisher for ThreeAtATime {
        async fn connect(&mut self) -> Result<(), PublishError> {
            Ok(())
        }

        fn offer(&mut self, _: &Event<'_>) -> Result<Offer, PublishError> {
            if self.taken - self.durable.get() >= 3 {
                return Ok(Offer::Full);
            }
            self.taken += 1;
            Ok(Offer::Taken)
        }

        fn taken(&self) -> u64 {
            self.taken
        }

        fn durable(&mut self) -> Result<u64, PublishError> {
            Ok(self.durable.get())
        }

        fn durable_despite_failure(&mut self) -> u64 {
            self.durable.get()
        }

        fn reported(&self) -> u64 {
            self.durable.get()
        }

        fn patience(&self) -> Duration {
            Duration::from_secs(2)
        }

        async fn progress(&self) {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if self.is_dead {
                std::future::pending::<()>().await;
            }
            self.durable.set(self.taken.min(self.durable.get() + 1));
        }

        fn trouble(&mut self) -> Option<String> {
            None
        }

        async fn abandon(&mut self) {}
    }

    const ALL: [Nothing; 10] = [const { Nothing }; 10];

    #[tokio::test(start_paused = true)]
    async fn given_events_that_become_due_when_published_then_each_waits_for_that_and_all_become_durable()
     {
        let (due, is_due) = watch::channel(4);
        let mut publisher = ThreeAtATime::new(false);
        let early = tokio::time::timeout(
            Duration::from_secs(60),
            publish_due(&mut publisher, &ALL, is_due.clone()),
        );
        assert!(early.await.is_err(), "six are not due");
        assert_eq!((publisher.taken, publisher.durable.get()), (4, 4));
        let mut publisher = ThreeAtATime::new(false);
        due.send(u64::MAX).unwrap();
        publish_due(&mut publisher, &ALL, is_due).await.unwrap();
        assert_eq!((publisher.taken, publisher.durable.get()), (10, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn given_nothing_is_confirmed_or_nothing_more_becomes_due_when_published_then_it_ends_and_says_so()
     {
        let ended = async |is_dead, due| {
            let (_, is_due) = watch::channel(due);
            let mut publisher = ThreeAtATime::new(is_dead);
            let published = publish_due(&mut publisher, &ALL, is_due);
            let bounded = tokio::time::timeout(Duration::from_secs(60), published);
            bounded.await.unwrap().unwrap_err().to_string()
        };
        assert_eq!(
            ended(true, 10).await,
            "publish alone: none of 3 was confirmed for 2s"
        );
        assert_eq!(
            ended(false, 4).await,
            "publish alone: 6 events never become due"
        );
    }
}
