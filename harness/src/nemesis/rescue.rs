//! Heals whatever may be in force, whoever injected it.

use super::FaultTargets;
use crate::history::Life;
use crate::process::Child;
use crate::process::stillness;
use crate::scenario::Victim;
use crate::toxiproxy::ToxiproxyError;

/// Heals whatever may be in force: resumes processes, enables proxies, removes toxics, starts processes
/// again that a fault had killed; reads all of it back. Idempotent; called by the fence's step 2 and on
/// every way out.
///
/// What is stopped goes on first: a proxy whose peer does not read can be wedged until the peer goes on.
/// What is dead comes last: it may need the way through a proxy to start, and the servers before who uses them.
pub async fn heal_all(targets: &FaultTargets) -> Result<(), String> {
    let mut failures = Vec::new();
    for child in targets.processes.values() {
        failures.extend(resume(child).await.err());
    }
    failures.extend(heal_proxies(targets).await.err());
    let is_server = |victim: &Victim| match victim {
        Victim::Server(_) => true,
        Victim::OrderService | Victim::Relay(_) | Victim::Consumer(_) => false,
    };
    let dead = targets.processes.iter();
    let dead = dead.filter(|(_, child)| was_killed(child, targets));
    let (servers, others): (Vec<_>, Vec<_>) = dead.partition(|(victim, _)| is_server(victim));
    // Several brokers of which most are dead start together, or not at all.
    let started = servers.into_iter().map(|(_, child)| child.restart());
    let started = futures::future::join_all(started).await;
    failures.extend(
        started
            .into_iter()
            .filter_map(|r| Some(r.err()?.to_string())),
    );
    for (_, child) in others {
        failures.extend(child.restart().await.err().map(|e| e.to_string()));
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("; "))
    }
}

/// Resumes a process, if it is stopped.
async fn resume(child: &Child) -> Result<(), String> {
    if !child.is_alive() || stillness::threads(&child.tree()).stopped == 0 {
        return Ok(());
    }
    child.resume().await.map_err(|e| e.to_string())?;
    let threads = stillness::threads(&child.tree());
    match threads.stopped {
        0 => Ok(()),
        n => Err(format!(
            "{}: {n} of {} threads are still stopped after SIGCONT",
            child.name(),
            threads.total
        )),
    }
}

/// Whether a process is dead since a fault ended its last life, as far as is known since the field's clock
/// began. One that was told to end for good, or ended by itself, is left as it is: its death is in its events.
fn was_killed(child: &Child, targets: &FaultTargets) -> bool {
    if child.is_alive() || child.own_end().is_some() {
        return false;
    }
    let mut ended = false;
    for event in child.events(&targets.clock).iter().rev() {
        match event.life {
            // Of starts that failed since, there may be several.
            Life::Exited => ended = true,
            Life::Terminating if !child.is_to_return() => return false,
            Life::Ready => break,
            Life::Terminating | Life::Started | Life::Paused | Life::Resumed => {}
        }
    }
    ended
}

async fn heal_proxies(targets: &FaultTargets) -> Result<(), String> {
    let trouble = match clear_proxies(targets).await {
        Ok(()) => return Ok(()),
        Err(e) => e,
    };
    let wedged = matches!(trouble.status, None | Some(503));
    let Some(process) = targets.toxiproxy_process.as_ref().filter(|_| wedged) else {
        return Err(format!(
            "{trouble}; restart Toxiproxy by hand if it does not answer"
        ));
    };
    // Its proxies are gone with it, and made anew.
    let restarted = async {
        process.kill().await?;
        process.restart().await
    };
    restarted
        .await
        .map_err(|e| format!("{trouble}; and restarting it failed: {e}"))?;
    clear_proxies(targets).await.map_err(|e| e.to_string())
}

/// Sees to it that every proxy is there, enabled and without toxics.
async fn clear_proxies(targets: &FaultTargets) -> Result<(), ToxiproxyError> {
    let toxiproxy = &targets.toxiproxy;
    for (name, route) in targets.proxies.values() {
        match toxiproxy.inspect(name).await? {
            None => {
                toxiproxy
                    .create(name, &route.listen, &route.upstream)
                    .await?;
            }
            Some((enabled, toxics)) => {
                for toxic in toxics {
                    toxiproxy.remove_toxic(name, &toxic).await?;
                }
                if !enabled {
                    toxiproxy.set_enabled(name, true).await?;
                }
            }
        }
    }
    let names: Vec<String> = targets.proxies.values().map(|(n, _)| n.clone()).collect();
    toxiproxy.assert_healed(&names).await
}
