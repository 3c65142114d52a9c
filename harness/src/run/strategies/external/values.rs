//! What the placeholders of a relay's file stand for in one run.

use crate::run::deployment::Deployment;
use crate::scenario::relay_file::Template;
use crate::scenario::{Instance, Link, Server};
use relays::config::PostgresTarget;
use relays::postgres::schema::Role;
use std::borrow::Cow;
use std::path::PathBuf;

/// These are the values that the placeholders stand for.
pub(super) struct Values {
    run: String,
    postgres: PostgresTarget,
    bootstrap: String,
    topic: String,
    slot: String,
    publication: String,
    pub folder: PathBuf,
    port: u16,
    instance: Instance,
}

impl Values {
    /// As they are for the process in this role, of several relays the first one: by its links, with its login.
    pub fn of(deployment: &Deployment<'_>, role: Role) -> Self {
        match role {
            Role::Relay => Self::of_relay(deployment, Instance::FIRST),
            Role::Service => Self {
                postgres: deployment
                    .postgres(Link::ORDERS_POSTGRES, deployment.layout.service_role()),
                bootstrap: deployment.kafka(Link::ORDERS_KAFKA).bootstrap,
                folder: in_full(
                    deployment
                        .folder
                        .join("service")
                        .join(&deployment.strategy.name),
                ),
                port: deployment.service_address.port(),
                ..Self::of_relay(deployment, Instance::FIRST)
            },
        }
    }

    /// As they are for one of the relays.
    pub fn of_relay(deployment: &Deployment<'_>, instance: Instance) -> Self {
        let layout = &deployment.layout;
        let kafka = deployment.kafka(Link::Relay(instance, Server::KAFKA));
        let name = &deployment.strategy.name;
        // No strategy has a dot in its name.
        let folder = deployment.folder.join("relay").join(match instance {
            Instance::FIRST => name.clone(),
            other => format!("{name}.{}", other.name()),
        });
        Self {
            run: deployment.key.run.clone(),
            postgres: deployment
                .postgres(Link::Relay(instance, Server::POSTGRES), layout.relay_role()),
            bootstrap: kafka.bootstrap,
            topic: deployment.topic_name.clone(),
            slot: layout.slot(),
            publication: layout.publication(),
            folder: in_full(folder),
            port: deployment.relay_addresses[instance.index()].port(),
            instance,
        }
    }

    /// Returns the process's own way to the database, around the proxy: for what is asked on its behalf.
    pub fn direct(&self, deployment: &Deployment<'_>) -> PostgresTarget {
        PostgresTarget {
            user: self.postgres.user.clone(),
            password: self.postgres.password.clone(),
            ..deployment.admin().clone()
        }
    }

    /// Returns the template's text with these values in it.
    pub fn fill(&self, template: &Template) -> String {
        template.fill(|name| self.get(name))
    }

    /// Returns the value of this name; names were checked when the file was read.
    pub fn get(&self, name: &str) -> Cow<'_, str> {
        let postgres = &self.postgres;
        match name {
            "postgres_url" => url(postgres).into(),
            "postgres_host" => postgres.host.as_str().into(),
            "postgres_port" => postgres.port.to_string().into(),
            "postgres_user" => postgres.user.as_str().into(),
            "postgres_password" => postgres.password.as_str().into(),
            "postgres_database" => postgres.database.as_str().into(),
            "schema" => postgres.schema.as_str().into(),
            "bootstrap" => self.bootstrap.as_str().into(),
            "topic" => self.topic.as_str().into(),
            "slot" => self.slot.as_str().into(),
            "publication" => self.publication.as_str().into(),
            "folder" => self.folder.to_string_lossy(),
            "port" => self.port.to_string().into(),
            "instance" => self.instance.name().into(),
            "run" => self.run.as_str().into(),
            _ => "".into(),
        }
    }
}

/// A process runs in a folder of its own.
fn in_full(folder: PathBuf) -> PathBuf {
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Returns the URL as libpq and the drivers of other languages read it. User and password are plain: they are ours.
fn url(postgres: &PostgresTarget) -> String {
    let PostgresTarget {
        host,
        port,
        user,
        password,
        database,
        ..
    } = postgres;
    let database: String = database
        .bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect();
    if host.starts_with('/') {
        return format!("postgres://{user}:{password}@/{database}?host={host}&port={port}");
    }
    match host.contains(':') {
        true => format!("postgres://{user}:{password}@[{host}]:{port}/{database}"),
        false => format!("postgres://{user}:{password}@{host}:{port}/{database}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::relay_file::PLACEHOLDERS;

    #[test]
    fn given_every_placeholder_of_a_file_then_it_stands_for_something() {
        let text = || "x".to_owned();
        let values = Values {
            run: text(),
            postgres: PostgresTarget {
                host: text(),
                port: 1,
                user: text(),
                password: text(),
                database: text(),
                schema: text(),
            },
            bootstrap: text(),
            topic: text(),
            slot: text(),
            publication: text(),
            folder: "x".into(),
            port: 2,
            instance: Instance::FIRST,
        };
        for name in PLACEHOLDERS {
            assert!(!values.get(name).is_empty(), "{name}");
        }
    }

    #[test]
    fn given_an_unusual_host_or_database_then_the_url_is_one_all_the_same() {
        let at = |host: &str, database: &str| {
            url(&PostgresTarget {
                host: host.into(),
                port: 5,
                user: "u".into(),
                password: "p".into(),
                database: database.into(),
                schema: "s".into(),
            })
        };
        assert_eq!(
            at("127.0.0.1", "a b/c"),
            "postgres://u:p@127.0.0.1:5/a%20b%2Fc"
        );
        assert_eq!(at("::1", "d"), "postgres://u:p@[::1]:5/d");
        assert_eq!(at("/run/pg", "d"), "postgres://u:p@/d?host=/run/pg&port=5");
    }
}
