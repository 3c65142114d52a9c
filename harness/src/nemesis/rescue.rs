//! Heals whatever may be in force, whoever injected it.

use super::Battlefield;
use crate::history::Life;
use crate::process::Child;
use crate::process::stillness;
use crate::toxiproxy::ToxiproxyError;

/// Heals whatever may be in force: resumes and restarts processes, enables proxies, removes toxics;
/// reads all of it back. Idempotent; called by the fence's step 2 and on every way out.
///
/// Processes come first: a proxy whose peer does not read can be wedged until the peer goes on.
pub async fn heal_all(field: &Battlefield) -> Result<(), String> {
    let mut failures = Vec::new();
    for child in field.processes.values() {
        if let Err(e) = revive(child, field).await {
            failures.push(e);
        }
    }
    if let Err(e) = heal_proxies(field).await {
        failures.push(e);
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(failures.join("; "))
    }
}

/// Resumes a stopped process; restarts one that was killed. One that was told to end, or ended by
/// itself, is left as it is: its death is in its events.
async fn revive(child: &Child, field: &Battlefield) -> Result<(), String> {
    if child.is_alive() {
        if stillness::threads(&child.tree()).stopped == 0 {
            return Ok(());
        }
        child.resume().await.map_err(|e| e.to_string())?;
        let threads = stillness::threads(&child.tree());
        return match threads.stopped {
            0 => Ok(()),
            n => Err(format!(
                "{}: {n} of {} threads are still stopped after SIGCONT",
                child.name(),
                threads.total
            )),
        };
    }
    if was_killed(child, field) {
        child.restart().await.map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// Whether a fault ended the last life. (A server's life may have begun before this strategy's time
/// line.)
fn was_killed(child: &Child, field: &Battlefield) -> bool {
    if child.own_end().is_some() {
        return false;
    }
    let mut killed = false;
    for event in child.events(&field.clock).iter().rev() {
        match event.life {
            Life::Exited if event.exit == libc::SIGKILL => killed = true,
            Life::Exited | Life::Terminating => return false,
            Life::Started => break,
            Life::Ready | Life::Paused | Life::Resumed => {}
        }
    }
    killed
}

async fn heal_proxies(field: &Battlefield) -> Result<(), String> {
    let trouble = match clear_proxies(field).await {
        Ok(()) => return Ok(()),
        Err(e) => e,
    };
    let wedged = matches!(trouble.status, None | Some(503));
    let Some(process) = field.toxiproxy_process.as_ref().filter(|_| wedged) else {
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
    clear_proxies(field).await.map_err(|e| e.to_string())
}

/// Every proxy there, enabled, without toxics.
async fn clear_proxies(field: &Battlefield) -> Result<(), ToxiproxyError> {
    let toxiproxy = &field.toxiproxy;
    for (name, route) in field.proxies.values() {
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
    let names: Vec<String> = field.proxies.values().map(|(n, _)| n.clone()).collect();
    toxiproxy.assert_healed(&names).await
}
