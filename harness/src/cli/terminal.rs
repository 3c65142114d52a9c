//! Standard output and standard error, where a closed pipe (`| head`) is no reason to panic, and
//! where a message does not tear the progress bar apart.

use indicatif::{ProgressBar, ProgressDrawTarget};
use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;

/// Columns where standard output is no terminal.
const WIDTH_ELSEWHERE: usize = 120;

/// The bar that is on the terminal, if there is one.
static BAR: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Messages that wait while something else has the whole terminal.
static HELD: Mutex<Option<HeldMessages>> = Mutex::new(None);

/// So many messages wait at most.
const HELD_MAX: usize = 10_000;

/// Messages that wait, in their order.
#[derive(Debug, Default)]
struct HeldMessages {
    texts: VecDeque<String>,
    left_out: u64,
}

impl HeldMessages {
    fn add(&mut self, text: &str) {
        self.texts.push_back(text.to_owned());
        // The newest say what came of it.
        if self.texts.len() > HELD_MAX {
            self.texts.pop_front();
            self.left_out += 1;
        }
    }

    fn into_texts(self) -> impl Iterator<Item = String> {
        let left_out = match self.left_out {
            0 => None,
            n => Some(format!("{n} messages before these were left out")),
        };
        left_out.into_iter().chain(self.texts)
    }
}

/// Messages are held back for as long as this is kept; then they are written, in their order.
#[derive(Debug)]
pub struct HeldBack(());

/// Holds messages back from now on, until what it returns is dropped.
pub fn hold() -> HeldBack {
    if let Ok(mut held) = HELD.lock() {
        held.get_or_insert_default();
    }
    HeldBack(())
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        let held = HELD.lock().ok().and_then(|mut held| held.take());
        for text in held.into_iter().flat_map(HeldMessages::into_texts) {
            message(&text);
        }
    }
}

/// Whether it is held back.
fn is_held(text: &str) -> bool {
    let Ok(mut held) = HELD.lock() else {
        return false;
    };
    match held.as_mut() {
        Some(held) => {
            held.add(text);
            true
        }
        None => false,
    }
}

fn current_bar() -> Option<ProgressBar> {
    BAR.lock().map_or(None, |bar| bar.clone())
}

/// Writes results to standard output. Who closed it wants no more of them.
pub fn results(text: &str) {
    let write = || {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    };
    match current_bar() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Writes a message to standard error, in one piece.
pub fn message(text: &str) {
    if is_held(text) {
        return;
    }
    let line = format!("{}\n", text.trim_end());
    let write = || {
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
    };
    match current_bar() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Puts a bar on standard error, where that is a terminal that can draw one. While something else has the terminal, it is
/// one that is not seen.
pub fn show_bar() -> Option<ProgressBar> {
    if !std::io::stderr().is_terminal() {
        return None;
    }
    if HELD.lock().is_ok_and(|held| held.is_some()) {
        return Some(ProgressBar::hidden());
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if bar.is_hidden() {
        return None;
    }
    if let Ok(mut shown) = BAR.lock() {
        *shown = Some(bar.clone());
    }
    Some(bar)
}

/// Takes the bar away.
pub fn hide_bar() {
    if let Some(bar) = BAR.lock().ok().and_then(|mut shown| shown.take()) {
        bar.finish_and_clear();
    }
}

/// Whether somebody sits at a terminal that can show more than lines: both ways, and it can move its cursor.
pub fn is_a_screen() -> bool {
    std::io::stdout().is_terminal()
        && std::io::stdin().is_terminal()
        && std::env::var_os("TERM").is_some_and(|v| !v.is_empty() && v != "dumb")
}

/// Whether standard output may be coloured: it is a terminal, and nobody asked for none (NO_COLOR).
pub fn results_in_colour() -> bool {
    std::io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
        && std::env::var_os("TERM").is_none_or(|v| v != "dumb")
}

/// Returns the columns for results: those of the terminal, or what fits a log where there is none.
pub fn results_width() -> usize {
    let mut size = libc::winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: this request writes one winsize, through a pointer to one that outlives the call.
    let asked = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) };
    match size.ws_col {
        columns @ 1.. if asked == 0 => usize::from(columns),
        // No terminal, or one that does not know.
        _ => WIDTH_ELSEWHERE,
    }
}

/// Sends what the harness logs (RUST_LOG; warnings by default) to standard error as messages.
pub fn log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| LogLine)
        .with_ansi(false)
        .try_init();
}

/// This takes one event of the log; the formatter writes each in one piece.
struct LogLine;

impl Write for LogLine {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        message(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_more_messages_than_can_wait_then_it_is_said_how_many_are_left_out() {
        let mut held = HeldMessages::default();
        for n in 0..HELD_MAX + 7 {
            held.add(&n.to_string());
        }
        let texts: Vec<String> = held.into_texts().collect();
        assert_eq!(texts.len(), HELD_MAX + 1);
        assert_eq!(texts[..2], ["7 messages before these were left out", "7"]);
        assert_eq!(texts[HELD_MAX], (HELD_MAX + 6).to_string());
    }
}
