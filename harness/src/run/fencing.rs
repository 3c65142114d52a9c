//! The eight steps of the fence in their order, and what they let us read.

use super::Event;
use super::context::Context;
use super::deployment::Deployment;
use super::strategies::Held;
use crate::database::{Truth, Unfinished};
use crate::fence::Fence;
use crate::fence::patience::Patience;
use crate::history::{
    FenceRecord, FenceStep, NONE, Pending, PendingState, Request, Rows, Sighting,
};
use crate::nemesis::{self, Campaign, nanoseconds};
use crate::observer::{self, FinalRead, Observer, Watch};
use crate::scenario::Strategy;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bound on what a step waits for: sessions that end, a lock, a topic that closes.
const STEP_WITHIN: Duration = Duration::from_secs(30);
/// Bound on a step's work beside its waits, whatever the size of the run.
const WORK_WITHIN: Duration = Duration::from_secs(30);
/// That bound grows by this for each request of the run: what is read grows with them.
const WORK_PER_REQUEST: Duration = Duration::from_micros(200);
/// Healing is bounded by this: a server that was killed may be starting, and Toxiproxy be started again.
const HEAL_WITHIN: Duration = Duration::from_secs(180);
/// The end of the observer's thread is bounded by this.
const OBSERVER_STOP_WITHIN: Duration = Duration::from_secs(10);
/// What is on the topic is seen within this.
const SEEN_WITHIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// A run whose load is over.
pub(super) struct Fencing<'a> {
    pub context: &'a Context<'a>,
    pub deployment: &'a Deployment<'a>,
    pub strategy: &'a Strategy,
    pub watch: &'a Watch,
    pub requests: &'a Arc<Rows<Request>>,
    pub campaign: &'a Campaign,
}

/// This is what the fence let us read; it is empty where a step failed.
pub(super) struct Read {
    pub truth: Option<Truth>,
    pub topic: FinalRead,
    pub sightings: Rows<Sighting>,
    pub pending: Vec<Pending>,
    /// Attempts that were decided in a two-phase commit, and whose events the broker aborted by itself.
    pub heuristic: Vec<u32>,
    /// What is worth knowing of the relay beside that.
    pub remarks: Vec<String>,
    pub service_killed: bool,
    /// These say how each step of the fence went.
    pub steps: Vec<FenceRecord>,
}

/// This is what the source told at its end.
#[derive(Default)]
struct SourceRead {
    pending: Vec<Pending>,
    heuristic: Vec<u32>,
}

/// A wait for events that is over.
struct Waited {
    /// How many were waited for.
    count: usize,
    /// It is true where all of them came, and whoever publishes went on after that.
    is_complete: bool,
    detail: String,
}

/// What was committed only when the wait had begun, and has not come, had less time than it takes to blame
/// anybody: nothing can be said of it, nor of the wait.
async fn too_late(
    observer: &Observer,
    waited_for: &[(u32, u32)],
    committed: &[(u32, u32)],
) -> Option<String> {
    let known: HashSet<&(u32, u32)> = waited_for.iter().collect();
    let later: Vec<(u32, u32)> = committed
        .iter()
        .filter(|one| !known.contains(one))
        .copied()
        .collect();
    // What came at the very end is seen a moment later.
    let until = Instant::now() + SEEN_WITHIN;
    while observer.missing(&later) > 0 && Instant::now() < until {
        tokio::time::sleep(POLL).await;
    }
    match observer.missing(&later) {
        0 => None,
        missing => Some(format!(
            "{missing} changes were committed only when the wait for events had begun, and theirs did \
             not come"
        )),
    }
}

/// Nobody can tell whether a relay left events, or was kept from them by somebody who is no part of the strategy.
fn nobody_held_up(held: u64, held_up: Result<Option<String>, String>) -> Result<(), String> {
    let Some(who) = held_up? else { return Ok(()) };
    Err(format!(
        "of {held} events still held, nothing tells which the relay left: no relay could read past a transaction that \
         has not ended, of {who}; end it (pg_terminate_backend, ROLLBACK PREPARED), or use a server of your own"
    ))
}

impl Fencing<'_> {
    /// Takes every step, whatever became of those before it, and ends the observer.
    pub async fn read(&self, observer: Observer) -> Read {
        let patience = Patience::new(self.context.interrupted.clone());
        let mut fence = Fence::new(self.watch.clock, &patience);
        let work = self.work_within();
        fence
            .step(
                self.announce(FenceStep::Outcomes),
                WORK_WITHIN,
                self.count(),
            )
            .await;
        fence
            .step(self.announce(FenceStep::Heal), HEAL_WITHIN, self.heal())
            .await;
        let drain = &self.context.scenario.drain;
        let wait_within = drain.within + drain.settle + WORK_WITHIN;
        // What relays inside the order service goes on for as long as that does.
        let inside = self.strategy.kind.relays_inside();
        let mut waited_for = None;
        if inside {
            let waited = fence.step(
                self.announce(FenceStep::Wait),
                wait_within + work,
                self.drain_inside(&observer, &patience),
            );
            waited_for = waited.await;
        }
        let stop_within = self.deployment.stop_of_service().within;
        let went_by_itself = fence
            .step(
                self.announce(FenceStep::StopService),
                stop_within + WORK_WITHIN,
                self.stop_service(),
            )
            .await;
        // What is in doubt is waited for first, and both are one wait.
        let recovers = self.deployment.parts.recovers();
        let drain_until = recovers.then(|| Instant::now() + drain.within);
        let truth = fence
            .step(
                self.announce(FenceStep::ReadTruth),
                3 * STEP_WITHIN + work,
                self.read_truth(drain_until),
            )
            .await;
        let committed: Vec<(u32, u32)> = truth
            .iter()
            .flat_map(|t| &t.rows)
            .map(|r| (r.attempt, r.version))
            .collect();
        if inside {
            // Of a wait that failed all is said already.
            if let Some(waited_for) = waited_for
                && let Some(reason) = too_late(&observer, &waited_for, &committed).await
            {
                fence.fail(FenceStep::Wait, reason);
            }
        } else {
            // What came at the very end is seen a moment later.
            let until = match drain_until {
                Some(until) => until.max(Instant::now() + SEEN_WITHIN),
                None => Instant::now() + drain.within,
            };
            fence
                .step(
                    self.announce(FenceStep::Wait),
                    wait_within,
                    self.drain(&observer, &committed, until, &patience),
                )
                .await;
        }
        let pending = fence
            .step(
                self.announce(FenceStep::ReadSource),
                STEP_WITHIN + work,
                self.read_pending(),
            )
            .await;
        fence
            .step(
                self.announce(FenceStep::CloseTopic),
                STEP_WITHIN + WORK_WITHIN,
                self.close_topic(),
            )
            .await;
        let topic = fence
            .step(
                self.announce(FenceStep::ReadTopic),
                STEP_WITHIN + work,
                self.read_topic(),
            )
            .await;
        // What the final read found stands, whatever the live observer saw of it.
        let behind = match &topic {
            Some(topic) => {
                let caught_up = observer.catch_up(&topic.log, STEP_WITHIN);
                let caught_up = patience.give(STEP_WITHIN + WORK_WITHIN, caught_up).await;
                caught_up.unwrap_or_else(|cut| Err(cut.to_string())).err()
            }
            None => None,
        };
        let stopped = patience.give(OBSERVER_STOP_WITHIN, observer.stop()).await;
        let (sightings, broken) =
            stopped.unwrap_or_else(|cut| (Rows::new(), Some(cut.to_string())));
        let broken = broken.map(|reason| format!("the live observer broke: {reason}"));
        let unproved = topic.as_ref().and_then(|topic| topic.unproved.clone());
        for reason in behind.into_iter().chain(broken).chain(unproved) {
            fence.fail(FenceStep::ReadTopic, reason);
        }
        let held_up = patience.give(STEP_WITHIN, self.deployment.topic.held_up());
        if let Ok(Some(why)) = held_up.await {
            // Whoever waits for a broker is not to blame for what did not come.
            let reason =
                format!("the broker took nothing from whoever publishes, for a time: {why}");
            fence.fail(FenceStep::Wait, reason);
        }
        let SourceRead { pending, heuristic } = pending.unwrap_or_default();
        Read {
            truth,
            topic: topic.unwrap_or_default(),
            sightings,
            pending,
            heuristic,
            remarks: self.deployment.remarks(),
            service_killed: went_by_itself == Some(false),
            steps: fence.into_steps(),
        }
    }

    /// What is read grows with the run.
    fn work_within(&self) -> Duration {
        WORK_WITHIN + WORK_PER_REQUEST * self.requests.len() as u32
    }

    fn announce(&self, step: FenceStep) -> FenceStep {
        self.context.reporter.event(Event::Fence { step });
        step
    }

    async fn count(&self) -> Result<((), String), String> {
        let detail = format!("{} attempts have their outcome", self.requests.len());
        Ok(((), detail))
    }

    async fn heal(&self) -> Result<((), String), String> {
        let (deployment, campaign) = (self.deployment, self.campaign);
        // With the run's clock: what was killed since then is known by it.
        let targets = deployment.fault_targets(self.watch.clock, Arc::new(|_| {}));
        nemesis::heal_all(&targets).await?;
        deployment
            .toxiproxy
            .assert_healed(&deployment.proxy_names())
            .await
            .map_err(|e| e.to_string())?;
        let dead = deployment.dead_servers();
        if !dead.is_empty() {
            return Err(dead.join("; "));
        }
        match campaign.errors.first() {
            Some(error) => Err(error.clone()),
            None => Ok((
                (),
                format!(
                    "{} proxies, {} faults",
                    deployment.proxies.len(),
                    campaign.faults.len()
                ),
            )),
        }
    }

    /// For a dual write this is the drain.
    async fn stop_service(&self) -> Result<(bool, String), String> {
        let (by_itself, how) = self.deployment.stop_service().await?;
        Ok((by_itself, how.to_owned()))
    }

    async fn read_truth(&self, drain_until: Option<Instant>) -> Result<(Truth, String), String> {
        let identity = &self.deployment.identity;
        let truth = match self.deployment.parts.truth(self.deployment) {
            None => {
                let unfinished = match drain_until {
                    Some(until) => self.settle_in_doubt(until).await?,
                    None => Unfinished::default(),
                };
                if let Some(reason) = unfinished.not_its_own(self.deployment.relay_goes_on()) {
                    return Err(reason);
                }
                let truth = (self.deployment.database)
                    .close_and_read(identity, STEP_WITHIN)
                    .await?;
                let detail = format!(
                    "{} committed versions{}",
                    truth.rows.len(),
                    unfinished.words()
                );
                return Ok((truth, detail));
            }
            Some(told) => {
                let of_run = (&**identity, &**self.requests);
                let closed_by = Instant::now() + STEP_WITHIN;
                (self.deployment.own_schema)
                    .close_and_ask(&told, of_run, closed_by, self.work_within())
                    .await?
            }
        };
        let detail = format!("{} committed versions", truth.rows.len());
        Ok((truth, detail))
    }

    /// What the order service left in doubt, where its relay is there to finish that; says what was left all the
    /// same.
    async fn settle_in_doubt(&self, drain_until: Instant) -> Result<Unfinished, String> {
        let goes_on = || self.deployment.relay_goes_on();
        (self.deployment.own_schema)
            .settle(drain_until, STEP_WITHIN, goes_on)
            .await
    }

    /// A dual write has nothing that could still deliver once its service is gone, and neither has an
    /// outbox whose relay is dead: no wait.
    async fn drain(
        &self,
        observer: &Observer,
        committed: &[(u32, u32)],
        deadline: Instant,
        patience: &Patience,
    ) -> Result<((), String), String> {
        if self.deployment.relays.is_empty() {
            return Ok(((), "nothing can deliver any more".to_owned()));
        }
        let waited = self
            .wait_for(observer, committed, deadline, patience)
            .await?;
        Ok(((), waited.detail))
    }

    /// The order service itself publishes what is in its outbox, and may still commit what it was asked
    /// for: it is asked what that is again and again, until all of it has come and no more is there.
    /// Gives what was waited for.
    async fn drain_inside(
        &self,
        observer: &Observer,
        patience: &Patience,
    ) -> Result<(Vec<(u32, u32)>, String), String> {
        let Some(told) = self.deployment.parts.truth(self.deployment) else {
            return Err("nothing tells what the order service committed".to_owned());
        };
        let deadline = Instant::now() + self.context.scenario.drain.within;
        let mut first: Option<Vec<(u32, u32)>> = None;
        let mut before: Option<Waited> = None;
        loop {
            let rows = told
                .read(&self.deployment.identity, self.requests, self.work_within())
                .await?;
            let committed: Vec<(u32, u32)> = rows.iter().map(|r| (r.attempt, r.version)).collect();
            if let Some(waited) = before
                && committed.len() == waited.count
            {
                return Ok((committed, waited.detail));
            }
            let waited = self
                .wait_for(observer, &committed, deadline, patience)
                .await?;
            let first = first.get_or_insert(committed);
            if !waited.is_complete {
                // What later looks showed had not all of the time that there is.
                return Ok((first.clone(), waited.detail));
            }
            before = Some(waited);
        }
    }

    /// Waits until all of these have been seen, and goes on for a while; or until nobody is there who
    /// could publish them, or the deadline.
    async fn wait_for(
        &self,
        observer: &Observer,
        committed: &[(u32, u32)],
        deadline: Instant,
        patience: &Patience,
    ) -> Result<Waited, String> {
        let all = committed.len();
        let publisher = match self.strategy.kind.has_relay() {
            true => "relay",
            false => "order service",
        };
        let over = |detail: String| {
            Ok(Waited {
                count: all,
                is_complete: false,
                detail,
            })
        };
        loop {
            let missing = observer.missing(committed);
            if missing == 0 {
                return self.settle(observer, all, publisher, patience).await;
            }
            if !self.deployment.publisher_goes_on() {
                return over(format!(
                    "{missing} of {all} not seen, and the {publisher} is dead"
                ));
            }
            if Instant::now() > deadline {
                let within = self.context.scenario.drain.within;
                return over(format!("{missing} of {all} not seen within {within:?}"));
            }
            if patience.is_interrupted() {
                return Err(format!("interrupted with {missing} not seen"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Everything is there. What its publisher repeats a little later is its doing all the same: it goes
    /// on for as long as the scenario says, from the newest event on.
    async fn settle(
        &self,
        observer: &Observer,
        all: usize,
        publisher: &str,
        patience: &Patience,
    ) -> Result<Waited, String> {
        let waited = |is_complete, detail| Waited {
            count: all,
            is_complete,
            detail,
        };
        let settle = self.context.scenario.drain.settle;
        let last_ns = observer.last_seen_ns().unwrap_or(0);
        let until_ns = last_ns.saturating_add(nanoseconds(settle));
        while self.watch.clock.now_ns() < until_ns {
            if !self.deployment.publisher_goes_on() {
                let detail = format!("all {all} seen, and the {publisher} is dead");
                return Ok(waited(false, detail));
            }
            if patience.is_interrupted() {
                return Err(format!(
                    "interrupted while the {publisher} went on, with all {all} seen"
                ));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(waited(true, format!("all {all} seen, and {settle:?} more")))
    }

    async fn read_pending(&self) -> Result<(SourceRead, String), String> {
        let deployment = self.deployment;
        // While a relay could still have read what is let go now.
        let held_up = deployment.parts.held_up(deployment).await;
        deployment.stop_relays().await?;
        let topology = self.strategy.kind.topology();
        let state = match topology.reads_log {
            true => PendingState::Slot,
            false => PendingState::OutboxRow,
        };
        let verifier = crate::event::Verifier {
            identity: &deployment.identity,
            requests: None,
            payload_bytes: self.context.scenario.workload.payload_bytes,
        };
        // Payloads may be large and many: of each only its attempt is kept.
        let mut read = SourceRead::default();
        let mut strange = None;
        let mut keep = |held: Held<'_>| {
            let mut number = |text: &str| {
                let id = uuid::Uuid::try_parse(text).ok();
                let number = id.and_then(|id| deployment.identity.attempt_number(id));
                if number.is_none() {
                    strange.get_or_insert_with(|| text.to_owned());
                }
                number.unwrap_or(NONE)
            };
            let (state, lsn, attempt) = match held {
                Held::Event { lsn, payload } => {
                    match verifier.verify(None, Some(payload.as_bytes())) {
                        crate::event::Record::Event(event) => (state, lsn, event.attempt),
                        crate::event::Record::Sentinel => return,
                    }
                }
                Held::Attempt(text) => (PendingState::OutboxRow, 0, number(text)),
                Held::Heuristic(text) => {
                    let attempt = Some(number(text)).filter(|attempt| *attempt != NONE);
                    read.heuristic.extend(attempt);
                    return;
                }
            };
            if attempt != NONE {
                read.pending.push(Pending {
                    attempt,
                    state,
                    lsn,
                });
            }
        };
        let held = deployment.parts.pending(deployment, &mut keep).await?;
        if held > 0 {
            nobody_held_up(held, held_up)?;
        }
        if let Some(strange) = strange {
            return Err(format!(
                "asking what the source still holds: the `pending` query of the relay's file gave \
                 `{strange}`, which is no event id of this run; it must give what was written for \
                 ${{event_id}} (the payload has it too, as `attempt`)"
            ));
        }
        let mut detail = match topology.tells_pending {
            true => format!("{held} events still held"),
            false => "nothing tells what the source still holds".to_owned(),
        };
        match read.heuristic.len() {
            0 => {}
            gone => detail.push_str(&format!("; {gone} that were decided are gone")),
        }
        Ok((read, detail))
    }

    async fn close_topic(&self) -> Result<((), String), String> {
        let deployment = self.deployment;
        deployment
            .topic
            .close(&deployment.identity, STEP_WITHIN)
            .await?;
        Ok(((), String::new()))
    }

    async fn read_topic(&self) -> Result<(FinalRead, String), String> {
        let read = observer::read_again(self.watch, Arc::clone(self.requests)).await?;
        let detail = format!(
            "{} records on {} partitions",
            read.log.len(),
            read.partitions.len()
        );
        Ok((read, detail))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_events_still_held_when_a_stranger_holds_them_up_then_no_relay_is_blamed() {
        assert_eq!(nobody_held_up(3, Ok(None)), Ok(()));
        let stranger = Ok(Some("session 17 of me in database mine".to_owned()));
        let reason = nobody_held_up(3, stranger).unwrap_err();
        assert!(
            reason.starts_with("of 3 events still held, nothing tells"),
            "{reason}"
        );
        assert!(
            reason.contains("session 17 of me in database mine"),
            "{reason}"
        );
        let unasked = nobody_held_up(3, Err("no answer".to_owned()));
        assert_eq!(unasked, Err("no answer".to_owned()));
    }
}
