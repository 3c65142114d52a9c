//! The page in a real browser. Where no Chromium is installed nothing is looked at, which is said.

use super::*;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(180);
const LOOK_EVERY: Duration = Duration::from_millis(50);

fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let places = std::env::split_paths(&path);
    let mut files = places.flat_map(|folder| names.map(|name| folder.join(name)));
    files.find(|file| file.is_file())
}

/// A browser that does what it is told over a pipe, and its one page.
struct Driven {
    child: Child,
    orders: ChildStdin,
    answers: Receiver<Value>,
    asked: u64,
    session: Option<String>,
    _profile: tempfile::TempDir,
}

impl Driven {
    fn open(chromium: PathBuf, url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        // It reads from descriptor 3 and writes to 4.
        let mut child = Command::new("sh")
            .args([
                "-c",
                r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#,
                "sh",
            ])
            .arg(chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--remote-debugging-pipe",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .env("NO_PROXY", "*")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let orders = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let (tell, answers) = channel();
        std::thread::spawn(move || {
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|n| n > 0) {
                message.pop();
                if tell
                    .send(serde_json::from_slice(&message).unwrap())
                    .is_err()
                {
                    return;
                }
                message.clear();
            }
        });
        let mut driven = Self {
            child,
            orders,
            answers,
            asked: 0,
            session: None,
            _profile: profile,
        };
        let target = driven.order("Target.createTarget", json!({"url": url}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let attached = driven.order("Target.attachToTarget", target);
        driven.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        driven
    }

    fn order(&mut self, method: &str, params: Value) -> Value {
        self.asked += 1;
        let mut order = json!({"id": self.asked, "method": method, "params": params});
        if let Some(session) = &self.session {
            order["sessionId"] = session.as_str().into();
        }
        self.orders
            .write_all(format!("{order}\0").as_bytes())
            .unwrap();
        self.orders.flush().unwrap();
        loop {
            let answer = self.answers.recv_timeout(PATIENCE).unwrap();
            if answer["id"] == self.asked {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn asked(&mut self, expression: &str) -> Value {
        let wanted = json!({"expression": expression, "returnByValue": true});
        self.order("Runtime.evaluate", wanted)["result"]["value"].clone()
    }

    /// Looks until this expression of the page is true.
    fn until(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.asked(&format!("Boolean({expression})")) != true {
            let page = "document.documentElement.innerText";
            assert!(
                Instant::now() < deadline,
                "{expression}: {}",
                self.asked(page)
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn key(&mut self, key: char) {
        for kind in ["keyDown", "keyUp"] {
            let key = json!({"type": kind, "key": key.to_string(), "text": key.to_string()});
            self.order("Input.dispatchKeyEvent", key);
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An expression: this figure of the first lane is shown so.
fn figure(words: &str, shown: &str) -> String {
    format!(
        r#"document.querySelector('[data-lane="naive"] [data-figure="{words}"]')?.textContent === "{shown}""#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn given_a_browser_when_a_button_cuts_the_broker_then_counters_move_and_the_loss_appears() {
    let Some(chromium) = chromium() else {
        return not_done::not_done("no chromium is installed");
    };
    // Given a page whose counters move
    let staged = StagedPage::open().await;
    let mut browser = Driven::open(chromium, staged.page.url());
    for (committed, shown) in [(10, "10"), (1_234, "1,234")] {
        staged.committed(committed);
        browser.until(&figure("committed", shown));
    }
    // When a button and a key are pressed, then they are pressed for all lanes
    browser.asked(r#"document.querySelector('[data-key="b"]').click()"#);
    browser.until("document.getElementById('said').textContent === 'b: cut the broker'");
    browser.key('s');
    browser.until("document.getElementById('said').textContent === 's: slow the broker'");
    let presses = ['b', 's', 'k'].map(|key| staged.hands.keyboard.presses(key));
    assert_eq!(presses, [1, 1, 0]);
    // And what was broken, and what is lost, appears
    staged::breaks(&staged.hands.board);
    browser.until(r#"document.querySelectorAll('.parts .broken').length === 3"#);
    browser.until(
        r#"document.querySelector('[data-key="b"]').getAttribute("aria-pressed") === "true""#,
    );
    browser.until(&figure("LOST", "401"));
    browser.until("document.querySelector('.punchline.loss .n').textContent === '401'");
    // And the projector's view is a key away
    browser.key('v');
    browser.until("document.documentElement.classList.contains('projector')");
    // And what came of it stays, with nothing wider than the page
    let ending = Ending::failed("the broker is gone for good".to_owned());
    staged.hands.board.ended(ending);
    browser.until("document.getElementById('ending').innerText.includes('gone for good')");
    browser.until("document.documentElement.scrollWidth <= innerWidth");
}
