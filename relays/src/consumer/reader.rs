//! The consumer's side to the broker: reads in batches, and remembers what is to be committed and where it has to go
//! back to.

use super::batch::ConsumedBatch;
use crate::broker::GroupSession;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// Going back takes this long at most.
const SEEK_WITHIN: Duration = Duration::from_secs(5);
/// A commit is waited for so long, of which the end of a process has room for several. Its client gives up much later
/// while there is no broker.
const COMMIT_WITHIN: Duration = Duration::from_secs(2);

pub(super) struct GroupReader {
    session: Arc<dyn GroupSession>,
    /// A batch has at most so many records; what is kept of each is small.
    most: usize,
    /// By partition, the offset behind what was passed, as far as it is not committed.
    uncommitted: BTreeMap<i32, i64>,
    /// By partition, the offset that is to be read next, where the session may still stand behind it.
    back: BTreeMap<i32, i64>,
    /// A commit of which nothing was heard yet.
    under_way: Option<JoinHandle<Result<(), String>>>,
}

impl GroupReader {
    /// Reads as this member of a group, so many records at a time at most.
    pub fn new(session: Arc<dyn GroupSession>, most: usize) -> Self {
        Self {
            session,
            most,
            uncommitted: BTreeMap::new(),
            back: BTreeMap::new(),
            under_way: None,
        }
    }

    /// Whether partitions are its own: from then on it reads.
    pub fn is_assigned(&self) -> Result<bool, String> {
        self.session.is_assigned()
    }

    /// Waits so long for a first record, and takes what is there behind it. May be empty.
    pub fn next(&mut self, wait: Duration) -> Result<ConsumedBatch, String> {
        self.stand_back()?;
        let mut batch = ConsumedBatch::default();
        self.session
            .read(wait, self.most, &mut |partition, offset, value| {
                batch.add(partition, offset, value);
            })?;
        Ok(batch)
    }

    /// What is before these offsets is behind it: the next commit says so.
    pub fn passed(&mut self, next: &BTreeMap<i32, i64>) {
        self.uncommitted.extend(next);
    }

    /// Commits what was passed, and waits for the answer. After an Err it may be committed or not.
    pub async fn commit(&mut self) -> Result<(), String> {
        if self.uncommitted.is_empty() {
            return Ok(());
        }
        let late = |_| format!("commit the offsets: no answer within {COMMIT_WITHIN:?}");
        // Of two that are under way, the first could take back what the second says.
        self.answer().await.map_err(late)?;
        let (session, offsets) = (Arc::clone(&self.session), self.uncommitted.clone());
        self.under_way = Some(spawn_blocking(move || session.commit(&offsets)));
        match self.answer().await.map_err(late)? {
            Some(Ok(Err(error))) => return Err(error),
            Some(Err(error)) => return Err(format!("commit the offsets: {error}")),
            Some(Ok(Ok(()))) | None => {}
        }
        self.uncommitted.clear();
        Ok(())
    }

    /// Waits for what is under way.
    async fn answer(&mut self) -> Result<Option<Result<Result<(), String>, JoinError>>, Elapsed> {
        let Some(under_way) = &mut self.under_way else {
            return Ok(None);
        };
        let answer = timeout(COMMIT_WITHIN, under_way).await?;
        self.under_way = None;
        Ok(Some(answer))
    }

    /// Reads again from these offsets on, which are then not passed. After an Err nothing is read before it has gone
    /// back.
    pub fn go_back(&mut self, first: &BTreeMap<i32, i64>) -> Result<(), String> {
        for (partition, offset) in &mut self.uncommitted {
            *offset = first.get(partition).copied().unwrap_or(*offset);
        }
        self.back.extend(first);
        self.stand_back()
    }

    /// Gives back what it read from these offsets on, and reads on with what comes next.
    pub fn give_back(&mut self, first: &BTreeMap<i32, i64>) -> Result<(), String> {
        self.session.give_back(first)
    }

    /// Asks for nothing more; whether something is to be read yet that nobody else gets meanwhile.
    pub fn stop(&self) -> Result<bool, String> {
        self.session.stop()
    }

    /// Leaves the group: what is not committed by now is for others.
    pub fn leave(&self) -> Result<(), String> {
        self.session.leave()
    }

    /// Has the session stand where it is to read next.
    fn stand_back(&mut self) -> Result<(), String> {
        if !self.back.is_empty() {
            self.session.seek(&self.back, SEEK_WITHIN)?;
            self.back.clear();
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::broker::TakesRecord;
    use std::sync::Mutex;

    /// A partition with ten records, of a broker that fails the first seek.
    #[derive(Default)]
    struct FailsFirstSeek {
        next: Mutex<i64>,
        seeks: Mutex<u32>,
    }

    impl GroupSession for FailsFirstSeek {
        fn is_assigned(&self) -> Result<bool, String> {
            Ok(true)
        }

        fn read(&self, _: Duration, _: usize, each: &mut TakesRecord<'_>) -> Result<(), String> {
            let mut next = self.next.lock().unwrap();
            if *next < 10 {
                each(0, *next, None);
                *next += 1;
            }
            Ok(())
        }

        fn commit(&self, _: &BTreeMap<i32, i64>) -> Result<(), String> {
            Ok(())
        }

        fn seek(&self, offsets: &BTreeMap<i32, i64>, _: Duration) -> Result<(), String> {
            let mut seeks = self.seeks.lock().unwrap();
            *seeks += 1;
            if *seeks == 1 {
                return Err("the broker is away".to_owned());
            }
            *self.next.lock().unwrap() = offsets[&0];
            Ok(())
        }

        fn give_back(&self, _: &BTreeMap<i32, i64>) -> Result<(), String> {
            Ok(())
        }

        fn stop(&self) -> Result<bool, String> {
            Ok(false)
        }

        fn leave(&self) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn given_a_seek_that_fails_when_it_reads_on_then_it_has_gone_back_first() {
        let mut reader = GroupReader::new(Arc::new(FailsFirstSeek::default()), 500);
        let read = |reader: &mut GroupReader| reader.next(Duration::ZERO).unwrap().first;
        assert_eq!(read(&mut reader), BTreeMap::from([(0, 0)]));
        assert_eq!(read(&mut reader), BTreeMap::from([(0, 1)]));

        // When what was read cannot be done, and neither can it go back
        reader.go_back(&BTreeMap::from([(0, 0)])).unwrap_err();

        // Then the next that is read is what was not done
        assert_eq!(read(&mut reader), BTreeMap::from([(0, 0)]));
        assert_eq!(read(&mut reader), BTreeMap::from([(0, 1)]));
    }
}
