//! A table while it is being filled, round by round.

use crate::statistics;
use reports::bench::{Column, Ratio, Role, Row, Table};
use std::collections::BTreeMap;

/// One round found this of one row.
#[derive(Debug, Clone, Default)]
pub(super) struct Measured {
    /// Each value is of the column of that name; what is not there was not measured.
    pub values: BTreeMap<&'static str, f64>,
    /// This is worth knowing beside the figures; `None` where nothing is.
    pub remark: Option<String>,
    /// The work was not done right: its figures are left out.
    pub wrong: Vec<String>,
    /// Figures could not be taken, or not be trusted.
    pub inconclusive: Vec<String>,
}

/// This is a table with the rounds of its rows.
pub(super) struct Sheet {
    name: String,
    columns: Vec<Column>,
    rows: Vec<SheetRow>,
}

struct SheetRow {
    name: String,
    role: Role,
    note: String,
    rounds: Vec<Measured>,
}

impl Sheet {
    /// Returns a table without rows; a column is a name and a unit, and the first is the one that is drawn.
    pub fn new(name: impl Into<String>, columns: &[(&str, &str)]) -> Self {
        Self {
            name: name.into(),
            columns: columns
                .iter()
                .map(|(name, unit)| Column {
                    name: (*name).to_owned(),
                    unit: (*unit).to_owned(),
                })
                .collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; rounds are added to it by its place.
    pub fn row(&mut self, name: &str, role: Role, note: impl Into<String>) -> usize {
        self.rows.push(SheetRow {
            name: name.to_owned(),
            role,
            note: note.into(),
            rounds: Vec::new(),
        });
        self.rows.len() - 1
    }

    /// Adds a round to a row. Figures of work that was not done right are dropped.
    pub fn add(&mut self, row: usize, mut measured: Measured) {
        if !measured.wrong.is_empty() {
            measured.values.clear();
        }
        self.rows[row].rounds.push(measured);
    }

    /// What the latest round that has it found of a row.
    pub fn last(&self, row: usize, column: &str) -> Option<f64> {
        let mut rounds = self.rows[row].rounds.iter().rev();
        rounds.find_map(|measured| measured.values.get(column).copied())
    }

    /// How many rounds each row has.
    pub fn rounds(&self) -> impl Iterator<Item = u32> {
        self.rows.iter().map(|entry| entry.rounds.len() as u32)
    }

    /// Returns the table as the benchmark's record has it, with the figures of all rounds so far.
    pub fn table(&self) -> Table {
        let rows = self.rows.iter().map(|entry| Row {
            name: entry.name.clone(),
            role: entry.role,
            note: entry.note.clone(),
            figures: self
                .columns
                .iter()
                .map(|c| (c.name.clone(), statistics::figure(entry.values(&c.name))))
                .collect(),
            remarks: entry
                .rounds
                .iter()
                .enumerate()
                .filter_map(|(n, r)| Some(format!("round {}: {}", n + 1, r.remark.as_ref()?)))
                .collect(),
        });
        Table {
            name: self.name.clone(),
            columns: self.columns.clone(),
            rows: rows.collect(),
        }
    }

    /// Compares one row with another in a column; `None` if one of them is not in the table.
    pub fn ratio(&self, column: &str, of: &str, against: &str) -> Option<Ratio> {
        let values = |name: &str| {
            let entry = self.rows.iter().find(|entry| entry.name == name)?;
            Some(entry.values(column))
        };
        Some(Ratio {
            table: self.name.clone(),
            column: column.to_owned(),
            of: of.to_owned(),
            against: against.to_owned(),
            figure: statistics::ratio(&values(of)?, &values(against)?),
        })
    }

    /// What was done wrongly, with row and round.
    pub fn wrong(&self) -> Vec<String> {
        self.said(|measured| &measured.wrong)
    }

    /// Returns what could not be taken, with table, row and round.
    pub fn inconclusive(&self) -> Vec<String> {
        self.said(|measured| &measured.inconclusive)
    }

    fn said(&self, of: impl Fn(&Measured) -> &Vec<String>) -> Vec<String> {
        let mut all = Vec::new();
        for entry in &self.rows {
            for (round, measured) in entry.rounds.iter().enumerate() {
                all.extend(of(measured).iter().map(|text| {
                    format!("{}, {}, round {}: {text}", self.name, entry.name, round + 1)
                }));
            }
        }
        all
    }
}

impl SheetRow {
    fn values(&self, column: &str) -> Vec<Option<f64>> {
        let rounds = self.rounds.iter();
        rounds.map(|r| r.values.get(column).copied()).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn work_done_wrongly_has_no_speed_and_is_named() {
        let mut sheet = Sheet::new("drain", &[("drained", "/s")]);
        let cdc = sheet.row("cdc", Role::Subject, "");
        let good = || Measured {
            values: [("drained", 100.0)].into(),
            ..Measured::default()
        };
        sheet.add(cdc, good());
        sheet.add(
            cdc,
            Measured {
                wrong: vec!["1 event lost".to_owned()],
                ..good()
            },
        );
        let figure = sheet.table().rows[0].figures["drained"].clone().unwrap();
        assert_eq!(figure.rounds, [Some(100.0), None]);
        assert_eq!(sheet.wrong(), ["drain, cdc, round 2: 1 event lost"]);
        assert!(sheet.ratio("drained", "cdc", "nothing").is_none());
    }
}
