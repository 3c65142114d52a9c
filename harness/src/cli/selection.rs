//! Which scenario files a command line means: files, folders, patterns, and one part of them all.

use crate::run::chosen;
use crate::scenario::{LoadedScenario, Scenario};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

/// Files that one command line may name.
const MOST_FILES: usize = 10_000;

/// What a strategy takes beside its load: rehearsal, fence, final reads, verdict.
const BESIDE_THE_LOAD: Duration = Duration::from_secs(5);

/// What a scenario takes beside its strategies: the start and the end of a stack.
const BESIDE_THE_STRATEGIES: Duration = Duration::from_secs(8);

/// The scenario files that are meant, in the order in which they were named: of a folder those in it that end in
/// `.toml`, of a pattern those that match, each time by name. The errors say of each that means nothing why.
pub fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Vec<String>> {
    let mut files = Vec::new();
    let mut wrong = Vec::new();
    for path in named {
        match of(path) {
            Ok(found) => files.extend(found),
            Err(message) => wrong.push(message),
        }
    }
    if files.len() > MOST_FILES {
        let many = files.len();
        wrong.push(format!(
            "{many} scenario files are named, and one command runs {MOST_FILES} at most: name fewer"
        ));
    }
    if wrong.is_empty() {
        Ok(files)
    } else {
        Err(wrong)
    }
}

fn of(path: &Path) -> Result<Vec<PathBuf>, String> {
    if path.is_dir() {
        return in_folder(path);
    }
    match path.to_str() {
        // A file whose name merely looks like a pattern is that file.
        Some(text) if !path.exists() && text.contains(['*', '?', '[']) => matching(text),
        // What is not there is told by whoever reads it, with its neighbours.
        Some(_) | None => Ok(vec![path.to_owned()]),
    }
}

fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let cannot = |e: std::io::Error| format!("{}: cannot be read: {e}", folder.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(cannot)? {
        let path = entry.map_err(cannot)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if path.extension().is_some_and(|e| e == "toml") && !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!(
            "{}: this folder has no scenario files, which end in .toml; name one that has (folders in it are not looked into)",
            folder.display()
        ));
    }
    Ok(files)
}

fn matching(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let found = glob::glob(pattern)
        .map_err(|e| format!("{pattern}: this pattern cannot be read: {e}"))?
        .collect::<Result<Vec<PathBuf>, _>>()
        .map_err(|e| format!("{pattern}: {e}"))?;
    let files: Vec<PathBuf> = found.into_iter().filter(|path| path.is_file()).collect();
    if files.is_empty() {
        return Err(format!(
            "{pattern}: no file matches this pattern; `*` stands for any part of a name, `**` for any folders"
        ));
    }
    Ok(files)
}

/// A shard is one part of all scenarios: the second of five is `2/5`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// The part has this number, from 1 to `of`.
    number: usize,
    of: usize,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let help =
            || format!("`{text}` is no part of a whole: write for example 2/5, the second of five");
        let (number, of) = text.split_once('/').ok_or_else(help)?;
        let number: usize = number.parse().map_err(|_| help())?;
        let of: usize = of.parse().map_err(|_| help())?;
        if number == 0 || number > of {
            return Err(help());
        }
        Ok(Self { number, of })
    }
}

/// Returns the scenarios of one part, in their order. Every scenario is in exactly one part, the same on every
/// machine, and the parts take about as long as each other: the longest scenario first, each goes to the part that
/// has least to do so far. An Err says that there are fewer scenarios than parts.
pub fn shard(
    loaded: Vec<LoadedScenario>,
    shard: Shard,
    strategy: Option<&str>,
) -> Result<Vec<LoadedScenario>, String> {
    if loaded.len() < shard.of {
        return Err(format!(
            "--shard {}/{}: there are only {} scenarios, and a part without any would be green for nothing: make fewer parts",
            shard.number,
            shard.of,
            loaded.len()
        ));
    }
    let lasting: Vec<Duration> = loaded
        .iter()
        .map(|l| estimated(&l.scenario, chosen(&l.scenario, strategy).len()))
        .collect();
    let parts = parts(&lasting, shard.of);
    let mine = loaded.into_iter().zip(parts);
    Ok(mine
        .filter(|(_, part)| part + 1 == shard.number)
        .map(|(loaded, _)| loaded)
        .collect())
}

/// The part, from 0 on, to which each goes.
fn parts(lasting: &[Duration], parts: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..lasting.len()).collect();
    order.sort_by_key(|&n| std::cmp::Reverse(lasting[n]));
    let mut busy = vec![Duration::ZERO; parts];
    let mut part_of = vec![0; lasting.len()];
    for n in order {
        let least = (0..parts).min_by_key(|&part| busy[part]).unwrap_or(0);
        part_of[n] = least;
        busy[least] += lasting[n];
    }
    part_of
}

/// Estimates how long so many strategies of a scenario take, from its file alone.
pub fn estimated(scenario: &Scenario, strategies: usize) -> Duration {
    let strategy = scenario.workload.duration + scenario.drain.settle + BESIDE_THE_LOAD;
    let strategies = u32::try_from(strategies).unwrap_or(u32::MAX);
    strategy
        .saturating_mul(strategies)
        .saturating_add(BESIDE_THE_STRATEGIES)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(folder: &Path, names: &[&str]) {
        for name in names {
            std::fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            std::fs::write(folder.join(name), "").unwrap();
        }
    }

    fn names(folder: &Path, files: &[PathBuf]) -> Vec<String> {
        let inside = |f: &PathBuf| f.strip_prefix(folder).unwrap().display().to_string();
        files.iter().map(inside).collect()
    }

    #[test]
    fn given_a_folder_then_its_scenario_files_are_meant_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        written(
            at,
            &["b.toml", "a.toml", ".c.toml", "README.md", "in/d.toml"],
        );
        let found = files(&[at.to_owned()]).unwrap();
        assert_eq!(names(at, &found), ["a.toml", "b.toml"]);
    }

    #[test]
    fn given_a_pattern_then_what_matches_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        written(at, &["b.toml", "a.toml", "in/d.toml", "[x].toml"]);
        let found = files(&[at.join("*/?.toml"), at.join("[ab].toml")]).unwrap();
        assert_eq!(names(at, &found), ["in/d.toml", "a.toml", "b.toml"]);
        // A file of that very name is no pattern
        let found = files(&[at.join("[x].toml")]).unwrap();
        assert_eq!(names(at, &found), ["[x].toml"]);
    }

    #[test]
    fn given_what_means_no_file_then_each_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let wrong = files(&[at.to_owned(), at.join("*.toml"), at.join("[")]).unwrap_err();
        assert_eq!(wrong.len(), 3, "{wrong:?}");
        assert!(wrong[0].contains("no scenario files"), "{wrong:?}");
        assert!(wrong[1].contains("no file matches"), "{wrong:?}");
        assert!(wrong[2].contains("cannot be read"), "{wrong:?}");
        // A plain name is left to whoever reads the file
        let plain = at.join("plain.toml");
        assert_eq!(files(std::slice::from_ref(&plain)).unwrap(), [plain]);
    }

    #[test]
    fn a_shard_is_a_part_of_a_whole() {
        for good in ["1/1", "2/5", "5/5"] {
            good.parse::<Shard>().unwrap();
        }
        for bad in ["", "2", "0/5", "6/5", "a/5", "1/0", "-1/2", "1/2/3"] {
            let error = bad.parse::<Shard>().unwrap_err();
            assert!(error.contains("2/5"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_scenario_is_in_one_part_and_no_part_can_be_relieved(
            seconds in prop::collection::vec(1u64..100, 1..40),
            share in 1usize..40,
        ) {
            let count = share.min(seconds.len());
            let lasting: Vec<Duration> = seconds.iter().map(|s| Duration::from_secs(*s)).collect();
            let part_of = parts(&lasting, count);
            let of = |part: usize| -> Vec<Duration> {
                let all = part_of.iter().zip(&lasting);
                all.filter(|(p, _)| **p == part).map(|(_, d)| *d).collect()
            };
            let loads: Vec<Vec<Duration>> = (0..count).map(of).collect();
            prop_assert!(loads.iter().all(|load| !load.is_empty()));
            prop_assert_eq!(loads.iter().map(Vec::len).sum::<usize>(), lasting.len());
            // What any part does beside its shortest, no part does less than
            let sum = |load: &Vec<Duration>| load.iter().sum::<Duration>();
            let least = loads.iter().map(sum).min().unwrap();
            for load in &loads {
                prop_assert!(sum(load) - *load.iter().min().unwrap() <= least);
            }
        }
    }
}
