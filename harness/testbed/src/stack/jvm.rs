//! What every JVM of ours is started with.

use std::path::{Path, PathBuf};

/// This stands between the entries of a class path.
const SEPARATOR: &str = ":";

/// Returns the path of the `java` of JAVA_HOME, else of PATH; an Err says that neither has one.
pub fn find_java() -> Result<PathBuf, String> {
    let home = std::env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = home.into_iter().chain(std::env::split_paths(&path));
    let mut found = folders
        .map(|f| f.join("java"))
        .filter(|java| java.is_file());
    found.next().ok_or_else(|| {
        "no java in JAVA_HOME or on PATH: run stack/install.sh (`make run` does)".into()
    })
}

/// Reads the version from the `release` file of the Java home, else it is `unknown`: asking the JVM itself
/// takes as long as a start.
pub(super) fn version(java: &Path) -> String {
    let release = std::fs::canonicalize(java).ok().and_then(|java| {
        let home = java.parent()?.parent()?;
        std::fs::read_to_string(home.join("release")).ok()
    });
    let release = release.unwrap_or_default();
    let mut lines = release.lines();
    let version = lines.find_map(|line| line.strip_prefix("JAVA_VERSION="));
    version.unwrap_or("unknown").trim_matches('"').to_owned()
}

/// Returns all jars of a folder of the install script, in the order of their names: a class archive is
/// bound to the class path.
pub fn jars(folder: &Path) -> Result<Vec<PathBuf>, String> {
    if let Some(reason) = no_class_path(folder) {
        return Err(reason);
    }
    let entries = std::fs::read_dir(folder).map_err(|e| missing(folder, &e.to_string()))?;
    let mut jars: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "jar"))
        .collect();
    if jars.is_empty() {
        return Err(missing(folder, "no jar in it"));
    }
    jars.sort();
    Ok(jars)
}

/// Why jars of this folder cannot be on a class path, if so.
fn no_class_path(folder: &Path) -> Option<String> {
    let trouble = match folder.to_str() {
        None => "is not UTF-8",
        Some(text) if text.contains(SEPARATOR) => {
            "has a `:` in it, which separates the entries of Java's class path"
        }
        Some(_) => return None,
    };
    Some(format!(
        "{}: this name {trouble}: move the folder, or name another `.stack` with --programs",
        folder.display()
    ))
}

fn missing(folder: &Path, reason: &str) -> String {
    format!(
        "Kafka's jars in {}: {reason}: run stack/install.sh (`make run` does), or say with \
         --programs where its `.stack` folder is",
        folder.display()
    )
}

/// Returns these jars as one class path for Java, with `:` between them.
pub fn class_path(jars: &[PathBuf]) -> String {
    let jars: Vec<String> = jars.iter().map(|j| j.display().to_string()).collect();
    jars.join(SEPARATOR)
}

/// This says what the JVM of a local broker compiles with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jit {
    /// C1 alone, which has its work behind it after some seconds of load: so that what a run measures
    /// of its first strategy can stand beside what it measures of its last. On two cores C2 takes
    /// their time for the first half minute of load.
    C1,
    /// C2 as well, which is faster in the end, for measurements that warm up until it is done.
    C2,
}

impl Jit {
    /// Describes it for the record, behind the JVM's version.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::C1 => "C1 alone",
            Self::C2 => "C1 and C2",
        }
    }

    pub(super) fn arguments(self) -> Option<String> {
        (self == Self::C1).then(|| "-XX:TieredStopAtLevel=1".to_owned())
    }
}

/// Returns a JVM's arguments: a bounded heap, and nothing written outside these folders, neither
/// performance data in /tmp nor unpacked libraries there. The JVM logs warnings (slf4j-simple).
pub fn arguments(heap: &str, temporary: &Path, crash_log: &Path) -> Vec<String> {
    vec![
        format!("-Xmx{heap}"),
        "-XX:-UsePerfData".to_owned(),
        "-XX:+ExitOnOutOfMemoryError".to_owned(),
        format!("-XX:ErrorFile={}", crash_log.display()),
        format!("-Djava.io.tmpdir={}", temporary.display()),
        // What is said on every start and stop would push the one line that matters out of sight.
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn".to_owned(),
        "-Dorg.slf4j.simpleLogger.showDateTime=true".to_owned(),
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS".to_owned(),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_a_class_path_would_take_apart_is_refused_by_name() {
        let error = jars(Path::new("/srv/a:b/.stack/kafka")).unwrap_err();
        assert!(error.starts_with("/srv/a:b/.stack/kafka: "), "{error}");
        assert!(
            error.contains("`:`") && error.contains("--programs"),
            "{error}"
        );
    }
}
