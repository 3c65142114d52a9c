//! How far a benchmark came: whole rounds, and what a round has that Ctrl-C cut short.

use super::sheet::Sheet;

/// Of all tables together.
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

    /// Whether it was cut short before anything was measured.
    pub fn nothing(&self) -> bool {
        self.complete == 0 && self.ahead == 0
    }

    /// How far it came, where that is not the end.
    pub fn cut_short(&self) -> Option<String> {
        let Self {
            complete,
            repetitions,
            ahead,
            rows,
        } = self;
        if complete >= repetitions {
            return None;
        }
        let next = match ahead {
            0 => String::new(),
            _ => format!("; of the next one {ahead} of {rows} rows are kept"),
        };
        Some(format!(
            "cut short: interrupted after {complete} of {repetitions} rounds{next}"
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

    #[test]
    fn a_round_counts_when_every_row_of_every_table_was_measured() {
        for (tables, complete, said) in [
            (vec![sheet(&[3, 3]), sheet(&[3])], 3, None),
            (
                vec![sheet(&[2, 2]), sheet(&[2])],
                2,
                Some("after 2 of 3 rounds"),
            ),
            (
                vec![sheet(&[2, 1]), sheet(&[1])],
                1,
                Some("after 1 of 3 rounds; of the next one 1 of 3 rows are kept"),
            ),
        ] {
            let rounds = Rounds::of(&tables, 3);
            assert_eq!(rounds.complete, complete);
            assert!(!rounds.nothing());
            let told = rounds.cut_short();
            assert_eq!(told.is_some(), said.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().ends_with(said.unwrap_or("")));
        }
    }

    #[test]
    fn rounds_without_a_row_are_nothing_and_a_table_without_rows_lacks_none() {
        assert!(Rounds::of(&[sheet(&[0, 0])], 3).nothing());
        let none = Rounds::of(&[sheet(&[])], 3);
        assert!(!none.nothing());
        assert_eq!(none.cut_short(), None);
    }
}
