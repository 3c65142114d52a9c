//! The trace of a process under test, in a folder of one test's own.

use crate::patience::PATIENCE;
use relays::config::TraceTarget;
use relays::trace::{Stage, Step};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Clones share the folder, which goes with the last of them.
#[derive(Clone)]
pub struct Traces(Arc<tempfile::TempDir>);

impl Traces {
    pub fn new() -> Self {
        Self(Arc::new(tempfile::tempdir().unwrap()))
    }

    pub fn target(&self) -> TraceTarget {
        TraceTarget {
            folder: self.0.path().to_owned(),
            max_bytes: 64 << 20,
        }
    }

    /// The steps of every life that has written so far, by time, each with its pid.
    pub fn steps(&self) -> Vec<(u32, Step)> {
        let files: Vec<PathBuf> = std::fs::read_dir(self.0.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        let mut steps = Vec::new();
        for file in files {
            let life = relays::trace::read(&file, |pid, step| steps.push((pid, step))).unwrap();
            assert_eq!((life.cut_ns, life.damaged), (None, 0));
        }
        steps.sort_by_key(|(_, step)| step.at_ns);
        steps
    }

    /// An attempt's steps so far, by time: version, stage, detail.
    pub fn of(&self, attempt: Uuid) -> Vec<(u32, Stage, u64)> {
        let steps = self.steps().into_iter().map(|(_, step)| step);
        let own = steps.filter(|step| step.attempt == attempt);
        own.map(|step| (step.version, step.stage, step.detail))
            .collect()
    }

    /// An attempt's stages, once this one is among them.
    pub async fn until(&self, attempt: Uuid, wanted: Stage) -> Vec<(u32, Stage, u64)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let steps = self.of(attempt);
            if steps.iter().any(|(_, stage, _)| *stage == wanted) {
                return steps;
            }
            assert!(Instant::now() < deadline, "{wanted:?} not in {steps:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
