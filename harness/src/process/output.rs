//! A child's standard output: signal lines are taken, everything else goes to its log.

use super::life::Lives;
use relays::signal::{Signal, TimedSignal};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::ChildStdout;
use std::sync::Arc;
use tokio::sync::watch;

/// A longer line is no signal, and is cut for the log.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// Opens a log for appending, with its folder.
pub(super) fn open_log(log: &Path) -> Result<File, String> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder)
            .map_err(|e| format!("make the folder {}: {e}", folder.display()))?;
    }
    File::options()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|e| format!("open the log {}: {e}", log.display()))
}

/// Reads signals in a thread until the other end closes.
pub(super) fn read_signals(
    out: ChildStdout,
    log: File,
    lives: Arc<Lives>,
    ready: watch::Sender<bool>,
) -> Result<(), String> {
    std::thread::Builder::new()
        .name("signals".into())
        .stack_size(256 * 1024)
        .spawn(move || read_lines(BufReader::new(out), log, &lives, &ready))
        .map(|_| ())
        .map_err(|e| format!("start the thread that reads its signals: {e}"))
}

fn read_lines(
    mut out: impl BufRead,
    mut log: impl Write,
    lives: &Lives,
    ready: &watch::Sender<bool>,
) {
    let mut line = Vec::new();
    loop {
        line.clear();
        match out
            .by_ref()
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut line)
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        match serde_json::from_slice::<TimedSignal>(&line) {
            Ok(timed) => {
                let is_ready = timed.signal == Signal::Ready;
                lives.add_signal(timed);
                if is_ready {
                    let _ = ready.send(true);
                }
            }
            // Nothing is done when the log is full: the child's work does not depend on it.
            Err(_) => drop(log.write_all(&line)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_taken_and_the_rest_is_logged() {
        let out = b"hello\n{\"monotonic_ns\":5,\"signal\":\"ready\"}\n{\"signal\":\"nonsense\"}\n";
        let lives = Lives::default();
        let (tell, ready) = watch::channel(false);
        let mut log = Vec::new();

        read_lines(out.as_slice(), &mut log, &lives, &tell);

        assert!(*ready.borrow());
        assert_eq!(lives.signals().len(), 1);
        assert_eq!(log, b"hello\n{\"signal\":\"nonsense\"}\n");
    }

    #[test]
    fn an_endless_line_does_not_fill_the_memory() {
        let lives = Lives::default();
        let (tell, _ready) = watch::channel(false);
        let endless = std::io::BufReader::new(std::io::repeat(b'x').take(10 * LINE_BYTES_MAX));
        let mut log = Vec::new();
        read_lines(endless, &mut log, &lives, &tell);
        assert_eq!(log.len() as u64, 10 * LINE_BYTES_MAX);
        assert!(lives.signals().is_empty());
    }
}
