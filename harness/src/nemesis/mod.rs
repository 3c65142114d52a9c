//! Injects the scenario's faults and heals them, on every way out. It judges nothing.

use crate::clock::RunClock;
use crate::history::{FaultRecord, Observation};
use crate::process::Child;
use crate::scenario::{Fault, Link, StrategyKind, Victim};
use crate::stack::Route;
use crate::toxiproxy::Toxiproxy;
use std::collections::BTreeMap;
use std::path::PathBuf;
use thiserror::Error;

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
    /// The order service's health URL and the like may be probed through these; logs go here.
    pub logs: PathBuf,
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

/// Runs all faults on time (`load_from_ns` + `at`), observing them, and returns when the last is
/// healed. When `stop` fires it heals at once and returns. Cancel-safe healing: see [`heal_all`].
pub async fn campaign(
    faults: &[Fault],
    field: &Battlefield,
    load_from_ns: i64,
    stop: tokio::sync::watch::Receiver<bool>,
) -> Campaign {
    let _ = (faults, field, load_from_ns, stop);
    unimplemented!("H4")
}

/// Heals whatever may be in force: resumes and restarts processes, enables proxies, removes toxics;
/// reads all of it back. Idempotent; called by the fence's step 2 and on every way out.
pub async fn heal_all(field: &Battlefield) -> Result<(), String> {
    let _ = field;
    unimplemented!("H4")
}
