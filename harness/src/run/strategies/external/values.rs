//! What the placeholders of a relay's file stand for in one run.

use crate::database::{LoginWords, Role};
use crate::run::deployment::Deployment;
use crate::scenario::Instance;
use crate::scenario::relay_file::Template;
use std::borrow::Cow;
use std::path::PathBuf;

/// These are the values that the placeholders stand for.
pub(super) struct Values {
    /// Whose values they are.
    pub role: Role,
    run: String,
    login: LoginWords,
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
                role,
                login: (deployment.own_schema)
                    .login(role, deployment.database_of_service())
                    .into(),
                bootstrap: deployment.usual_broker_of_service().bootstrap,
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
        let name = &deployment.strategy.name;
        // No strategy has a dot in its name.
        let folder = deployment.folder.join("relay").join(match instance {
            Instance::FIRST => name.clone(),
            other => format!("{name}.{}", other.name()),
        });
        Self {
            role: Role::Relay,
            run: deployment.key.run.clone(),
            login: (deployment.own_schema)
                .login(Role::Relay, deployment.database_of_relay(instance))
                .into(),
            bootstrap: deployment.usual_broker_of_relay(instance).bootstrap,
            topic: deployment.topic_name.clone(),
            slot: layout.slot(),
            publication: layout.publication(),
            folder: in_full(folder),
            port: deployment.relay_addresses[instance.index()].port(),
            instance,
        }
    }

    /// Returns the template's text with these values in it.
    pub fn fill(&self, template: &Template) -> String {
        template.fill(|name| self.get(name))
    }

    /// Returns the value of this name; names were checked when the file was read.
    pub fn get(&self, name: &str) -> Cow<'_, str> {
        if let Some(value) = self.login.get(name) {
            return value;
        }
        match name {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::relay_file::PLACEHOLDERS;
    use relays::config::PostgresTarget;

    #[test]
    fn given_every_placeholder_of_a_file_then_it_stands_for_something() {
        let text = || "x".to_owned();
        let login = PostgresTarget {
            host: text(),
            port: 1,
            user: text(),
            password: text(),
            database: text(),
            schema: text(),
        };
        let values = Values {
            role: Role::Relay,
            run: text(),
            login: login.into(),
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
}
