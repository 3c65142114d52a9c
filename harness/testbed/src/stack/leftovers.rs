//! What dead harnesses left on an external stack: found by name, told from what the living use by the
//! marks that these keep up, and dropped.
//!
//! Parts of a stack may be shared with harnesses that use other databases, servers or clusters beside
//! them. So whose name is met anywhere is alive if any mark of it is, and a proxy that leads to where
//! its owner's mark could not be seen from here is not touched.

use super::description::Description;
use super::tenancy::{self, DEAD_AFTER, ID_DIGITS};
use super::{LeftTopics, SchemaLook, Schemas, StackError, StackInfo};
use crate::broker::claim;
use crate::process::reaper::Cleanup;
use crate::toxiproxy::ToxiproxyClient;
use relays::config::CacheTarget;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// A run's id has so many hexadecimal digits.
pub(super) const RUN_DIGITS: usize = 16;
/// Bound on all that the reaper does for a dead harness.
const AFTER_DEATH_WITHIN: Duration = Duration::from_secs(60);
/// Whether a mark grows is looked at again after this pause.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// This is all that carries the name of one run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Belongings {
    /// Names of schemas or databases, from which the rest in the database is derived.
    layouts: BTreeSet<String>,
    topics: BTreeSet<String>,
    proxies: BTreeSet<String>,
}

/// Drops what harnesses left that are dead; says what it dropped, and who else is alive, one line each.
/// `tenant` is the harness that asks, which has the stack already.
pub async fn sweep(info: &StackInfo, tenant: &str) -> Result<Vec<String>, StackError> {
    let failed = |reason: String| StackError {
        doing: "drop what dead runs left".into(),
        reason,
    };
    let toxiproxy = ToxiproxyClient::new(&info.toxiproxy_url).map_err(|e| failed(e.to_string()))?;
    let place = Place {
        schemas: Schemas::of(info),
        topics: LeftTopics::of(info),
        redis: info.redis.as_ref().map(|redis| redis.address.clone()),
        toxiproxy,
        upstreams: info.routes.values().map(|r| r.upstream.clone()).collect(),
    };
    let mut look = place.schemas.look().await.map_err(failed)?;
    let found = place.find(&mut look).await.map_err(failed)?;
    let mut others: BTreeSet<String> = found
        .keys()
        .map(|run| run[..ID_DIGITS].to_owned())
        .collect();
    others.remove(tenant);
    let mut said = Vec::new();
    let mut dead = BTreeSet::new();
    for id in &others {
        // Ours from here on: who else sweeps now sees it held, and leaves it to us.
        if look.takes_over(id).await.map_err(failed)? {
            dead.insert(id.clone());
        }
    }
    for id in place.growing(&found, &dead).await.map_err(failed)? {
        dead.remove(id.as_str());
    }
    // Its own reaper may have dropped some of it since.
    let found = match dead.is_empty() {
        true => found,
        false => place.find(&mut look).await.map_err(failed)?,
    };
    for (run, belongings) in &found {
        if !dead.contains(&run[..ID_DIGITS]) {
            continue;
        }
        match place.drop(belongings).await {
            Ok(dropped) => said.extend(
                dropped
                    .iter()
                    .map(|what| format!("dropped {what}, left by run {run}")),
            ),
            // Whoever comes is not the one to pay for it. What stands in the way of this run is told by what it stands
            // in the way of.
            Err(reason) => said.push(format!(
                "not all that run {run} left could be dropped: {reason}"
            )),
        }
    }
    for id in others.difference(&dead) {
        said.push(format!(
            "another harness ({id}) uses some of this stack at the same time: its load is in what is \
             measured"
        ));
    }
    // Closing the session gives all of the locks back.
    Ok(said)
}

/// Returns with what each key of a strategy in the cache begins, by the name of its topic.
pub fn cache_prefix(topic: &str) -> String {
    format!("{topic}:")
}

/// What a run makes on an external stack and must drop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// This is the content of the stack file that leads to the stack.
    pub stack: String,
    /// This is the name of the run's schema or database (also the prefix of roles, slot and publication); it is
    /// empty where there is none to drop.
    pub layout: String,
    /// These are the names of its topics, or of the marks beside them.
    pub topics: Vec<String>,
    /// These are the names of proxies, as Toxiproxy knows them.
    pub proxies: Vec<String>,
}

impl Cleanup for Leftover {
    const KIND: &'static str = "external";

    fn clean_up(left: Vec<Self>) -> Result<Vec<String>, String> {
        if left.is_empty() {
            return Ok(Vec::new());
        }
        // The marks last: as long as one is there, whoever comes waits.
        let mut left = left;
        left.sort_by_key(|left| left.topics.iter().any(|topic| tenancy::is_mark(topic)));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| format!("nothing was dropped from the external stack: {e}"))?;
        Ok(runtime.block_on(drop_all(&left)))
    }
}

/// Says what it did, and what is left for the next run, one line each.
async fn drop_all(leftovers: &[Leftover]) -> Vec<String> {
    let mut said = Vec::new();
    let all = async {
        for leftover in leftovers {
            match drop_one(leftover).await {
                Ok(dropped) => said.extend(dropped.iter().map(|what| format!("dropped {what}"))),
                Err(reason) => said.push(format!("the next run will drop the rest: {reason}")),
            }
        }
    };
    if tokio::time::timeout(AFTER_DEATH_WITHIN, all).await.is_err() {
        said.push("the external stack does not answer; the next run will drop the rest".into());
    }
    said
}

async fn drop_one(leftover: &Leftover) -> Result<Vec<String>, String> {
    let description = Description::parse(&leftover.stack)?;
    let place = Place {
        schemas: Schemas::described(&description),
        topics: LeftTopics::described(&description),
        redis: description
            .redis
            .as_ref()
            .map(|redis| redis.address.clone()),
        toxiproxy: ToxiproxyClient::new(&description.toxiproxy.url).map_err(|e| e.to_string())?,
        upstreams: BTreeSet::new(),
    };
    let layout = Some(leftover.layout.clone()).filter(|name| !name.is_empty());
    let belongings = Belongings {
        layouts: layout.into_iter().collect(),
        topics: leftover.topics.iter().cloned().collect(),
        proxies: leftover.proxies.iter().cloned().collect(),
    };
    place.drop(&belongings).await
}

/// Where belongings are looked for and dropped.
struct Place {
    schemas: Schemas,
    topics: LeftTopics,
    /// `HOST:PORT` of the cache, where there is one.
    redis: Option<String>,
    toxiproxy: ToxiproxyClient,
    /// The proxies of this stack lead to these addresses, `host:port`.
    upstreams: BTreeSet<String>,
}

impl Place {
    /// Finds everything with the name of a run; the result is by run.
    async fn find(&self, look: &mut SchemaLook) -> Result<BTreeMap<String, Belongings>, String> {
        let mut found: BTreeMap<String, Belongings> = BTreeMap::new();
        for (run, layout) in look.layouts().await? {
            found.entry(run).or_default().layouts.insert(layout);
        }
        for topic in self.topics.names().await? {
            if let Some(run) = run_of(&topic, "oh.", '.') {
                let of_run = found.entry(run.to_owned()).or_default();
                of_run.topics.insert(topic);
            }
        }
        let proxies = self.toxiproxy.upstreams().await;
        for (proxy, upstream) in proxies.map_err(|e| e.to_string())? {
            // One that leads elsewhere is of a harness whose marks are there.
            if !self.upstreams.contains(&upstream) {
                continue;
            }
            if let Some(run) = run_of(&proxy, "oh.", '.') {
                let of_run = found.entry(run.to_owned()).or_default();
                of_run.proxies.insert(proxy);
            }
        }
        Ok(found)
    }

    /// Which of these harnesses have a topic that still grows.
    async fn growing(
        &self,
        found: &BTreeMap<String, Belongings>,
        ids: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, String> {
        let mut still = Vec::new();
        for id in ids {
            let mark = tenancy::mark_of(id);
            if found.values().any(|b| b.topics.contains(&mark)) {
                let length = self.topics.length(&mark)?;
                // One that cannot be asked was deleted by its own harness, or its reaper, which are at it: they are given
                // as much time.
                let records = length.records().await.ok();
                still.push((id.as_str(), length, records));
            }
        }
        let mut growing = BTreeSet::new();
        let since = Instant::now();
        while !still.is_empty() && since.elapsed() < DEAD_AFTER {
            tokio::time::sleep(LOOK_AGAIN).await;
            let mut left = Vec::new();
            for (id, length, records) in still {
                // One that cannot be asked any more was deleted by its own harness.
                let now = length.records().await.ok();
                if now.zip(records).is_some_and(|(now, then)| now > then) {
                    growing.insert(id.to_owned());
                } else {
                    left.push((id, length, records));
                }
            }
            still = left;
        }
        Ok(growing)
    }

    /// Drops what is there of these; says what it dropped. Proxies first: nothing may go on through
    /// them.
    async fn drop(&self, belongings: &Belongings) -> Result<Vec<String>, String> {
        let mut dropped = Vec::new();
        for proxy in &belongings.proxies {
            let deleted = self.toxiproxy.delete(proxy);
            deleted.await.map_err(|e| e.to_string())?;
            dropped.push(format!("proxy {proxy}"));
        }
        // By the names of the topics, so before these.
        if let Some(address) = &self.redis {
            for topic in &belongings.topics {
                let keys = CacheTarget {
                    address: address.clone(),
                    prefix: cache_prefix(topic),
                };
                let removed = relays::cache::remove_all(&keys).await;
                removed.map_err(|e| e.to_string())?;
            }
        }
        for name in &belongings.layouts {
            self.schemas.drop(name).await?;
            dropped.push(format!(
                "schema or database {name} with its roles, slot and publication"
            ));
        }
        let claimed = self.claimed(&belongings.topics).await?;
        // The marks after what they are of, which nobody would know for ours without them.
        for topics in [&claimed, &belongings.topics] {
            if !topics.is_empty() {
                self.topics.delete(topics).await?;
                dropped.extend(topics.iter().map(|t| format!("topic {t}")));
            }
        }
        Ok(dropped)
    }

    /// Returns the topics of other names that are this run's, by those marks among its topics that are there. (A mark that was
    /// never made claims nothing: a topic of that name is somebody's.)
    async fn claimed(&self, topics: &BTreeSet<String>) -> Result<BTreeSet<String>, String> {
        if topics.iter().all(|name| claim::owned_by(name).is_none()) {
            return Ok(BTreeSet::new());
        }
        let there = self.topics.names().await?;
        let marks = there.iter().filter(|name| topics.contains(*name));
        let claimed = marks.filter_map(|mark| claim::owned_by(mark));
        Ok(claimed.map(str::to_owned).collect())
    }
}

/// Returns the run in `PREFIX RUN SEPARATOR rest`; names of any other form are not ours, and give `None`.
pub(super) fn run_of<'a>(name: &'a str, prefix: &str, separator: char) -> Option<&'a str> {
    let (run, rest) = name.strip_prefix(prefix)?.split_once(separator)?;
    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let is_run = run.len() == RUN_DIGITS && run.bytes().all(is_digit);
    (is_run && !rest.is_empty()).then_some(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "0123456789abcdef";

    #[test]
    fn only_names_of_our_form_are_ours() {
        assert_eq!(run_of(&format!("oh.{RUN}.cdc"), "oh.", '.'), Some(RUN));
        for other in ["oh.cdc", "oh.0123.cdc", "orders", "oh.0123456789ABCDEF.x"] {
            assert_eq!(run_of(other, "oh.", '.'), None, "{other}");
        }
        assert_eq!(run_of(&format!("oh.{RUN}."), "oh.", '.'), None);
    }
}
