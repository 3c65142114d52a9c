//! Surroundings that are set up for something else: variables that servers and clients read, names
//! that configurations would take apart, too few open files. The run is not changed by them, or says
//! at once what to do.

use super::not_done::not_done;
use super::{SHORT, command, nothing_left, record, run, run_on_schedule_in, wrongs};
use std::process::Command;

/// Each of these alone changed or ended a run: sessions that may not write, servers looked for
/// elsewhere, a JVM that writes "ı" for "I", loopback through a proxy that is not there.
const HOSTILE: [(&str, &str); 12] = [
    ("PGOPTIONS", "-c default_transaction_read_only=on"),
    ("PGHOST", "192.0.2.1"),
    ("PGPORT", "1"),
    ("PGUSER", "somebody"),
    ("PGDATABASE", "elsewhere"),
    ("PGSSLMODE", "verify-full"),
    ("JAVA_TOOL_OPTIONS", "-Duser.language=tr -Duser.country=TR"),
    ("LC_ALL", "tr_TR.UTF-8"),
    ("HTTP_PROXY", "http://127.0.0.1:9"),
    ("http_proxy", "http://127.0.0.1:9"),
    ("ALL_PROXY", "socks5://127.0.0.1:9"),
    ("TZ", "Asia/Kathmandu"),
];

/// Blanks, letters beyond ASCII, what lists are separated by, and what escapes begin with.
const ODD: &str = "prüf ung/a,b/a\\tb/it's 100% $HOME #1 = :x";

/// The same command, with few files by default and more where they are asked for.
fn with_few_files(command: &Command) -> Command {
    limited("ulimit -S -n 256", command)
}

fn limited(limit: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    let script = format!("{limit} && exec \"$0\" \"$@\"");
    shell.args(["-c", &script]).arg(command.get_program());
    shell.args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            shell.env(name, value);
        }
    }
    shell
}

#[test]
fn given_variables_names_and_limits_of_something_else_when_run_then_nothing_of_it_shows() {
    let (home, ended) = run_on_schedule_in(ODD, |place| {
        let mut few = with_few_files(&command(place, SHORT));
        few.envs(HOSTILE);
        few
    });

    ended.with(0, &[]);
    let place = home.path().join(ODD);
    let record = record(&place);
    assert_eq!(wrongs(&record.strategies[0]), Some(0));
    assert_eq!(record.strategies[0].counts.offered, 400);
    nothing_left(&place);
    // A path that was cut somewhere would have made a folder beside this one.
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn given_a_hard_limit_that_is_too_low_when_run_then_both_figures_are_said_and_nothing_starts() {
    let home = tempfile::tempdir().unwrap();

    let ended = run(limited("ulimit -n 512", &command(home.path(), SHORT)));

    ended.with(2, &["a process may have 512 files open here", "ulimit -Hn"]);
    assert!(!home.path().join("runs").exists());
}

#[test]
fn given_a_history_that_does_not_fit_into_memory_when_run_then_both_figures_are_said_and_nothing_starts()
 {
    // Given what the kernel says of its memory, in a mount namespace of one command
    let home = tempfile::tempdir().unwrap();
    let figures = home.path().join("meminfo");
    std::fs::write(&figures, "MemAvailable:    1048576 kB\n").unwrap();
    let with_figures = |arguments: &[&std::ffi::OsStr]| {
        let script = r#"mount --bind "$0" /proc/meminfo && exec "$@""#;
        let mut shell = Command::new("unshare");
        shell.args(["-m", "sh", "-c", script]).arg(&figures);
        shell.args(arguments);
        shell
    };
    let may_mount = with_figures(&["true".as_ref()]).output();
    if !may_mount.is_ok_and(|tried| tried.status.success()) {
        return not_done("this user may mount nothing over what the kernel says");
    }

    // When a load of three hours is to be run; `--list` comes to an end where it would be
    let long = SHORT
        .replace("rate = 200", "rate = 1000")
        .replace("\"2s\"", "\"3h\"");
    let mut whole = command(home.path(), &long);
    whole.arg("--list");
    let arguments: Vec<_> = std::iter::once(whole.get_program())
        .chain(whole.get_args())
        .collect();
    let ended = run(with_figures(&arguments));

    // Then it is refused at once
    ended.with(
        2,
        &[
            "some 2.0 GiB of memory (10800000 changes)",
            "1.0 GiB are available here",
            "lower `rate` or `duration`",
        ],
    );
    assert!(!home.path().join("runs").exists());
}
