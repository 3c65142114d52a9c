//! What a child says: signal lines of its standard output are taken, everything else goes to its
//! log, which a child that never stops talking does not make endless.

use super::life::Lives;
use crate::disk;
use regex::Regex;
use relays::signal::{Signal, TimedSignal};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStderr, ChildStdout};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// A longer line is no signal, and is cut for the log.
const LINE_BYTES_MAX: u64 = 64 * 1024;
/// A log takes so much; of what follows, only the end of each life is kept.
pub const LOG_BYTES_MAX: u64 = 8 << 20;
/// At most so many bytes of that end are kept.
const LAST_BYTES_MAX: usize = 16 * 1024;

/// Opens a log for appending, with its folder.
pub(super) fn open_log(log: &Path) -> Result<File, String> {
    if let Some(folder) = log.parent() {
        std::fs::create_dir_all(folder).map_err(|e| {
            format!(
                "make the folder {}: {}",
                folder.display(),
                disk::explain(&e)
            )
        })?;
    }
    File::options()
        .create(true)
        .append(true)
        .open(log)
        .map_err(|e| format!("open the log {}: {}", log.display(), disk::explain(&e)))
}

/// The bounded log of one life, shared by those who read what the child says. Closed with the last
/// of them.
struct Log<W: Write> {
    out: W,
    room: u64,
    left_out: u64,
    last: VecDeque<u8>,
    _open: Sender<()>,
}

impl<W: Write> Log<W> {
    /// Also gives what is closed together with the log.
    fn new(out: W, length: u64) -> (Self, Receiver<()>) {
        let (open, closed) = channel();
        let log = Self {
            out,
            room: LOG_BYTES_MAX.saturating_sub(length),
            left_out: 0,
            last: VecDeque::new(),
            _open: open,
        };
        (log, closed)
    }

    /// Nothing is done when the disk is full: the child's work does not depend on it.
    fn add(&mut self, bytes: &[u8]) {
        let fits = usize::try_from(self.room).map_or(bytes.len(), |room| room.min(bytes.len()));
        let (kept, rest) = bytes.split_at(fits);
        if !kept.is_empty() {
            let _ = self.out.write_all(kept);
            self.room -= kept.len() as u64;
        }
        self.left_out += rest.len() as u64;
        self.last
            .extend(&rest[rest.len().saturating_sub(LAST_BYTES_MAX)..]);
        let beyond = self.last.len().saturating_sub(LAST_BYTES_MAX);
        self.last.drain(..beyond);
    }
}

impl<W: Write> Drop for Log<W> {
    fn drop(&mut self) {
        if self.left_out == 0 {
            return;
        }
        let gone = self.left_out - self.last.len() as u64;
        let note = format!("\n--- this log is full: {gone} bytes were left out here ---\n");
        let _ = self.out.write_all(note.as_bytes());
        let _ = self.out.write_all(self.last.make_contiguous());
    }
}

/// What is listened for.
pub(super) enum Listening {
    /// Signal lines on standard output are listened for, and kept with these lives.
    Signals(Arc<Lives>),
    /// A line, on standard output or standard error, that says that it works.
    Line(Arc<Regex>),
}

/// Reads all that a child says, in threads, until the other ends close; `ready` is told when it says
/// that it works. What is returned is closed when all of it is in the log.
pub(super) fn read(
    out: ChildStdout,
    err: ChildStderr,
    log: File,
    listening: Listening,
    ready: watch::Sender<bool>,
) -> Result<Receiver<()>, String> {
    let length = log.metadata().map_or(0, |m| m.len());
    let (log, closed) = Log::new(log, length);
    let log = Arc::new(Mutex::new(log));
    let errors = Arc::clone(&log);
    let start = |name: &str, work: Box<dyn FnOnce() + Send>| {
        std::thread::Builder::new()
            .name(name.into())
            .stack_size(256 * 1024)
            .spawn(work)
            .map(drop)
            .map_err(|e| format!("start the thread that reads what it says: {e}"))
    };
    match listening {
        Listening::Signals(lives) => {
            let signals = move || read_lines(BufReader::new(out), &log, &lives, &ready);
            start("signals", Box::new(signals))?;
            start("errors", Box::new(move || copy(err, &errors)))?;
        }
        Listening::Line(line) => {
            let (same, tell) = (Arc::clone(&line), ready.clone());
            let output = move || look_for(&line, BufReader::new(out), &log, &ready);
            start("output", Box::new(output))?;
            let error_output = move || look_for(&same, BufReader::new(err), &errors, &tell);
            start("errors", Box::new(error_output))?;
        }
    }
    Ok(closed)
}

/// Looks through the lines for the first that matches; all of them are logged, and what comes later too,
/// whether there is room in the log or not.
fn look_for<W: Write>(
    wanted: &Regex,
    mut out: impl BufRead,
    log: &Mutex<Log<W>>,
    ready: &watch::Sender<bool>,
) {
    let mut line = Vec::new();
    while !*ready.borrow() {
        line.clear();
        let read = out.by_ref().take(LINE_BYTES_MAX);
        match { read }.read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        add(log, &line);
        if wanted.is_match(String::from_utf8_lossy(&line).trim_end()) {
            let _ = ready.send(true);
        }
    }
    copy(out, log);
}

/// Copies all of it to a bounded log, until the other ends close.
pub(super) fn keep(from: impl Read, log: File) {
    let length = log.metadata().map_or(0, |m| m.len());
    let (log, _closed) = Log::new(log, length);
    copy(from, &Mutex::new(log));
}

fn copy<W: Write>(mut from: impl Read, log: &Mutex<Log<W>>) {
    let mut block = vec![0; LAST_BYTES_MAX];
    loop {
        match from.read(&mut block) {
            Ok(0) => return,
            Ok(length) => add(log, &block[..length]),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

fn read_lines<W: Write>(
    mut out: impl BufRead,
    log: &Mutex<Log<W>>,
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
            Err(_) => add(log, &line),
        }
    }
}

fn add<W: Write>(log: &Mutex<Log<W>>, bytes: &[u8]) {
    log.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .add(bytes);
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn log(out: &mut Vec<u8>, length: u64) -> Mutex<Log<&mut Vec<u8>>> {
        Mutex::new(Log::new(out, length).0)
    }

    #[test]
    fn signals_are_taken_and_the_rest_is_logged() {
        let out = b"hello\n{\"monotonic_ns\":5,\"signal\":\"ready\"}\n{\"signal\":\"nonsense\"}\n";
        let lives = Lives::default();
        let (tell, ready) = watch::channel(false);
        let mut logged = Vec::new();

        read_lines(out.as_slice(), &log(&mut logged, 0), &lives, &tell);

        assert!(*ready.borrow());
        assert_eq!(lives.signals().len(), 1);
        assert_eq!(logged, b"hello\n{\"signal\":\"nonsense\"}\n");
    }

    #[test]
    fn an_endless_line_does_not_fill_the_memory() {
        let lives = Lives::default();
        let (tell, _ready) = watch::channel(false);
        let endless = std::io::BufReader::new(std::io::repeat(b'x').take(10 * LINE_BYTES_MAX));
        let mut logged = Vec::new();
        read_lines(endless, &log(&mut logged, 0), &lives, &tell);
        assert_eq!(logged.len() as u64, 10 * LINE_BYTES_MAX);
        assert!(lives.signals().is_empty());
    }

    #[test]
    fn a_flood_leaves_its_beginning_and_its_end() {
        let flood: Vec<u8> = (0..2_000_000)
            .flat_map(|n| format!("{n}\n").into_bytes())
            .collect();
        assert!(flood.len() as u64 > LOG_BYTES_MAX + 1_000_000);
        let mut logged = Vec::new();

        copy(flood.as_slice(), &log(&mut logged, 0));

        let bound = LOG_BYTES_MAX as usize + LAST_BYTES_MAX + 100;
        assert!(logged.len() <= bound, "{}", logged.len());
        assert!(logged.starts_with(b"0\n1\n2\n"));
        assert!(logged.ends_with(b"1999998\n1999999\n"));
        let note = String::from_utf8_lossy(&logged[LOG_BYTES_MAX as usize..]).into_owned();
        let left_out = flood.len() - LOG_BYTES_MAX as usize - LAST_BYTES_MAX;
        assert!(
            note.contains(&format!(": {left_out} bytes")),
            "{}",
            &note[..100]
        );
    }

    #[test]
    fn a_life_after_a_flood_leaves_its_end_alone() {
        let mut logged = Vec::new();
        copy(b"why I died\n".as_slice(), &log(&mut logged, LOG_BYTES_MAX));
        let text = String::from_utf8(logged).unwrap();
        assert_eq!(
            text,
            "\n--- this log is full: 0 bytes were left out here ---\nwhy I died\n"
        );
    }

    #[test]
    fn the_log_is_closed_with_its_last_reader() {
        let (log, closed) = Log::new(Vec::new(), 0);
        assert!(closed.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty));
        drop(log);
        assert!(closed.recv().is_err());
    }
}
