//! Events that are put together: those of one call, as many as it may have.

use super::client::CallError;
use super::entry::{CALL_BYTES_MAX, EntryFate, fates};
use crate::config::LooksAt;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use std::collections::VecDeque;
use std::time::Duration;

/// A call takes so many events.
pub(super) const CALL_EVENTS_MAX: usize = 10;
/// What failed for now is put again after this, and after twice as long each time that it fails again.
const AGAIN_AFTER: Duration = Duration::from_millis(50);
/// It waits no longer than this.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(1);

/// An event that was taken, until it is on the bus.
#[derive(Debug, Clone)]
pub(super) struct Put {
    pub position: u64,
    pub entry: PutEventsRequestEntry,
    pub bytes: usize,
    /// It was put so often, and failed for now.
    pub failures: u32,
}

/// What came of one call.
#[derive(Debug)]
pub(super) struct PutAnswer {
    pub batch: Vec<Put>,
    /// This has a fate for each event of the batch.
    pub fates: Result<Vec<EntryFate>, CallError>,
}

/// Takes the first of those that wait, as many as a call may have.
pub(super) fn first_of(waiting: &mut VecDeque<Put>) -> Vec<Put> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < CALL_EVENTS_MAX
        && let Some(put) = waiting.pop_front_if(|put| bytes + put.bytes <= CALL_BYTES_MAX)
    {
        bytes += put.bytes;
        batch.push(put);
    }
    batch
}

/// Puts a batch, which has failed so often as the one of its events that failed most, and waits for the answer.
pub(super) async fn put(client: Client, batch: Vec<Put>, looks_at: LooksAt) -> PutAnswer {
    let failures = batch.iter().map(|put| put.failures).max().unwrap_or(0);
    if failures > 0 {
        let pause = AGAIN_AFTER.saturating_mul(1 << (failures - 1).min(10));
        tokio::time::sleep(pause.min(AGAIN_AFTER_MAX)).await;
    }
    let entries = batch.iter().map(|put| put.entry.clone()).collect();
    let answer = client.put_events().set_entries(Some(entries)).send().await;
    let fates = match answer {
        Ok(answer) => Ok(fates(&answer, batch.len(), looks_at)),
        Err(error) => Err(error.into()),
    };
    PutAnswer { batch, fates }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(sizes: &[usize]) -> VecDeque<Put> {
        let puts = sizes.iter().enumerate().map(|(position, bytes)| Put {
            position: position as u64,
            entry: PutEventsRequestEntry::builder().build(),
            bytes: *bytes,
            failures: 0,
        });
        puts.collect()
    }

    fn lengths(sizes: &[usize]) -> Vec<usize> {
        let mut waiting = waiting(sizes);
        let mut lengths = Vec::new();
        while !waiting.is_empty() {
            let batch = first_of(&mut waiting);
            assert_eq!(batch[0].position as usize, lengths.iter().sum::<usize>());
            lengths.push(batch.len());
        }
        lengths
    }

    #[test]
    fn given_events_that_wait_when_calls_are_made_of_them_then_none_has_more_events_or_bytes_than_it_may()
     {
        assert_eq!(lengths(&[100; 25]), [10, 10, 5]);
        assert_eq!(lengths(&[CALL_BYTES_MAX / 4; 9]), [4, 4, 1]);
        assert_eq!(lengths(&[1, CALL_BYTES_MAX, 1, 1]), [1, 1, 2]);
    }
}
