//! What is known of a kept stack beside its stack file: who keeps it, what runs where, since when.

use crate::disk;
use crate::process::tree::ProcessId;
use serde::{Deserialize, Serialize};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Another number is another version's file.
const FORMAT: u32 = 1;

/// This is written when the stack is up, and is removed before it is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptState {
    format: u32,
    /// This is the process that keeps the stack: with any other holder of the lock, this tells of a dead one.
    pub keeper: ProcessId,
    /// The stack was started at this time (RFC 3339, UTC).
    pub since: String,
    /// The version of the program that started it.
    pub program_version: String,
    /// Kafka's jars, Toxiproxy and Debezium are in this folder.
    pub programs: PathBuf,
    /// The broker's JVM, and how it compiles, as the record says it.
    pub jvm: String,
    /// This is the folder of PostgreSQL's Unix socket, where it has one.
    #[serde(rename = "postgres_socket")]
    pub database_socket: Option<PathBuf>,
    /// PostgreSQL, Kafka and Toxiproxy.
    pub servers: Vec<KeptServer>,
    /// The servers' data are in these folders, inner ones first.
    pub data: Vec<PathBuf>,
}

/// One server of a kept stack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptServer {
    /// Its name, as people write it.
    pub name: String,
    /// The version that runs.
    pub version: String,
    /// Its address, as `host:port`, or the URL of an admin API.
    pub address: String,
    /// This is its process; those that it starts are below it.
    pub process: ProcessId,
}

impl KeptState {
    /// Nothing is known of the stack yet but who started it, and when.
    pub fn new(
        keeper: ProcessId,
        since: String,
        program_version: String,
        programs: PathBuf,
    ) -> Self {
        Self {
            format: FORMAT,
            keeper,
            since,
            program_version,
            programs,
            jvm: String::new(),
            database_socket: None,
            servers: Vec::new(),
            data: Vec::new(),
        }
    }

    /// Returns the version of a server that runs, by its name.
    pub fn version_of(&self, server: &str) -> Option<&str> {
        let found = self.servers.iter().find(|s| s.name == server);
        found.map(|s| s.version.as_str())
    }
}

/// Writes it as a whole.
pub fn write(path: &Path, state: &KeptState) -> std::io::Result<()> {
    disk::write(path, &serde_json::to_vec_pretty(state)?)
}

/// Reads the file; `None` if there is none, and an inner Err if it is another version's.
pub(super) fn read(path: &Path) -> Result<Option<Result<Box<KeptState>, String>>, String> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(e) => return Err(format!("{}: {e}", path.display())),
    };
    Ok(Some(parse(&bytes)))
}

/// What a dead keeper left there; `None` if there is nothing that this version can read.
pub fn left(path: &Path) -> Result<Option<Box<KeptState>>, String> {
    Ok(read(path)?.and_then(Result::ok))
}

fn parse(bytes: &[u8]) -> Result<Box<KeptState>, String> {
    let state: KeptState = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    match state.format {
        FORMAT => Ok(Box::new(state)),
        other => Err(format!(
            "its format is {other}, and this program's is {FORMAT}"
        )),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn example() -> KeptState {
        let server = |name: &str, version: &str, pid| KeptServer {
            name: name.to_owned(),
            version: version.to_owned(),
            address: "127.0.0.1:20000".to_owned(),
            process: ProcessId { pid, start: 7 },
        };
        let mut state = KeptState::new(
            ProcessId { pid: 10, start: 7 },
            "2026-11-29T21:00:00Z".to_owned(),
            "0.1.0".to_owned(),
            PathBuf::from("/programs"),
        );
        state.servers = vec![
            server("PostgreSQL", "15.18", 11),
            server("Kafka", "4.3.1", 12),
            server("Toxiproxy", "2.12.0", 13),
        ];
        state
    }

    #[test]
    fn what_is_written_is_read_again() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("kept.json");
        assert_eq!(read(&path), Ok(None));
        write(&path, &example()).unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), Ok(Box::new(example())));
    }

    #[test]
    fn another_versions_file_is_told_from_a_good_one() {
        let text = serde_json::to_string(&example()).unwrap();
        let other = text.replace("\"format\":1", "\"format\":2");
        let error = parse(other.as_bytes()).unwrap_err();
        assert_eq!(error, "its format is 2, and this program's is 1");
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_no_state_and_no_panic(cut in 0usize..400) {
            let text = serde_json::to_vec(&example()).unwrap();
            prop_assert!(parse(&text[..cut.min(text.len() - 1)]).is_err());
        }
    }
}
