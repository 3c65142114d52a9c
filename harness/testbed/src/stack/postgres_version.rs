//! Which versions of PostgreSQL the harness works with.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use crate::process::environment;

/// This is the oldest one: `idle_session_timeout`, which ends the sessions of a relay that vanished, came with it.
const OLDEST: u32 = 14;
/// A program must say its version within this time.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Whether a version is of this major one, or a newer one.
pub(super) fn is_at_least(version: &str, wanted: u32) -> bool {
    major(version).is_some_and(|major| major >= wanted)
}

fn major(version: &str) -> Option<u32> {
    let digits = version
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(version.len());
    version[..digits].parse().ok()
}

/// Refuses a server of this version (`15.18`, `16.4 (Debian 16.4-1)`, `18beta1`) if it is too old.
pub(super) fn check(version: &str) -> Result<(), String> {
    match major(version) {
        Some(major) if major >= OLDEST => Ok(()),
        Some(_) => Err(format!(
            "it is version {version}, and {OLDEST} is the oldest that the harness works with"
        )),
        None => Err(format!("its version is `{version}`, which is no number")),
    }
}

/// The same for the server of these programs, before anything is made with them.
pub(super) async fn check_programs(folder: &Path) -> Result<(), String> {
    let version = asked(folder).await?;
    check(&version).map_err(|reason| {
        let shown = folder.join("postgres");
        let shown = shown.display();
        format!("{shown}: {reason}; put the folder of a newer one first on PATH")
    })
}

/// Returns the version of the server of these programs, without the packager's addition: `15.18`.
pub(super) async fn of_programs(folder: &Path) -> Result<String, String> {
    let version = asked(folder).await?;
    Ok(version.split(' ').next().unwrap_or_default().to_owned())
}

async fn asked(folder: &Path) -> Result<String, String> {
    let program = folder.join("postgres");
    let mut command = tokio::process::Command::new(&program);
    command
        .arg("--version")
        .env_clear()
        .envs(environment::of_child())
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let shown = program.display();
    let answer = tokio::time::timeout(ANSWER_WITHIN, command.output()).await;
    let output = match answer {
        Ok(Ok(output)) => output,
        Ok(Err(e)) => return Err(format!("run {shown}: {e}")),
        Err(_) => {
            return Err(format!(
                "{shown} --version: no answer within {ANSWER_WITHIN:?}"
            ));
        }
    };
    let said = String::from_utf8_lossy(&output.stdout);
    // postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)
    let version = said
        .trim()
        .rsplit_once("(PostgreSQL) ")
        .map_or(said.trim(), |(_, v)| v);
    Ok(version.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_way_a_server_says_its_version_is_read_and_an_old_one_is_refused() {
        for version in [
            "14.23",
            "15.18",
            "16.4 (Debian 16.4-1.pgdg120+1)",
            "18beta1",
            "19devel",
        ] {
            assert_eq!(check(version), Ok(()), "{version}");
        }
        for version in ["13.23", "9.6.24"] {
            let error = check(version).unwrap_err();
            assert!(
                error.contains(version) && error.contains("14 is the oldest"),
                "{error}"
            );
        }
        assert!(check("").is_err());
        assert!(check("unknown").is_err());
    }
}
