//! What GitHub Actions shows of a run by itself: annotations on the lines of the scenario's file, and the job's
//! summary. Only where its environment says that this is it.

use super::terminal;
use crate::scenario::LoadedScenario;
use reports::record::Record;
use reports::summary::Summary;
use reports::{Exporter, github};
use std::io::Write;
use std::path::{Path, PathBuf};

/// What a step's summary may hold; GitHub refuses what is larger as a whole.
const SUMMARY_BYTES: u64 = 1024 * 1024;

/// This is a step of a job. While there is one, nothing that is printed is a command but what it prints itself: a log
/// that is shown may say anything.
#[derive(Debug)]
pub struct Step {
    /// This word lets commands be commands again.
    resume: String,
    /// File to which its summary is appended.
    summary: Option<PathBuf>,
    /// Where the repository is checked out.
    workspace: Option<PathBuf>,
}

impl Step {
    /// The step in which this program runs; `None` elsewhere.
    pub fn here() -> Option<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let step = (set("GITHUB_ACTIONS")? == "true").then(|| Self {
            resume: uuid::Uuid::new_v4().to_string(),
            summary: set("GITHUB_STEP_SUMMARY").map(PathBuf::from),
            workspace: set("GITHUB_WORKSPACE").map(PathBuf::from),
        });
        if let Some(step) = &step {
            terminal::results(&format!("::stop-commands::{}\n", step.resume));
        }
        step
    }

    /// Annotates a run, and adds it to the summary. What cannot be written is said, and is no reason for another exit
    /// code: the verdict does not depend on it.
    pub fn show(&self, loaded: &LoadedScenario, record: &Record) {
        let places = InFile {
            loaded,
            file: self.in_repository(&loaded.path),
        };
        let annotations = github::annotations(record, &places);
        if !annotations.is_empty() {
            let resume = &self.resume;
            terminal::results(&format!(
                "::{resume}::\n{annotations}::stop-commands::{resume}\n"
            ));
        }
        if let Some(summary) = &self.summary
            && let Err(why) = append(summary, record)
        {
            let file = summary.display();
            terminal::message(&format!(
                "the step's summary {file} cannot be written: {why}"
            ));
        }
    }

    /// Returns a file's name as the repository has it, or as it was given if it lies elsewhere.
    fn in_repository(&self, path: &Path) -> String {
        let inside = self.workspace.as_ref().and_then(|workspace| {
            let (whole, top) = (path.canonicalize().ok()?, workspace.canonicalize().ok()?);
            whole.strip_prefix(top).ok().map(Path::to_owned)
        });
        inside
            .unwrap_or_else(|| path.to_owned())
            .display()
            .to_string()
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        terminal::results(&format!("::{}::\n", self.resume));
    }
}

struct InFile<'a> {
    loaded: &'a LoadedScenario,
    file: String,
}

impl github::Places for InFile<'_> {
    fn file(&self) -> &str {
        &self.file
    }

    fn line(&self, strategy: &str, metric: Option<&str>) -> usize {
        self.loaded.line_of(strategy, metric)
    }
}

fn append(summary: &Path, record: &Record) -> Result<(), String> {
    let bytes = Summary.export(record).map_err(|e| e.to_string())?;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .append(true)
        .create(true)
        .open(summary)
        .map_err(|e| e.to_string())?;
    let there = file.metadata().map_err(|e| e.to_string())?.len();
    if there + bytes.len() as u64 > SUMMARY_BYTES {
        return Err(format!(
            "with {} more bytes it would be larger than the {SUMMARY_BYTES} that GitHub takes; summary.md in the run's folder has them",
            bytes.len()
        ));
    }
    file.write_all(&bytes).map_err(|e| e.to_string())
}
