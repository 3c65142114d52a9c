//! The strategies of those benchmarks that are made of ordinary runs, and their built-in scenario.

use super::ground::Ground;
use super::scenarios;
use super::systems::Systems;
use crate::run::RunError;
use crate::scenario::{Metric, Scenario};
use reports::bench::Role;

/// A strategy, and the row that it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BenchStrategy {
    pub name: &'static str,
    /// Its section of the built-in scenario has these lines (TOML).
    keys: &'static str,
    pub role: Role,
    pub note: &'static str,
}

const DEBEZIUM: &str = "debezium";
const NOTIFY: &str = "polling-notify";

impl BenchStrategy {
    /// Whether there is such a strategy between these systems.
    fn can_be_between(&self, systems: Systems) -> bool {
        match self.name {
            DEBEZIUM => systems.are_usual(),
            NOTIFY => systems.database.has_notifications(),
            _ => true,
        }
    }
}

/// These are all of them. A further one is a line here.
static ALL: [BenchStrategy; 5] = [
    BenchStrategy {
        name: "polling",
        keys: "kind = \"polling\"\ninterval = \"5ms\"",
        role: Role::Subject,
        note: "interval 5 ms",
    },
    BenchStrategy {
        name: NOTIFY,
        keys: "kind = \"polling\"\ninterval = \"5ms\"\nnotify = true",
        role: Role::Subject,
        note: "interval 5 ms, NOTIFY",
    },
    BenchStrategy {
        name: "cdc",
        keys: "kind = \"cdc\"",
        role: Role::Subject,
        note: "TCP on loopback",
    },
    BenchStrategy {
        name: DEBEZIUM,
        keys: "kind = \"debezium\"",
        role: Role::Peer,
        note: "TCP on loopback; batch 8,192, queue 32,768, poll 10 ms",
    },
    BenchStrategy {
        name: "dual-write",
        keys: "kind = \"dual-write\"\norder = \"commit-then-publish\"",
        role: Role::Peer,
        note: "publishes before it answers",
    },
];

/// What of a strategy's place is left in its figures.
pub(super) const FAIRNESS: &str = "Places: before the first round the stack had orders to place, unmeasured, until it got no \
     faster (30 s at most), and each round begins with the next strategy, so that none is always the \
     first. What is left is in the ranges: a broker still gets faster over the first rounds.";

/// Checks a strategy's name; an Err lists the names that there are between these systems.
pub(super) fn check(systems: Systems, name: Option<&str>) -> Result<(), String> {
    match name {
        Some(name) if named(systems, Some(name)).is_empty() => {
            let all = named(systems, None);
            let names: Vec<&str> = all.iter().map(|entry| entry.name).collect();
            Err(format!(
                "--strategy {name}: take one of {}",
                names.join(", ")
            ))
        }
        _ => Ok(()),
    }
}

fn named(systems: Systems, name: Option<&str>) -> Vec<&'static BenchStrategy> {
    let there = ALL.iter().filter(|entry| entry.can_be_between(systems));
    there
        .filter(|entry| name.is_none_or(|n| n == entry.name))
        .collect()
}

/// The strategy that is there between any systems.
pub(super) fn polling() -> &'static BenchStrategy {
    &ALL[0]
}

/// What is measured here.
pub(super) struct Chosen {
    pub entries: Vec<&'static BenchStrategy>,
    /// What this stack cannot have, a line.
    pub left_out: Option<String>,
    /// What Debezium runs on, where it is among them.
    pub debezium: Option<String>,
}

/// The strategy of that name, or all that can run here. What is left out is told.
pub(super) fn choose(
    ground: &Ground<'_>,
    systems: Systems,
    name: Option<&str>,
) -> Result<Chosen, RunError> {
    let chosen = with(systems, name, ground.debezium())?;
    if let Some(text) = &chosen.left_out {
        ground.note(text.clone());
    }
    Ok(chosen)
}

/// Debezium's programs may be missing: to have asked for it by name is an error then.
fn with(
    systems: Systems,
    name: Option<&str>,
    debezium: Result<String, RunError>,
) -> Result<Chosen, RunError> {
    let mut entries = named(systems, name);
    let wanted = entries.iter().any(|entry| entry.name == DEBEZIUM);
    let (debezium, left_out) = match debezium {
        _ if !wanted => (None, None),
        Ok(what) => (Some(what), None),
        Err(missing) if name.is_some() => return Err(missing),
        Err(missing) => {
            entries.retain(|entry| entry.name != DEBEZIUM);
            (None, Some(format!("Left out: {DEBEZIUM}: {missing}")))
        }
    };
    Ok(Chosen {
        entries,
        left_out,
        debezium,
    })
}

/// A slower load may have no two versions of an order in flight together, which would leave
/// `reordered = 0` unproved and the verdict unknown.
const RATE_THAT_OVERLAPS: f64 = 1_000.0;

/// Returns a scenario with the load, and the strategies under it. All of them are expected to be clean; under a slow
/// load nothing is expected of the order, but see [`super::latency::problems`].
pub(super) fn scenario(
    systems: Systems,
    entries: &[&BenchStrategy],
    rate: f64,
    seconds: u32,
    more: &str,
) -> Result<Scenario, RunError> {
    // A slow load has fewer changes than a lesson needs; half of them must be there all the same.
    let least = (rate * f64::from(seconds) / 2.0).clamp(1.0, 100.0) as u64;
    let mut text = format!(
        "name = \"bench-{rate:.0}\"\n[workload]\nrate = {rate}\nduration = \"{seconds}s\"\n\
         min_committed_per_phase = {least}\n{more}"
    );
    for entry in entries {
        text.push_str(&format!(
            "[strategy.{name}]\n{keys}\n{systems}[expect.{name}]\nlost = 0\n",
            name = entry.name,
            keys = entry.keys,
            systems = systems.keys()
        ));
    }
    let mut scenario = scenarios::parse(&text)?;
    if rate < RATE_THAT_OVERLAPS {
        for strategy in &mut scenario.strategies {
            let expected = &mut strategy.expectations;
            expected.retain(|e| e.metric != Metric::Reordered);
        }
    }
    Ok(scenario)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use relays::config::{BrokerKind, DatabaseKind};

    const USUAL: Systems = Systems {
        database: DatabaseKind::Postgres,
        broker: BrokerKind::Kafka,
    };

    #[test]
    fn every_strategy_is_in_the_scenario_and_expected_to_be_clean() {
        let scenario = scenario(USUAL, &named(USUAL, None), 100.0, 3, "").unwrap();
        assert_eq!(scenario.strategies.len(), ALL.len());
        assert!(
            scenario
                .strategies
                .iter()
                .all(|s| !s.expectations.is_empty())
        );
        let one = super::scenario(USUAL, &named(USUAL, Some("cdc")), 0.5, 3, "").unwrap();
        assert_eq!(one.strategies.len(), 1);
    }

    #[test]
    fn order_is_expected_only_of_a_load_that_can_show_it() {
        let of_order = |rate: f64| {
            let scenario = scenario(USUAL, &named(USUAL, Some("cdc")), rate, 3, "").unwrap();
            let expected = scenario.strategies[0].expectations.iter();
            expected.filter(|e| e.metric == Metric::Reordered).count()
        };
        assert_eq!((of_order(999.0), of_order(1_000.0)), (0, 1));
    }

    #[test]
    fn where_debezium_is_not_installed_it_is_left_out_by_name_and_an_error_by_itself() {
        let missing = || Err(crate::run::deployment::failed("looking", &"no jars"));
        let all = with(USUAL, None, missing()).unwrap();
        assert_eq!(all.entries.len(), ALL.len() - 1);
        assert!(all.left_out.unwrap().starts_with("Left out: debezium: "));
        assert!(with(USUAL, Some(DEBEZIUM), missing()).is_err());
        // And who does not ask for it does not hear of it
        assert_eq!(with(USUAL, Some("cdc"), missing()).unwrap().left_out, None);
        let there = with(USUAL, Some(DEBEZIUM), Ok("3".to_owned())).unwrap();
        assert_eq!(
            (there.entries.len(), there.debezium),
            (1, Some("3".to_owned()))
        );
    }

    #[test]
    fn an_unknown_strategy_is_refused_with_those_there_are() {
        let reason = check(USUAL, Some("cdd")).unwrap_err();
        assert!(reason.contains("polling-notify"), "{reason}");
        assert!(reason.contains(DEBEZIUM), "{reason}");
        check(USUAL, None).unwrap();
    }

    #[test]
    fn given_other_systems_then_every_strategy_that_can_be_between_them_is_and_no_other() {
        for database in DatabaseKind::ALL {
            for broker in BrokerKind::ALL {
                let systems = Systems { database, broker };
                let scenario =
                    super::scenario(systems, &named(systems, None), 100.0, 3, "").unwrap();
                for strategy in &scenario.strategies {
                    let stands = (strategy.database, strategy.broker.kind());
                    assert_eq!(stands, (database, broker), "{}", strategy.name);
                }
            }
        }
        let on_mariadb = Systems {
            database: DatabaseKind::MariaDb,
            ..USUAL
        };
        let reason = check(on_mariadb, Some(NOTIFY)).unwrap_err();
        assert!(
            reason.ends_with("take one of polling, cdc, dual-write"),
            "{reason}"
        );
    }
}
