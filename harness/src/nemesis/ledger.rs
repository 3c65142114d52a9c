//! Who holds what: faults may overlap on one link or process, and only the last one's end ends it.

use super::FaultTargets;
use crate::scenario::{Link, Victim};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, MutexGuard};

/// These counts say how many faults hold one process down, and by what.
#[derive(Debug, Default)]
pub(super) struct Holds {
    /// It was ended, by a kill or to be started again.
    pub ends: u32,
    pub pauses: u32,
}

/// The ledger has one entry a link and a process; each is locked while it is being changed, so that a fault's end and
/// another's beginning never cross.
#[derive(Debug)]
pub(super) struct Ledger {
    downs: BTreeMap<Link, Mutex<u32>>,
    processes: BTreeMap<Victim, Mutex<Holds>>,
    rescue: Mutex<()>,
    in_force: AtomicUsize,
}

/// A fault that is in force, for as long as this is kept.
pub(super) struct InForce(Arc<Ledger>);

impl InForce {
    pub fn note(ledger: &Arc<Ledger>) -> Self {
        ledger.in_force.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(ledger))
    }
}

impl Drop for InForce {
    fn drop(&mut self) {
        self.0.in_force.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ledger {
    pub fn new(targets: &FaultTargets) -> Self {
        Self {
            downs: targets
                .proxies
                .keys()
                .map(|l| (*l, Mutex::default()))
                .collect(),
            processes: targets
                .processes
                .keys()
                .map(|v| (*v, Mutex::default()))
                .collect(),
            rescue: Mutex::default(),
            in_force: AtomicUsize::new(0),
        }
    }

    /// Whether any fault is in force; one that is being healed is not.
    pub fn is_any_in_force(&self) -> bool {
        self.in_force.load(Ordering::SeqCst) > 0
    }

    /// Returns the count of faults that hold this link down, locked; an Err says that the link has no proxy.
    pub async fn downs(&self, link: Link) -> Result<MutexGuard<'_, u32>, String> {
        match self.downs.get(&link) {
            Some(count) => Ok(count.lock().await),
            None => Err(format!("{} does not go through a proxy", link.name())),
        }
    }

    /// Returns the counts of faults that hold this process, locked; an Err says why it cannot be hit.
    pub async fn holds(&self, victim: Victim) -> Result<MutexGuard<'_, Holds>, String> {
        match self.processes.get(&victim) {
            Some(holds) => Ok(holds.lock().await),
            None => Err(not_ours(victim)),
        }
    }

    /// Waits until no other rescue is under way; there is none beside this one while the guard is kept.
    pub async fn rescuing(&self) -> MutexGuard<'_, ()> {
        self.rescue.lock().await
    }
}

/// Why a process cannot be hit.
pub(super) fn not_ours(victim: Victim) -> String {
    format!(
        "{} is not a process of this run; run on the stack that the harness starts itself (--stack local)",
        victim.name()
    )
}
