//! The honest relay, which ends and starts again every second.

use super::lives::Lives;
use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::pump;
use std::time::Duration;

/// Relays until SIGTERM, in lives of a second each; the error of a life that fails is returned.
pub fn run(config: RelayConfig) -> Result<(), String> {
    let confession = Confession::open();
    let lives = Lives::until_terminated();
    while !lives.terminated() {
        let second = async { tokio::time::sleep(Duration::from_secs(1)).await };
        pump::relay(config.clone(), lives.one(second))?;
        confession.admit("restarted", "relay");
    }
    Ok(())
}
