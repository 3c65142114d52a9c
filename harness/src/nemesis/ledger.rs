//! Who holds what: faults may overlap on one link or process, and only the last one's end ends it.

use super::Battlefield;
use crate::scenario::{Link, Victim};
use std::collections::BTreeMap;
use tokio::sync::{Mutex, MutexGuard};

/// How many faults hold one process down, and how.
#[derive(Debug, Default)]
pub(super) struct Holds {
    pub kills: u32,
    pub pauses: u32,
}

/// One entry a link and a process; each is locked while it is being changed, so that a fault's end
/// and another's beginning never cross.
#[derive(Debug)]
pub(super) struct Ledger {
    downs: BTreeMap<Link, Mutex<u32>>,
    processes: BTreeMap<Victim, Mutex<Holds>>,
    rescue: Mutex<()>,
}

impl Ledger {
    pub fn new(field: &Battlefield) -> Self {
        Self {
            downs: field
                .proxies
                .keys()
                .map(|l| (*l, Mutex::default()))
                .collect(),
            processes: field
                .processes
                .keys()
                .map(|v| (*v, Mutex::default()))
                .collect(),
            rescue: Mutex::default(),
        }
    }

    /// Faults that hold this link down.
    pub async fn downs(&self, link: Link) -> Result<MutexGuard<'_, u32>, String> {
        match self.downs.get(&link) {
            Some(count) => Ok(count.lock().await),
            None => Err(format!("{} does not go through a proxy", link.name())),
        }
    }

    /// Faults that hold this process.
    pub async fn holds(&self, victim: Victim) -> Result<MutexGuard<'_, Holds>, String> {
        match self.processes.get(&victim) {
            Some(holds) => Ok(holds.lock().await),
            None => Err(not_ours(victim)),
        }
    }

    /// At most one rescue at a time.
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
