//! `events.jsonl` in a run's folder: what happened, a line each, as it happened. It is there for scripts and for whoever asks
//! later what a run was doing when; no verdict rests on it.

use super::event::{Event, Happening};
use super::reporter::Sink;
use crate::disk;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// The file has this name.
const FILE: &str = "events.jsonl";
/// Nothing more is written after so many lines, the last of which says so: whoever notes more than that says the same again
/// and again.
const LINES_MAX: usize = 20_000;
/// This is the last line then.
const FULL: &str = r#"{"event":"log_full"}"#;

/// This sink writes down all that is not repeated anyway.
#[derive(Default)]
pub(super) struct EventLog(Mutex<Option<OpenLog>>);

/// The log of the run that is under way.
struct OpenLog {
    path: PathBuf,
    /// It is none any more once it could not be written.
    file: Option<File>,
    lines: usize,
    /// Its whole lines have so many bytes.
    bytes: u64,
}

impl Sink for EventLog {
    fn take(&self, happening: &Happening) {
        if happening.event.is_repeated() {
            return;
        }
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Event::ScenarioStarted { folder, .. } = &happening.event {
            *log = Some(OpenLog::create(folder));
        }
        if let Some(log) = &mut *log {
            log.write(happening);
        }
    }
}

impl OpenLog {
    fn create(folder: &Path) -> Self {
        let path = folder.join(FILE);
        // It is told how to connect to a stack that is kept, with the password.
        let file = disk::create_secret(&path);
        let file = file.map_err(|e| given_up(&path, &e)).ok();
        Self {
            path,
            file,
            lines: 0,
            bytes: 0,
        }
    }

    fn write(&mut self, happening: &Happening) {
        let Some(file) = self.file.as_mut().filter(|_| self.lines < LINES_MAX) else {
            return;
        };
        let line = match self.lines + 1 {
            LINES_MAX => Ok(FULL.to_owned()),
            _ => serde_json::to_string(happening),
        };
        let written = line.map_err(std::io::Error::from).and_then(|mut line| {
            line.push('\n');
            file.write_all(line.as_bytes())?;
            Ok(line.len() as u64)
        });
        match written {
            Ok(bytes) => {
                self.lines += 1;
                self.bytes += bytes;
            }
            // A run goes on without it, and nobody reads half a line.
            Err(error) => {
                given_up(&self.path, &error);
                let _ = file.set_len(self.bytes);
                self.file = None;
            }
        }
    }
}

fn given_up(path: &Path, error: &std::io::Error) {
    let why = disk::explain(error);
    tracing::warn!("{}: nothing more is written there: {why}", path.display());
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::run::event::OfferedCounts;
    use crate::run::reporter::Reporter;
    use std::os::unix::fs::PermissionsExt;
    use std::sync::Arc;

    fn started(folder: &Path) -> Event {
        Event::ScenarioStarted {
            scenario: "it".to_owned(),
            folder: folder.to_owned(),
        }
    }

    fn lines(folder: &Path) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(folder.join(FILE)).unwrap();
        let lines = text.lines().map(serde_json::from_str);
        lines.collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn given_a_run_then_its_folder_has_what_happened_and_not_what_is_told_again_and_again() {
        let folder = tempfile::tempdir().unwrap();
        let reporter = Reporter::to([Arc::new(EventLog::default()) as Arc<dyn Sink>]);
        // Before there is a folder nothing is written anywhere
        reporter.event(Event::LoadEnded);
        reporter.event(started(folder.path()));
        let offered = OfferedCounts::default();
        reporter.of_lane(1).event(Event::Offered { offered });
        reporter.of_lane(1).event(Event::LoadEnded);
        let lines = lines(folder.path());
        let named: Vec<&str> = lines.iter().map(|l| l["event"].as_str().unwrap()).collect();
        assert_eq!(named, ["scenario_started", "load_ended"]);
        // Nobody else may read how to connect to a stack
        let file = std::fs::metadata(folder.path().join(FILE)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        assert_eq!(
            (&lines[0]["lane"], &lines[1]["lane"]),
            (&().into(), &1.into())
        );
    }

    #[test]
    fn given_one_who_says_the_same_for_ever_then_the_file_has_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let reporter = Reporter::to([Arc::new(EventLog::default()) as Arc<dyn Sink>]);
        reporter.event(started(folder.path()));
        for _ in 0..LINES_MAX + 10 {
            reporter.event(Event::LoadEnded);
        }
        let lines = lines(folder.path());
        assert_eq!(lines.len(), LINES_MAX);
        let said = |at: usize| lines[at]["event"].as_str().unwrap();
        assert_eq!(
            (said(LINES_MAX - 2), said(LINES_MAX - 1)),
            ("load_ended", "log_full")
        );
    }

    #[test]
    fn given_a_folder_that_is_not_there_then_the_run_goes_on_without_the_file() {
        let reporter = Reporter::to([Arc::new(EventLog::default()) as Arc<dyn Sink>]);
        reporter.event(started(Path::new("/nowhere/at/all")));
        reporter.event(Event::LoadEnded);
    }
}
