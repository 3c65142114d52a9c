//! Runs a program of the database's installation to its end.

use super::ground::Ground;
use super::usage::{self, Used};
use crate::clock::RunClock;
use crate::database::{LoginWords, OwnSchema};
use crate::history::Life;
use crate::process::{Child, ChildSpec, Ready};
use crate::run::RunError;
use crate::run::deployment::failed;
use futures::FutureExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(2);
/// Between two looks at its CPU time, which is gone with it.
const SAMPLE: Duration = Duration::from_millis(50);

/// A program of the database's installation is run like this.
pub(super) struct Program {
    /// The program has this name in the installation, e.g. `pgbench`.
    pub name: &'static str,
    pub args: Vec<String>,
    /// The program connects here; its environment tells it so.
    pub login: LoginWords,
    /// Its session has these settings (PGOPTIONS).
    pub session: String,
    /// Its output goes to the file of this name in the folder `logs`.
    pub log: String,
    /// Output whose first appearance is timed.
    pub mark: Option<&'static str>,
    pub within: Duration,
}

/// This is left of a program that ended with exit code 0.
pub(super) struct ProgramOutcome {
    pub output: String,
    /// When the mark was there, run time.
    pub marked_ns: Option<i64>,
    pub ended_ns: i64,
    /// It had used this shortly before its end; `None` means that no sample was taken.
    pub used: Option<Used>,
}

/// Runs it; an exit code other than 0 is an error with the tail of its output.
pub(super) async fn run(
    ground: &Ground<'_>,
    program: Program,
    clock: &RunClock,
) -> Result<ProgramOutcome, RunError> {
    let log = ground.folder.join("logs").join(&program.log);
    let doing = format!("running {}", program.name);
    let spec = ChildSpec {
        name: program.name.to_owned(),
        program: OwnSchema::program(program.name).await?,
        args: program.args,
        env: program
            .login
            .environment(&program.session, "outbox-harness bench"),
        user: None,
        folder: None,
        log: log.clone(),
        ready: Ready::Answers(Arc::new(|| async { Ok(()) }.boxed())),
        ready_within: Duration::from_secs(10),
    };
    let child = Child::start(spec, ground.reaper)
        .await
        .map_err(|e| failed(&doing, &e))?;
    let deadline = Instant::now() + program.within;
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    let (mut marked_ns, mut used, mut sampled) = (None, None, Instant::now());
    while child.is_alive() {
        if let (Some(mark), None) = (program.mark, marked_ns)
            && read().contains(mark)
        {
            marked_ns = Some(clock.now_ns());
        }
        if sampled.elapsed() >= SAMPLE {
            used = usage::of(&child).or(used);
            sampled = Instant::now();
        }
        if Instant::now() > deadline {
            let _ = child.kill().await;
            let reason = format!("no end within {:?}; see {}", program.within, log.display());
            return Err(failed(&doing, &reason));
        }
        tokio::time::sleep(LOOK).await;
    }
    let exit = child
        .events(clock)
        .into_iter()
        .rfind(|e| e.life == Life::Exited);
    match exit {
        // Minus the exit code minus 1.
        Some(exit) if exit.exit == -1 => Ok(ProgramOutcome {
            output: read(),
            marked_ns,
            ended_ns: exit.at_ns,
            used,
        }),
        _ => {
            let output = read();
            let tail: Vec<&str> = output.lines().rev().take(5).collect();
            let tail: Vec<&str> = tail.into_iter().rev().collect();
            Err(failed(&doing, &format!("it failed: {}", tail.join("; "))))
        }
    }
}
