//! The eight steps of the fence in their order, and what they let us read.

use super::Event;
use super::arena::Arena;
use super::context::Context;
use super::strategies::Held;
use crate::clock::RunClock;
use crate::fence::Fence;
use crate::fence::database::{self, Truth};
use crate::fence::patience::Patience;
use crate::history::{
    FenceRecord, FenceStep, NONE, Pending, PendingState, Request, Rows, Sighting,
};
use crate::nemesis::{self, Campaign, nanoseconds};
use crate::observer::{self, FinalRead, Observer, Watch};
use crate::scenario::Strategy;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bound on what a step waits for: sessions that end, a lock, a topic that closes.
const STEP_WITHIN: Duration = Duration::from_secs(30);
/// Bound on a step's work beside its waits, whatever the size of the run.
const WORK_WITHIN: Duration = Duration::from_secs(30);
/// And for each request of the run on top of that: what is read grows with them.
const WORK_PER_REQUEST: Duration = Duration::from_micros(200);
/// Bound on healing: a server that was killed may be starting, and Toxiproxy be started again.
const HEAL_WITHIN: Duration = Duration::from_secs(180);
/// The order service bounds its own end by this, and by how long a publish may take.
const SERVICE_STOP_WITHIN: Duration = Duration::from_secs(60);
/// Bound on the end of the observer's thread.
const OBSERVER_STOP_WITHIN: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);

/// A run whose load is over.
pub(super) struct Fencing<'a> {
    pub context: &'a Context<'a>,
    pub arena: &'a Arena<'a>,
    pub strategy: &'a Strategy,
    pub watch: &'a Watch,
    pub requests: &'a Arc<Rows<Request>>,
    pub campaign: &'a Campaign,
}

/// What the fence let us read; empty where a step failed.
pub(super) struct Read {
    pub truth: Option<Truth>,
    pub topic: FinalRead,
    pub sightings: Rows<Sighting>,
    pub pending: Vec<Pending>,
    /// What is worth knowing of the relay beside that.
    pub remarks: Vec<String>,
    pub service_killed: bool,
    /// How each step went.
    pub steps: Vec<FenceRecord>,
}

impl Fencing<'_> {
    /// Takes every step, whatever became of those before it, and ends the observer.
    pub async fn read(&self, observer: Observer) -> Read {
        let patience = Patience::new(self.context.interrupted.clone());
        let mut fence = Fence::new(self.watch.clock, &patience);
        let work = WORK_WITHIN + WORK_PER_REQUEST * self.requests.len() as u32;
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
        let stop_within = self.stop_service_within();
        let went_by_itself = fence
            .step(
                self.announce(FenceStep::StopService),
                stop_within + WORK_WITHIN,
                self.stop_service(stop_within),
            )
            .await;
        let truth = fence
            .step(
                self.announce(FenceStep::ReadTruth),
                STEP_WITHIN + work,
                self.read_truth(),
            )
            .await;
        let committed: Vec<(u32, u32)> = truth
            .iter()
            .flat_map(|t| &t.rows)
            .map(|r| (r.attempt, r.version))
            .collect();
        let drain = &self.context.scenario.drain;
        let drain = drain.within + drain.settle + WORK_WITHIN;
        fence
            .step(
                self.announce(FenceStep::Wait),
                drain,
                self.drain(&observer, &committed, &patience),
            )
            .await;
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
        for reason in behind.into_iter().chain(broken) {
            fence.fail(FenceStep::ReadTopic, reason);
        }
        Read {
            truth,
            topic: topic.unwrap_or_default(),
            sightings,
            pending: pending.unwrap_or_default(),
            remarks: self.arena.remarks(),
            service_killed: went_by_itself == Some(false),
            steps: fence.into_steps(),
        }
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
        let (arena, campaign) = (self.arena, self.campaign);
        let field = arena.battlefield(RunClock::start(), Arc::new(|_| {}));
        nemesis::heal_all(&field).await?;
        arena
            .toxiproxy
            .assert_healed(&arena.proxy_names())
            .await
            .map_err(|e| e.to_string())?;
        let dead = arena.dead_servers();
        if !dead.is_empty() {
            return Err(dead.join("; "));
        }
        match campaign.errors.first() {
            Some(error) => Err(error.clone()),
            None => Ok((
                (),
                format!(
                    "{} proxies, {} faults",
                    arena.proxies.len(),
                    campaign.faults.len()
                ),
            )),
        }
    }

    /// For a dual write this is the drain. The rest may take as long as the service itself lets it.
    fn stop_service_within(&self) -> Duration {
        let request_timeout = self.context.scenario.workload.request_timeout;
        let publish = self.arena.parts.publish_within(request_timeout);
        let drain = self.context.scenario.drain.within;
        drain.min(SERVICE_STOP_WITHIN + publish)
    }

    async fn stop_service(&self, within: Duration) -> Result<(bool, String), String> {
        let Some(service) = &self.arena.service else {
            return Err("there is no order service".to_owned());
        };
        let died_before = !service.is_alive();
        let by_itself = service.terminate(within).await.map_err(|e| e.to_string())?;
        let detail = if died_before {
            "was dead already"
        } else if by_itself {
            "ended by itself"
        } else {
            "had to be killed"
        };
        Ok((by_itself || died_before, detail.to_owned()))
    }

    async fn read_truth(&self) -> Result<(Truth, String), String> {
        let admin = &self.context.stack.info().postgres;
        let Arena {
            layout, identity, ..
        } = self.arena;
        let truth = database::close_and_read(admin, layout, identity, STEP_WITHIN).await?;
        let detail = format!("{} committed versions", truth.rows.len());
        Ok((truth, detail))
    }

    /// A dual write has nothing that could still deliver once its service is gone, and neither has an
    /// outbox whose relay is dead: no wait.
    async fn drain(
        &self,
        observer: &Observer,
        committed: &[(u32, u32)],
        patience: &Patience,
    ) -> Result<((), String), String> {
        if self.arena.relay.is_none() {
            return Ok(((), "nothing can deliver any more".to_owned()));
        }
        let within = self.context.scenario.drain.within;
        let deadline = Instant::now() + within;
        loop {
            let missing = observer.missing(committed);
            if missing == 0 {
                return self.settle(observer, committed.len(), patience).await;
            }
            if !self.arena.relay_goes_on() {
                let all = committed.len();
                return Ok((
                    (),
                    format!("{missing} of {all} not seen, and the relay is dead"),
                ));
            }
            if Instant::now() > deadline {
                return Ok((
                    (),
                    format!(
                        "{missing} of {} not seen within {within:?}",
                        committed.len()
                    ),
                ));
            }
            if patience.is_interrupted() {
                return Err(format!("interrupted with {missing} not seen"));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Everything is there. What the relay repeats a little later is its doing all the same: it goes on
    /// for as long as the scenario says, from the newest event on.
    async fn settle(
        &self,
        observer: &Observer,
        all: usize,
        patience: &Patience,
    ) -> Result<((), String), String> {
        let settle = self.context.scenario.drain.settle;
        let last_ns = observer.last_seen_ns().unwrap_or(0);
        let until_ns = last_ns.saturating_add(nanoseconds(settle));
        while self.watch.clock.now_ns() < until_ns {
            if !self.arena.relay_goes_on() {
                return Ok(((), format!("all {all} seen, and the relay is dead")));
            }
            if patience.is_interrupted() {
                return Err(format!(
                    "interrupted while the relay went on, with all {all} seen"
                ));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(((), format!("all {all} seen, and {settle:?} more")))
    }

    async fn read_pending(&self) -> Result<(Vec<Pending>, String), String> {
        let arena = self.arena;
        arena.stop_relay().await?;
        let topology = self.strategy.kind.topology();
        let state = match topology.reads_log {
            true => PendingState::Slot,
            false => PendingState::OutboxRow,
        };
        let verifier = crate::event::Verifier {
            identity: &arena.identity,
            requests: None,
            payload_bytes: self.context.scenario.workload.payload_bytes,
        };
        // Payloads may be large and many: of each only its attempt is kept.
        let mut pending = Vec::new();
        let mut strange = None;
        let mut keep = |held: Held<'_>| {
            let (state, lsn, attempt) = match held {
                Held::Event { lsn, payload } => {
                    match verifier.verify(None, Some(payload.as_bytes())) {
                        crate::event::Record::Event(event) => (state, lsn, event.attempt),
                        crate::event::Record::Sentinel => return,
                    }
                }
                Held::Attempt(text) => {
                    let id = uuid::Uuid::try_parse(text).ok();
                    let number = id.and_then(|id| arena.identity.attempt_number(id));
                    if number.is_none() {
                        strange.get_or_insert_with(|| text.to_owned());
                    }
                    let number = number.unwrap_or(NONE);
                    (PendingState::OutboxRow, 0, number)
                }
            };
            if attempt != NONE {
                pending.push(Pending {
                    attempt,
                    state,
                    lsn,
                });
            }
        };
        let held = arena.parts.pending(arena, &mut keep).await?;
        if let Some(strange) = strange {
            return Err(format!(
                "asking what the source still holds: the `pending` query of the relay's file gave \
                 `{strange}`, which is no event id of this run; it must give what was written for \
                 ${{event_id}} (the payload has it too, as `attempt`)"
            ));
        }
        let detail = match topology.tells_pending {
            true => format!("{held} events still held"),
            false => "nothing tells what the source still holds".to_owned(),
        };
        Ok((pending, detail))
    }

    async fn close_topic(&self) -> Result<((), String), String> {
        let arena = self.arena;
        arena.topic.close(&arena.identity, STEP_WITHIN).await?;
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
