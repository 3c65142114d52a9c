//! One fault's injection and its undoing, on all that it works on.

use super::Battlefield;
use super::ledger::Ledger;
use super::ledger::not_ours;
use crate::evidence::Subject;
use crate::process::Child;
use crate::scenario::{Fault, FaultKind, Link, Target, Victim};

/// What a fault works on, in one strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Places {
    /// Proxied links.
    Links(Vec<Link>),
    /// A process.
    Process(Victim),
}

/// A fault made ready: everything it needs is there.
pub(super) struct Deed {
    kind: FaultKind,
    /// Name of its toxics: faults of one kind on one link must not share it.
    toxic_name: String,
    places: Places,
}

impl Deed {
    /// Checks that the field has what the fault works on.
    pub fn new(index: u32, fault: &Fault, field: &Battlefield) -> Result<Self, String> {
        let places = match fault.target {
            Target::Process(victim) => {
                if !field.processes.contains_key(&victim) {
                    return Err(not_ours(victim));
                }
                Places::Process(victim)
            }
            target => {
                let links: Vec<Link> = target
                    .links()
                    .into_iter()
                    .filter(|l| field.strategy.uses(*l))
                    .collect();
                if let Some(direct) = links.iter().find(|l| !field.proxies.contains_key(l)) {
                    return Err(format!("{} does not go through a proxy", direct.name()));
                }
                Places::Links(links)
            }
        };
        Ok(Self {
            kind: fault.kind,
            toxic_name: format!("fault-{index}-{}", fault.kind.name()),
            places,
        })
    }

    /// What is to be observed.
    pub fn subjects(&self, field: &Battlefield) -> Vec<Subject> {
        match &self.places {
            Places::Process(victim) => field
                .processes
                .get(victim)
                .map(|child| Subject::Process(child.clone()))
                .into_iter()
                .collect(),
            Places::Links(links) => links
                .iter()
                .filter_map(|link| {
                    let (_, route) = field.proxies.get(link)?;
                    let shared = field.proxies.iter().any(|(other, (_, way))| {
                        way.upstream == route.upstream && !links.contains(other)
                    });
                    Some(Subject::Link {
                        link: *link,
                        route: route.clone(),
                        shared,
                    })
                })
                .collect(),
        }
    }

    /// The processes whose own reports tell of the fault, with the link they use.
    pub fn clients<'f>(&self, field: &'f Battlefield) -> Vec<(Link, &'f Child)> {
        let Places::Links(links) = &self.places else {
            return Vec::new();
        };
        links
            .iter()
            .filter_map(|link| {
                let victim = match link {
                    Link::OrdersPostgres | Link::OrdersKafka => Victim::OrderService,
                    Link::RelayPostgres | Link::RelayKafka => Victim::Relay,
                };
                Some((*link, field.processes.get(&victim)?))
            })
            .collect()
    }

    /// Injects it everywhere, or nowhere. In force only when read back.
    pub async fn inject(&self, field: &Battlefield, ledger: &Ledger) -> Result<(), String> {
        match &self.places {
            Places::Process(victim) => self.inject_process(*victim, field, ledger).await,
            Places::Links(links) => {
                for (done, link) in links.iter().enumerate() {
                    if let Err(e) = self.inject_link(*link, field, ledger).await {
                        for undone in &links[..done] {
                            self.heal_link(*undone, field, ledger).await?;
                        }
                        return Err(format!("{}: {e}", link.name()));
                    }
                }
                Ok(())
            }
        }
    }

    /// Heals it everywhere; goes on past a failure.
    pub async fn heal(&self, field: &Battlefield, ledger: &Ledger) -> Result<(), String> {
        match &self.places {
            Places::Process(victim) => self.heal_process(*victim, field, ledger).await,
            Places::Links(links) => {
                let mut failures = Vec::new();
                for link in links {
                    if let Err(e) = self.heal_link(*link, field, ledger).await {
                        failures.push(format!("{}: {e}", link.name()));
                    }
                }
                if failures.is_empty() {
                    Ok(())
                } else {
                    Err(failures.join("; "))
                }
            }
        }
    }

    async fn inject_link(
        &self,
        link: Link,
        field: &Battlefield,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let proxy = proxy_name(link, field)?;
        match self.kind {
            FaultKind::Down => {
                let mut downs = ledger.downs(link).await?;
                if *downs == 0
                    && let Err(e) = field.toxiproxy.set_enabled(proxy, false).await
                {
                    // It may be disabled all the same: nobody else holds it down, so it goes up.
                    let back = field.toxiproxy.set_enabled(proxy, true).await;
                    let back =
                        back.map_or_else(|e| format!("; and undoing it: {e}"), |()| String::new());
                    return Err(format!("{e}{back}"));
                }
                *downs += 1;
                Ok(())
            }
            FaultKind::Toxic {
                toxic,
                stream,
                toxicity,
            } => {
                let added = field
                    .toxiproxy
                    .add_toxic(proxy, &self.toxic_name, toxic, stream, toxicity)
                    .await;
                if let Err(e) = added {
                    let back = field.toxiproxy.remove_toxic(proxy, &self.toxic_name).await;
                    let back =
                        back.map_or_else(|e| format!("; and undoing it: {e}"), |()| String::new());
                    return Err(format!("{e}{back}"));
                }
                Ok(())
            }
            FaultKind::Kill | FaultKind::Pause => {
                Err("a link can be neither killed nor paused".into())
            }
        }
    }

    async fn heal_link(
        &self,
        link: Link,
        field: &Battlefield,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let proxy = proxy_name(link, field)?;
        match self.kind {
            FaultKind::Down => {
                let mut downs = ledger.downs(link).await?;
                *downs = downs.saturating_sub(1);
                if *downs > 0 {
                    return Ok(());
                }
                let up = field.toxiproxy.set_enabled(proxy, true).await;
                up.map_err(|e| e.to_string())
            }
            FaultKind::Toxic { .. } => {
                let removed = field.toxiproxy.remove_toxic(proxy, &self.toxic_name).await;
                removed.map_err(|e| e.to_string())?;
                let there = field.toxiproxy.inspect(proxy).await;
                match there.map_err(|e| e.to_string())? {
                    Some((_, toxics)) if !toxics.contains(&self.toxic_name) => Ok(()),
                    Some(_) => Err(format!("toxic {} is still there", self.toxic_name)),
                    None => Err(format!("proxy {proxy} is gone")),
                }
            }
            FaultKind::Kill | FaultKind::Pause => Ok(()),
        }
    }

    async fn inject_process(
        &self,
        victim: Victim,
        field: &Battlefield,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let child = field
            .processes
            .get(&victim)
            .ok_or_else(|| not_ours(victim))?;
        let mut holds = ledger.holds(victim).await?;
        if holds.kills == 0 && !child.is_alive() {
            return Err(format!("{} is dead already", victim.name()));
        }
        match self.kind {
            FaultKind::Kill => {
                if holds.kills == 0 {
                    child.kill().await.map_err(|e| e.to_string())?;
                }
                holds.kills += 1;
                Ok(())
            }
            FaultKind::Pause => {
                if holds.kills > 0 {
                    return Err(format!("{} is killed by another fault", victim.name()));
                }
                if holds.pauses == 0
                    && let Err(e) = child.pause().await
                {
                    let back = child.resume().await;
                    let back =
                        back.map_or_else(|e| format!("; and undoing it: {e}"), |()| String::new());
                    return Err(format!("{e}{back}"));
                }
                holds.pauses += 1;
                Ok(())
            }
            FaultKind::Down | FaultKind::Toxic { .. } => {
                Err("a process can only be killed or paused".into())
            }
        }
    }

    async fn heal_process(
        &self,
        victim: Victim,
        field: &Battlefield,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let child = field
            .processes
            .get(&victim)
            .ok_or_else(|| not_ours(victim))?;
        let mut holds = ledger.holds(victim).await?;
        match self.kind {
            FaultKind::Kill => {
                holds.kills = holds.kills.saturating_sub(1);
                if holds.kills == 0 && !child.is_alive() {
                    child.restart().await.map_err(|e| e.to_string())?;
                }
            }
            FaultKind::Pause => {
                holds.pauses = holds.pauses.saturating_sub(1);
                // One killed meanwhile has nothing left to resume.
                if holds.pauses == 0 && holds.kills == 0 {
                    child.resume().await.map_err(|e| e.to_string())?;
                }
            }
            FaultKind::Down | FaultKind::Toxic { .. } => {}
        }
        Ok(())
    }
}

fn proxy_name(link: Link, field: &Battlefield) -> Result<&str, String> {
    field
        .proxies
        .get(&link)
        .map(|(name, _)| name.as_str())
        .ok_or_else(|| format!("{} does not go through a proxy", link.name()))
}
