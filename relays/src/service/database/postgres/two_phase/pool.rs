//! The participants of a service: so many producers, each lent to one order at a time. One whose transaction did not
//! end as it should is given up, and another one takes its place.

use super::{Participant, ParticipantSettings, ownership};
use crate::decisions;
use crate::service::connections::{Connections, exchange};
use crate::service::database_error::DatabaseError;
use crate::service::monitor::Monitor;
use crate::trace::Trace;
use sqlx::postgres::PgConnectOptions;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

/// An order waits no longer than this for a participant.
const LEND_WITHIN: Duration = Duration::from_secs(1);
/// The service begins to serve after so long even if not all of them are there: Kafka may be away.
const WARM_UP_WITHIN: Duration = Duration::from_secs(5);
/// What is left of the last orders when they are answered takes no longer than this.
const CLOSE_WITHIN: Duration = Duration::from_secs(6);
/// So many orders are at work at a time at most; it only has to be more than there are participants.
const LENT_MAX: u32 = 1024;
/// These are the pauses between attempts: the first, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(500));

const STOPPING: &str = "the service is stopping";

/// All participants of this process.
pub(in crate::service) struct Participants {
    settings: ParticipantSettings,
    /// Transactional ids begin with this.
    prefix: String,
    connections: Arc<Connections>,
    monitor: Arc<Monitor>,
    trace: Trace,
    owner: watch::Receiver<Option<i64>>,
    /// As many permits as `idle` has participants.
    available: Semaphore,
    /// The first in is the first out: the broker is still ending the last one's transaction for a moment, and would have
    /// a new one of it try again.
    idle: Mutex<VecDeque<Registered>>,
    /// All permits are there when nobody uses a participant.
    lent: Arc<Semaphore>,
}

/// A participant with a row in the decision log.
struct Registered {
    participant: Participant,
    /// The lock under which it was registered.
    owner: i64,
}

impl Participants {
    /// Opens so many, in the background; returns when they are there, or after a while.
    pub async fn open(
        count: usize,
        settings: ParticipantSettings,
        session: (PgConnectOptions, String),
        connections: Arc<Connections>,
        (monitor, trace): (Arc<Monitor>, Trace),
    ) -> Arc<Self> {
        let (tell, owner) = watch::channel(None);
        let (options, prefix) = session;
        tokio::spawn(ownership::hold(options, tell));
        let participants = Arc::new(Self {
            settings,
            prefix,
            connections,
            monitor,
            trace,
            owner,
            available: Semaphore::new(0),
            idle: Mutex::default(),
            lent: Arc::new(Semaphore::new(LENT_MAX as usize)),
        });
        for _ in 0..count {
            tokio::spawn(fill_a_place(Arc::downgrade(&participants)));
        }
        let all = u32::try_from(count).unwrap_or(u32::MAX);
        match timeout(WARM_UP_WITHIN, participants.available.acquire_many(all)).await {
            Ok(_there) => {}
            Err(_) => tracing::warn!("not all producers have an id: Kafka does not answer yet"),
        }
        participants
    }

    /// Lends one, waiting a bounded time for it; an error says why there is none.
    pub(super) async fn lend(self: &Arc<Self>) -> Result<Lent, String> {
        let look = async {
            let seat = Arc::clone(&self.lent).acquire_owned().await;
            Ok((seat.map_err(|_| STOPPING.to_owned())?, self.find().await?))
        };
        let found: Result<_, String> = timeout(LEND_WITHIN, look)
            .await
            .unwrap_or_else(|_| Err(nobody_free()));
        let (seat, Registered { participant, owner }) = found?;
        Ok(Lent {
            participant: Some(participant),
            owner,
            stage: LentStage::Untouched,
            home: Arc::clone(self),
            _seat: seat,
        })
    }

    /// Takes one that is idle.
    async fn find(self: &Arc<Self>) -> Result<Registered, String> {
        loop {
            let permit = self.available.acquire().await;
            permit.map_err(|_| STOPPING.to_owned())?.forget();
            let Some(found) = self.idle().pop_front() else {
                continue;
            };
            if Some(found.owner) == *self.owner.borrow() {
                return Ok(found);
            }
            // The recoverer may have taken it for that of a dead process.
            self.give_up(found.participant, false);
        }
    }

    /// Waits until nobody uses one any more; none is lent after that.
    pub async fn close(&self) {
        let all = Arc::clone(&self.lent);
        if timeout(CLOSE_WITHIN, all.acquire_many(LENT_MAX))
            .await
            .is_err()
        {
            tracing::warn!("the last orders did not end: the recoverer finishes them");
        }
        self.lent.close();
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Registered>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn give_back(&self, found: Registered) {
        self.idle().push_back(found);
        self.available.add_permits(1);
    }

    /// Gives a participant up. What the log says of it then, the recoverer does.
    /// Only when that is done its place is filled, so that a broker in trouble does not get ever more producers.
    fn give_up(self: &Arc<Self>, participant: Participant, aborts: bool) {
        let home = Arc::downgrade(self);
        tokio::spawn(async move {
            hand_over(Weak::clone(&home), participant, aborts).await;
            fill_a_place(home).await;
        });
    }

    /// A new producer, with its row in the log.
    async fn register(&self, owner: i64) -> Result<Registered, String> {
        let id = format!("{}.{}", self.prefix, Uuid::now_v7().simple());
        let participant =
            Participant::start(id, &self.settings, &self.monitor, &self.trace).await?;
        let mut lease = self.connections.lend().await.map_err(|e| e.to_string())?;
        let row = sqlx::query(decisions::REGISTER)
            .bind(&participant.transactional_id)
            .bind(owner)
            .bind(participant.producer_id)
            .bind(participant.producer_epoch);
        let row = async {
            let conn = lease.connection.postgres()?;
            exchange("registering a producer", row.execute(conn)).await
        };
        let row = row.await;
        lease.settle(row).map_err(|e| e.to_string())?;
        Ok(Registered { participant, owner })
    }
}

fn nobody_free() -> String {
    format!(
        "no producer was free within {LEND_WITHIN:?}: Kafka is out of reach, or more `producers` are needed"
    )
}

/// Makes participants until one is registered, or the service is gone.
async fn fill_a_place(home: Weak<Participants>) {
    let mut pause = BACK_OFF.0;
    while let Some(participants) = home.upgrade() {
        let owner = *participants.owner.borrow();
        let made = match owner {
            Some(owner) => participants.register(owner).await,
            None => Err("there is no lock yet that says that this process lives".to_owned()),
        };
        match made {
            Ok(registered) => return participants.give_back(registered),
            Err(reason) => {
                tracing::debug!(reason, "still no producer");
                if owner.is_some() {
                    participants.monitor.undelivered(&reason);
                }
            }
        }
        drop(participants);
        sleep(pause).await;
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

/// Has the log say that a participant was given up, however long that takes. One that is not decided is aborted here
/// first, where Kafka can be reached: nobody else has to wait for it.
async fn hand_over(home: Weak<Participants>, participant: Participant, aborts: bool) {
    if aborts && let Err(reason) = participant.abort().await {
        tracing::debug!(reason, "the recoverer aborts it");
    }
    let mut pause = BACK_OFF.0;
    while let Some(participants) = home.upgrade() {
        let handed = participants.hand_over(&participant.transactional_id).await;
        match handed {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "a producer is not handed over yet"),
        }
        drop(participants);
        sleep(pause).await;
        pause = (pause * 2).min(BACK_OFF.1);
    }
}

impl Participants {
    async fn hand_over(self: &Arc<Self>, transactional_id: &str) -> Result<(), DatabaseError> {
        let mut lease = self.connections.lend().await?;
        let handed = sqlx::query(decisions::HAND_OVER).bind(transactional_id);
        let handed = async {
            let conn = lease.connection.postgres()?;
            exchange("handing over", handed.execute(conn)).await
        };
        let handed = handed.await;
        lease.settle(handed).map(drop)
    }
}

/// How far the order that has a participant is with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LentStage {
    /// It has no transaction.
    Untouched,
    /// It has one that will not be committed.
    Undecided,
    /// It has one that may be decided.
    Decided,
}

/// A participant on loan. One that is dropped goes back only if it was not touched, or if
/// [`Lent::ended`] was said; else it may be in the middle of something, and is given up.
pub(super) struct Lent {
    participant: Option<Participant>,
    owner: i64,
    stage: LentStage,
    home: Arc<Participants>,
    _seat: OwnedSemaphorePermit,
}

impl Lent {
    /// The participant, which has a transaction from now on.
    pub fn touch(&mut self) -> Option<&mut Participant> {
        self.stage = LentStage::Undecided;
        self.participant.as_mut()
    }

    /// Returns its transactional id, and the number of its newest transaction.
    pub fn transaction(&self) -> (&str, u64) {
        let participant = self.participant.as_ref();
        participant.map_or(("", 0), |p| (&p.transactional_id, p.transactions))
    }

    /// From now on its transaction may be decided: only the decision log says how it ends.
    pub fn deciding(&mut self) {
        self.stage = LentStage::Decided;
    }

    /// It was decided that its transaction is aborted.
    pub fn aborting(&mut self) {
        self.stage = LentStage::Undecided;
    }

    /// Commits its transaction, which has been decided.
    pub async fn commit(&self) -> Result<(), String> {
        match &self.participant {
            Some(participant) => participant.commit().await,
            None => Err("there is no participant".to_owned()),
        }
    }

    /// The log says that it may begin its next transaction.
    pub fn ended(mut self) {
        self.stage = LentStage::Untouched;
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let Some(participant) = self.participant.take() else {
            return;
        };
        let owner = self.owner;
        match self.stage {
            LentStage::Untouched => self.home.give_back(Registered { participant, owner }),
            LentStage::Undecided => self.home.give_up(participant, true),
            LentStage::Decided => self.home.give_up(participant, false),
        }
    }
}
