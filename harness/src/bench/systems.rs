//! Between which systems a benchmark's relays stand.

use crate::scenario::Server;
use crate::stack::ServerSettings;
use relays::config::{BrokerKind, DatabaseKind};
use std::collections::{BTreeMap, BTreeSet};

/// The database that the relays read, and the broker that they publish to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Systems {
    /// The orders and their outbox are here.
    pub database: DatabaseKind,
    /// The events go here.
    pub broker: BrokerKind,
}

impl Systems {
    /// Whether they are those of a benchmark that is not asked for others.
    pub(super) fn are_usual(self) -> bool {
        self == Self::default()
    }

    /// The servers of a stack that has them, and no others.
    pub(super) fn servers(self) -> ServerSettings {
        let both = [Server::Database(self.database), Server::Broker(self.broker)];
        let beside = both
            .into_iter()
            .filter(|server| !server.is_of_every_stack());
        ServerSettings {
            servers: BTreeSet::from_iter(beside),
            ..ServerSettings::default()
        }
    }

    /// The lines (TOML) by which a strategy has them.
    pub(super) fn keys(self) -> String {
        let mut keys = String::new();
        let usual = Self::default();
        if self.database != usual.database {
            keys.push_str(&format!("database = \"{}\"\n", self.database.name()));
        }
        if self.broker != usual.broker {
            keys.push_str(&format!("broker = \"{}\"\n", self.broker.name()));
        }
        keys
    }

    /// Adds them to what a report says of how a benchmark was set, where they are not the usual ones.
    pub(super) fn say_in(self, settings: &mut BTreeMap<String, String>) {
        if !self.are_usual() {
            settings.insert("database".to_owned(), self.database.title().to_owned());
            settings.insert("broker".to_owned(), self.broker.title().to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_systems_then_a_stack_has_their_servers_and_a_strategy_their_lines() {
        let usual = Systems::default();
        assert_eq!(usual.servers(), ServerSettings::default());
        assert_eq!(usual.keys(), "");
        let others = Systems {
            database: DatabaseKind::MariaDb,
            broker: BrokerKind::Nats,
        };
        assert_eq!(
            others.servers().servers,
            BTreeSet::from([
                Server::Database(DatabaseKind::MariaDb),
                Server::Broker(BrokerKind::Nats)
            ])
        );
        assert_eq!(others.keys(), "database = \"mariadb\"\nbroker = \"nats\"\n");
    }
}
