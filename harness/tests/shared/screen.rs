//! A program on a terminal of its own, and what that terminal shows.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// This is a terminal as the program that draws on it knows it: the screen that is shown, and the one that the program
/// has for itself meanwhile.
#[derive(Debug)]
struct Cells {
    shown: Vec<Vec<char>>,
    /// What was on the screen before the program took it.
    before: Option<Vec<Vec<char>>>,
    /// All that was written while the program had no screen of its own, without its colours.
    scrollback: String,
    at: (usize, usize),
}

impl Cells {
    fn new((columns, rows): (u16, u16)) -> Self {
        Self {
            shown: vec![vec![' '; usize::from(columns)]; usize::from(rows)],
            before: None,
            scrollback: String::new(),
            at: (0, 0),
        }
    }

    fn clear(&mut self) {
        self.shown.iter_mut().flatten().for_each(|c| *c = ' ');
    }

    fn print(&mut self, c: char) {
        if self.before.is_none() {
            self.scrollback.push(c);
            return;
        }
        let (row, column) = self.at;
        if let Some(cell) = self.shown.get_mut(row).and_then(|r| r.get_mut(column)) {
            *cell = c;
        }
        self.at.1 += 1;
    }

    /// A control sequence: its parameters and its last character.
    fn control(&mut self, parameters: &str, last: char) {
        let mut numbers = parameters.split(';').map(|n| n.parse::<usize>().ok());
        let mut place = || numbers.next().flatten().unwrap_or(1).saturating_sub(1);
        match (parameters, last) {
            (_, 'H') => self.at = (place(), place()),
            ("2", 'J') => self.clear(),
            ("?1049", 'h') => {
                self.before = Some(self.shown.clone());
                self.clear();
            }
            ("?1049", 'l') => {
                if let Some(before) = self.before.take() {
                    self.shown = before;
                }
            }
            _ => {}
        }
    }

    fn text(&self) -> String {
        let lines = self.shown.iter();
        lines
            .map(|row| row.iter().collect::<String>() + "\n")
            .collect()
    }
}

/// Takes what is whole of what was written; the rest is to come again with what follows.
fn take(cells: &mut Cells, text: &str) -> usize {
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c != '\u{1b}' {
            cells.print(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let Some(body) = rest[1..].strip_prefix('[') else {
            if rest.len() == 1 {
                break;
            }
            rest = &rest[2..];
            continue;
        };
        let Some(end) = body.find(|c: char| c.is_ascii_alphabetic()) else {
            break;
        };
        let last = body[end..].chars().next().unwrap();
        cells.control(&body[..end], last);
        rest = &body[end + 1..];
    }
    text.len() - rest.len()
}

/// The program, for as long as this is kept.
pub struct OnTerminal {
    child: Child,
    keys: File,
    cells: Arc<Mutex<Cells>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl OnTerminal {
    /// Starts it on a terminal that is so large.
    pub fn start(mut command: Command, size: (u16, u16)) -> Self {
        let [terminal, end] = pair(size);
        // SAFETY: both are plain system calls, on a descriptor that is open by then.
        unsafe { command.pre_exec(take_for_own) };
        let child = command
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .stdin(end.try_clone().unwrap())
            .stdout(end.try_clone().unwrap())
            .stderr(end)
            .spawn()
            .unwrap();
        // It holds the program's end open.
        drop(command);
        let cells = Arc::new(Mutex::new(Cells::new(size)));
        let (mut from, drawn) = (terminal.try_clone().unwrap(), Arc::clone(&cells));
        let reader = std::thread::spawn(move || {
            let (mut waiting, mut chunk) = (Vec::new(), [0; 16 * 1024]);
            // It ends with an error, when the last program has let go of the terminal.
            while let Ok(n @ 1..) = from.read(&mut chunk) {
                waiting.extend_from_slice(&chunk[..n]);
                let whole = match std::str::from_utf8(&waiting) {
                    Ok(text) => text,
                    Err(e) => std::str::from_utf8(&waiting[..e.valid_up_to()]).unwrap(),
                };
                let taken = take(&mut drawn.lock().unwrap(), whole);
                waiting.drain(..taken);
            }
        });
        Self {
            child,
            keys: terminal,
            cells,
            reader: Some(reader),
        }
    }

    /// What is on the screen now.
    pub fn text(&self) -> String {
        self.cells.lock().unwrap().text()
    }

    /// What stays when the program has ended.
    pub fn scrollback(&self) -> String {
        self.cells.lock().unwrap().scrollback.clone()
    }

    /// Waits until all of these are on the screen at once.
    pub fn until(&self, shown: &[&str], patience: Duration) {
        let deadline = Instant::now() + patience;
        loop {
            let text = self.text();
            let Some(missing) = shown.iter().find(|shown| !text.contains(**shown)) else {
                return;
            };
            let said = self.scrollback();
            assert!(
                Instant::now() < deadline,
                "no {missing} in:\n{text}\n{said}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses a key.
    pub fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).unwrap();
    }

    /// Waits until the program has ended and all that it wrote was read.
    pub fn ended(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            let text = self.text();
            assert!(Instant::now() < deadline, "it does not end:\n{text}");
            std::thread::sleep(Duration::from_millis(20));
        };
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        status
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The terminal is that of the program alone, whatever terminal the test has.
fn take_for_own() -> std::io::Result<()> {
    // SAFETY: see where it is used.
    let taken =
        unsafe { libc::setsid() >= 0 && libc::ioctl(libc::STDIN_FILENO, libc::TIOCSCTTY, 0) == 0 };
    match taken {
        true => Ok(()),
        false => Err(std::io::Error::last_os_error()),
    }
}

/// A terminal, and the end of it that a program gets.
fn pair((columns, rows): (u16, u16)) -> [File; 2] {
    let (mut terminal, mut end) = (-1, -1);
    let size = libc::winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: both descriptors are written to places that outlive the call; a name and settings are not asked for.
    let made = unsafe {
        libc::openpty(
            &raw mut terminal,
            &raw mut end,
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const size,
        )
    };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    [terminal, end].map(|fd| {
        // SAFETY: it was just opened, and nobody else has it.
        let owned = unsafe { OwnedFd::from_raw_fd(fd) };
        // No other child of this test holds it open.
        // SAFETY: this sets a flag of a descriptor that is open.
        let kept = unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) };
        assert_eq!(kept, 0, "{}", std::io::Error::last_os_error());
        File::from(owned)
    })
}
