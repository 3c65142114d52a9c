//! Injects the scenario's faults and heals them, on every way out. It judges nothing.

mod deed;
mod ledger;
mod life;
mod rescue;
mod trigger;

use crate::clock::RunClock;
use crate::evidence::Observers;
use crate::history::{FaultRecord, Observation};
use crate::process::Child;
use crate::scenario::{Fault, Link, StrategyKind, Victim};
use crate::stack::Route;
use crate::toxiproxy::Toxiproxy;
use ledger::Ledger;
pub use rescue::heal_all;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::task::JoinSet;
use trigger::Injections;

/// Told what happened, e.g. `down kafka injected`; must not block.
pub type Announce = Arc<dyn Fn(String) + Send + Sync>;

/// What the nemesis works on, for one strategy.
#[derive(Clone)]
pub struct Battlefield {
    /// The strategy's kind: says which links exist.
    pub strategy: StrategyKind,
    /// Admin API.
    pub toxiproxy: Toxiproxy,
    /// Toxiproxy itself, when it is ours (a wedged one is restarted).
    pub toxiproxy_process: Option<Child>,
    /// Proxied links: proxy name and route.
    pub proxies: BTreeMap<Link, (String, Route)>,
    /// Processes that can be hit.
    pub processes: BTreeMap<Victim, Child>,
    /// Run time.
    pub clock: RunClock,
    /// Told when a fault was injected or healed.
    pub announce: Announce,
}

/// The load that the faults hit.
#[derive(Clone)]
pub struct Load {
    /// When it begins, run time.
    pub from_ns: i64,
    /// When it is to end: until then faults wait for what triggers them, and those that were triggered
    /// are healed by then.
    pub until_ns: i64,
    /// What triggers wait for.
    pub counts: Arc<dyn Counts>,
}

/// Live counts, asked for every few milliseconds.
pub trait Counts: Send + Sync {
    /// Changes that were acknowledged as committed.
    fn committed(&self) -> u64;
    /// Different valid events that were seen on the topic.
    fn events(&self) -> u64;
}

/// A fault could not be injected or healed.
#[derive(Debug, Error)]
#[error("fault {fault} ({what}): {doing}: {reason}")]
pub struct NemesisError {
    /// Index into the scenario's faults.
    pub fault: u32,
    /// `kind on target`.
    pub what: String,
    /// `injecting`, `healing`, `reading back`.
    pub doing: &'static str,
    /// Why it failed.
    pub reason: String,
}

/// What the nemesis did.
#[derive(Debug, Default)]
pub struct Campaign {
    /// One a fault of the scenario; faults that do not apply to the strategy have `injected_ns: None`.
    pub faults: Vec<FaultRecord>,
    /// Raw evidence.
    pub observations: Vec<Observation>,
    /// What failed; the run is then unknown.
    pub errors: Vec<String>,
}

/// Runs all faults, on time or as soon as what they wait for comes, observing them, and returns when the
/// last is healed. When `stop` fires it heals at once and returns. A campaign that is dropped half-way
/// heals in the background as long as the runtime lives; see [`heal_all`] for the way out.
pub async fn campaign(
    faults: &[Fault],
    field: &Battlefield,
    load: Load,
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
        .filter(|(_, fault)| fault.concerns(&field.strategy))
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
        field: Some(field.clone()),
    };
    let ledger = Arc::new(Ledger::new(field));
    let ids = faults.iter().filter_map(|fault| fault.id.as_deref());
    let injections = Arc::new(Injections::of(ids));
    let mut lives = JoinSet::new();
    for (index, fault) in concerned {
        lives.spawn(life::run(life::Life {
            index,
            fault: fault.clone(),
            field: field.clone(),
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
                campaign.errors.extend(lived.errors);
            }
            // Nobody is left to heal that fault at its time. The others' healing finds it done.
            Err(e) => {
                let error = format!("a fault's task ended early: {e}");
                campaign.errors.push(error);
                heal_after_trouble(field, &mut campaign).await;
            }
        }
    }
    if !campaign.errors.is_empty() {
        heal_after_trouble(field, &mut campaign).await;
    }
    guard.field = None;
    campaign.observations.sort_by_key(|o| o.at_ns);
    campaign
}

impl Load {
    /// When a fault is to begin; of one that waits for something, until when it waits.
    fn planned_at_ns(&self, fault: &Fault) -> i64 {
        let at_ns = |at| self.from_ns.saturating_add(nanoseconds(at));
        fault.at().map_or(self.until_ns, at_ns)
    }
}

async fn heal_after_trouble(field: &Battlefield, campaign: &mut Campaign) {
    if let Err(e) = heal_all(field).await {
        campaign.errors.push(format!("healing everything: {e}"));
    }
}

pub(crate) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The fault as a guard: a campaign that ends any other way than by returning heals all the same.
struct HealWhenDropped {
    field: Option<Battlefield>,
}

impl Drop for HealWhenDropped {
    fn drop(&mut self) {
        let Some(field) = self.field.take() else {
            return;
        };
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                if let Err(e) = heal_all(&field).await {
                    tracing::error!("healing after an interrupted campaign: {e}");
                }
            });
        }
    }
}
