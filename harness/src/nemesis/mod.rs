//! Injects the scenario's faults and heals them, on every way out. It judges nothing.

mod injection;
mod ledger;
mod life;
mod rescue;
mod trigger;

use crate::clock::RunClock;
use crate::database::DirectLogin;
use crate::evidence::Observers;
use crate::history::{FaultRecord, Observation, TriggerNote};
use crate::process::{Child, Stop};
use crate::scenario::{BrokerNode, Fault, Link, Topology, Victim};
use crate::stack::{HotStandby, Route};
use crate::toxiproxy::ToxiproxyClient;
use ledger::Ledger;
pub use rescue::heal_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinSet;
use trigger::InjectionTimes;
pub use trigger::{BadQuery, try_queries};

/// An announcer is told what happened to a fault, and must not block.
pub type Announce = Arc<dyn Fn(Announcement) + Send + Sync>;

/// An announcement tells what happened with a fault.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// This says it in words, e.g. `down kafka injected`.
    pub what: String,
    /// Which fault that is, by its place in the scenario, and what became of it; nothing where its state is
    /// what it was.
    pub turn: Option<(u32, Turn)>,
}

/// A turn is what became of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It is in force.
    Injected,
    /// It is no more.
    Healed,
}

/// These are the things that the nemesis works on, for one strategy.
#[derive(Clone)]
pub struct FaultTargets {
    /// What the strategy is made of: which links and processes exist.
    pub strategy: Topology,
    /// This is the client of Toxiproxy's admin API, by which faults of links are injected and healed.
    pub toxiproxy: ToxiproxyClient,
    /// Toxiproxy itself, when it is ours (a wedged one is restarted).
    pub toxiproxy_process: Option<Child>,
    /// These are the proxied links, each with its proxy's name and its route.
    pub proxies: BTreeMap<Link, (String, Route)>,
    /// These are the addresses, `HOST:PORT`, at which the relays find their database, by their links to it.
    pub databases: BTreeMap<Link, String>,
    /// Processes that can be hit.
    pub processes: BTreeMap<Victim, Child>,
    /// How each of them is told to end, where that is not the usual way.
    pub stops: BTreeMap<Victim, Stop>,
    /// Where each of several brokers of Kafka is reached around all proxies, as `host:port`; empty where there is one.
    pub brokers: BTreeMap<BrokerNode, String>,
    /// This is the name of the topic of the events.
    pub topic: String,
    /// Who may read the database directly, where a fault waits for something there.
    pub reader: Option<DirectLogin>,
    /// Who may open sessions of the database that has the strategy's tables, around all proxies.
    pub admin: Option<DirectLogin>,
    /// This server can take the place of the database's, where there is one.
    pub hot_standby: Option<Arc<HotStandby>>,
    /// This clock gives the run time (ns) at which faults are injected, healed and observed.
    pub clock: RunClock,
    /// Told when a fault was injected or healed.
    pub announce: Announce,
}

/// This is the time of the load that the faults hit, and what is counted of it.
#[derive(Clone)]
pub struct LoadWindow {
    /// The load begins at this run time, in ns.
    pub from_ns: i64,
    /// When it is to end: until then faults wait for what triggers them, and those that were triggered
    /// are healed by then.
    pub until_ns: i64,
    /// These are the live counts that triggers wait for.
    pub counts: Arc<dyn Counts>,
}

/// Live counts, asked for every few milliseconds.
pub trait Counts: Send + Sync {
    /// Changes that were acknowledged as committed.
    fn committed(&self) -> u64;
    /// Different valid events that were seen on the topic.
    fn events(&self) -> u64;
    /// Returns how often somebody pressed this key; nobody sits beside most runs.
    fn presses(&self, _key: char) -> u64 {
        0
    }
    /// How often somebody had all faults healed that keys began.
    fn heals(&self) -> u64 {
        0
    }
}

/// A fault could not be injected or healed.
#[derive(Debug, Error)]
#[error("fault {fault} ({what}): {doing}: {reason}")]
pub struct NemesisError {
    /// This is the fault's index into the scenario's faults.
    pub fault: u32,
    /// This says which fault it is, as `KIND on TARGET`.
    pub what: String,
    /// This says what was being done: `injecting`, `healing` or `reading back`.
    pub doing: &'static str,
    /// This says why that failed.
    pub reason: String,
}

/// What the nemesis did.
#[derive(Debug, Default)]
pub struct Campaign {
    /// Each fault of the scenario has a record; one that does not apply to the strategy has `injected_ns: None`.
    pub faults: Vec<FaultRecord>,
    /// These are the raw observations of all faults, oldest first; whether a fault bit is judged by them.
    pub observations: Vec<Observation>,
    /// These say what triggers fired on, or why they could not.
    pub trigger_notes: Vec<TriggerNote>,
    /// These say what failed; with any, the run is unknown.
    pub errors: Vec<String>,
}

impl Campaign {
    /// What it did with some of the faults alone, as though there had been no others.
    pub fn only(self, is_one: impl Fn(usize) -> bool) -> Self {
        let mut next = 0;
        let numbers: Vec<Option<u32>> = (0..self.faults.len())
            .map(|n| {
                let number = is_one(n).then_some(next);
                next += u32::from(number.is_some());
                number
            })
            .collect();
        let number = |fault: u32| numbers.get(fault as usize).copied().flatten();
        let faults = self.faults.into_iter().filter_map(|record| {
            let fault = number(record.fault)?;
            Some(FaultRecord { fault, ..record })
        });
        let observations = self.observations.into_iter().filter_map(|observation| {
            let fault = number(observation.fault)?;
            Some(Observation {
                fault,
                ..observation
            })
        });
        let trigger_notes = self.trigger_notes.into_iter().filter_map(|note| {
            let fault = number(note.fault)?;
            Some(TriggerNote { fault, ..note })
        });
        Self {
            faults: faults.collect(),
            observations: observations.collect(),
            trigger_notes: trigger_notes.collect(),
            errors: self.errors,
        }
    }
}

/// Runs all faults, on time or as soon as what they wait for comes, observing them, and returns when the
/// last is healed. When `stop` fires it heals at once and returns. A campaign that is dropped half-way
/// heals in the background as long as the runtime lives; see [`heal_all`] for the way out.
pub async fn campaign(
    faults: &[Fault],
    targets: &FaultTargets,
    load: LoadWindow,
    stop: tokio::sync::watch::Receiver<bool>,
) -> Campaign {
    let mut campaign = Campaign {
        faults: faults
            .iter()
            .zip(0u32..)
            .map(|(fault, index)| FaultRecord {
                fault: index,
                planned_at_ns: load.planned_at_ns(fault),
                injected_ns: None,
                healed_ns: None,
            })
            .collect(),
        ..Campaign::default()
    };
    let concerned: Vec<(u32, &Fault)> = (0u32..)
        .zip(faults)
        .filter(|(_, fault)| fault.concerns(targets.strategy))
        .collect();
    if concerned.is_empty() {
        return campaign;
    }
    let observers = match Observers::start() {
        Ok(observers) => Arc::new(observers),
        Err(e) => {
            let error = format!("no fault was injected: cannot start the observing thread: {e}");
            campaign.errors.push(error);
            return campaign;
        }
    };
    let mut guard = HealWhenDropped {
        targets: Some(targets.clone()),
    };
    let ledger = Arc::new(Ledger::new(targets));
    let ids = faults.iter().filter_map(|fault| fault.id.as_deref());
    let injections = Arc::new(InjectionTimes::of(ids));
    let mut lives = JoinSet::new();
    for (index, fault) in concerned {
        lives.spawn(life::run(life::Life {
            index,
            fault: fault.clone(),
            targets: targets.clone(),
            ledger: ledger.clone(),
            observers: observers.clone(),
            injections: injections.clone(),
            load: load.clone(),
            stop: stop.clone(),
        }));
    }
    while let Some(ended) = lives.join_next().await {
        match ended {
            Ok(lived) => {
                if let Some(record) = campaign.faults.get_mut(lived.record.fault as usize) {
                    *record = lived.record;
                }
                campaign.observations.extend(lived.observations);
                campaign.trigger_notes.extend(lived.note);
                campaign.errors.extend(lived.errors);
            }
            // Nobody is left to heal that fault at its time. The others' healing finds it done.
            Err(e) => {
                let error = format!("a fault's task ended early: {e}");
                campaign.errors.push(error);
                heal_after_trouble(targets, &mut campaign).await;
            }
        }
    }
    if !campaign.errors.is_empty() {
        heal_after_trouble(targets, &mut campaign).await;
    }
    guard.targets = None;
    campaign.observations.sort_by_key(|o| o.at_ns);
    campaign
}

impl LoadWindow {
    /// When a fault is to begin; of one that waits for something, until when it waits.
    fn planned_at_ns(&self, fault: &Fault) -> i64 {
        let at_ns = |at| self.from_ns.saturating_add(nanoseconds(at));
        fault.at().map_or(self.until_ns, at_ns)
    }
}

async fn heal_after_trouble(targets: &FaultTargets, campaign: &mut Campaign) {
    if let Err(e) = heal_all(targets).await {
        campaign.errors.push(format!("healing everything: {e}"));
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// This guard stands for the faults: a campaign that ends any other way than by returning heals all the same.
struct HealWhenDropped {
    targets: Option<FaultTargets>,
}

impl Drop for HealWhenDropped {
    fn drop(&mut self) {
        let Some(targets) = self.targets.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(e) = heal_all(&targets).await {
                    tracing::error!("healing after an interrupted campaign: {e}");
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_faults_of_which_some_were_not_to_be_then_the_others_move_up() {
        let record = |fault| FaultRecord {
            fault,
            planned_at_ns: i64::from(fault),
            injected_ns: None,
            healed_ns: None,
        };
        let observation = |fault| Observation {
            fault,
            place: "relay".to_owned(),
            name: "up".to_owned(),
            at_ns: i64::from(fault),
            value: 1.0,
        };
        let campaign = Campaign {
            faults: (0..4).map(record).collect(),
            observations: (0..4).map(observation).collect(),
            ..Campaign::default()
        };

        let kept = campaign.only(|n| n % 2 == 1);

        let faults = kept.faults.iter().map(|r| (r.fault, r.planned_at_ns));
        assert_eq!(faults.collect::<Vec<_>>(), [(0, 1), (1, 3)]);
        let observations = kept.observations.iter().map(|o| (o.fault, o.at_ns));
        assert_eq!(observations.collect::<Vec<_>>(), [(0, 1), (1, 3)]);
    }
}
