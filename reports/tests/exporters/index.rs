//! The page of all runs of a folder.

use crate::sample;
use reports::index::{Run, page};

fn of(folder: &str, started_at: &str, mut record: reports::record::Record) -> Run {
    record.started_at = started_at.to_owned();
    Run::new(folder, &record)
}

#[test]
fn given_runs_then_the_newest_is_the_first_and_each_links_to_its_report() {
    let runs = vec![
        of("a", "2026-11-23T10:00:00Z", sample::record()),
        of("c: <d>", "2026-11-23T12:00:00Z", sample::failed()),
        of("b", "2026-11-23T11:00:00Z", sample::unknown()),
    ];
    let page = page(runs, &[("e".to_owned(), "it is <empty>".to_owned())]);
    let links: Vec<&str> = page
        .split("href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(
        links,
        [
            "./c%3A%20%3Cd%3E/report.html",
            "./b/report.html",
            "./a/report.html"
        ]
    );
    assert!(page.contains("<h1 class=\"long\">3 runs</h1>"), "{page}");
    assert!(page.contains("1 pass, 1 fail, 1 unknown"));
    assert!(page.contains("cdc missed lost = 0"), "{page}");
    assert!(page.contains("<strong>e</strong> cannot be read: it is &lt;empty&gt;"));
    assert!(!page.contains("http"), "nothing comes from outside");
}

#[test]
fn given_no_runs_then_the_page_says_so() {
    assert!(page(Vec::new(), &[]).contains("0 runs"));
}
