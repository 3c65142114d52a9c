//! Relays as processes of their own, which can be killed for real.

use super::fixture::Fixture;
use crate::patience::PATIENCE;
use relays::config::RelayConfig;
use relays::signal::{Signal, TimedSignal};
use std::io::BufRead;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const CONFIG_VARIABLE: &str = "RELAY_UNDER_TEST";

/// In a child process: the relay. In the test run itself: nothing.
pub fn run_relay_if_asked() {
    if let Ok(config) = std::env::var(CONFIG_VARIABLE) {
        tracing_subscriber::fmt()
            .with_writer(std::io::stderr)
            .init();
        let config: RelayConfig = serde_json::from_str(&config).unwrap();
        relays::pump::run(config).unwrap();
    }
}

/// A relay in a process of its own: this test binary, asked to run nothing but the relay.
pub struct RelayProcess {
    child: std::process::Child,
    signals: Arc<Mutex<Vec<Signal>>>,
}

impl RelayProcess {
    pub fn start(fixture: &Fixture) -> Self {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "relay::relay_process", "--nocapture"])
            .env(
                CONFIG_VARIABLE,
                serde_json::to_string(&fixture.config()).unwrap(),
            )
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let signals = Arc::new(Mutex::new(Vec::new()));
        let output = std::io::BufReader::new(child.stdout.take().unwrap());
        let collected = Arc::clone(&signals);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The test framework writes to the same stream, at times on the same line.
                let json = line.find('{').map_or("", |at| &line[at..]);
                if let Ok(timed) = serde_json::from_str::<TimedSignal>(json) {
                    collected.lock().unwrap().push(timed.signal);
                }
            }
        });
        Self { child, signals }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn saw(&self, wanted: impl Fn(&Signal) -> bool) -> bool {
        self.signals.lock().unwrap().iter().any(wanted)
    }

    /// Waits until it has given such a signal.
    pub async fn wait_for(&mut self, wanted: impl Fn(&Signal) -> bool) {
        self.wait_for_within(PATIENCE, wanted).await;
    }

    /// The same, with another patience.
    pub async fn wait_for_within(&mut self, patience: Duration, wanted: impl Fn(&Signal) -> bool) {
        let deadline = Instant::now() + patience;
        while !self.saw(&wanted) {
            let signals = self.signals.lock().unwrap().clone();
            assert!(Instant::now() < deadline, "only {signals:?}");
            let exited = self.child.try_wait().unwrap();
            assert!(exited.is_none(), "{exited:?} after {signals:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; it must then end by itself, and well.
    pub async fn terminate(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            assert!(Instant::now() < deadline, "the relay does not stop");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for RelayProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
