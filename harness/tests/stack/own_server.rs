//! A stack with one server that only some scenarios use, and without Kafka, for the tests of that server alone.

use crate::{programs, reaper};
use harness::process::Child;
use harness::scenario::{Server, Victim};
use harness::stack::data_folder::DataFolder;
use harness::stack::{Jit, Provider, ServerSettings, Stack};
use std::collections::BTreeSet;

/// The stack, with what it stands on.
pub struct OwnServer {
    server: Server,
    pub stack: Stack,
    _folder: DataFolder,
}

impl OwnServer {
    /// Starts it in a folder that this name begins.
    pub async fn start(server: Server, name: &str) -> Self {
        Self::start_with(server, name, ServerSettings::default()).await
    }

    /// The same, with what the server is to be like.
    pub async fn start_with(server: Server, name: &str, settings: ServerSettings) -> Self {
        let reaper = reaper();
        let folder = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let folder = DataFolder::make(&folder, None, &reaper).unwrap();
        let provider = Provider::Local {
            data: folder.path().join("data"),
            logs: folder.path().join("logs"),
            programs: programs(),
            jit: Jit::C1,
            settings: ServerSettings {
                servers: BTreeSet::from([server]),
                ..settings
            },
        };
        Self {
            server,
            stack: Stack::start(provider, &reaper).await.unwrap(),
            _folder: folder,
        }
    }

    /// Returns the server's process, to be killed and started again.
    pub fn process(&self) -> &Child {
        self.stack.server(Victim::Server(self.server)).unwrap()
    }
}
