//! For how long readers of committed records have stood still on a partition.
//!
//! They may read up to the last stable offset, which is before the first record of a transaction that is open.
//! While it is the same, and there are records behind it, they wait for somebody to end that transaction.

/// One partition, as it was found again and again.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    /// The last stable offset with something behind it, and when it was first found so.
    since: Option<(i64, i64)>,
}

impl Standstill {
    /// Returns for how long, in ns, readers are known to have stood still when this was asked. `stable` is how far they
    /// may read at some moment between question and answer; `end` is the partition's end, asked for before that, so that
    /// nothing that came between counts. They stand since the first answer, at the latest.
    pub fn found(&mut self, (asked_ns, told_ns): (i64, i64), stable: i64, end: i64) -> i64 {
        if stable >= end {
            self.since = None;
            return 0;
        }
        match self.since {
            Some((offset, since_ns)) if offset == stable => (asked_ns - since_ns).max(0),
            Some(_) | None => {
                self.since = Some((stable, told_ns));
                0
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same by going back through all that was found: from the last answer to the first of those that are like it.
    fn model(found: &[((i64, i64), i64, i64)]) -> i64 {
        let ((asked_ns, _), stable, _) = *found.last().unwrap();
        let mut since_ns = asked_ns;
        for ((_, told_ns), offset, end) in found.iter().rev() {
            if *offset != stable || offset >= end {
                break;
            }
            since_ns = *told_ns;
        }
        (asked_ns - since_ns).max(0)
    }

    proptest! {
        #[test]
        fn given_any_answers_then_readers_stand_still_as_long_as_a_slow_model_says(
            steps in prop::collection::vec((1_i64..100, 0_i64..100, 0_i64..2, 0_i64..2), 1..40)
        ) {
            // Given offsets that grow, the end as well
            let (mut at_ns, mut stable, mut found) = (0, 0, Vec::new());
            let mut standstill = Standstill::default();
            for (later, takes, further, behind) in steps {
                let asked_ns = at_ns + later;
                at_ns = asked_ns + takes;
                stable += further;
                found.push(((asked_ns, at_ns), stable, stable + behind));
                // Then
                let stood = standstill.found((asked_ns, at_ns), stable, stable + behind);
                prop_assert_eq!(stood, model(&found));
            }
        }
    }
}
