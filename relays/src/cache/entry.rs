//! What stands in the cache under an order's key, and the scripts that compare versions there.
//!
//! A value is the order's version, a blank, and the answer that a reader gets; a marker is a version alone, and says that
//! nothing older may be filled in. So both can be read by eye, and by three lines of a script.

/// Something that the cache has under an order's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheEntry<'a> {
    /// The order as it was at this version.
    Value {
        /// This is the order's version.
        version: u32,
        /// The body of the answer to whoever reads the order.
        body: &'a str,
    },
    /// No value: what was here is older than this version.
    Marker {
        /// A fill must have this version at least.
        version: u32,
    },
}

impl<'a> CacheEntry<'a> {
    /// Reads the text of an entry; `None` if it is none of ours.
    pub fn parse(text: &'a str) -> Option<Self> {
        match text.split_once(' ') {
            Some((version, body)) => Some(Self::Value {
                version: number(version)?,
                body,
            }),
            None => Some(Self::Marker {
                version: number(text)?,
            }),
        }
    }

    /// Returns the text that [`CacheEntry::parse`] reads.
    pub fn text(&self) -> String {
        match self {
            Self::Value { version, body } => format!("{version} {body}"),
            Self::Marker { version } => version.to_string(),
        }
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|c| c.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Puts a value (ARGV[1]) of a version (ARGV[2]) under KEYS[1], unless what is there is newer, or a marker forbids it.
/// Answers 1 where it did.
pub(super) const FILL_IF_NEWER: &str = "\
local held = redis.call('get', KEYS[1])
local version = held and tonumber(string.match(held, '^%d+'))
if version and version > tonumber(ARGV[2]) then return 0 end
redis.call('set', KEYS[1], ARGV[1])
return 1";

/// Replaces what is older than a version (ARGV[1]) under KEYS[1] by the marker of that version, also where nothing is.
/// Answers 1 where it did.
pub(super) const MARK_IF_OLDER: &str = "\
local held = redis.call('get', KEYS[1])
local version = held and tonumber(string.match(held, '^%d+'))
if version and version >= tonumber(ARGV[1]) then return 0 end
redis.call('set', KEYS[1], ARGV[1])
return 1";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_what_is_no_entry_when_it_is_read_then_it_is_none() {
        for text in ["", " ", "x", "-1", "+1 {}", "1.5 {}", "99999999999", " 1"] {
            assert_eq!(CacheEntry::parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn given_any_entry_when_its_text_is_read_then_it_is_the_same(version: u32, body: String) {
            for entry in [CacheEntry::Value { version, body: &body }, CacheEntry::Marker { version }] {
                let text = entry.text();
                prop_assert_eq!(CacheEntry::parse(&text), Some(entry));
            }
        }

        #[test]
        fn given_any_text_when_it_is_read_then_nothing_panics(text: String) {
            if let Some(entry) = CacheEntry::parse(&text) {
                let again = entry.text();
                prop_assert_eq!(CacheEntry::parse(&again), Some(entry));
            }
        }
    }
}
