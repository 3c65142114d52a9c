//! The file that describes an external stack.

use super::{DescribedBroker, DescribedDatabase, Route, StackInfo};
use crate::process::environment;
use crate::scenario::{Link, Server};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// A cache is reached by these links at least.
const CACHE_LINKS: [Link; 2] = [Link::ORDERS_REDIS, Link::RELAY_REDIS];

/// This is the content of a stack file, such as `external.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    #[serde(rename = "postgres")]
    pub(super) database: DescribedDatabase,
    #[serde(rename = "kafka")]
    pub(super) broker: DescribedBroker,
    pub(super) toxiproxy: Toxiproxy,
    /// Scenarios with a cache need it, and no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) redis: Option<Redis>,
    pub(super) link: BTreeMap<Link, Way>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Toxiproxy {
    pub(super) url: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Redis {
    /// This is its `host:port`.
    pub(super) address: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Way {
    listen: String,
    upstream: String,
    connect: String,
}

impl Description {
    /// Reads a file; the password may come from the environment instead.
    pub(super) fn read(file: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(file).map_err(|e| {
            format!("{e}; external.toml of the checkout is an example of what belongs there")
        })?;
        let mut description = Self::parse(&text)?;
        // One that is not to stand in a file.
        if let Ok(password) = std::env::var(environment::PASSWORD) {
            description.database.password = password;
        }
        Ok(description)
    }

    /// Reads the text of such a file, or of [`Description::to_text`]; an Err says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let description: Self = toml::from_str(text).map_err(|e| e.to_string())?;
        // Those of further relays are for who has scenarios with faults on them.
        let has_redis = description.redis.is_some();
        let of_cache = CACHE_LINKS.iter().filter(|_| has_redis);
        let mut wanted = Link::PLAIN.iter().chain(of_cache);
        if let Some(link) = wanted.find(|l| !description.link.contains_key(l)) {
            return Err(format!(
                "[link.\"{}\"] is missing; it takes listen, upstream and connect",
                link.name()
            ));
        }
        let mut given = description.link.keys();
        match given.find(|l| !has_redis && l.server() == Server::Redis) {
            Some(link) => Err(format!(
                "[link.\"{}\"] leads to no server: [redis] is missing; it takes address = \"HOST:PORT\"",
                link.name()
            )),
            None => Ok(description),
        }
    }

    /// The file that would lead to this stack.
    pub(super) fn of(info: &StackInfo) -> Self {
        Self {
            database: DescribedDatabase::of(info),
            broker: DescribedBroker::of(info),
            toxiproxy: Toxiproxy {
                url: info.toxiproxy_url.clone(),
            },
            redis: info.redis.as_ref().map(|redis| Redis {
                address: redis.address.clone(),
            }),
            link: info
                .routes
                .iter()
                .filter(|(link, _)| {
                    !link.server().is_broker() || link.server() == DescribedBroker::SERVER
                })
                .map(|(link, route)| {
                    let way = Way {
                        listen: route.listen.clone(),
                        upstream: route.upstream.clone(),
                        connect: route.connect.clone(),
                    };
                    (*link, way)
                })
                .collect(),
        }
    }

    /// Returns the whole of it as TOML, passwords included: for the reaper, which has neither file nor environment.
    pub(super) fn to_text(&self) -> String {
        toml::to_string(self).unwrap_or_default()
    }

    pub(super) fn routes(&self) -> BTreeMap<Link, Route> {
        let ways = self.link.clone().into_iter();
        ways.map(|(link, way)| {
            let route = Route {
                listen: way.listen,
                upstream: way.upstream,
                connect: way.connect,
            };
            (link, route)
        })
        .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../external.toml");
    const COMPOSE: &str = include_str!("../../../../docker-compose.yml");

    #[test]
    fn the_example_is_read_and_survives_the_way_to_the_reaper() {
        let example = Description::parse(EXAMPLE).unwrap();
        assert_eq!(Description::parse(&example.to_text()), Ok(example));
    }

    #[test]
    fn the_example_names_the_addresses_of_docker_compose() {
        let example = Description::parse(EXAMPLE).unwrap();
        let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
        for (link, way) in &example.link {
            let listener = format!(":{}:{}", port(&way.upstream), port(&way.connect));
            match link.server() {
                Server::KAFKA => assert!(COMPOSE.contains(&listener), "{listener}"),
                _ => assert_eq!(port(&way.upstream), example.database.port.to_string()),
            }
        }
        for (variable, value) in [
            ("OUTBOX_POSTGRES_PORT", example.database.port.to_string()),
            ("OUTBOX_POSTGRES_PASSWORD", example.database.password),
            ("OUTBOX_KAFKA_DIRECT", port(&example.broker.bootstrap)),
            ("OUTBOX_TOXIPROXY_PORT", port(&example.toxiproxy.url)),
        ] {
            let default = format!("${{{variable}:-{value}}}");
            assert!(COMPOSE.contains(&default), "{default}");
        }
    }

    #[test]
    fn a_missing_link_and_an_unknown_key_are_named() {
        let (without, _) = EXAMPLE.split_once("[link.\"relay->kafka\"]").unwrap();
        let error = Description::parse(without).unwrap_err();
        assert!(error.contains("relay->kafka"), "{error}");

        let wrong = EXAMPLE.replace("bootstrap =", "boot =");
        let error = Description::parse(&wrong).unwrap_err();
        assert!(error.contains("boot") && error.contains("line"), "{error}");
    }

    #[test]
    fn given_a_redis_when_its_links_are_missing_or_the_other_way_round_then_what_is_missing_is_named()
     {
        let redis = "[redis]\naddress = \"127.0.0.1:6379\"\n";
        let links = "[link.\"orders->redis\"]\nlisten = \"a:1\"\nupstream = \"a:2\"\nconnect = \"a:1\"\n\
                     [link.\"relay->redis\"]\nlisten = \"a:3\"\nupstream = \"a:2\"\nconnect = \"a:3\"\n";
        let error = Description::parse(&format!("{redis}{EXAMPLE}")).unwrap_err();
        assert!(error.contains("orders->redis"), "{error}");
        let error = Description::parse(&format!("{EXAMPLE}\n{links}")).unwrap_err();
        assert!(error.contains("[redis] is missing"), "{error}");
        let whole = Description::parse(&format!("{redis}{EXAMPLE}\n{links}")).unwrap();
        assert_eq!(Description::parse(&whole.to_text()), Ok(whole));
    }
}
