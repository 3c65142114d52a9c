//! Installing a relay before anything is timed.

use super::program::{is_there, program_in};
use crate::process::log;
use crate::process::reaper::Reaper;
use crate::process::tree;
use crate::run::RunError;
use crate::run::deployment::failed;
use crate::scenario::relay_file::{Install, RelayFile};
use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// Bound on finding out whether anything is to be done.
const CHECK_WITHIN: Duration = Duration::from_secs(60);
/// What it started is ended within this time.
const TREE_WITHIN: Duration = Duration::from_secs(10);

/// Installs the relay, unless its own check says that it is there. What the commands say is in `log`.
pub(super) async fn install(
    relay: &RelayFile,
    reaper: &Reaper,
    log: &Path,
) -> Result<(), RunError> {
    let Some(install) = &relay.install else {
        return Ok(());
    };
    let place = (relay.home.as_path(), reaper.process_group(), log);
    bring(&relay.name, install, place).await
}

/// The same in this folder and this process group, with this log.
async fn bring(
    name: &str,
    install: &Install,
    (home, group, log): (&Path, i32, &Path),
) -> Result<(), RunError> {
    let doing = format!("installing {name}");
    let wrong = |what: &str, words: &[String]| {
        let command = words.join(" ");
        let home = home.display();
        failed(
            &doing,
            &format!("{what}: `{command}` in {home}{}", log::tail(log, 0)),
        )
    };
    // What is to be installed may be the very program that is asked.
    let is_done = async || {
        let asked = install.check.first();
        let can_be_asked = asked.is_none_or(|program| is_there(home, program));
        Ok::<bool, RunError>(
            can_be_asked && run(&install.check, home, group, log, CHECK_WITHIN).await?,
        )
    };
    if is_done().await? {
        return Ok(());
    }
    if !run(&install.run, home, group, log, install.within).await? {
        return Err(wrong("the installation failed", &install.run));
    }
    if !is_done().await? {
        return Err(wrong(
            "it is installed, and its check still says that it is not",
            &install.check,
        ));
    }
    Ok(())
}

/// A command and all that it started, which end with it: what a run has given up on takes nothing from the next one.
struct Installing(tree::ProcessId);

impl Installing {
    fn of(pid: u32) -> Option<Self> {
        let process = tree::find(i32::try_from(pid).ok()?)?;
        Some(Self(process.id))
    }
}

impl Drop for Installing {
    fn drop(&mut self) {
        // Of one that ended by itself nothing is found.
        let of_it = |now: &tree::Snapshot| now.below(&[self.0]);
        if let Err(error) = tree::kill(of_it, Some(self.0), TREE_WITHIN) {
            tracing::warn!("an installation that was given up: {error}");
        }
    }
}

/// Runs a command in this process group, and returns whether it ended with 0. It has the whole environment: what is fetched may need a
/// proxy, a registry, a cache; nothing of it is in the run.
async fn run(
    words: &[String],
    home: &Path,
    group: i32,
    log: &Path,
    within: Duration,
) -> Result<bool, RunError> {
    let Some((program, arguments)) = words.split_first() else {
        return Ok(true);
    };
    let doing = format!("running `{}` in {}", words.join(" "), home.display());
    let log = || -> std::io::Result<Stdio> {
        Ok(File::options().create(true).append(true).open(log)?.into())
    };
    let mut command = Command::new(program_in(home, program));
    command
        .args(arguments)
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(log().map_err(|e| failed(&doing, &e))?)
        .stderr(log().map_err(|e| failed(&doing, &e))?)
        .process_group(group)
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| failed(&doing, &e))?;
    let _tree = child.id().and_then(Installing::of);
    match tokio::time::timeout(within, child.wait()).await {
        Ok(status) => status
            .map(|status: ExitStatus| status.success())
            .map_err(|e| failed(&doing, &e)),
        Err(_) => Err(failed(&doing, &format!("it did not end within {within:?}"))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test]
    async fn given_a_check_by_a_program_that_is_nowhere_yet_then_it_is_installed() {
        let home = tempfile::tempdir().unwrap();
        let install = Install {
            check: vec!["no-such-relay-of-ours".to_owned(), "--version".to_owned()],
            run: ["sh", "-c", "touch installed"].map(str::to_owned).to_vec(),
            within: Duration::from_secs(60),
        };
        let log = home.path().join("log");
        let place = (home.path(), 0, log.as_path());
        let error = bring("mine", &install, place).await.unwrap_err();
        assert!(home.path().join("installed").exists(), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("its check still says that it is not"),
            "{said}"
        );
    }

    #[tokio::test]
    async fn given_a_command_that_takes_too_long_when_it_is_given_up_then_what_it_started_ends_too()
    {
        let home = tempfile::tempdir().unwrap();
        let script = "sleep 600 & echo $! >child.new && mv child.new child; wait";
        let words = ["sh", "-c", script].map(str::to_owned);
        let log = home.path().join("log");
        // Not before it has started something
        let running = run(&words, home.path(), 0, &log, Duration::from_secs(600));
        let child = home.path().join("child");
        let started = async {
            let deadline = Instant::now() + Duration::from_secs(60);
            while !child.exists() {
                assert!(Instant::now() < deadline);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            _ = running => panic!("it ended"),
            () = started => {}
        }
        let pid = std::fs::read_to_string(child)
            .unwrap()
            .trim()
            .parse()
            .unwrap();
        assert!(tree::find(pid).is_none_or(|process| !process.lives()));
    }
}
