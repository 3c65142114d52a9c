//! Where the install script put Kafka Connect and Debezium.

use crate::stack::jvm;
use std::path::{Path, PathBuf};

/// Kafka Connect and its jars are in this folder below `.stack`.
const CONNECT: &str = "connect";
/// Plugins are in this folder below [`CONNECT`], and are loaded apart from Connect's own jars.
const PLUGINS: &str = "plugins";
const DEBEZIUM: &str = "debezium-connector-postgres";

/// These are the programs of a worker, and their versions.
#[derive(Debug, Clone)]
pub struct Install {
    pub(super) java: PathBuf,
    pub(super) jars: Vec<PathBuf>,
    pub(super) plugins: PathBuf,
    connect_version: String,
    debezium_version: String,
}

impl Install {
    /// Looks below the folder of the install script (`.stack`); the error says what is missing and
    /// how to get it.
    pub fn find(programs: &Path) -> Result<Self, String> {
        // A worker has a folder of its own: relative paths would mean others there.
        let programs = std::fs::canonicalize(programs).unwrap_or_else(|_| programs.to_owned());
        let jars = jvm::jars(&programs.join(CONNECT))?;
        let plugins = programs.join(CONNECT).join(PLUGINS);
        if plugins.display().to_string().contains(',') {
            return Err(format!(
                "{}: this name has a comma in it, which separates the entries of Kafka Connect's \
                 plugin.path: move the folder, or name another `.stack` with --programs",
                plugins.display()
            ));
        }
        let debezium = jvm::jars(&plugins.join(DEBEZIUM))?;
        Ok(Self {
            java: jvm::find_java()?,
            connect_version: version(&jars, "connect-runtime-"),
            debezium_version: version(&debezium, "debezium-connector-postgres-"),
            jars,
            plugins,
        })
    }

    /// Names the versions and settings that figures depend on, for the record.
    pub fn describe(&self) -> String {
        format!(
            "{} in Kafka Connect {} (standalone, heap {})",
            self.debezium_version,
            self.connect_version,
            super::HEAP
        )
    }
}

/// Returns the version that the name of a jar has after `prefix` (`4.3.1` of `PREFIX4.3.1.jar`), or
/// `of unknown version` where no jar has that name.
fn version(jars: &[PathBuf], prefix: &str) -> String {
    let names = jars.iter().filter_map(|j| j.file_name()?.to_str());
    let mut versions = names.filter_map(|n| n.strip_prefix(prefix)?.strip_suffix(".jar"));
    versions.next().unwrap_or("of unknown version").to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_names_of_the_jars() {
        let jars = ["connect-api-9.jar", "connect-runtime-4.3.1.jar"].map(PathBuf::from);
        assert_eq!(version(&jars, "connect-runtime-"), "4.3.1");
        assert_eq!(version(&jars, "debezium-"), "of unknown version");
    }

    #[test]
    fn a_comma_in_the_folders_name_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let programs = folder.path().join("a,b");
        let connect = programs.join(CONNECT);
        std::fs::create_dir_all(&connect).unwrap();
        std::fs::write(connect.join("connect-runtime-1.jar"), "").unwrap();
        let error = Install::find(&programs).unwrap_err();
        assert!(error.contains("comma") && error.contains("a,b"), "{error}");
    }

    #[test]
    fn what_is_not_installed_is_an_error_with_the_remedy() {
        let empty = tempfile::tempdir().unwrap();
        let error = Install::find(empty.path()).unwrap_err();
        assert!(error.contains("stack/install.sh"), "{error}");
    }
}
