//! Relays that do their work and talk without end: megabytes a second of log lines and of lines that
//! are no signals, or one line that never ends.

use crate::confession::Confession;
use relays::config::RelayConfig;
use relays::signal::{Signal, emit};
use std::io::Write;
use std::time::Duration;

/// At most so many bytes are said at once; they are admitted as one `block`.
const BLOCK_BYTES: usize = 1 << 20;
const PAUSE: Duration = Duration::from_millis(50);

/// Relays, and floods standard error with log lines and standard output with garbage.
pub fn lines(config: RelayConfig) -> Result<(), String> {
    let log = "it is all going very well, thank you for asking\n";
    let log = log.repeat(BLOCK_BYTES / log.len());
    flood("stderr", move || {
        std::io::stderr().write_all(log.as_bytes())
    });
    // No UTF-8, half a signal, and something deeply nested.
    let garbage = [
        b"\xff\xfe\x00{\"signal\":\"ready\n".to_vec(),
        b"[".repeat(2_000),
        b"\n".to_vec(),
    ]
    .concat();
    let garbage = garbage.repeat(BLOCK_BYTES / garbage.len());
    flood("stdout", move || {
        std::io::stdout().lock().write_all(&garbage)
    });
    relays::pump::run(config)
}

/// After it said that it is ready, one line without end: no later signal is heard.
pub fn endless_line(config: RelayConfig) -> Result<(), String> {
    emit(Signal::Ready);
    let line = "x".repeat(BLOCK_BYTES);
    flood("stdout", move || {
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).and_then(|()| out.flush())
    });
    relays::pump::run(config)
}

fn flood(place: &'static str, mut say: impl FnMut() -> std::io::Result<()> + Send + 'static) {
    let confession = Confession::open();
    std::thread::spawn(move || {
        while say().is_ok() {
            confession.admit("block", place);
            std::thread::sleep(PAUSE);
        }
    });
}
