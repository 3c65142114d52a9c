//! What a process may take from the surroundings of the harness. A variable that is set for something
//! else must not change what is measured: PGOPTIONS reaches every session of every client,
//! JAVA_TOOL_OPTIONS every JVM, a proxy's address those that are on this very machine.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::ffi::{OsStr, OsString};

/// What every child gets as it is here: where programs, libraries, and temporary files are, whose
/// home it is, and how much is logged.
const HANDED_ON: [&str; 9] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "RUST_LOG",
    "RUST_BACKTRACE",
];
/// The project's own variables begin like this. They are for its own processes.
const OWN: &str = "OUTBOX_";
/// What every child gets whatever it is here. Messages and numbers are everywhere the same; paths
/// that are not ASCII are readable to a JVM only where the locale has a character set for them.
const FIXED: [(&str, &str); 2] = [("LC_ALL", "C.UTF-8"), ("TZ", "UTC")];
/// The password of an administrator is for the referee alone.
pub const PASSWORD: &str = "OUTBOX_HARNESS_POSTGRES_PASSWORD";
/// PostgreSQL's clients and servers read variables that begin like this.
const LIBPQ: &str = "PG";

/// Open files that one process may have: JVMs and servers reserve room for all that are allowed,
/// and containers allow a thousand million.
const FILES_WANTED: u64 = 65_536;
/// A process of a run needs so many open files, but for the HTTP connections of load and order service,
/// which take one on each side: Kafka's jars and segments are most of them.
const FILES_LEAST: u64 = 1_024;

/// Returns the whole environment of a child, but for what its own specification adds.
pub fn of_child() -> Vec<(OsString, OsString)> {
    chosen(std::env::vars_os(), is_for_all)
}

/// The same of a child that is this very program.
pub fn of_own_child() -> Vec<(OsString, OsString)> {
    chosen(std::env::vars_os(), |name| is_for_all(name) || is_own(name))
}

fn chosen(
    all: impl Iterator<Item = (OsString, OsString)>,
    is_handed_on: impl Fn(&OsStr) -> bool,
) -> Vec<(OsString, OsString)> {
    let mut kept: Vec<(OsString, OsString)> = all.filter(|(name, _)| is_handed_on(name)).collect();
    kept.extend(FIXED.map(|(name, value)| (name.into(), value.into())));
    kept
}

fn is_for_all(name: &OsStr) -> bool {
    HANDED_ON.iter().any(|kept| name == *kept)
}

fn is_own(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(OWN.as_bytes()) && name != PASSWORD
}

/// Takes from this process what would reach its own sessions, and gives it the room it needs. To be
/// called first of all in `main`, while there is no other thread.
pub fn settle() {
    let is_of_libpq = |name: &OsString| name.as_encoded_bytes().starts_with(LIBPQ.as_bytes());
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(is_of_libpq).collect::<Vec<_>>() {
        // SAFETY: there is no other thread that could read the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        // What is refused shows when it is asked whether there are enough.
        let _ = setrlimit(Resource::RLIMIT_NOFILE, raised(soft, hard), hard);
    }
}

fn raised(soft: u64, hard: u64) -> u64 {
    soft.max(hard.min(FILES_WANTED))
}

/// Why a process of this machine may not open as many files as so many connections need, if so.
pub fn too_few_files(connections: u64) -> Option<String> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    shortfall(connections, soft)
}

fn shortfall(connections: u64, allowed: u64) -> Option<String> {
    let needed = FILES_LEAST + connections;
    (allowed < needed).then(|| {
        format!(
            "a process may have {allowed} files open here, and a run with {connections} connections \
             needs {needed}: raise the hard limit (`ulimit -Hn`, `nofile` in \
             /etc/security/limits.conf, LimitNOFILE of a service, --ulimit nofile={needed} of a \
             container)"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn child_of(
        surroundings: &[(&str, &str)],
        handed_on: impl Fn(&OsStr) -> bool,
    ) -> Vec<(String, String)> {
        let all = surroundings.iter().map(|(n, v)| (n.into(), v.into()));
        let text = |t: OsString| t.to_string_lossy().into_owned();
        let found = chosen(all, handed_on).into_iter();
        found.map(|(n, v)| (text(n), text(v))).collect()
    }

    fn is_own_or_for_all(name: &OsStr) -> bool {
        is_own(name) || is_for_all(name)
    }

    #[test]
    fn given_variables_that_servers_and_clients_read_then_a_child_has_none_of_them() {
        let hostile = [
            ("PGOPTIONS", "-c default_transaction_isolation=serializable"),
            ("PGHOST", "elsewhere"),
            ("PGDATA", "/elsewhere"),
            ("JAVA_TOOL_OPTIONS", "-Duser.language=tr"),
            ("_JAVA_OPTIONS", "-Xmx1m"),
            ("JDK_JAVA_OPTIONS", "-Xmx1m"),
            ("CLASSPATH", "/elsewhere"),
            ("KAFKA_OPTS", "-Xmx1m"),
            ("HTTP_PROXY", "http://192.0.2.1:3128"),
            ("http_proxy", "http://192.0.2.1:3128"),
            ("ALL_PROXY", "socks5://192.0.2.1"),
            ("LANG", "tr_TR.UTF-8"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("TZ", "Asia/Kathmandu"),
            (PASSWORD, "the administrator's"),
        ];
        let only = FIXED.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(child_of(&hostile, is_own_or_for_all), only);
    }

    #[test]
    fn given_variables_that_a_child_needs_then_it_has_them_as_they_are() {
        let needed = [
            ("PATH", "/a:/b"),
            ("HOME", "/h"),
            ("LD_LIBRARY_PATH", "/l"),
            ("RUST_LOG", "debug"),
            ("OUTBOX_ZOO_DEFECT", "one"),
        ];
        let [child, others] = [
            child_of(&needed, is_own_or_for_all),
            child_of(&needed, is_for_all),
        ];
        for (name, value) in needed {
            let variable = (name.to_owned(), value.to_owned());
            assert!(child.contains(&variable), "{name}");
            // What is the project's own is nothing to somebody else's program
            assert_eq!(others.contains(&variable), name != "OUTBOX_ZOO_DEFECT");
        }
    }

    #[test]
    fn the_soft_limit_is_raised_within_the_hard_one_and_never_lowered() {
        assert_eq!(raised(256, 20_000), 20_000);
        assert_eq!(raised(1_024, 1_073_741_816), FILES_WANTED);
        assert_eq!(raised(1_000_000, 1_073_741_816), 1_000_000);
    }

    #[test]
    fn a_limit_that_is_too_low_is_said_with_both_figures_and_the_remedy() {
        assert_eq!(shortfall(1_000, 2_024), None);
        let text = shortfall(1_000, 1_024).unwrap_or_default();
        assert!(text.contains("1024 files open here"), "{text}");
        assert!(text.contains("needs 2024"), "{text}");
        assert!(text.contains("ulimit -Hn"), "{text}");
    }
}
