//! A Toxiproxy of our own.

use super::StackError;
use super::listening::start_on;
use crate::process::reaper::Reaper;
use crate::process::{Child, ChildSpec, Ready};
use crate::toxiproxy::ToxiproxyClient;
use futures::FutureExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The server must be ready within this time (it takes some milliseconds here).
const READY_WITHIN: Duration = Duration::from_secs(20);
/// The install script puts the program here, below `.stack`.
const PROGRAM: &str = "bin/toxiproxy-server";

/// This is a Toxiproxy that runs, with its version and the URL of its admin API.
pub(super) struct ToxiproxyServer {
    pub(super) child: Child,
    pub(super) url: String,
    pub(super) version: String,
}

impl ToxiproxyServer {
    /// Starts it with its admin API on `port`.
    pub(super) async fn start(
        logs: &Path,
        programs: &Path,
        port: u16,
        reaper: &Arc<Reaper>,
    ) -> Result<Self, StackError> {
        let failed = |reason: String| StackError {
            doing: "start Toxiproxy".into(),
            reason,
        };
        let program = program(programs).map_err(failed)?;
        let url = format!("http://127.0.0.1:{port}");
        let asked = url.clone();
        let spec = ChildSpec {
            name: "toxiproxy".into(),
            program,
            args: vec!["-host=127.0.0.1".into(), format!("-port={port}")],
            // With two threads, small packets lose more in hand-overs than the second one gains.
            env: vec![
                ("GOMAXPROCS".into(), "1".into()),
                ("LOG_LEVEL".into(), "warn".into()),
            ],
            user: None,
            // By it a Toxiproxy is known as that of this stack: its command line does not say so.
            folder: Some(logs.to_owned()),
            log: logs.join("toxiproxy.log"),
            ready: Ready::Answers(Arc::new(move || {
                let url = asked.clone();
                async move { ask_version(&url).await.map(drop) }.boxed()
            })),
            ready_within: READY_WITHIN,
        };
        let child = start_on(port, spec, reaper).await.map_err(failed)?;
        let version = ask_version(&url).await.map_err(failed)?;
        Ok(Self {
            child,
            url,
            version,
        })
    }
}

/// Where the install script put it; an Err says that it did not.
pub(super) fn program(programs: &Path) -> Result<PathBuf, String> {
    let program = programs.join(PROGRAM);
    match program.is_file() {
        true => Ok(program),
        false => Err(format!(
            "{} is not there: run stack/install.sh (`make run` does), or say with --programs \
             where its `.stack` folder is",
            program.display()
        )),
    }
}

/// Asks for its version at its admin API.
pub(super) async fn ask_version(url: &str) -> Result<String, String> {
    let client = ToxiproxyClient::new(url).map_err(|e| e.to_string())?;
    client.version().await.map_err(|e| e.to_string())
}
