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

/// What a server let go, and what it did not take, for want of memory since it was started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheLosses {
    /// Another start of the server has another one.
    run_id: String,
    evicted: u64,
    /// `None` of a server that does not count them.
    refused: Option<u64>,
    /// The most memory that it had and was given, in bytes, where it came to the end of it.
    full: Option<(u64, u64)>,
}

/// Asks the server of a cache what it has lost by itself.
pub async fn losses(target: &CacheTarget) -> Result<CacheLosses, CacheError> {
    let mut reader = ReadOut::connect(target).await?;
    let mut info = redis::pipe();
    for section in ["server", "stats", "errorstats", "memory"] {
        info.cmd("INFO").arg(section);
    }
    let sections: [String; 4] = reader.ask(&info).await?;
    Ok(CacheLosses::read(sections.each_ref().map(String::as_str)))
}

impl CacheLosses {
    /// From what INFO says of each. Before 6.2 a server does not count its errors.
    fn read([server, stats, errors, memory]: [&str; 4]) -> Self {
        let value = |text: &str, before: &str| -> Option<String> {
            let found = text.lines().find_map(|line| line.strip_prefix(before));
            found.map(|value| {
                value
                    .split(',')
                    .next()
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            })
        };
        let count =
            |text: &str, before: &str| value(text, before).and_then(|value| value.parse().ok());
        let of_memory = |name| count(memory, name).unwrap_or(0u64);
        let (peak, most) = (of_memory("used_memory_peak:"), of_memory("maxmemory:"));
        let counts_errors = errors.contains("# Errorstats");
        Self {
            run_id: value(server, "run_id:").unwrap_or_default(),
            evicted: count(stats, "evicted_keys:").unwrap_or(0),
            refused: counts_errors.then(|| count(errors, "errorstat_OOM:count=").unwrap_or(0)),
            full: (most > 0 && peak >= most).then_some((peak, most)),
        }
    }

    /// Says in words what the server lost since it was asked `before`; `None` if nothing.
    pub fn since(&self, before: &Self) -> Option<String> {
        let Some(refused) = self.refused else {
            // It may have refused any number.
            return self.full.map(|(peak, most)| {
                format!(
                    "Redis came to the end of its memory ({peak} of {most} bytes) and does not say how many commands it \
                     refused then, so what is missing or old there may be its doing: give it more memory (maxmemory), or \
                     take Redis 6.2 or newer, which counts them"
                )
            });
        };
        // One that was started since has lost nothing before.
        let before = Some(before).filter(|before| before.run_id == self.run_id);
        let evicted = self.evicted - before.map_or(0, |b| b.evicted).min(self.evicted);
        let refused = refused - before.map_or(0, |b| b.refused.unwrap_or(0)).min(refused);
        ((evicted, refused) != (0, 0)).then(|| {
            format!(
                "meanwhile Redis evicted {evicted} keys and refused {refused} commands for want of memory, so what is \
                 missing or old there may be its doing: give it more memory (maxmemory), or plan fewer orders"
            )
        })
    }
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

    const COUNTS: &str = "# Errorstats\r\n";

    fn losses(evicted: u64, errors: &str, memory: &str) -> CacheLosses {
        let stats = format!("# Stats\r\nexpired_keys:9\r\nevicted_keys:{evicted}\r\n");
        CacheLosses::read(["# Server\r\nrun_id:ab12\r\n", &stats, errors, memory])
    }

    fn refused(count: u64) -> CacheLosses {
        let errors = format!("{COUNTS}errorstat_OOM:count={count}\r\n");
        losses(0, &errors, "")
    }

    #[test]
    fn given_a_server_that_ran_out_of_memory_when_it_is_asked_then_it_is_said_and_else_nothing() {
        let none = CacheLosses::default();
        let since = |now: CacheLosses| now.since(&none).unwrap_or_default();
        let other = format!("{COUNTS}errorstat_ERR:count=7\r\n");
        assert_eq!(losses(0, &other, "").since(&none), None);
        assert_eq!(none.since(&none), None);
        assert!(since(losses(3, COUNTS, "")).contains("evicted 3 keys"));
        assert!(since(refused(12)).contains("refused 12 commands"));
        // A server that does not count its errors tells nothing of them once it had no memory left.
        let full = "used_memory_peak:512\r\nmaxmemory:512\r\n";
        let unknown = since(losses(0, "", full));
        assert!(unknown.contains("512 of 512 bytes"), "{unknown}");
        let unbounded = "used_memory_peak:512\r\nmaxmemory:0\r\n";
        assert_eq!(losses(0, "", unbounded).since(&none), None);
        assert_eq!(losses(0, COUNTS, full).since(&none), None);
    }

    #[test]
    fn given_what_a_server_lost_before_then_it_is_not_told_again_unless_it_is_another_start() {
        assert_eq!(refused(12).since(&refused(12)), None);
        assert_eq!(losses(3, COUNTS, "").since(&losses(3, COUNTS, "")), None);
        let more = refused(20).since(&refused(12)).unwrap_or_default();
        assert!(more.contains("refused 8 commands"), "{more}");
        let another = CacheLosses {
            run_id: "cd34".to_owned(),
            ..refused(12)
        };
        let all = another.since(&refused(12)).unwrap_or_default();
        assert!(all.contains("refused 12 commands"), "{all}");
    }

    #[test]
    fn given_a_prefix_with_signs_of_patterns_then_they_stand_for_themselves() {
        assert_eq!(pattern("oh.1:"), "oh.1:*");
        assert_eq!(pattern("a*[b]?\\"), "a\\*\\[b\\]\\?\\\\*");
    }
}
