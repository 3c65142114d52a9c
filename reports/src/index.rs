//! `index.html` of a folder with runs: the newest first, each with its verdict, what it came to, and a link to its
//! report.

use crate::html::escape::{escaped, filled, left_out};
use crate::record::{Record, Verdict};
use crate::{conclusion, figures};

const PAGE: &str = include_str!("html/index.html");
const STYLE: &str = include_str!("html/style.css");

/// The page has this name in the folder of runs.
pub const FILE_NAME: &str = "index.html";

/// This is one run: as much of its record as the page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    folder: String,
    scenario: String,
    started_at: String,
    verdict: Verdict,
    conclusion: String,
    took_s: f64,
}

impl Run {
    /// What the page shows of the run in this folder, as it is called in the folder of all runs.
    pub fn new(folder: &str, record: &Record) -> Self {
        Self {
            folder: folder.to_owned(),
            scenario: record.scenario.clone(),
            started_at: record.started_at.clone(),
            verdict: record.verdict,
            conclusion: conclusion::sentence(record),
            took_s: record.took_s,
        }
    }
}

/// Returns the page; `unreadable` names the folders whose record could not be read, each with the reason.
pub fn page(mut runs: Vec<Run>, unreadable: &[(String, String)]) -> String {
    runs.sort_by(|a, b| (&b.started_at, &b.folder).cmp(&(&a.started_at, &a.folder)));
    let rows: String = runs.iter().map(row).collect();
    let unread = left_out(unreadable, "cannot be read");
    let count = |verdict| runs.iter().filter(|run| run.verdict == verdict).count();
    let sums = [
        (Verdict::Pass, "pass"),
        (Verdict::Fail, "fail"),
        (Verdict::Unknown, "unknown"),
    ]
    .map(|(verdict, what)| format!("{} {what}", count(verdict)));
    filled(
        PAGE,
        &[
            ("style", STYLE),
            ("count", &figures::counted(runs.len() as u64, "run")),
            ("sums", &sums.join(", ")),
            (
                "unreadable",
                &format!("<ul class=\"reasons\">{unread}</ul>"),
            ),
            ("rows", &rows),
        ],
    )
}

fn row(run: &Run) -> String {
    let verdict = figures::verdict(run.verdict);
    format!(
        "<tr><td>{}</td><th scope=\"row\"><a href=\"{}/report.html\">{}</a></th>\
         <td><span class=\"chip {verdict}\">{verdict}</span></td><td class=\"prose\">{}</td>\
         <td class=\"number\">{}</td></tr>\n",
        escaped(&run.started_at),
        escaped(&in_url(&run.folder)),
        escaped(&run.scenario),
        escaped(&run.conclusion),
        figures::seconds(Some(run.took_s))
    )
}

/// Returns a folder's name as a part of a relative address (RFC 3986: unreserved letters stay, all else is escaped,
/// so that no name begins a scheme).
fn in_url(name: &str) -> String {
    let mut url = String::with_capacity(name.len() + 2);
    url.push_str("./");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}
