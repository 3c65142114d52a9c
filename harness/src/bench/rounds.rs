//! How far a benchmark came: whole rounds, and what a round has that Ctrl-C or a failure cut short.

use super::sheet::Sheet;
use crate::run::RunError;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// The rows of a round with their places in the table, beginning with another one each round (from 1),
/// so that none is always the first.
pub(super) fn turn<T: Copy>(rows: &[T], round: u32) -> Vec<(usize, T)> {
    let mut turned: Vec<(usize, T)> = rows.iter().copied().enumerate().collect();
    let first = (round as usize).saturating_sub(1) % rows.len().max(1);
    turned.rotate_left(first);
    turned
}

/// Returns an order for each of so many rounds of so many arms, the same for the same seed: in each block of as many
/// rounds as there are arms every arm has every place once, and each second block is the one before it backwards, so
/// that none always follows the same one.
pub(super) fn balanced(arms: usize, rounds: u32, seed: u64) -> Vec<Vec<usize>> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut orders: Vec<Vec<usize>> = Vec::new();
    let mut names: Vec<usize> = (0..arms).collect();
    while orders.len() < rounds as usize && arms > 0 {
        // The block before it, backwards, or a new one.
        if (orders.len() / arms) % 2 == 1 {
            names.reverse();
        } else {
            names.shuffle(&mut random);
        }
        let mut block: Vec<Vec<usize>> = (0..arms)
            .map(|by| {
                let mut order = names.clone();
                order.rotate_left(by);
                order
            })
            .collect();
        block.shuffle(&mut random);
        orders.extend(block);
    }
    orders.truncate(rounds as usize);
    orders
}

/// This counts the rounds of all tables together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rounds {
    /// In which every row was measured.
    pub complete: u32,
    repetitions: u32,
    /// Rows that have a round more.
    ahead: usize,
    rows: usize,
}

impl Rounds {
    /// Of a benchmark that was to have so many.
    pub fn of(sheets: &[Sheet], repetitions: u32) -> Self {
        let rows: Vec<u32> = sheets.iter().flat_map(Sheet::rounds).collect();
        // A table without rows lacks none.
        let complete = rows.iter().copied().min().unwrap_or(repetitions);
        Self {
            complete,
            repetitions,
            ahead: rows.iter().filter(|rounds| **rounds > complete).count(),
            rows: rows.len(),
        }
    }

    /// Whether what was measured is kept: of rounds that a failure ended only if one is whole, lest
    /// the failure is taken for a finding.
    pub fn outlast(&self, cut_short: &RunError) -> bool {
        match cut_short {
            RunError::Interrupted { .. } => self.complete > 0 || self.ahead > 0,
            RunError::Stack(_) | RunError::Failed { .. } => self.complete > 0,
        }
    }

    /// How far it came and why no further, where that is not the end.
    pub fn cut_short(&self, reason: &RunError) -> Option<String> {
        let Self {
            complete,
            repetitions,
            ahead,
            rows,
        } = self;
        if complete >= repetitions {
            return None;
        }
        let why = match reason {
            RunError::Interrupted { .. } => "interrupted".to_owned(),
            failure => failure.to_string(),
        };
        let next = match ahead {
            0 => String::new(),
            _ => format!("; of the next one {ahead} of {rows} rows are kept"),
        };
        Some(format!(
            "cut short after {complete} of {repetitions} rounds{next}: {why}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::sheet::Measured;
    use reports::bench::Role;

    /// A table whose rows have so many rounds.
    fn sheet(rounds: &[u32]) -> Sheet {
        let mut sheet = Sheet::new("table", &[]);
        for rounds in rounds {
            let row = sheet.row("row", Role::Subject, "");
            for _ in 0..*rounds {
                sheet.add(row, Measured::default());
            }
        }
        sheet
    }

    fn interrupted() -> RunError {
        RunError::Interrupted {
            folder: "here".into(),
        }
    }

    fn failure() -> RunError {
        crate::run::deployment::failed("writing", &"disk full")
    }

    #[test]
    fn a_round_counts_when_every_row_of_every_table_was_measured() {
        for (tables, complete, said) in [
            (vec![sheet(&[3, 3]), sheet(&[3])], 3, None),
            (
                vec![sheet(&[2, 2]), sheet(&[2])],
                2,
                Some("after 2 of 3 rounds: writing: disk full"),
            ),
            (
                vec![sheet(&[2, 1]), sheet(&[1])],
                1,
                Some(
                    "after 1 of 3 rounds; of the next one 1 of 3 rows are kept: writing: disk full",
                ),
            ),
        ] {
            let rounds = Rounds::of(&tables, 3);
            assert_eq!(rounds.complete, complete);
            assert!(rounds.outlast(&interrupted()) && rounds.outlast(&failure()));
            let told = rounds.cut_short(&failure());
            assert_eq!(told.is_some(), said.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().ends_with(said.unwrap_or("")));
        }
    }

    #[test]
    fn what_is_kept_of_the_first_round_is_what_ctrl_c_left() {
        let begun = Rounds::of(&[sheet(&[1, 0])], 3);
        assert!(begun.outlast(&interrupted()) && !begun.outlast(&failure()));
        let told = begun.cut_short(&interrupted()).unwrap_or_default();
        assert!(told.ends_with("rows are kept: interrupted"), "{told}");
        let nothing = Rounds::of(&[sheet(&[0, 0])], 3);
        assert!(!nothing.outlast(&interrupted()));
        // And a table without rows lacks none
        let none = Rounds::of(&[sheet(&[])], 3);
        assert_eq!(none.cut_short(&interrupted()), None);
    }

    #[test]
    fn in_seeded_rounds_every_arm_has_every_place_equally_often_and_none_always_the_same_one_before_it()
     {
        for arms in 1..=4 {
            let rounds = 6 * arms as u32;
            let orders = balanced(arms, rounds, 42);
            assert_eq!(orders.len(), rounds as usize);
            for arm in 0..arms {
                for place in 0..arms {
                    let there = orders.iter().filter(|order| order[place] == arm);
                    assert_eq!(there.count(), 6, "{arm} of {arms} at {place}");
                }
                let before: std::collections::BTreeSet<usize> = orders
                    .iter()
                    .flat_map(|order| {
                        order
                            .windows(2)
                            .filter(|two| two[1] == arm)
                            .map(|two| two[0])
                    })
                    .collect();
                assert!(
                    before.len() >= (arms - 1).min(2),
                    "{arm} of {arms} comes after {before:?}"
                );
            }
            assert_eq!(orders, balanced(arms, rounds, 42));
        }
        assert_ne!(balanced(3, 9, 1), balanced(3, 9, 2));
        assert_eq!(balanced(3, 4, 1), balanced(3, 9, 1)[..4]);
        assert_eq!(balanced(0, 4, 1), Vec::<Vec<usize>>::new());
    }

    #[test]
    fn each_round_begins_with_the_next_row_and_leaves_none_out() {
        assert_eq!(turn(&["a", "b", "c"], 1), [(0, "a"), (1, "b"), (2, "c")]);
        assert_eq!(turn(&["a", "b", "c"], 2), [(1, "b"), (2, "c"), (0, "a")]);
        assert_eq!(turn(&["a", "b", "c"], 3), [(2, "c"), (0, "a"), (1, "b")]);
        assert_eq!(turn(&["a", "b", "c"], 4), turn(&["a", "b", "c"], 1));
        assert_eq!(turn::<u8>(&[], 1), []);
    }
}
