//! Says of a harness that it is alive, to others who share some of an external stack with it.
//!
//! Its mark is wherever others may meet its things: a session on the PostgreSQL server holds advisory
//! locks, which every database of the server can see and the server gives back by itself when the
//! holder dies; on the Kafka cluster a topic grows by a record a second. (A proxy leads to one of the
//! two.) The ids of all runs of a harness begin with its own, and so does the name of whatever they
//! make. Who cannot keep its marks up says so, and its run ends: the next one may have been let in.

use super::{GrowingTopic, StackError, StackLock};
use crate::broker::Topic;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A harness's id has so many hexadecimal digits.
pub(super) const ID_DIGITS: usize = 8;
/// Where the id of a run would follow, in the name of the topic that is the mark.
const NO_RUN: &str = "00000000";
/// Two signs of life are this far apart.
pub(super) const BEAT: Duration = Duration::from_secs(1);
/// A harness that could give none for so long has lost its mark.
pub(super) const LOST_AFTER: Duration = Duration::from_secs(8);
/// Whose topic does not grow for so long is dead; longer than [`LOST_AFTER`], so that a harness that
/// was held up knows it before others do.
pub(super) const DEAD_AFTER: Duration = Duration::from_secs(12);

/// The stack is held for one harness as long as this lives.
pub struct Tenancy {
    id: String,
    /// `None` once it is being taken away.
    mark: Option<Box<dyn Topic>>,
    /// Why a mark was lost.
    lost: watch::Receiver<Option<String>>,
    keepers: [JoinHandle<()>; 2],
}

impl Tenancy {
    /// Returns a random id for [`Tenancy::begin`], of 8 hexadecimal digits.
    pub fn new_id() -> String {
        format!("{:08x}", rand::random::<u32>())
    }

    /// Sets the marks of the harness of this id, which has the lock of the stack and its own.
    pub(super) async fn with(
        lock: StackLock,
        bootstrap: &str,
        id: String,
    ) -> Result<Self, StackError> {
        let (mark, growing) = GrowingTopic::make(bootstrap, mark_of(&id))
            .await
            .map_err(failed)?;
        let (tell, lost) = watch::channel(None);
        let keepers = [
            tokio::spawn(lock.keep(tell.clone())),
            tokio::spawn(growing.keep(tell)),
        ];
        Ok(Self {
            id,
            mark: Some(mark),
            lost,
            keepers,
        })
    }

    /// With what the ids of its runs begin.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits until a mark is lost; says which, and why.
    pub async fn lost(&self) -> String {
        let mut lost = self.lost.clone();
        match lost.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Takes the marks away: nothing with its name is there any more.
    pub async fn end(mut self) -> Result<(), String> {
        self.stop_keepers();
        match self.mark.take() {
            Some(mark) => mark.delete().await,
            None => Ok(()),
        }
    }

    fn stop_keepers(&self) {
        for keeper in &self.keepers {
            keeper.abort();
        }
    }
}

impl Drop for Tenancy {
    /// In an end that was not orderly, the next harness need not look for long whether it is one.
    fn drop(&mut self) {
        self.stop_keepers();
        if let (Some(mark), Ok(runtime)) = (self.mark.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move { mark.delete().await });
        }
    }
}

pub(super) fn failed(reason: String) -> StackError {
    StackError {
        doing: "take the stack for this run".into(),
        reason,
    }
}

/// Name of the topic that is a harness's mark.
pub(super) fn mark_of(id: &str) -> String {
    format!("oh.{id}{NO_RUN}.alive")
}

/// Whether a topic of this name is some harness's mark.
pub(super) fn is_mark(topic: &str) -> bool {
    let id = topic
        .strip_prefix("oh.")
        .and_then(|rest| rest.get(..ID_DIGITS));
    id.is_some_and(|id| topic == mark_of(id))
}
