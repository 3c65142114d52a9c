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
