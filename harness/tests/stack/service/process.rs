//! The service as the child process it is in a run: signals, SIGTERM, SIGKILL and a successor.

use super::committed;
use super::given::{Given, outbox, placing};
use crate::patience::PATIENCE;
use nix::sys::signal::{Signal as UnixSignal, kill};
use nix::unistd::Pid;
use relays::order::{ChangeRequest, Directive};
use relays::signal::{Signal, TimedSignal};
use reqwest::StatusCode;
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use uuid::Uuid;

/// A service that is a process.
pub struct Service {
    pub child: Child,
    signals: Lines<BufReader<ChildStdout>>,
    _config: tempfile::NamedTempFile,
}

impl Service {
    /// Starts it, and waits until it says that it is ready.
    pub async fn start(given: &Given) -> Self {
        let config = tempfile::NamedTempFile::new().unwrap();
        serde_json::to_writer(&config, &given.config).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_outbox-harness"))
            .args(["order-service", "--config"])
            .arg(config.path())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let signals = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut service = Self {
            child,
            signals,
            _config: config,
        };
        service.until(|signal| *signal == Signal::Ready).await;
        service
    }

    async fn until(&mut self, mut wanted: impl FnMut(&Signal) -> bool) {
        timeout(PATIENCE, async {
            loop {
                let line = self.signals.next_line().await.unwrap().unwrap();
                let signal: TimedSignal = serde_json::from_str(&line).unwrap();
                if wanted(&signal.signal) {
                    return;
                }
            }
        })
        .await
        .unwrap();
    }

    pub fn signal(&self, signal: UnixSignal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }
}

#[tokio::test]
async fn on_sigterm_it_finishes_what_is_in_flight_and_exits_0() {
    let given = outbox().prepare().await;
    // given a service with a request in flight
    let mut service = Service::start(&given).await;
    let order = Uuid::new_v4();
    let held = ChangeRequest {
        directive: Directive::HoldMs(500),
        ..placing(order)
    };
    let request = {
        let given = Arc::clone(&given);
        tokio::spawn(async move { given.change(order, &held).await })
    };
    given.until_held().await;

    // when it is told to stop
    service.signal(UnixSignal::SIGTERM);

    // then the request gets its answer, its progress is reported, and the process ends well
    let answer = request.await.unwrap();
    let all = |signal: &Signal| matches!(signal, Signal::Progress { confirmed: 1, .. });
    service.until(all).await;
    let status = timeout(PATIENCE, service.child.wait())
        .await
        .unwrap()
        .unwrap();
    given.take_away().await;
    assert_eq!(answer, (StatusCode::CREATED, committed(1)));
    assert_eq!(status.code(), Some(0));
}

#[tokio::test]
async fn killed_it_leaves_its_port_to_a_successor_at_once() {
    let given = outbox().prepare().await;
    for _ in 0..2 {
        let mut service = Service::start(&given).await;
        let order = Uuid::new_v4();
        assert_eq!(given.change(order, &placing(order)).await.1, committed(1));
        service.signal(UnixSignal::SIGKILL);
        timeout(PATIENCE, service.child.wait())
            .await
            .unwrap()
            .unwrap();
    }
    let successor = Service::start(&given).await;
    drop(successor);
    given.take_away().await;
}

#[tokio::test]
async fn it_says_when_it_loses_the_database_and_has_it_again() {
    let given = outbox().prepare().await;
    let mut service = Service::start(&given).await;

    // when its sessions are ended and a request notices
    let role = given.layout.service_role();
    given
        .rows(&format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where usename = '{role}'"
        ))
        .await;
    let order = Uuid::new_v4();
    let (status, _) = given.change(order, &placing(order)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);

    // then it says both, in this order
    service
        .until(|signal| matches!(signal, Signal::DatabaseLost { .. }))
        .await;
    service.until(|signal| *signal == Signal::DatabaseUp).await;
    drop(service);
    given.take_away().await;
}
