//! Which events were seen so far: a dense array by attempt, told in batches.

use std::collections::HashSet;

/// A valid event, as far as live verification goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Valid {
    pub attempt: u32,
    pub version: u32,
}

/// This is the set of valid events. An attempt has one version, unless something is broken; so versions are in an
/// array by attempt, and only further versions of an attempt are in a set.
#[derive(Debug, Default)]
pub(super) struct Seen {
    version: Vec<u32>,
    more: HashSet<Valid>,
}

impl Seen {
    /// Adds an event (versions begin at 1); true if it is new.
    pub fn add(&mut self, event: Valid) -> bool {
        let at = event.attempt as usize;
        if at >= self.version.len() {
            self.version.resize(at + 1, 0);
        }
        match self.version[at] {
            0 => {
                self.version[at] = event.version;
                true
            }
            first if first == event.version => false,
            _ => self.more.insert(event),
        }
    }

    /// Whether an event was added.
    pub fn has(&self, event: Valid) -> bool {
        match self.version.get(event.attempt as usize) {
            None | Some(0) => false,
            Some(&first) => first == event.version || self.more.contains(&event),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_set(events in proptest::collection::vec((0u32..50, 1u32..4), 0..200)) {
            let (mut seen, mut model) = (Seen::default(), HashSet::new());
            for (attempt, version) in events {
                let event = Valid { attempt, version };
                prop_assert_eq!(seen.add(event), model.insert(event));
            }
            for attempt in 0..60 {
                for version in 1..5 {
                    let event = Valid { attempt, version };
                    prop_assert_eq!(seen.has(event), model.contains(&event));
                }
            }
        }
    }
}
