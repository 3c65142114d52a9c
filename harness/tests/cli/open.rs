//! `--open`: which page a browser is given, and what is said where there is none.

use super::Place;
use super::explain::given;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const POLLING: &str = include_str!("compare/polling.json");
/// A browser notes what it was given.
const BROWSER: &str =
    "#!/bin/sh\necho out; echo err >&2; echo \"$@\" > \"$(dirname \"$0\")/opened\"\n";

/// Runs it with this for BROWSER: its exit code, standard error, and the page that the browser was given.
fn opened(place: &Place, args: &[&str], browser: &Path) -> (Option<i32>, String, Option<String>) {
    let output = place
        .command(args)
        .env("BROWSER", browser)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!said.lines().any(|line| line == "out"), "{said}");
    let err = String::from_utf8(output.stderr).unwrap();
    let page = std::fs::read_to_string(place.folder.path().join("opened")).ok();
    (output.status.code(), err, page)
}

fn with_browser(place: &Place) -> std::path::PathBuf {
    let browser = place.folder.path().join("browser");
    std::fs::write(&browser, BROWSER).unwrap();
    std::fs::set_permissions(&browser, PermissionsExt::from_mode(0o755)).unwrap();
    browser
}

#[test]
fn given_a_browser_when_a_report_or_an_index_is_written_then_it_is_given_that_page() {
    for (arguments, page) in [
        (["report", "runs/a"], "runs/a/report.html"),
        (["report", "runs"], "runs/index.html"),
    ] {
        let place = Place::new();
        let run = place.folder.path().join("runs/a");
        std::fs::create_dir_all(&run).unwrap();
        std::fs::write(run.join("record.json"), POLLING).unwrap();
        let browser = with_browser(&place);
        let (code, err, given) = opened(&place, &[&arguments[..], &["--open"]].concat(), &browser);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let given = given.unwrap_or_default();
        assert!(given.trim_end().ends_with(page), "{given}");
        assert!(Path::new(given.trim_end()).is_absolute(), "{given}");
    }
}

#[test]
fn given_no_browser_when_a_run_was_replayed_then_it_says_where_the_page_is_and_exits_as_without() {
    let (place, _) = given();
    let nobody = Path::new("/nowhere/browser");
    let (code, err, _) = opened(&place, &["replay", "run", "--open"], nobody);
    assert_eq!(code, Some(0));
    assert!(
        err.contains("run/report.html") && err.contains("it is not there"),
        "{err}"
    );
    let page = place.folder.path().join("run/report.html");
    std::fs::write(&page, "a page").unwrap();
    let (code, err, _) = opened(&place, &["replay", "run", "--open"], nobody);
    assert_eq!(code, Some(0));
    assert!(
        err.contains("/nowhere/browser: there is no such program"),
        "{err}"
    );
    assert!(err.contains("run/report.html"), "{err}");
    let browser = with_browser(&place);
    let (code, _, given) = opened(&place, &["replay", "run", "--open"], &browser);
    assert_eq!(code, Some(0));
    assert!(given.unwrap_or_default().ends_with("run/report.html\n"));
}

#[test]
fn given_a_comparison_without_a_page_when_it_is_to_be_opened_then_it_is_refused_with_the_remedy() {
    let place = Place::new().with("a.json", POLLING);
    place.refused(
        2,
        &["compare", "a.json", "a.json", "--open"],
        &["--open: no page of this comparison is written; name one with --html FILE"],
    );
    place.refused(
        2,
        &["report", ".", "--charts", "charts", "--open"],
        &["--charts"],
    );
}
