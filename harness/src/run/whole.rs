//! Whether the histories of a folder are one whole run: each of them may be sound, and one may be
//! missing all the same, or come from elsewhere.

use crate::history::RunMeta;

/// Gives what is wrong with the histories as a whole. Those of a run of which nothing is known are
/// taken as they are.
pub fn check(histories: &[&RunMeta]) -> Result<(), String> {
    let Some(first) = histories.first() else {
        return Ok(());
    };
    if let Some(other) = histories.iter().find(|h| h.part_of != first.part_of) {
        return Err(format!(
            "the history of strategy {} is of run {}, and that of {} is of run {}: this folder is \
             not that of one run",
            first.strategy, first.part_of.run, other.strategy, other.part_of.run
        ));
    }
    for (n, history) in histories.iter().enumerate() {
        let strategy = &history.strategy;
        if histories[..n].iter().any(|h| h.strategy == *strategy) {
            return Err(format!("two histories are of strategy {strategy}"));
        }
    }
    let missing = |name: &&String| !histories.iter().any(|h| h.strategy == **name);
    match first.part_of.strategies.iter().find(missing) {
        None => Ok(()),
        Some(name) => Err(format!(
            "strategy {name} was to be run and has no history here: without it nothing can be \
             said of the run as a whole"
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::checkers::fixture::clean;
    use crate::history::{self, PartOf};
    use crate::scenario::StrategyKind;

    fn part(run: &str, strategy: &str) -> RunMeta {
        let mut meta = clean(0, StrategyKind::Cdc {}).meta;
        meta.strategy = strategy.to_owned();
        meta.part_of = PartOf {
            run: run.to_owned(),
            strategies: vec!["one".to_owned(), "two".to_owned()],
        };
        meta
    }

    fn error(histories: &[RunMeta]) -> Option<String> {
        check(&histories.iter().collect::<Vec<_>>()).err()
    }

    #[test]
    fn all_histories_of_one_run_are_whole() {
        assert_eq!(error(&[part("a", "one"), part("a", "two")]), None);
        assert_eq!(error(&[]), None);
    }

    #[test]
    fn a_missing_a_strange_and_a_repeated_history_are_named() {
        for (histories, named) in [
            (vec![part("a", "two")], "strategy one was to be run"),
            (vec![part("a", "one"), part("b", "two")], "of run b"),
            (
                vec![part("a", "one"), part("a", "one")],
                "two histories are of strategy one",
            ),
        ] {
            let error = error(&histories).unwrap_or_default();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn given_a_folder_without_one_of_its_histories_when_checked_then_nothing_passes() {
        // Given the folder of a run of two strategies, both clean
        let folder = tempfile::tempdir().unwrap();
        for strategy in ["one", "two"] {
            let mut history = clean(20, StrategyKind::Cdc {});
            let mut other = history.meta.scenario.strategies[0].clone();
            other.name = "two".to_owned();
            history.meta.scenario.strategies[0].name = "one".to_owned();
            history.meta.scenario.strategies.push(other);
            let part = part("a", strategy);
            (history.meta.strategy, history.meta.part_of) = (part.strategy, part.part_of);
            history::save(&history, &folder.path().join("history").join(strategy)).unwrap();
        }
        let whole = crate::run::check(folder.path()).unwrap();
        assert_eq!(whole.verdict, reports::record::Verdict::Pass);
        // When one of them is taken away
        std::fs::remove_dir_all(folder.path().join("history/one")).unwrap();
        // Then the other one alone proves nothing of the run
        let record = crate::run::check(folder.path()).unwrap();
        assert_eq!(record.verdict, reports::record::Verdict::Unknown);
        assert!(record.strategies[0].reasons[0].contains("strategy one was to be run"));
    }

    #[test]
    fn of_a_run_of_which_nothing_is_known_nothing_is_missing() {
        let mut alone = part("a", "two");
        alone.part_of = PartOf::default();
        assert_eq!(error(&[alone]), None);
    }
}
