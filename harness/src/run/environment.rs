//! What a record says of the stack that it was made on.

use super::strategies;
use crate::scenario::{BrokerChoice, Scenario, Server};
use crate::stack::{Stack, StackInfo};
use relays::config::Acks;
use std::collections::BTreeMap;

/// What the record says of the stack, as names and values, so that `check` can repeat it offline.
pub(super) fn of(stack: &Stack, scenario: &Scenario) -> BTreeMap<String, String> {
    let mut all = servers(stack.info());
    for strategy in &scenario.strategies {
        all.extend(strategies::of(strategy).describe(stack, &strategy.name));
    }
    all.extend(commit_modes(scenario, &all));
    all.extend(other_acks(scenario));
    all
}

/// Says which strategies ask Kafka for less than all acknowledgements.
fn other_acks(scenario: &Scenario) -> BTreeMap<String, String> {
    let strategies = scenario.strategies.iter();
    let others = strategies.filter_map(|strategy| match &strategy.broker {
        BrokerChoice::Kafka(settings) if settings.acks != Acks::All => {
            let name = format!("kafka_acks.{}", strategy.name);
            Some((name, settings.acks.name().to_owned()))
        }
        BrokerChoice::Kafka(_)
        | BrokerChoice::RabbitMq { .. }
        | BrokerChoice::Nats(_)
        | BrokerChoice::EventBridge(_) => None,
    });
    others.collect()
}

/// Says whose commits wait for the disk: the service's sessions are as the server is, a relay's as its strategy says.
fn commit_modes(
    scenario: &Scenario,
    servers: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut modes = BTreeMap::new();
    if let Some(mode) = servers.get("synchronous_commit") {
        modes.insert("synchronous_commit.service".to_owned(), mode.clone());
    }
    for strategy in &scenario.strategies {
        if let Some(mode) = strategies::of(strategy).relay_commit() {
            let name = format!("synchronous_commit.relay.{}", strategy.name);
            modes.insert(name, mode);
        }
    }
    modes
}

/// Returns versions, addresses and settings of the stack's servers, as names and values.
pub(crate) fn servers(info: &StackInfo) -> BTreeMap<String, String> {
    let mut all = info.environment.clone();
    let database_url = info.database_url();
    for (name, value) in [
        ("stack.provider", info.provider.as_str()),
        ("stack.postgres.version", info.database_version()),
        ("stack.postgres.url", &database_url),
        ("stack.toxiproxy.version", &info.toxiproxy_version),
        ("stack.toxiproxy.url", &info.toxiproxy_url),
    ] {
        all.insert(name.to_owned(), value.to_owned());
    }
    for (server, known) in Server::ALL
        .iter()
        .filter_map(|s| Some((s, info.server(*s)?)))
    {
        // As records have named it from the first.
        let address = match *server == Server::KAFKA {
            true => "bootstrap",
            false => "address",
        };
        let name = server.name();
        all.insert(format!("stack.{name}.version"), known.version.clone());
        all.insert(format!("stack.{name}.{address}"), known.address.clone());
    }
    all
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_a_strategy_with_acks_of_the_leader_alone_then_the_record_says_so_of_that_one() {
        let text = r#"
name = "acks"
[workload]
duration = "12s"
[strategy.leader]
kind = "polling"
kafka = { acks = "1" }
[strategy.all]
kind = "polling"
"#;
        let scenario = crate::scenario::parse("acks.toml", text).unwrap();
        let said = BTreeMap::from([("kafka_acks.leader".to_owned(), "1".to_owned())]);
        assert_eq!(other_acks(&scenario), said);
    }

    #[test]
    fn given_relays_of_both_modes_then_the_record_says_whose_commits_wait_for_the_disk() {
        let text = r#"
name = "modes"
[workload]
duration = "12s"
[strategy.naive]
kind = "dual-write"
order = "commit-then-publish"
[strategy.durable]
kind = "polling"
synchronous_commit = "on"
[strategy.cdc]
kind = "cdc"
[strategy.debezium]
kind = "debezium"
"#;
        let scenario = crate::scenario::parse("modes.toml", text).unwrap();
        let servers = BTreeMap::from([("synchronous_commit".to_owned(), "on".to_owned())]);

        let modes = commit_modes(&scenario, &servers);

        let said: Vec<(&str, &str)> = modes.iter().map(|(n, v)| (&**n, &**v)).collect();
        assert_eq!(
            said,
            [
                ("synchronous_commit.relay.cdc", "off"),
                (
                    "synchronous_commit.relay.debezium",
                    "none: it commits nothing"
                ),
                ("synchronous_commit.relay.durable", "on"),
                ("synchronous_commit.service", "on"),
            ]
        );
    }
}
