//! A snapshot that is held on the real PostgreSQL: what it holds, and that it ends on every way out.

use super::bench::{fault, load_from};
use super::processes::{busy, targets};
use crate::patience::PATIENCE;
use crate::stack;
use harness::database::postgres::fence;
use harness::database::postgres::snapshot::HOLDER;
use harness::nemesis::{FaultTargets, campaign};
use harness::scenario::{Fault, FaultKind, Target, Victim};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Sessions that hold a snapshot for a fault, and of them those that have more than that: a transaction id, or a lock of
/// a table.
async fn holders() -> (i64, i64) {
    let admin = &stack().await.postgres;
    let mut session = fence::connect(admin, Instant::now() + PATIENCE)
        .await
        .unwrap();
    sqlx::query_as(
        "SELECT count(*) FILTER (WHERE backend_xmin IS NOT NULL),
                count(*) FILTER (WHERE backend_xid IS NOT NULL OR EXISTS
                  (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.locktype = 'relation'))
         FROM pg_stat_activity a WHERE application_name = $1",
    )
    .bind(HOLDER)
    .fetch_one(&mut session)
    .await
    .unwrap()
}

async fn until_held(wanted: i64) {
    let deadline = Instant::now() + PATIENCE;
    while holders().await != (wanted, 0) {
        assert!(Instant::now() < deadline, "never {wanted}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The database server is anything that lives; its sessions are those of the real one.
async fn database_server(folder: &std::path::Path) -> FaultTargets {
    let child = busy(Victim::POSTGRES.name(), folder).await;
    FaultTargets {
        admin: Some(stack().await.postgres.clone().into()),
        ..targets(Victim::POSTGRES, &child)
    }
}

fn held_for(lasts: Duration) -> Fault {
    Fault {
        target: Target::Process(Victim::POSTGRES),
        lasts,
        ..fault(FaultKind::OldSnapshot)
    }
}

#[tokio::test]
async fn given_an_old_snapshot_when_healed_or_told_to_stop_or_given_up_then_its_session_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let targets = database_server(folder.path()).await;
    for way_out in ["healed", "stopped", "dropped"] {
        let lasts = match way_out {
            "healed" => Duration::from_secs(1),
            _ => Duration::from_secs(600),
        };
        let (stop, stopped) = watch::channel(false);
        let load = load_from(targets.clock.now_ns());
        let task = tokio::spawn({
            let targets = targets.clone();
            async move { campaign(&[held_for(lasts)], &targets, load, stopped).await }
        });
        // It holds a snapshot, and nothing else
        until_held(1).await;
        match way_out {
            "healed" => {}
            "stopped" => stop.send(true).unwrap(),
            _ => task.abort(),
        }
        until_held(0).await;
        if let Ok(campaign) = task.await {
            assert!(
                campaign.errors.is_empty(),
                "{way_out}: {:?}",
                campaign.errors
            );
            assert!(campaign.faults[0].healed_ns.is_some(), "{way_out}");
        }
    }
}
