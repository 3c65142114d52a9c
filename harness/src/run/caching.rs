//! What a strategy's cache held at the end: read when order service, relay and consumers have ended, so that nobody
//! fills it any more.

use super::context::Context;
use super::deployment::Deployment;
use crate::fence::patience::Patience;
use crate::history::{CacheEnd, CachedRow, Rows};
use relays::cache::{CachedVersion, losses, read_all};
use std::fmt::Display;
use std::time::Duration;
use uuid::Uuid;

/// Reading the cache is bounded by this.
const READ_WITHIN: Duration = Duration::from_secs(30);
/// That bound grows by this for each request of the run.
const READ_PER_REQUEST: Duration = Duration::from_micros(100);

/// What the cache held, and whether that is all; nothing of a strategy without one. What cannot be read is said so, and
/// is not empty.
pub(super) async fn read_cache(
    context: &Context<'_>,
    deployment: &Deployment<'_>,
    requests: usize,
) -> (Rows<CachedRow>, Option<CacheEnd>) {
    if !deployment.strategy.topology().has_cache {
        return (Rows::new(), None);
    }
    let patience = Patience::new(context.interrupted.clone());
    let within = READ_WITHIN + READ_PER_REQUEST * requests as u32;
    let read = patience.give(within, held(deployment)).await;
    match read.unwrap_or_else(|cut| Err(unread(cut))) {
        Ok(rows) => (rows, Some(CacheEnd::default())),
        Err(end) => (Rows::new(), Some(end)),
    }
}

fn unread(reason: impl Display) -> CacheEnd {
    CacheEnd {
        unread: Some(format!("the cache could not be read: {reason}")),
        has_overflowed: false,
    }
}

async fn held(deployment: &Deployment<'_>) -> Result<Rows<CachedRow>, CacheEnd> {
    let target = deployment.cache_around_proxies().map_err(unread)?;
    let before = deployment.cache_before.get();
    let before = before.ok_or_else(|| unread("it was not looked at before the run"))?;
    if let Some(lost) = losses(&target).await.map_err(unread)?.since(before) {
        return Err(CacheEnd {
            has_overflowed: true,
            ..unread(lost)
        });
    }
    let cached = read_all(&target).await.map_err(unread)?;
    let rows = cached.iter().map(|cached| row(deployment, cached));
    let rows = rows.collect::<Result<Vec<CachedRow>, String>>();
    let mut rows = rows.map_err(unread)?;
    rows.sort_unstable_by_key(|row| row.order);
    Ok(rows.into_iter().collect())
}

fn row(deployment: &Deployment<'_>, cached: &CachedVersion) -> Result<CachedRow, String> {
    let id = Uuid::try_parse(&cached.order).ok();
    let index = id.and_then(|id| deployment.identity.order_index(id));
    let order =
        index.ok_or_else(|| format!("it holds `{}`, no order of this run", cached.order))?;
    Ok(CachedRow {
        order,
        version: cached.version,
    })
}
