//! Which run is compared with which, and which of them are equal.

use super::{Rounds, RunSet};
use reports::record::{Record, Strategy, Verdict};

/// Two runs of a pair.
pub type Pair<'a> = (&'a Strategy, &'a Strategy);

/// This holds one comparison's pairs of runs: of a strategy in two sets, or of two strategies in rounds.
#[derive(Debug)]
pub struct PairedArms<'a> {
    /// This says what is compared: `cdc`, or `polling against cdc`.
    pub title: String,
    /// What stands over the figures it is compared with.
    pub base: String,
    /// What stands over its own.
    pub new: String,
    /// In the order in which they were run.
    pub pairs: Vec<Pair<'a>>,
    /// All runs of the base and of the new side, with a partner or without: what one of them did wrong was done.
    pub runs: [Vec<&'a Strategy>; 2],
    /// Pairs of runs that should not differ.
    pub equal: Vec<Pair<'a>>,
}

/// The strategies that both sets have. The first run of one set is paired with the first of the other, and so on; equal
/// are neighbours within a set.
pub fn of_sets<'a>([base, new]: [&'a RunSet; 2], remarks: &mut Vec<String>) -> Vec<PairedArms<'a>> {
    let [base_runs, new_runs] = [base, new].map(in_order);
    if base_runs.len() != new_runs.len() {
        remarks.push(format!(
            "{} has {} runs and {} has {}: of those without a partner only what went wrong is counted.",
            base.name,
            base_runs.len(),
            new.name,
            new_runs.len()
        ));
    }
    let mut paired: Vec<PairedArms<'a>> = Vec::new();
    for name in names(&base_runs) {
        let of = |records: &[&'a Record]| -> Vec<Option<&'a Strategy>> {
            records.iter().map(|record| find(record, name)).collect()
        };
        let (of_base, of_new) = (of(&base_runs), of(&new_runs));
        if of_new.iter().all(Option::is_none) {
            remarks.push(format!("{name} is in {} alone: left out.", base.name));
            continue;
        }
        let neighbours = [&of_base, &of_new]
            .into_iter()
            .flat_map(|of| of.chunks_exact(2));
        let equal: Vec<Pair<'a>> = neighbours.filter_map(|two| two[0].zip(two[1])).collect();
        paired.push(PairedArms {
            title: name.to_owned(),
            base: base.name.clone(),
            new: new.name.clone(),
            pairs: of_base
                .iter()
                .zip(&of_new)
                .filter_map(|(a, b)| (*a).zip(*b))
                .collect(),
            equal,
            runs: [of_base, of_new].map(|of| of.into_iter().flatten().collect()),
        });
    }
    let only_new = names(&new_runs)
        .into_iter()
        .filter(|n| names(&base_runs).iter().all(|b| b != n));
    remarks.extend(only_new.map(|name| format!("{name} is in {} alone: left out.", new.name)));
    told(&paired, remarks);
    paired
}

/// Pairs each other strategy with the first, round by round; equal are the first and its twin.
pub fn of_rounds<'a>(
    rounds: &Rounds<'_>,
    records: &'a [Record],
    remarks: &mut Vec<String>,
) -> Vec<PairedArms<'a>> {
    let pairs = |with: &str| -> Vec<Pair<'a>> {
        let of_round = |record: &'a Record| find(record, rounds.base).zip(find(record, with));
        records.iter().filter_map(of_round).collect()
    };
    let equal = rounds.twin.map(pairs).unwrap_or_default();
    let paired: Vec<PairedArms<'a>> = rounds
        .others
        .iter()
        .map(|other| PairedArms {
            title: format!("{other} against {}", rounds.base),
            base: rounds.base.to_owned(),
            new: other.clone(),
            pairs: pairs(other),
            equal: equal.clone(),
            runs: [rounds.base, other.as_str()]
                .map(|name| records.iter().filter_map(|r| find(r, name)).collect()),
        })
        .filter(|arms| !arms.pairs.is_empty())
        .collect();
    told(&paired, remarks);
    paired
}

/// Whether the two of each pair are next to each other in the order of all runs.
pub fn in_turns(sets: [&RunSet; 2]) -> bool {
    let mut all: Vec<(&str, usize)> = sets
        .into_iter()
        .enumerate()
        .flat_map(|(set, runs)| {
            runs.records
                .iter()
                .map(move |r| (r.started_at.as_str(), set))
        })
        .collect();
    all.sort_unstable();
    all.chunks(2)
        .all(|two| two.len() == 2 && two[0].1 != two[1].1)
}

fn in_order(set: &RunSet) -> Vec<&Record> {
    let mut records: Vec<&Record> = set.records.iter().collect();
    records.sort_by(|a, b| a.started_at.cmp(&b.started_at));
    records
}

fn names<'a>(records: &[&'a Record]) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for strategy in records.iter().flat_map(|record| &record.strategies) {
        if !names.contains(&strategy.name.as_str()) {
            names.push(&strategy.name);
        }
    }
    names
}

fn find<'a>(record: &'a Record, name: &str) -> Option<&'a Strategy> {
    record.strategies.iter().find(|s| s.name == name)
}

/// What is worth knowing of the runs themselves.
fn told(paired: &[PairedArms<'_>], remarks: &mut Vec<String>) {
    for arms in paired {
        for (name, runs) in [&arms.base, &arms.new].into_iter().zip(&arms.runs) {
            let count = |is: fn(&Strategy) -> bool| runs.iter().filter(|s| is(s)).count();
            for (number, what) in [
                (count(|s| s.verdict == Verdict::Fail), "failed"),
                (
                    count(|s| !s.generator.kept_schedule),
                    "had a load behind its schedule, and have no figures here",
                ),
            ] {
                if number > 0 {
                    let line = format!(
                        "{}: {number} of {} runs of {name} {what}.",
                        arms.title,
                        runs.len()
                    );
                    if !remarks.contains(&line) {
                        remarks.push(line);
                    }
                }
            }
        }
    }
}
