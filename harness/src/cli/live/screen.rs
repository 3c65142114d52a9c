//! The terminal of a live view: the alternate screen for as long as it goes on, and the keys. It is given back
//! on every way out.

use super::shown::Shown;
use super::view::View;
use crate::cli::terminal::{self, HeldBack};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// So often it is drawn, whether a key was pressed or not.
const EVERY: Duration = Duration::from_millis(100);

/// Bound on the end of the screen's thread, and how often it is looked whether it has come.
const CLOSES_WITHIN: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The left and the right arrow, as keys are named here.
pub const LEFT: char = '←';
/// See [`LEFT`].
pub const RIGHT: char = '→';

/// What a screen shows, and what its keys reach. It is asked from the screen's thread, and must not block for long.
pub trait Performance: Send + Sync {
    /// What is shown now.
    fn shown(&self) -> Shown;
    /// A key was pressed; one that does nothing does nothing.
    fn press(&self, key: char);
    /// Whoever sits there wants it to end.
    fn quit(&self);
}

/// The screen, for as long as this is kept.
pub struct Screen {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// Messages would tear it apart: they come when it is closed.
    _held: HeldBack,
}

impl Screen {
    /// Takes the terminal over and draws on it from a thread of its own; an `Err` says why that cannot be done.
    pub fn open(performance: Arc<dyn Performance>, colour: bool) -> io::Result<Self> {
        let held = terminal::hold();
        // Its hook gives the terminal back before a panic is told, whichever thread panics.
        let terminal = ratatui::try_init()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let work = move || {
            let live = Live {
                performance,
                colour,
                explains: false,
            };
            live.run(terminal, &stopped);
            // Where it ended by an error, Ctrl-C must be a signal again: what is shown goes on.
            let _ = ratatui::try_restore();
        };
        let thread = std::thread::Builder::new()
            .name("screen".into())
            .spawn(work);
        let thread = thread.inspect_err(|_| ratatui::restore())?;
        Ok(Self {
            stop,
            thread: Some(thread),
            _held: held,
        })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let until = Instant::now() + CLOSES_WITHIN;
        if let Some(thread) = self.thread.take() {
            // Where the terminal itself is gone, its reader never comes back.
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(LOOK_EVERY);
            }
        }
        let _ = ratatui::try_restore();
    }
}

struct Live {
    performance: Arc<dyn Performance>,
    colour: bool,
    explains: bool,
}

impl Live {
    /// Draws and listens until told to stop, or until the terminal is gone.
    fn run(mut self, mut terminal: DefaultTerminal, stopped: &AtomicBool) {
        while !stopped.load(Ordering::Acquire) {
            let shown = self.performance.shown();
            let view = View {
                shown: &shown,
                explains: self.explains,
                colour: self.colour,
            };
            if terminal.draw(|frame| view.draw(frame)).is_err() {
                return;
            }
            match event::poll(EVERY) {
                Ok(false) => {}
                Ok(true) => match event::read() {
                    Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => self.key(key),
                    Ok(_) => {}
                    Err(_) => return,
                },
                Err(_) => return,
            }
        }
    }

    fn key(&mut self, key: KeyEvent) {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c') if control => self.performance.quit(),
            KeyCode::Char('?') => self.explains = !self.explains,
            KeyCode::Esc => self.explains = false,
            KeyCode::Char(key) => self.performance.press(key),
            KeyCode::Left => self.performance.press(LEFT),
            KeyCode::Right => self.performance.press(RIGHT),
            _ => {}
        }
    }
}
