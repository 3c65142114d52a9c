//! A child that is a container: its own process is the engine's client, attached to the container, which ends when that
//! does. What is done to such a child the engine does, to the container: nobody else may signal what is in it.

use super::environment;
use super::tree::{self, ProcessId};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The engine's client.
const CLIENT: &str = "docker";
/// One thing that the engine is asked to do may take at most this time.
const ASKED_WITHIN: Duration = Duration::from_secs(20);
/// Pause between two looks at a client that is awaited.
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// An answer of the engine is longer than this only if something is wrong.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// The client's own variables: which engine, and how it is reached.
const OWN_VARIABLES: &str = "DOCKER_";

/// A container that was made and can be started, again and again.
#[derive(Debug, Clone)]
pub struct Container {
    /// The engine's client, as [`client`] found it.
    pub client: PathBuf,
    /// This is the container's name.
    pub name: String,
}

/// Where the engine's client is; an Err says that it is not on PATH.
pub fn client() -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path)
        .map(|folder| folder.join(CLIENT))
        .filter(|program| program.is_file());
    found.next().ok_or_else(|| {
        format!(
            "there is no `{CLIENT}` on PATH: `make docker-engine` installs it (as root, on Debian or Ubuntu)"
        )
    })
}

/// Returns the variables of this process that the client is given on top of those of every child.
pub fn variables() -> Vec<(OsString, OsString)> {
    let own = |name: &OsString| {
        name.as_encoded_bytes()
            .starts_with(OWN_VARIABLES.as_bytes())
    };
    std::env::vars_os().filter(|(name, _)| own(name)).collect()
}

/// A command of the client, with the surroundings that every child of the harness has.
pub fn command(client: &Path) -> Command {
    let mut command = Command::new(client);
    command
        .env_clear()
        .envs(environment::of_child())
        .envs(variables())
        .stdin(Stdio::null());
    command
}

/// Runs it to its end; returns what it printed, or, where it failed or took too long, what it said of that.
pub fn ask(mut command: Command, within: Duration) -> Result<String, String> {
    // Into a file: whom the client started may hold a pipe open when the client is gone.
    let said = memfd_create(CLIENT, MFdFlags::MFD_CLOEXEC).map_err(|e| e.to_string())?;
    let mut said = File::from(said);
    let again = |file: &File| file.try_clone().map_err(|e| e.to_string());
    command.stdout(again(&said)?).stderr(again(&said)?);
    let mut client = command
        .spawn()
        .map_err(|e| format!("run {}: {e}", command.get_program().display()))?;
    let deadline = Instant::now() + within;
    let ended = loop {
        match client.try_wait() {
            Ok(Some(status)) => break Ok(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(LOOK_AGAIN),
            Ok(None) => break Err(format!("it has not ended within {within:?}")),
            Err(e) => break Err(e.to_string()),
        }
    };
    if ended.is_err() {
        let _ = client.kill();
        let _ = client.wait();
    }
    let mut text = Vec::new();
    let read = said
        .rewind()
        .and_then(|()| said.take(ANSWER_BYTES_MAX).read_to_end(&mut text));
    read.map_err(|e| e.to_string())?;
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    match ended {
        Ok(status) if status.success() => Ok(text),
        Ok(status) => Err(format!("{text} ({status})")),
        Err(reason) => Err(format!("{reason}; so far it said: {text}")),
    }
}

impl Container {
    /// Returns the arguments of the client that starts it and stays attached to it.
    pub fn start_arguments(&self) -> Vec<String> {
        ["start", "--attach", &self.name]
            .map(str::to_owned)
            .to_vec()
    }

    /// Sends a signal to its first process; what it does not do by itself, it does on SIGKILL, as a whole. One that does
    /// not run is no error.
    pub(super) fn send(&self, signal: Signal) -> Result<(), String> {
        // One that is paused takes a signal only afterwards.
        if self.state("{{.State.Paused}}")? == "true" {
            self.unpause()?;
        }
        let sent = self.engine(&["kill", "--signal", signal.as_str(), &self.name]);
        match sent {
            Err(_) if self.state("{{.State.Running}}")? == "false" => Ok(()),
            sent => sent.map(drop),
        }
    }

    /// Freezes every process in it.
    pub(super) fn pause(&self) -> Result<(), String> {
        self.engine(&["pause", &self.name]).map(drop)
    }

    /// Has all of it go on.
    pub(super) fn unpause(&self) -> Result<(), String> {
        self.engine(&["unpause", &self.name]).map(drop)
    }

    /// Has it go on, if it is frozen.
    pub(super) fn wake(&self) -> Result<(), String> {
        match self.state("{{.State.Paused}}")?.as_str() {
            "true" => self.unpause(),
            _ => Ok(()),
        }
    }

    /// Returns its first process as this machine sees it; `None` where it has none, or the engine is on another one.
    pub(super) fn root(&self) -> Option<ProcessId> {
        let pid: i32 = self.state("{{.State.Pid}}").ok()?.parse().ok()?;
        Some(tree::find(pid).filter(|_| pid > 0)?.id)
    }

    /// Asks the engine for a part of what it knows of it.
    fn state(&self, format: &str) -> Result<String, String> {
        self.engine(&["container", "inspect", "--format", format, &self.name])
    }

    fn engine(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = command(&self.client);
        command.args(arguments);
        ask(command, ASKED_WITHIN)
    }
}
