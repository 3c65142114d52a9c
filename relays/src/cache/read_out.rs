//! What a cache holds at the end of a run, read as a whole; and its removal.

use super::connection::Live;
use super::{CacheEntry, CacheError, connection};
use crate::config::CacheTarget;
use redis::{FromRedisValue, Pipeline};
use std::time::Duration;
use tokio::time::timeout;

/// So many keys are asked for at a time.
const AT_A_TIME: usize = 1_000;
/// One answer may take no longer than this.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// This is an order of which the cache holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedVersion {
    /// The order, as its key names it.
    pub order: String,
    /// A reader would be answered this version; 0 where what is there is no entry.
    pub version: u32,
}

/// Reads every value below the target's prefix; markers are no values.
pub async fn read_all(target: &CacheTarget) -> Result<Vec<CachedVersion>, CacheError> {
    let mut reader = ReadOut::connect(target).await?;
    let mut cached = Vec::new();
    let mut cursor = None;
    while let Some(keys) = reader.next_keys(&mut cursor).await? {
        if keys.is_empty() {
            continue;
        }
        let mut get = redis::pipe();
        get.cmd("MGET").arg(&keys);
        let (texts,): (Vec<Option<String>>,) = reader.ask(&get).await?;
        for (key, text) in keys.iter().zip(texts) {
            // One that went meanwhile is not there.
            let Some(text) = text else { continue };
            let version = match CacheEntry::parse(&text) {
                Some(CacheEntry::Value { version, .. }) => version,
                Some(CacheEntry::Marker { .. }) => continue,
                None => 0,
            };
            let order = key.strip_prefix(&target.prefix).unwrap_or(key);
            cached.push(CachedVersion {
                order: order.to_owned(),
                version,
            });
        }
    }
    // A scan may name a key twice.
    cached.sort_by(|a, b| a.order.cmp(&b.order));
    cached.dedup();
    Ok(cached)
}

/// Says in words what the server let go, or did not take, for want of memory since it was started; `None` if nothing.
pub async fn lost_by_itself(target: &CacheTarget) -> Result<Option<String>, CacheError> {
    let mut reader = ReadOut::connect(target).await?;
    let mut info = redis::pipe();
    info.cmd("INFO").arg("stats");
    info.cmd("INFO").arg("errorstats");
    info.cmd("INFO").arg("memory");
    let (stats, errors, memory): (String, String, String) = reader.ask(&info).await?;
    Ok(want_of_memory(&stats, &errors, &memory))
}

/// From what INFO says of each. Before 6.2 a server does not count its errors: one that came to the end of its memory may
/// have refused any number.
fn want_of_memory(stats: &str, errors: &str, memory: &str) -> Option<String> {
    let count = |text: &str, before: &str| {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(before));
        value.and_then(|value| value.trim().parse().ok())
    };
    let evicted: u64 = count(stats, "evicted_keys:").unwrap_or(0);
    let refused: u64 = count(errors, "errorstat_OOM:count=").unwrap_or(0);
    let of_memory = |name| count(memory, name).unwrap_or(0u64);
    let (peak, most) = (of_memory("used_memory_peak:"), of_memory("maxmemory:"));
    let counts_errors = errors.contains("# Errorstats");
    if !counts_errors && most > 0 && peak >= most {
        return Some(format!(
            "Redis came to the end of its memory ({peak} of {most} bytes) and does not say how many commands it refused \
             then, so what is missing or old there may be its doing: give it more memory (maxmemory), or take Redis 6.2 \
             or newer, which counts them"
        ));
    }
    ((evicted, refused) != (0, 0)).then(|| {
        format!(
            "since it was started, Redis evicted {evicted} keys and refused {refused} commands for want of memory, so \
             what is missing or old there may be its doing: give it more memory (maxmemory), or plan fewer orders"
        )
    })
}

/// Removes every key below the target's prefix.
pub async fn remove_all(target: &CacheTarget) -> Result<(), CacheError> {
    let mut reader = ReadOut::connect(target).await?;
    let mut cursor = None;
    while let Some(keys) = reader.next_keys(&mut cursor).await? {
        if !keys.is_empty() {
            let mut remove = redis::pipe();
            remove.cmd("UNLINK").arg(&keys).ignore();
            let () = reader.ask(&remove).await?;
        }
    }
    Ok(())
}

struct ReadOut<'a> {
    target: &'a CacheTarget,
    live: Live,
}

impl<'a> ReadOut<'a> {
    async fn connect(target: &'a CacheTarget) -> Result<Self, CacheError> {
        let live = connection::connect(&target.address, 0).await?;
        Ok(Self { target, live })
    }

    /// The next keys of a scan, which begins without a cursor; `None` when it is over.
    async fn next_keys(
        &mut self,
        cursor: &mut Option<String>,
    ) -> Result<Option<Vec<String>>, CacheError> {
        let from = match cursor.as_deref() {
            Some("0") => return Ok(None),
            Some(from) => from,
            None => "0",
        };
        let mut scan = redis::pipe();
        scan.cmd("SCAN").arg(from);
        scan.arg("MATCH").arg(pattern(&self.target.prefix));
        scan.arg("COUNT").arg(AT_A_TIME);
        let ((next, keys),): ((String, Vec<String>),) = self.ask(&scan).await?;
        *cursor = Some(next);
        Ok(Some(keys))
    }

    async fn ask<T: FromRedisValue>(&mut self, commands: &Pipeline) -> Result<T, CacheError> {
        match timeout(
            ANSWER_WITHIN,
            commands.query_async(&mut self.live.connection),
        )
        .await
        {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.failed(error.to_string())),
            Err(_) => Err(self.failed(format!("no answer within {ANSWER_WITHIN:?}"))),
        }
    }

    fn failed(&self, reason: String) -> CacheError {
        CacheError {
            doing: format!("reading the cache at {}", self.target.address),
            reason,
        }
    }
}

/// Matches what begins with this, whatever is in it.
fn pattern(prefix: &str) -> String {
    let mut pattern = String::new();
    for c in prefix.chars() {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('*');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_server_that_ran_out_of_memory_when_it_is_asked_then_it_is_said_and_else_nothing() {
        let said = |evicted: u64, errors: &str| {
            let stats = format!("# Stats\r\nexpired_keys:9\r\nevicted_keys:{evicted}\r\n");
            want_of_memory(&stats, errors, "")
        };
        assert_eq!(said(0, "# Errorstats\r\nerrorstat_ERR:count=7\r\n"), None);
        assert_eq!(want_of_memory("", "", ""), None);
        assert!(said(3, "").unwrap_or_default().contains("evicted 3 keys"));
        let refused = said(0, "# Errorstats\r\nerrorstat_OOM:count=12\r\n");
        assert!(refused.unwrap_or_default().contains("refused 12 commands"));
        // A server that does not count its errors tells nothing of them once it had no memory left.
        let full = "used_memory_peak:512\r\nmaxmemory:512\r\n";
        let unknown = want_of_memory("", "", full).unwrap_or_default();
        assert!(unknown.contains("512 of 512 bytes"), "{unknown}");
        let unbounded = "used_memory_peak:512\r\nmaxmemory:0\r\n";
        assert_eq!(want_of_memory("", "", unbounded), None);
        assert_eq!(want_of_memory("", "# Errorstats\r\n", full), None);
    }

    #[test]
    fn given_a_prefix_with_signs_of_patterns_then_they_stand_for_themselves() {
        assert_eq!(pattern("oh.1:"), "oh.1:*");
        assert_eq!(pattern("a*[b]?\\"), "a\\*\\[b\\]\\?\\\\*");
    }
}
