//! The page in a real browser, as it is and as a CI server shows it whose content security policy
//! blocks its style sheet. Where no Chromium is installed nothing is looked at, which is said.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
#[path = "exporters/sample.rs"]
mod sample;

use reports::Exporter;
use reports::html::Html;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Jenkins's, but for `sandbox`, which would keep the page that looks from looking.
const POLICY: &str = "default-src 'none'; img-src 'self'; style-src 'self'";

/// Writes what the browser made of the report into its own body, for `--dump-dom`.
const LOOKING: &str = r#"<!doctype html><meta charset="utf-8"><body>
<iframe src="/report" style="width: 1200px; height: 900px"></iframe><pre id="seen"></pre><script>
document.querySelector("iframe").onload = event => {
  const page = event.target.contentDocument, view = event.target.contentWindow;
  const style = selector => view.getComputedStyle(page.querySelector(selector));
  const drawn = [...page.querySelectorAll("figure svg")];
  const visible = drawn.filter(svg => svg.getBoundingClientRect().height > 100);
  const seen = {
    "window fill": style("svg .window").fill,
    "window opacity": style("svg .window").fillOpacity,
    "line stroke": style("svg polyline.k1").stroke,
    "label fill": style("svg text").fill,
    "charts": visible.length,
    "chart width": Math.round(visible[0].getBoundingClientRect().width),
    "card": page.querySelectorAll(".card h3")[1].innerText.replace(/\s+/g, " ").trim(),
    "swatches": [...page.querySelectorAll("i svg")].filter(s => s.getBoundingClientRect().width > 0).length > 0,
  };
  document.querySelector("iframe").remove();
  document.querySelector("pre").textContent =
    Object.entries(seen).map(([name, value]) => name + ": " + value).join("\n");
};
</script>"#;

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let places = std::env::split_paths(&path);
    let files = places.flat_map(|folder| names.map(|name| folder.join(name)));
    let mut found = files.filter(|file| file.is_file());
    found.next()
}

fn answer(stream: TcpStream, report: &str, policy: Option<&str>) {
    let mut reader = BufReader::new(&stream);
    let mut first = String::new();
    let mut line = String::new();
    let _ = reader.read_line(&mut first);
    while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
        line.clear();
    }
    let (body, header) = match first.split(' ').nth(1) {
        Some("/") => (LOOKING, String::new()),
        Some("/report") => (
            report,
            policy.map_or_else(String::new, |policy| {
                format!("Content-Security-Policy: {policy}\r\n")
            }),
        ),
        _ => ("", String::new()),
    };
    let length = body.len();
    let _ = (&stream).write_all(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n{header}\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        )
        .as_bytes(),
    );
}

/// What a browser makes of the report of a whole run, line by line; `None` without a browser.
fn seen(policy: Option<&'static str>) -> Option<Vec<String>> {
    let chromium = chromium()?;
    let report = String::from_utf8(Html.export(&sample::record()).unwrap()).unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    // It ends with the test's process; a browser may ask for more than the two pages.
    std::thread::spawn(move || {
        for stream in server.incoming().flatten() {
            answer(stream, &report, policy);
        }
    });
    let profile =
        std::env::temp_dir().join(format!("browser-{}-{}", std::process::id(), address.port()));
    let output = Command::new(chromium)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .arg("--virtual-time-budget=20000")
        .arg(format!("--user-data-dir={}", profile.display()))
        .arg(format!("http://{address}/"))
        .env("NO_PROXY", "*")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let _ = std::fs::remove_dir_all(&profile);
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let seen = dom.split_once("<pre id=\"seen\">");
    let (seen, _) = seen.and_then(|(_, rest)| rest.split_once("</pre>"))?;
    assert!(
        !seen.is_empty(),
        "{dom}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(seen.lines().map(str::to_owned).collect())
}

/// Names the test as not done, past the capture of its output, and where `.ci/run` collects them.
fn not_done(why: &str) {
    let thread = std::thread::current();
    let line = format!("NOT DONE: {}: {why}\n", thread.name().unwrap_or("a test"));
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os("OUTBOX_HARNESS_TESTS_NOT_DONE") {
        let file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(file);
        let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

#[track_caller]
fn looks(policy: Option<&'static str>, expected: &[&str]) {
    match seen(policy) {
        Some(seen) => assert_eq!(seen, expected),
        None => not_done("no chromium is installed"),
    }
}

#[test]
fn given_a_policy_that_blocks_styles_when_shown_then_the_page_is_plain_but_right() {
    looks(
        Some(POLICY),
        &[
            "window fill: rgb(178, 60, 40)",
            "window opacity: 0.1",
            "line stroke: rgb(0, 114, 178)",
            "label fill: rgb(0, 0, 0)",
            "charts: 6",
            "chart width: 560",
            "card: polling pass",
            "swatches: true",
        ],
    );
}

#[test]
fn given_no_policy_when_shown_then_the_style_sheet_has_its_way() {
    let Some(seen) = seen(None) else {
        return looks(None, &[]);
    };
    for line in [
        "window fill: rgba(178, 60, 40, 0.1)",
        "window opacity: 1",
        "line stroke: rgb(0, 114, 178)",
        "label fill: rgb(86, 97, 111)",
        "charts: 6",
        "swatches: false",
    ] {
        assert!(seen.iter().any(|l| l == line), "{line}: {seen:?}");
    }
}

/// How many sheets of paper the report of a whole run is; `None` without a browser.
fn sheets() -> Option<usize> {
    let chromium = chromium()?;
    let folder = std::env::temp_dir().join(format!("print-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (page, paper) = (folder.join("report.html"), folder.join("report.pdf"));
    std::fs::write(&page, Html.export(&sample::record()).unwrap()).unwrap();
    let output = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-pdf-header-footer",
        ])
        .arg(format!(
            "--user-data-dir={}",
            folder.join("profile").display()
        ))
        .arg(format!("--print-to-pdf={}", paper.display()))
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let pdf = std::fs::read(&paper).unwrap_or_default();
    let _ = std::fs::remove_dir_all(&folder);
    assert!(
        !pdf.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // Each page is an object of this type; the tree of them is of type Pages.
    let of_a_page = b"/Type /Page";
    let ends = |at: usize| {
        pdf.get(at + of_a_page.len())
            .is_none_or(|byte| *byte != b's')
    };
    let found = pdf.windows(of_a_page.len()).enumerate();
    Some(
        found
            .filter(|(at, bytes)| bytes == of_a_page && ends(*at))
            .count(),
    )
}

#[test]
fn given_the_report_of_a_run_when_printed_then_it_is_two_sheets() {
    match sheets() {
        Some(sheets) => assert_eq!(sheets, 2),
        None => not_done("no chromium is installed"),
    }
}
