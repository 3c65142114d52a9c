//! The registries, held against the docs: whatever a scenario can name has its place there, and every
//! count has a system in the zoo that breaks it.

use crate::scenario::explain;
use crate::scenario::{CACHE_COUNTS, CONSUMER_COUNTS, COUNTS, Metric};
use std::path::Path;

fn page(name: &str) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    std::fs::read_to_string(top.join(name)).unwrap()
}

fn missing(names: impl Iterator<Item = String>, text: &str) -> Vec<String> {
    let is_there = |name: &str| {
        let mut places = text.match_indices(name);
        places.any(|(at, _)| {
            let bound = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            bound(text[..at].chars().next_back()) && bound(text[at + name.len()..].chars().next())
        })
    };
    names.filter(|name| !is_there(name)).collect()
}

#[test]
fn given_the_kinds_of_strategies_and_faults_then_the_readme_names_each() {
    let kinds = explain::STRATEGIES.iter().chain(&explain::FAULTS);
    let targets = explain::explained_targets();
    let names = kinds.chain(&targets).map(|(name, _)| (*name).to_owned());
    assert_eq!(missing(names, &page("README.md")), Vec::<String>::new());
}

#[test]
fn given_what_faults_can_wait_for_then_the_readme_shows_each() {
    let keys = explain::TRIGGERS.iter().filter_map(|(example, _)| {
        let key = example.strip_prefix("when = { ")?.split(' ').next()?;
        Some(format!("{{ {key} = "))
    });
    let keys: Vec<String> = keys.collect();
    assert_eq!(keys.len(), explain::TRIGGERS.len());
    let readme = page("README.md");
    let missing: Vec<&String> = keys.iter().filter(|key| !readme.contains(*key)).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

#[test]
fn given_everything_that_is_counted_then_the_zoo_has_a_system_that_does_it() {
    // What the end of a run itself cut off is nobody's misdeed.
    let counted = COUNTS.iter().chain(&CONSUMER_COUNTS).chain(&CACHE_COUNTS);
    let counted = counted.filter(|row| row.metric != Metric::Undecided);
    let names = counted.map(|row| format!("**{}**", row.name.replace('_', " ")));
    assert_eq!(missing(names, &page("docs/zoo.md")), Vec::<String>::new());
}

#[test]
fn given_the_figures_that_are_compared_then_the_page_on_comparing_names_each() {
    let names = crate::compare::METRICS.iter().map(|m| m.id.to_owned());
    assert_eq!(
        missing(names, &page("docs/comparing.md")),
        Vec::<String>::new()
    );
}

#[test]
fn given_a_name_that_is_only_a_part_of_a_word_then_it_is_missing() {
    let names = || ["late", "slow"].into_iter().map(str::to_owned);
    assert_eq!(missing(names(), "latency, slow_close"), ["late", "slow"]);
    assert_eq!(missing(names(), "`late`; slow."), Vec::<String>::new());
}
