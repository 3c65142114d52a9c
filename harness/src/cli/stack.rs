//! `stack`: a local stack between runs.

use super::args::{KeptAt, StackArgs, StackCommand, StackDownArgs, StackStatusArgs, StackUpArgs};
use super::exit::Outcome;
use super::{places, terminal};
use crate::kept::down::{TakenDown, down};
use crate::kept::status::{Condition, ServerStatus, StackStatus, status};
use crate::kept::up::{BroughtUp, up};
use crate::stack::kept::{Found, KeptFolder};
use crate::stack::{StackError, shell_word};
use jiff::Timestamp;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A run takes the folder of its programs from this variable, where it is set.
const PROGRAMS: &str = "OUTBOX_HARNESS_PROGRAMS";

/// Does it; says on standard error what is wrong.
pub fn stack(args: &StackArgs) -> Outcome {
    let done = match &args.what {
        StackCommand::Up(args) => start(args),
        StackCommand::Down(args) => stop(args),
        StackCommand::Status(args) => show(args),
    };
    done.unwrap_or_else(|(outcome, message)| {
        terminal::message(&message);
        outcome
    })
}

type Done = Result<Outcome, (Outcome, String)>;

/// That it is the stack, nobody has to be told here.
fn failed(error: &StackError) -> (Outcome, String) {
    (
        Outcome::Failed,
        format!("{}: {}", error.doing, error.reason),
    )
}

/// The folder, and whether its name can be used.
fn place(of: &KeptAt) -> Result<KeptFolder, (Outcome, String)> {
    if let Some(folder) = &of.at
        && let Some(message) = places::unusable("--at", folder)
    {
        return Err((Outcome::Usage, message));
    }
    places::kept(of.at.as_deref(), of.programs.as_deref())
        .map_err(|message| (Outcome::Failed, message))
}

fn start(args: &StackUpArgs) -> Done {
    let folder = place(&args.place)?;
    let programs = places::programs(args.place.programs.as_deref())
        .map_err(|message| (Outcome::Failed, message))?;
    let programs = std::path::absolute(&programs).unwrap_or(programs);
    if !matches!(folder.look(), Ok(Found::Up { .. })) {
        terminal::message(&format!(
            "starting PostgreSQL, Kafka and Toxiproxy in {}",
            folder.path().display()
        ));
    }
    let brought_up = runtime()?.block_on(up(&folder, &programs));
    let BroughtUp { state, took } = brought_up.map_err(|e| failed(&e))?;
    let servers = state
        .servers
        .iter()
        .map(|s| format!("{} {}", s.name, s.version));
    let servers: Vec<String> = servers.collect();
    let up = match took {
        Some(took) => format!("up in {:.1} s", took.as_secs_f64()),
        None => format!("up already, since {}", shown_time(&state.since)),
    };
    let named = to_be_named(&folder);
    let how = how_to_use(named);
    terminal::results(&format!("{up}: {}\n  use it  {how}\n", servers.join(", ")));
    Ok(Outcome::Met)
}

/// The folder, where a run does not find it by itself.
fn to_be_named(folder: &KeptFolder) -> Option<&Path> {
    let programs = std::env::var_os(PROGRAMS).map(PathBuf::from);
    let by_itself = places::kept(None, programs.as_deref());
    (by_itself.as_ref() != Ok(folder)).then(|| folder.path())
}

/// The one line that has a run use it.
fn how_to_use(named: Option<&Path>) -> String {
    let at = named.map(|folder| format!(" --kept {}", shell_word(folder)));
    format!(
        "outbox-harness run --stack kept{} SCENARIO",
        at.unwrap_or_default()
    )
}

fn stop(args: &StackDownArgs) -> Done {
    let folder = place(&args.place)?;
    let runtime = runtime()?;
    let taken = runtime.block_on(down(&folder, args.force));
    let text = match taken.map_err(|e| failed(&e))? {
        TakenDown::Nothing => "no stack was kept in",
        TakenDown::Remains => "what a keeper that was killed had left is removed from",
        TakenDown::Stack => "stopped, and its data are removed:",
    };
    terminal::results(&format!("{text} {}\n", folder.path().display()));
    Ok(Outcome::Met)
}

fn show(args: &StackStatusArgs) -> Done {
    let folder = place(&args.place)?;
    let runtime = runtime()?;
    let found = runtime.block_on(status(&folder)).map_err(|e| failed(&e))?;
    let text = if args.json {
        let text = serde_json::to_string_pretty(&found).map_err(|e| {
            let message = format!("writing what is known of the stack: {e}");
            (Outcome::Failed, message)
        })?;
        text + "\n"
    } else {
        let named = to_be_named(&folder);
        told(&found, named, Timestamp::now())
    };
    terminal::results(&text);
    Ok(match found.condition {
        Condition::Up => Outcome::Met,
        Condition::Down | Condition::Changing => Outcome::Unknown,
        Condition::Unusable => Outcome::Failed,
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, (Outcome, String)> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| (Outcome::Failed, format!("starting the runtime: {e}")))
}

/// What a terminal shows of it.
fn told(found: &StackStatus, named: Option<&Path>, now: Timestamp) -> String {
    let at = found.at.display();
    let why = found.why.as_ref().map(|why| format!(" ({why})"));
    let why = why.unwrap_or_default();
    match found.condition {
        Condition::Down => {
            return format!(
                "no stack is kept in {at}{why}\n  start one  outbox-harness stack up\n"
            );
        }
        Condition::Changing => {
            return format!("the stack in {at} is just being started or stopped\n");
        }
        Condition::Unusable | Condition::Up => {}
    }
    let mut text = match found.condition {
        Condition::Unusable => format!("the stack in {at} cannot be used{why}\n"),
        Condition::Up | Condition::Down | Condition::Changing => String::new(),
    };
    if let Some(since) = &found.since {
        let age = since
            .parse::<Timestamp>()
            .ok()
            .map(|since| shown_age(since, now));
        let _ = writeln!(
            text,
            "up since {}{}, in {at}",
            shown_time(since),
            age.unwrap_or_default()
        );
    }
    for ServerStatus {
        name,
        version,
        address,
        pid,
        memory_bytes,
    } in &found.servers
    {
        let memory = shown_memory(*memory_bytes);
        let _ = writeln!(
            text,
            "  {name:<11} {version:<8} {address:<24} pid {pid:<8} {memory}"
        );
    }
    let keeper = found
        .keeper_pid
        .map_or_else(String::new, |pid| pid.to_string());
    let _ = writeln!(
        text,
        "  {:<11} {:<8} {:<24} pid {keeper:<8} {}",
        "all",
        "",
        "",
        shown_memory(found.memory_bytes)
    );
    if found.condition == Condition::Up {
        let user = found.used_by.as_ref();
        let user = user.map_or_else(|| "nobody".to_owned(), |user| format!("a run ({user})"));
        let _ = writeln!(text, "  used by     {user}");
        let _ = writeln!(text, "  use it      {}", how_to_use(named));
    }
    for change in &found.changes {
        let _ = writeln!(
            text,
            "  {change}: `stack down` and `stack up` start that one"
        );
    }
    text
}

fn shown_memory(bytes: Option<u64>) -> String {
    let mib = bytes.map(|bytes| format!("{} MiB", bytes >> 20));
    mib.unwrap_or_else(|| "memory unknown".to_owned())
}

/// A time of RFC 3339 to the second.
fn shown_time(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => time.to_owned(),
    }
}

fn shown_age(since: Timestamp, now: Timestamp) -> String {
    let minutes = (now.as_second() - since.as_second()).max(0) / 60;
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!(" ({minutes} min)"),
        (hours, minutes) => format!(" ({hours} h {minutes} min)"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn found() -> StackStatus {
        StackStatus {
            condition: Condition::Up,
            at: PathBuf::from("/kept"),
            why: None,
            since: Some("2026-11-29T21:00:00.5Z".to_owned()),
            keeper_pid: Some(4),
            servers: vec![ServerStatus {
                name: "Kafka".to_owned(),
                version: "4.3.1".to_owned(),
                address: "127.0.0.1:20001".to_owned(),
                pid: 7,
                memory_bytes: Some(400 << 20),
            }],
            memory_bytes: None,
            used_by: None,
            stack_file: None,
            changes: vec!["the kept stack runs Kafka 4.3.1, and 4.4.0 is installed now".to_owned()],
        }
    }

    fn shown(of: &StackStatus, named: Option<&Path>) -> String {
        told(of, named, "2026-11-29T22:12:00Z".parse().unwrap())
    }

    #[test]
    fn given_a_stack_that_is_up_then_servers_age_user_and_the_way_to_use_it_are_told() {
        let text = shown(&found(), Some(Path::new("/my kept")));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "up since 2026-11-29 21:00:00 UTC (1 h 12 min), in /kept",
                "  Kafka       4.3.1    127.0.0.1:20001          pid 7        400 MiB",
                "  all                                           pid 4        memory unknown",
                "  used by     nobody",
                "  use it      outbox-harness run --stack kept --kept '/my kept' SCENARIO",
                "  the kept stack runs Kafka 4.3.1, and 4.4.0 is installed now: `stack down` and `stack up` start that one",
            ]
        );
        let used = StackStatus {
            used_by: Some("from 127.0.0.1".to_owned()),
            ..found()
        };
        assert!(shown(&used, None).contains("used by     a run (from 127.0.0.1)\n"));
    }

    #[test]
    fn given_a_stack_that_cannot_be_used_then_it_is_told_why() {
        let unusable = StackStatus {
            condition: Condition::Unusable,
            why: Some("PostgreSQL does not answer".to_owned()),
            ..found()
        };
        let text = shown(&unusable, None);
        assert!(
            text.starts_with(
                "the stack in /kept cannot be used (PostgreSQL does not answer)\nup since"
            ),
            "{text}"
        );
        assert!(!text.contains("use it"), "{text}");
    }
}
