//! One fault's injection and its undoing, on all that it works on.

use super::ledger::Ledger;
use super::ledger::not_ours;
use super::{Announcement, FaultTargets};
use crate::database::HeldSnapshot;
use crate::evidence::Subject;
use crate::process::comeback::{self, Allowance, Comeback};
use crate::process::{Child, Stop};
use crate::scenario::{Fault, FaultKind, Instance, Link, NodeRole, Server, Target, Victim};
use crate::stack::{Promotion, leader_of};
use std::time::Instant;
use tokio::sync::{Mutex, watch};

/// A fault works on this, in one strategy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Places {
    /// The fault works on these proxied links, which are those of its target that the strategy uses.
    Links(Vec<Link>),
    /// The fault works on those of these processes that have the role when it begins; without one, on all.
    Processes(Vec<Victim>, Option<NodeRole>),
}

/// This is the injection of one fault, made ready: everything it needs is there.
pub(super) struct Injection {
    kind: FaultKind,
    /// Its toxics have this name: faults of one kind on one link must not share it.
    toxic_name: String,
    places: Places,
    /// The processes that it hit, once it is injected.
    hit: Mutex<Vec<Victim>>,
    /// The session that holds a snapshot, while one does. Whoever drops it ends it.
    snapshot: Mutex<Option<HeldSnapshot>>,
    /// How the standby took the place of the server, once it has.
    promotion: Mutex<Option<Promotion>>,
}

impl Injection {
    /// Checks that what the fault works on is there.
    pub fn new(index: u32, fault: &Fault, targets: &FaultTargets) -> Result<Self, String> {
        let role = match fault.target {
            Target::NodeRole(role) => Some(role),
            Target::Process(_) | Target::Link(_) | Target::Side(_) | Target::Broker => None,
        };
        let places = match fault.target.is_of_processes() {
            true => {
                let victims = fault.target.processes_of(targets.strategy);
                let mut all = victims.iter();
                if let Some(victim) = all.find(|victim| !targets.processes.contains_key(victim)) {
                    return Err(not_ours(*victim));
                }
                Places::Processes(victims, role)
            }
            false => {
                let links: Vec<Link> = fault
                    .target
                    .links()
                    .into_iter()
                    .filter(|l| targets.strategy.uses(*l))
                    .collect();
                if let Some(direct) = links.iter().find(|l| !targets.proxies.contains_key(l)) {
                    return Err(format!("{} does not go through a proxy", direct.name()));
                }
                Places::Links(links)
            }
        };
        Ok(Self {
            kind: fault.kind,
            toxic_name: format!("fault-{index}-{}", fault.kind.name()),
            places,
            hit: Mutex::default(),
            snapshot: Mutex::default(),
            promotion: Mutex::default(),
        })
    }

    /// Whether healing it is starting again what is under test.
    pub fn brings_back(&self) -> bool {
        let is_under_test = |victim: &Victim| match victim {
            Victim::OrderService | Victim::Relay(_) | Victim::Consumer(_) => true,
            Victim::Server(_) => false,
        };
        match (self.kind, &self.places) {
            (FaultKind::Kill | FaultKind::Restart, Places::Processes(victims, _)) => {
                victims.iter().any(is_under_test)
            }
            (
                FaultKind::Kill
                | FaultKind::Restart
                | FaultKind::Pause
                | FaultKind::OldSnapshot
                | FaultKind::Failover
                | FaultKind::Down
                | FaultKind::Toxic { .. },
                Places::Processes(..) | Places::Links(_),
            ) => false,
        }
    }

    /// Returns how a standby took the place of the server, where one has.
    pub async fn promotion(&self) -> Option<Promotion> {
        *self.promotion.lock().await
    }

    /// Returns the processes that it hit, where that is not clear from its target: some of several.
    pub async fn hit(&self) -> Vec<Victim> {
        match &self.places {
            Places::Processes(victims, _) if victims.len() > 1 => self.hit.lock().await.clone(),
            Places::Processes(..) | Places::Links(_) => Vec::new(),
        }
    }

    /// What is to be observed.
    pub fn subjects(&self, targets: &FaultTargets) -> Vec<Subject> {
        match &self.places {
            Places::Processes(victims, _) => {
                let own = victims.iter();
                let own = own.filter_map(|victim| targets.processes.get(victim).cloned());
                let beside = victims.iter();
                let beside = beside.flat_map(|victim| relays_beside(*victim, targets));
                own.map(Subject::Process).chain(beside).collect()
            }
            Places::Links(links) => {
                let alone = match links.as_slice() {
                    [link] => link.client(),
                    _ => None,
                };
                let beside = alone
                    .into_iter()
                    .flat_map(|client| relays_beside(client, targets));
                let of_links = links.iter().filter_map(|link| {
                    let (_, route) = targets.proxies.get(link)?;
                    let shared = targets.proxies.iter().any(|(other, (_, way))| {
                        way.upstream == route.upstream && !links.contains(other)
                    });
                    Some(Subject::Link {
                        link: *link,
                        route: route.clone(),
                        shared,
                    })
                });
                of_links.chain(beside).collect()
            }
        }
    }

    /// Returns the processes whose own reports tell of the fault, with the link they use.
    pub fn clients<'f>(&self, targets: &'f FaultTargets) -> Vec<(Link, &'f Child)> {
        let Places::Links(links) = &self.places else {
            return Vec::new();
        };
        let of_link = |link: &Link| {
            let mut processes: Vec<(Link, &Child)> = Vec::new();
            for (victim, child) in &targets.processes {
                let is_one = match link.client() {
                    Some(client) => *victim == client,
                    None => matches!(victim, Victim::Consumer(_)),
                };
                if is_one {
                    processes.push((*link, child));
                }
            }
            processes
        };
        links.iter().flat_map(of_link).collect()
    }

    /// Injects it everywhere, or nowhere; where one of several processes could not be hit, whoever heals everything heals
    /// the others. In force only when read back.
    pub async fn inject(&self, targets: &FaultTargets, ledger: &Ledger) -> Result<(), String> {
        match &self.places {
            Places::Processes(victims, role) => {
                let chosen = chosen(victims, *role, targets).await?;
                self.hit.lock().await.clone_from(&chosen);
                let all = chosen.iter();
                // What is told to end takes its time, and may need the others for it.
                let all = all.map(|victim| self.inject_process(*victim, targets, ledger));
                first_error(futures::future::join_all(all).await)
            }
            Places::Links(links) => {
                for (done, link) in links.iter().enumerate() {
                    if let Err(e) = self.inject_link(*link, targets, ledger).await {
                        for undone in &links[..done] {
                            self.heal_link(*undone, targets, ledger).await?;
                        }
                        return Err(format!("{}: {e}", link.name()));
                    }
                }
                Ok(())
            }
        }
    }

    /// Heals it everywhere; goes on past a failure. A process under test that does not start is tried
    /// again, as long as that is allowed and `stop` is not told.
    pub async fn heal(
        &self,
        targets: &FaultTargets,
        ledger: &Ledger,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), String> {
        match &self.places {
            Places::Processes(..) => {
                let hit = self.hit.lock().await.clone();
                let all = hit.iter();
                // Several brokers of which most are dead start together, or not at all.
                let all = all.map(|victim| self.heal_process(*victim, targets, ledger, stop));
                first_error(futures::future::join_all(all).await)
            }
            Places::Links(links) => {
                let mut failures = Vec::new();
                for link in links {
                    if let Err(e) = self.heal_link(*link, targets, ledger).await {
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
        targets: &FaultTargets,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let proxy = proxy_name(link, targets)?;
        match self.kind {
            FaultKind::Down => {
                let mut downs = ledger.downs(link).await?;
                if *downs == 0
                    && let Err(e) = targets.toxiproxy.set_enabled(proxy, false).await
                {
                    // It may be disabled all the same: nobody else holds it down, so it goes up.
                    let back = targets.toxiproxy.set_enabled(proxy, true).await;
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
                let added = targets
                    .toxiproxy
                    .add_toxic(proxy, &self.toxic_name, toxic, stream, toxicity)
                    .await;
                if let Err(e) = added {
                    let back = targets
                        .toxiproxy
                        .remove_toxic(proxy, &self.toxic_name)
                        .await;
                    let back =
                        back.map_or_else(|e| format!("; and undoing it: {e}"), |()| String::new());
                    return Err(format!("{e}{back}"));
                }
                Ok(())
            }
            FaultKind::Kill
            | FaultKind::Restart
            | FaultKind::Pause
            | FaultKind::OldSnapshot
            | FaultKind::Failover => Err(
                "a link can be neither killed nor restarted nor paused, and has neither snapshots nor a standby"
                    .into(),
            ),
        }
    }

    async fn heal_link(
        &self,
        link: Link,
        targets: &FaultTargets,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let proxy = proxy_name(link, targets)?;
        match self.kind {
            FaultKind::Down => {
                let mut downs = ledger.downs(link).await?;
                *downs = downs.saturating_sub(1);
                if *downs > 0 {
                    return Ok(());
                }
                let up = targets.toxiproxy.set_enabled(proxy, true).await;
                up.map_err(|e| e.to_string())
            }
            FaultKind::Toxic { .. } => {
                let removed = targets
                    .toxiproxy
                    .remove_toxic(proxy, &self.toxic_name)
                    .await;
                removed.map_err(|e| e.to_string())?;
                let there = targets.toxiproxy.inspect(proxy).await;
                match there.map_err(|e| e.to_string())? {
                    Some((_, toxics)) if !toxics.contains(&self.toxic_name) => Ok(()),
                    Some(_) => Err(format!("toxic {} is still there", self.toxic_name)),
                    None => Err(format!("proxy {proxy} is gone")),
                }
            }
            FaultKind::Kill
            | FaultKind::Restart
            | FaultKind::Pause
            | FaultKind::OldSnapshot
            | FaultKind::Failover => Ok(()),
        }
    }

    async fn inject_process(
        &self,
        victim: Victim,
        targets: &FaultTargets,
        ledger: &Ledger,
    ) -> Result<(), String> {
        let child = targets
            .processes
            .get(&victim)
            .ok_or_else(|| not_ours(victim))?;
        let mut holds = ledger.holds(victim).await?;
        if holds.ends == 0 && !child.is_alive() {
            return Err(format!("{} is dead already", victim.name()));
        }
        match self.kind {
            FaultKind::Kill => {
                if holds.ends == 0 {
                    child.kill().await.map_err(|e| e.to_string())?;
                }
                holds.ends += 1;
                Ok(())
            }
            FaultKind::Restart => {
                // A process that stands still cannot end as it is told.
                if holds.pauses > 0 {
                    return Err(format!("{} is paused by another fault", victim.name()));
                }
                if holds.ends == 0 {
                    let usual = Stop::default();
                    let stop = targets.stops.get(&victim).unwrap_or(&usual);
                    child.end_for_now(stop).await.map_err(|e| e.to_string())?;
                }
                holds.ends += 1;
                Ok(())
            }
            FaultKind::Pause => {
                if holds.ends > 0 {
                    return Err(format!("{} is ended by another fault", victim.name()));
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
            FaultKind::Failover => {
                if targets.hot_standby.is_none() {
                    return Err(format!("{} has no standby", victim.name()));
                }
                if holds.ends > 0 {
                    return Err(format!("{} is ended by another fault", victim.name()));
                }
                child.kill().await.map_err(|e| e.to_string())?;
                holds.ends += 1;
                Ok(())
            }
            FaultKind::OldSnapshot => {
                match victim {
                    Victim::Server(server) if server.has_database_faults() => {}
                    other => return Err(format!("{} has no snapshots", other.name())),
                }
                if holds.ends > 0 || holds.pauses > 0 {
                    return Err(format!("{} is not there to be asked", victim.name()));
                }
                let admin = targets.admin.as_ref();
                let admin = admin.ok_or("nobody may open a session of the database")?;
                *self.snapshot.lock().await = Some(admin.take_snapshot().await?);
                Ok(())
            }
            FaultKind::Down | FaultKind::Toxic { .. } => {
                Err("a process can only be killed, restarted or paused".into())
            }
        }
    }

    async fn heal_process(
        &self,
        victim: Victim,
        targets: &FaultTargets,
        ledger: &Ledger,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), String> {
        let child = targets
            .processes
            .get(&victim)
            .ok_or_else(|| not_ours(victim))?;
        let mut holds = ledger.holds(victim).await?;
        match self.kind {
            FaultKind::Kill | FaultKind::Restart => {
                holds.ends = holds.ends.saturating_sub(1);
                if holds.ends == 0 && !child.is_alive() {
                    match victim {
                        Victim::OrderService | Victim::Relay(_) | Victim::Consumer(_) => {
                            bring_back(child, targets, ledger, stop).await?;
                        }
                        Victim::Server(_) => {
                            child.restart().await.map_err(|e| e.to_string())?;
                        }
                    }
                }
            }
            FaultKind::Failover => {
                holds.ends = holds.ends.saturating_sub(1);
                if holds.ends > 0 {
                    let what = "is ended by another fault too, so nobody took its place";
                    return Err(format!("{} {what}", victim.name()));
                }
                let standby = targets.hot_standby.as_ref();
                let standby = standby.ok_or_else(|| format!("{} has no standby", victim.name()))?;
                *self.promotion.lock().await = Some(standby.take_over().await?);
            }
            FaultKind::Pause => {
                holds.pauses = holds.pauses.saturating_sub(1);
                // One that was ended meanwhile has nothing left to resume.
                if holds.pauses == 0 && holds.ends == 0 {
                    child.resume().await.map_err(|e| e.to_string())?;
                }
            }
            FaultKind::OldSnapshot => {
                if let Some(snapshot) = self.snapshot.lock().await.take() {
                    snapshot.let_go().await;
                }
            }
            FaultKind::Down | FaultKind::Toxic { .. } => {}
        }
        Ok(())
    }
}

/// Returns those of several processes that have the role now; without one, all.
async fn chosen(
    victims: &[Victim],
    role: Option<NodeRole>,
    targets: &FaultTargets,
) -> Result<Vec<Victim>, String> {
    let Some(role) = role else {
        return Ok(victims.to_vec());
    };
    let leader = leader_of(&targets.brokers, &targets.topic).await?;
    let leader = Victim::Server(Server::BrokerNode(leader));
    let has_role = |victim: &Victim| match role {
        NodeRole::Leader => *victim == leader,
        NodeRole::Followers => *victim != leader,
    };
    Ok(victims.iter().copied().filter(has_role).collect())
}

/// Returns what came of several, all of which were waited for.
fn first_error(results: Vec<Result<(), String>>) -> Result<(), String> {
    results.into_iter().collect()
}

/// Starts a process under test until it works. That it does not, though nothing hinders it any more, is
/// its own doing: no failure to heal, but an end of it that nobody ordered. Where it could not even be
/// started, that is nobody's doing, and the error.
async fn bring_back(
    child: &Child,
    targets: &FaultTargets,
    ledger: &Ledger,
    stop: &watch::Receiver<bool>,
) -> Result<(), String> {
    let mut allowance = Allowance::of(comeback::WITHIN);
    let mut told = false;
    let came = comeback::bring_back(
        || child.try_restart(),
        |error| {
            if !std::mem::replace(&mut told, true) {
                let text = format!("{} does not start yet: {}", child.name(), error.reason);
                (targets.announce)(Announcement {
                    what: text,
                    turn: None,
                });
            }
            allowance.lasts(Instant::now(), ledger.is_any_in_force())
        },
        || {
            let mut stop = stop.clone();
            async move {
                tokio::select! {
                    () = tokio::time::sleep(comeback::PAUSE) => true,
                    // A sender that is gone can no longer stop anything.
                    Ok(_) = stop.wait_for(|stop| *stop) => false,
                }
            }
        },
    )
    .await;
    match came {
        Comeback::Works | Comeback::Unwanted => Ok(()),
        Comeback::GivenUp(error) if error.was_started => {
            child.stays_away();
            Ok(())
        }
        Comeback::GivenUp(error) => Err(error.to_string()),
    }
}

/// The relays of a strategy that has several, where the fault is on one of them: who does the work tells
/// whether it was missed.
fn relays_beside(victim: Victim, targets: &FaultTargets) -> impl Iterator<Item = Subject> {
    let shared = matches!(victim, Victim::Relay(_)) && targets.strategy.relays > 1;
    let relays = Instance::first(targets.strategy.relays).filter(move |_| shared);
    relays.filter_map(|instance| {
        let child = targets.processes.get(&Victim::Relay(instance))?;
        let server = Server::Database(targets.strategy.database);
        let database = targets.databases.get(&Link::Relay(instance, server))?;
        Some(Subject::Relay {
            child: child.clone(),
            database: database.clone(),
        })
    })
}

fn proxy_name(link: Link, targets: &FaultTargets) -> Result<&str, String> {
    targets
        .proxies
        .get(&link)
        .map(|(name, _)| name.as_str())
        .ok_or_else(|| format!("{} does not go through a proxy", link.name()))
}
