//! A finished run, to be shown again: each strategy's course from its saved history, and the record that `check` makes
//! of all of them.

use super::again::{check_and_see, place};
use super::{RunError, folder};
use crate::checkers::context::Context;
use crate::course::Course;
use crate::history::{History, LoadedHistory, altered_reason};
use crate::scenario::{Scenario, Strategy, Topology};
use crate::view;
use reports::record::Record;
use std::path::Path;

/// A finished run, as it is shown again.
#[derive(Debug)]
pub struct Replay {
    /// What `check` says of the run, with what its own record says of strategies that were not run.
    pub record: Record,
    /// The scenario as it was played.
    pub scenario: Scenario,
    /// Strategies that have a history, in the scenario's order.
    pub lanes: Vec<ReplayLane>,
    /// Whether the strategies ran at the same time.
    pub at_the_same_time: bool,
    /// What was changed after the run, a sentence a strategy; what such a history shows is not what happened.
    pub altered: Vec<String>,
}

/// One strategy of it.
#[derive(Debug)]
pub struct ReplayLane {
    /// The strategy as the scenario has it.
    pub strategy: Strategy,
    /// This is what the strategy was made of when it ran.
    pub topology: Topology,
    /// What happened in it, and when.
    pub course: Course,
}

/// What is kept of one history while the next one is read.
struct SeenHistory {
    place: Option<usize>,
    scenario: Scenario,
    /// When its load began and ended, on the wall clock.
    load_ns: (i128, i128),
    lane: Option<ReplayLane>,
}

/// Reads a run's folder; fails where `check` fails.
pub fn replay(folder: &Path) -> Result<Replay, RunError> {
    let mut seen: Vec<SeenHistory> = Vec::new();
    let mut altered = Vec::new();
    let mut record = check_and_see(
        folder,
        |LoadedHistory {
             history,
             altered: of_it,
         }| {
            if !of_it.is_empty() {
                altered.push(format!(
                    "{}: {}",
                    history.meta.strategy,
                    altered_reason(of_it)
                ));
            }
            seen.push(SeenHistory::of(history));
        },
    )?;
    // Histories say nothing of strategies that have none.
    if let Ok(saved) = folder::read_record(folder) {
        record.not_run = saved.not_run;
        record.failure = saved.failure;
    }
    seen.sort_by_key(|one| one.place);
    let at_the_same_time = seen
        .windows(2)
        .any(|two| overlap(two[0].load_ns, two[1].load_ns));
    let scenario = seen.first().map(|one| one.scenario.clone());
    let scenario = scenario.ok_or_else(|| RunError::Failed {
        doing: format!("reading {}", folder.display()),
        reason: "no strategy's history is in it".to_owned(),
    })?;
    Ok(Replay {
        record,
        scenario,
        lanes: seen.into_iter().filter_map(|one| one.lane).collect(),
        at_the_same_time,
        altered,
    })
}

impl SeenHistory {
    fn of(history: &History) -> Self {
        let meta = &history.meta;
        let unix_ns = |run_ns: i64| meta.clock.origin_unix_ns + i128::from(run_ns);
        let lane = view::strategy(history).map(|strategy| ReplayLane {
            strategy: strategy.clone(),
            topology: meta.topology().unwrap_or_else(|| strategy.topology()),
            course: Course::of(&Context::new(history)),
        });
        Self {
            place: place(meta),
            scenario: meta.scenario.clone(),
            load_ns: (unix_ns(meta.load_from_ns), unix_ns(meta.load_until_ns)),
            lane,
        }
    }
}

fn overlap(one: (i128, i128), other: (i128, i128)) -> bool {
    one.0 < other.1 && other.0 < one.1
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::fixture::{S, attempt, clean, naive, unpublish};
    use crate::history::save;
    use crate::scenario::StrategyKind;

    /// A run of a dual write that lost an event, and of an outbox that began so much later.
    fn given(folder: &Path, later_ns: i64) {
        let mut lost = clean(20, naive());
        let gone = attempt(&lost, 7, 2);
        unpublish(&mut lost, gone);
        let mut kept = clean(20, StrategyKind::Cdc {});
        let mut strategies = lost.meta.scenario.strategies.clone();
        strategies[0].name = "one".to_owned();
        strategies.append(&mut kept.meta.scenario.strategies);
        strategies[1].name = "two".to_owned();
        kept.meta.clock.origin_unix_ns += i128::from(later_ns);
        for (name, mut history) in [("one", lost), ("two", kept)] {
            history.meta.strategy = name.to_owned();
            history.meta.scenario.strategies = strategies.clone();
            save(&history, &folder.join("history").join(name)).unwrap();
        }
    }

    #[test]
    fn given_a_run_when_replayed_then_each_lane_ends_with_what_check_says_of_it() {
        let folder = tempfile::tempdir().unwrap();
        given(folder.path(), 60 * S);
        let replay = replay(folder.path()).unwrap();
        let names: Vec<&str> = replay.lanes.iter().map(|l| &*l.strategy.name).collect();
        assert_eq!(names, ["one", "two"]);
        assert!(!replay.at_the_same_time && replay.altered.is_empty());
        let checked = crate::run::check(folder.path()).unwrap();
        assert_eq!(replay.record.verdict, checked.verdict);
        for (lane, strategy) in replay.lanes.iter().zip(&checked.strategies) {
            let end = lane.course.at(lane.course.lasts_ns());
            let counts = &strategy.counts;
            assert_eq!((end.committed, end.lost), (counts.committed, counts.lost));
        }
    }

    #[test]
    fn given_a_run_whose_strategies_ran_at_the_same_time_then_that_is_known() {
        let folder = tempfile::tempdir().unwrap();
        given(folder.path(), 0);
        assert!(replay(folder.path()).unwrap().at_the_same_time);
    }

    #[test]
    fn given_a_history_that_was_changed_or_cannot_be_read_then_it_says_what_check_says() {
        let folder = tempfile::tempdir().unwrap();
        given(folder.path(), 0);
        // What another history vouches for, in the place of this one's.
        let [one, two] = ["one", "two"].map(|name| folder.path().join("history").join(name));
        std::fs::copy(two.join("log.parquet"), one.join("log.parquet")).unwrap();
        let altered = replay(folder.path()).unwrap().altered;
        assert!(
            altered[0].starts_with("one: the history was changed after the run: log.parquet"),
            "{altered:?}"
        );
        std::fs::write(one.join("log.parquet"), "damaged").unwrap();
        let told = replay(folder.path()).unwrap_err().to_string();
        let checked = crate::run::check(folder.path()).unwrap_err().to_string();
        assert_eq!(told, checked);
    }
}
