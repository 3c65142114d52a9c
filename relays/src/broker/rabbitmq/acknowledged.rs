//! Which messages of a connection the broker has told of: it numbers them 1, 2, 3, ..., and tells of one, or of all up
//! to one, in any order.

use std::collections::BTreeSet;

/// Keeps them: the first ones without a gap as their count, the others by number.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    prefix: u64,
    beyond: BTreeSet<u64>,
}

impl Acknowledged {
    /// Returns how many of the first ones were told of, without a gap.
    pub fn prefix(&self) -> u64 {
        self.prefix
    }

    /// Takes what the broker tells where so many are published, and shows `each` number that is new.
    pub fn take(
        &mut self,
        tag: u64,
        is_multiple: bool,
        published: u64,
        mut each: impl FnMut(u64),
    ) -> Result<(), String> {
        // 0 stands for all of them.
        let last = if is_multiple && tag == 0 {
            published
        } else {
            tag
        };
        if last > published {
            return Err(format!(
                "the broker told of message {last}, and only {published} were published"
            ));
        }
        let first = if is_multiple { self.prefix + 1 } else { last };
        for number in first.max(self.prefix + 1)..=last {
            if self.beyond.insert(number) {
                each(number);
            }
        }
        while self.beyond.first() == Some(&(self.prefix + 1)) {
            self.beyond.pop_first();
            self.prefix += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Given anything that a broker may tell, the prefix and what is new are those of a list of all numbers.
        #[test]
        fn agrees_with_a_slow_model(
            told in prop::collection::vec((0..60_u64, any::<bool>()), 0..80),
        ) {
            const PUBLISHED: u64 = 50;
            let mut acknowledged = Acknowledged::default();
            let mut known = [false; PUBLISHED as usize + 1];
            for (tag, is_multiple) in told {
                let mut new = Vec::new();
                let taken = acknowledged.take(tag, is_multiple, PUBLISHED, |number| new.push(number));
                prop_assert_eq!(taken.is_ok(), tag <= PUBLISHED);
                if taken.is_err() {
                    continue;
                }
                let meant = |number: u64| match (is_multiple, tag) {
                    (true, 0) => true,
                    (true, _) => number <= tag,
                    (false, _) => number == tag,
                };
                let expected: Vec<u64> = (1..=PUBLISHED)
                    .filter(|number| meant(*number) && !known[*number as usize])
                    .collect();
                for number in &expected {
                    known[*number as usize] = true;
                }
                prop_assert_eq!(new, expected);
                let prefix = (1..=PUBLISHED).take_while(|number| known[*number as usize]).count();
                prop_assert_eq!(acknowledged.prefix(), prefix as u64);
            }
        }
    }
}
