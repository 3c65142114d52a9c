//! Installing a relay before anything is timed.

use super::program::program_in;
use crate::process::log;
use crate::process::reaper::Reaper;
use crate::run::RunError;
use crate::run::deployment::failed;
use crate::scenario::relay_file::RelayFile;
use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::Command;

/// Bound on finding out whether anything is to be done.
const CHECK_WITHIN: Duration = Duration::from_secs(60);

/// Installs the relay, unless its own check says that it is there. What the commands say is in `log`.
pub(super) async fn install(
    relay: &RelayFile,
    reaper: &Reaper,
    log: &Path,
) -> Result<(), RunError> {
    let Some(install) = &relay.install else {
        return Ok(());
    };
    let home = &relay.home;
    // What is to be installed may be the very program that is asked.
    if is_there(&install.check, home)
        && run(&install.check, home, reaper, log, CHECK_WITHIN).await?
    {
        return Ok(());
    }
    let doing = format!("installing {}", relay.name);
    let wrong = |what: &str, words: &[String]| {
        let command = words.join(" ");
        let home = home.display();
        failed(
            &doing,
            &format!("{what}: `{command}` in {home}{}", log::tail(log, 0)),
        )
    };
    if !run(&install.run, home, reaper, log, install.within).await? {
        return Err(wrong("the installation failed", &install.run));
    }
    if !run(&install.check, home, reaper, log, CHECK_WITHIN).await? {
        return Err(wrong(
            "it is installed, and its check still says that it is not",
            &install.check,
        ));
    }
    Ok(())
}

/// Whether a command's program is there at all, where that can be known without running it.
fn is_there(words: &[String], home: &Path) -> bool {
    let program = words.first().map_or("", String::as_str);
    !program.contains('/') || program_in(home, program).is_file()
}

/// Runs a command, and returns whether it ended with 0. It has the whole environment: what is fetched may need a
/// proxy, a registry, a cache; nothing of it is in the run.
async fn run(
    words: &[String],
    home: &Path,
    reaper: &Reaper,
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
        .process_group(reaper.process_group())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|e| failed(&doing, &e))?;
    match tokio::time::timeout(within, child.wait()).await {
        Ok(status) => status
            .map(|status: ExitStatus| status.success())
            .map_err(|e| failed(&doing, &e)),
        Err(_) => Err(failed(&doing, &format!("it did not end within {within:?}"))),
    }
}
