//! What is installed now, beside what a kept stack was started with: a server that runs does not
//! become a newer one by an upgrade.

use super::state::KeptState;
use crate::stack::{installed_broker, installed_database};
use std::path::Path;

/// These versions would be started now; `None` where that cannot be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Installed {
    /// PostgreSQL's, as its program says it.
    pub database: Option<String>,
    /// Kafka's, by the name of its jar.
    pub broker: Option<String>,
    /// Toxiproxy's, as the install script noted it.
    pub toxiproxy: Option<String>,
}

impl Installed {
    /// Looks for the servers' programs.
    pub async fn look(programs: &Path) -> Self {
        Self {
            database: installed_database().await,
            broker: installed_broker(programs),
            toxiproxy: noted(programs, "toxiproxy"),
        }
    }

    /// What was changed since the stack was started, a sentence each.
    pub fn changes(&self, state: &KeptState) -> Vec<String> {
        [
            ("PostgreSQL", &self.database),
            ("Kafka", &self.broker),
            ("Toxiproxy", &self.toxiproxy),
        ]
        .into_iter()
        .filter_map(|(name, installed)| {
            let (runs, installed) = (state.version_of(name)?, installed.as_deref()?);
            (runs != installed).then(|| {
                format!("the kept stack runs {name} {runs}, and {installed} is installed now")
            })
        })
        .collect()
    }
}

/// The install script notes `NAME VERSION`, a line each.
fn noted(programs: &Path, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(programs.join("bin/version")).ok()?;
    let mut lines = text.lines();
    let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    Some(found.trim().to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::state::tests::example;
    use super::*;

    #[test]
    fn given_another_version_of_one_server_then_that_one_is_named_with_both_versions() {
        let version = |text: &str| Some(text.to_owned());
        let mut installed = Installed {
            database: version("15.18"),
            broker: version("4.3.1"),
            toxiproxy: None,
        };
        // What cannot be told is no change
        assert_eq!(installed.changes(&example()), Vec::<String>::new());
        installed.broker = version("4.4.0");
        assert_eq!(
            installed.changes(&example()),
            ["the kept stack runs Kafka 4.3.1, and 4.4.0 is installed now"]
        );
    }

    #[test]
    fn what_the_install_script_noted_is_read() {
        let programs = tempfile::tempdir().unwrap();
        assert_eq!(noted(programs.path(), "toxiproxy"), None);
        std::fs::create_dir(programs.path().join("bin")).unwrap();
        std::fs::write(programs.path().join("bin/version"), "toxiproxy 2.12.0\n").unwrap();
        assert_eq!(
            noted(programs.path(), "toxiproxy").as_deref(),
            Some("2.12.0")
        );
        assert_eq!(noted(programs.path(), "tox"), None);
    }
}
