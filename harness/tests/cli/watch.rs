//! `run --watch` off a terminal, up to where a stack would be asked for.

use super::{GOOD, Place};

#[test]
fn given_no_terminal_when_a_run_is_to_be_watched_then_one_line_says_how_progress_is_shown_instead()
{
    let place = Place::new().with("good.toml", GOOD);
    let refused = ["run", "good.toml", "--stack", "docker"];
    let plain = place.run(&refused);
    let watched = place.run(&[&refused[..], &["--watch"]].concat());
    assert_eq!(plain.code, Some(4));
    assert_eq!(watched.code, plain.code);
    let line = "--watch: standard input or output is no terminal that can show it; progress is shown in plain lines, \
                as without it\n";
    assert_eq!(watched.err, format!("{line}{}", plain.err));
    assert_eq!(watched.out, plain.out);
}

#[test]
fn given_a_watched_run_that_is_only_listed_then_nothing_is_said_of_watching() {
    let place = Place::new().with("good.toml", GOOD);
    let plain = place.run(&["run", "good.toml", "--list"]);
    let watched = place.run(&["run", "good.toml", "--list", "--watch"]);
    assert_eq!((watched.code, watched.err), (Some(0), String::new()));
    assert_eq!(watched.out, plain.out);
}
