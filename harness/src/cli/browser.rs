//! `--open`: a page that was written, in the user's browser. A browser is a process of the user's, which stays when
//! this program has ended; that there is none changes no exit code.

use super::terminal;
use crate::run::report_page;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// What opens a page for a user who has not said what does.
const OPENERS: [&str; 2] = match cfg!(target_os = "macos") {
    true => ["open", "xdg-open"],
    false => ["xdg-open", "open"],
};
/// What goes on for so long has opened it, or is the browser itself.
const FAILS_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Opens the report of a run's folder.
pub fn open_report_of(folder: &Path) {
    open(&report_page(folder));
}

/// Opens a page; says on standard error where it is, if that cannot be done.
pub fn open(page: &Path) {
    let page = std::path::absolute(page).unwrap_or_else(|_| page.to_owned());
    let named = std::env::var_os("BROWSER").filter(|name| !name.is_empty());
    let opened = match page.is_file() {
        true => shown_by(commands(named), &page),
        false => Err("it is not there".to_owned()),
    };
    if let Err(why) = opened {
        terminal::message(&format!(
            "--open: the page could not be shown in a browser ({why}); it is {}",
            page.display()
        ));
    }
}

/// What is tried, one after the other: what BROWSER names, separated by colons, or else what the system has.
fn commands(named: Option<OsString>) -> Vec<String> {
    match named {
        Some(named) => {
            let named = named.to_string_lossy();
            let each = named.split(':').filter(|one| !one.trim().is_empty());
            each.map(str::to_owned).collect()
        }
        None => OPENERS.map(str::to_owned).to_vec(),
    }
}

/// A command with its arguments, as BROWSER has them: the page stands for `%s`, or is the last of them.
fn with_page(command: &str, page: &Path) -> Vec<OsString> {
    let has_place = command.contains("%s");
    let words = command.split_whitespace().map(|word| match word {
        "%s" => page.as_os_str().to_owned(),
        word => OsString::from(word.replace("%s", &page.to_string_lossy())),
    });
    let last = (!has_place).then(|| page.as_os_str().to_owned());
    words.chain(last).collect()
}

/// The error says why none of them did it.
fn shown_by(commands: Vec<String>, page: &Path) -> Result<(), String> {
    let mut why = Vec::new();
    for command in commands {
        match start(&command, page) {
            Ok(()) => return Ok(()),
            Err(error) => why.push(format!("{}: {error}", command.trim())),
        }
    }
    match why.is_empty() {
        true => Err("BROWSER names none".to_owned()),
        false => Err(why.join("; ")),
    }
}

/// Starts it in a group of its own, so that no signal to this program reaches it, and waits until it can be told that
/// it does not fail at once.
fn start(command: &str, page: &Path) -> Result<(), String> {
    let words = with_page(command, page);
    let Some((program, arguments)) = words.split_first() else {
        return Err("it is empty".to_owned());
    };
    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn();
    let mut browser = started.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such program".to_owned(),
        _ => error.to_string(),
    })?;
    let until = Instant::now() + FAILS_WITHIN;
    while Instant::now() < until {
        match browser.try_wait() {
            Ok(None) => std::thread::sleep(LOOK_EVERY),
            Ok(Some(status)) => return how(status),
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

fn how(status: ExitStatus) -> Result<(), String> {
    match status.success() {
        true => Ok(()),
        false => Err(status.to_string()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_names_of_browsers_then_they_are_tried_in_their_order_and_else_what_the_system_has() {
        assert_eq!(commands(Some("one:two".into())), ["one", "two"]);
        assert_eq!(commands(Some(" : ".into())), Vec::<String>::new());
        assert_eq!(commands(None), OPENERS);
        let page = Path::new("a page.html");
        assert_eq!(
            with_page("one --new", page),
            ["one", "--new", "a page.html"]
        );
        assert_eq!(with_page("one %s -x", page), ["one", "a page.html", "-x"]);
        assert_eq!(
            with_page("one file://%s", page),
            ["one", "file://a page.html"]
        );
    }

    #[test]
    fn given_browsers_of_which_only_the_last_is_there_then_that_one_is_given_the_page() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("report.html");
        std::fs::write(&page, "a page").unwrap();
        let gone = folder.path().join("gone").display().to_string();
        let shown = shown_by(vec![gone.clone(), "false".into(), "cat".into()], &page);
        assert_eq!(shown, Ok(()));
        let why = shown_by(vec![gone, "false".into()], &page).unwrap_err();
        assert!(
            why.contains("there is no such program") && why.contains("false: exit status"),
            "{why}"
        );
        assert!(shown_by(Vec::new(), &page).is_err());
    }
}
