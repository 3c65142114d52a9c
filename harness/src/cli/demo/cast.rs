//! A recording of the live view: an asciicast, version 2, which asciinema and its players show. What is recorded is the
//! view with its large figures, whatever terminal there is, so that a recording looks the same from everywhere.

use crate::cli::live::ending::Ending;
use crate::cli::live::shown::Shown;
use crate::cli::live::story::{Paper, WIDEST};
use crate::cli::live::view::View;
use ratatui::layout::Rect;
use ratatui::prelude::CrosstermBackend;
use ratatui::{Terminal, TerminalOptions, Viewport};
use serde_json::json;
use std::convert::Infallible;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A picture is so many columns wide: room for lanes side by side, and for the story of the end.
const COLUMNS: u16 = 120;
const ROWS: u16 = 40;
/// So often a picture is taken.
const EVERY: Duration = Duration::from_millis(200);
/// A recording takes no more; what comes after is left out, which is said. A demo of a minute takes a tenth of it.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Players shorten what does not change to this.
const IDLE_S: f64 = 2.0;

const CLEAR: &str = "\x1b[?25l\x1b[0m\x1b[2J\x1b[H";
const GIVEN_BACK: &str = "\x1b[0m\x1b[2J\x1b[H\x1b[?25h";

/// What a picture is drawn into.
#[derive(Clone, Default)]
struct Drawn(Arc<Mutex<Vec<u8>>>);

impl Drawn {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Drawn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drawn.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A file that is recorded into.
pub struct Recording {
    path: PathBuf,
    file: BufWriter<File>,
    began: Instant,
    drawn: Drawn,
    terminal: Terminal<CrosstermBackend<Drawn>>,
    written: usize,
    bytes_max: usize,
    /// Why nothing more is written.
    ended: Option<String>,
}

impl Recording {
    /// Begins it; what was in the file is gone.
    pub fn create(path: &Path) -> Result<Self, String> {
        let created = Self::begin(path);
        created.map_err(|e| format!("--record {}: cannot be written: {e}", path.display()))
    }

    fn begin(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        let drawn = Drawn::default();
        let viewport = Viewport::Fixed(Rect::new(0, 0, COLUMNS, ROWS));
        let backend = CrosstermBackend::new(drawn.clone());
        let terminal = Terminal::with_options(backend, TerminalOptions { viewport })?;
        let header = json!({
            "version": 2,
            "width": COLUMNS,
            "height": ROWS,
            "timestamp": jiff::Timestamp::now().as_second(),
            "idle_time_limit": IDLE_S,
            "title": "outbox-harness demo",
            "env": {"TERM": "xterm-256color"},
        });
        writeln!(file, "{header}")?;
        let mut recording = Self {
            path: path.to_owned(),
            file,
            began: Instant::now(),
            drawn,
            terminal,
            written: 0,
            bytes_max: BYTES_MAX,
            ended: None,
        };
        recording.output(CLEAR);
        Ok(recording)
    }

    /// Takes pictures of what `shown` gives, and does nothing more: whoever called it ends it.
    pub async fn take(&mut self, shown: impl Fn() -> Shown) -> Infallible {
        loop {
            self.picture(&shown());
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Records one picture: what changed since the last one.
    pub fn picture(&mut self, shown: &Shown) {
        let view = View {
            shown,
            explains: false,
            colour: true,
        };
        // It is drawn into memory, which takes everything.
        let _ = self.terminal.draw(|frame| view.draw(frame));
        let bytes = self.drawn.take();
        if !bytes.is_empty() {
            self.output(&String::from_utf8_lossy(&bytes));
        }
    }

    /// Records the last picture, and the story of the end. Says what is wrong with the recording, if anything is.
    pub fn end(mut self, shown: &Shown, ending: &Ending) -> Result<(), String> {
        self.picture(shown);
        let paper = Paper {
            colour: true,
            width: WIDEST,
        };
        let story = paper.tell(ending).replace('\n', "\r\n");
        self.output(&format!("{GIVEN_BACK}{story}"));
        let flushed = self.file.flush().map_err(|e| e.to_string());
        let ended = self.ended.take().map_or(flushed, Err);
        ended.map_err(|why| format!("--record {}: {why}", self.path.display()))
    }

    fn output(&mut self, text: &str) {
        if self.ended.is_some() {
            return;
        }
        let event = json!([self.began.elapsed().as_secs_f64(), "o", text]);
        let line = format!("{event}\n");
        if self.written + line.len() > self.bytes_max {
            let mib = self.bytes_max / 1024 / 1024;
            self.ended = Some(format!("what came after {mib} MiB is left out"));
            return;
        }
        self.written += line.len();
        if let Err(error) = self.file.write_all(line.as_bytes()) {
            self.ended = Some(format!("the rest cannot be written: {error}"));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::cli::demo::staged;
    use serde_json::Value;

    /// The header, and each event's time and text.
    fn read(path: &Path) -> (Value, Vec<(f64, String)>) {
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let header = lines.next().unwrap();
        let event = |event: Value| {
            assert_eq!(event[1], "o");
            let text = event[2].as_str().unwrap().to_owned();
            (event[0].as_f64().unwrap(), text)
        };
        (header, lines.map(event).collect())
    }

    #[test]
    fn given_a_demo_when_it_is_recorded_then_the_file_is_an_asciicast_that_holds_the_loss() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo.cast");
        let mut recording = Recording::create(&path).unwrap();
        recording.picture(&Shown::of(&staged::under_load().now()));
        let broken = Shown::of(&staged::broken().now());
        recording.picture(&broken);
        let ending = Ending::failed("the broker is gone for good".to_owned());
        recording.end(&broken, &ending).unwrap();
        let (header, events) = read(&path);
        assert_eq!(header["version"], 2);
        assert_eq!(
            (&header["width"], &header["height"]),
            (&json!(120), &json!(40))
        );
        let times: Vec<f64> = events.iter().map(|(at_s, _)| *at_s).collect();
        assert!(times.is_sorted() && times[0] >= 0.0, "{times:?}");
        let all: String = events.iter().map(|(_, text)| text.as_str()).collect();
        for said in ["LOST", "401", "CUT", "gone for good"] {
            assert!(all.contains(said), "{said} in {all:?}");
        }
        // The story stands in lines, as a terminal wants them
        let (_, last) = events.last().unwrap();
        assert_eq!(last.matches('\n').count(), last.matches("\r\n").count());
    }

    #[test]
    fn given_more_than_a_recording_takes_then_it_stays_whole_and_says_what_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("demo.cast");
        let mut recording = Recording::create(&path).unwrap();
        recording.bytes_max = 2_000;
        let broken = Shown::of(&staged::broken().now());
        recording.picture(&broken);
        let ending = Ending::failed(String::new());
        let said = recording.end(&broken, &ending).unwrap_err();
        assert!(said.contains("left out"), "{said}");
        let (_, events) = read(&path);
        assert_eq!(events.len(), 1);
    }
}
