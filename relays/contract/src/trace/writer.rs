//! Writing a trace: cheap, bounded, and never in the way of the work.

use super::step::{CUT_AT, STEP_BYTES, header};
use super::{EXTENSION, Stage, Step};
use crate::config::TraceTarget;
use crate::signal::monotonic_ns;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use uuid::Uuid;

/// This takes the steps of this life to a file; to none, if the configuration names no place. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Trace(Option<Arc<TraceFile>>);

#[derive(Debug)]
struct TraceFile {
    /// This is open for appending: the kernel puts the writes of all threads one after the other.
    file: File,
    /// The same file, for the one word that is written in place.
    header: File,
    max_bytes: u64,
    used_bytes: AtomicU64,
    cut: AtomicBool,
}

impl Trace {
    /// Opens the trace of this process. A file that cannot be made is a line in the log, and no trace.
    pub fn open(target: Option<&TraceTarget>) -> Self {
        let Some(target) = target else {
            return Self::default();
        };
        match TraceFile::begin(target) {
            Ok(life) => Self(Some(Arc::new(life))),
            Err(error) => {
                let folder = target.folder.display();
                tracing::warn!("there will be no trace: making its file in {folder}: {error}");
                Self::default()
            }
        }
    }

    /// Whether steps are written: not without a place, and not any more after a cut.
    pub fn is_on(&self) -> bool {
        self.0.as_ref().is_some_and(|life| life.goes_on())
    }

    /// Writes a step that happens now; it is on file when this returns.
    pub fn step(&self, attempt: Uuid, version: u32, stage: Stage, detail: u64) {
        if let Some(life) = &self.0 {
            life.write(&[Step {
                at_ns: monotonic_ns(),
                attempt,
                version,
                stage,
                detail,
            }]);
        }
    }

    /// Writes steps, all or none; they are on file when this returns.
    pub fn write(&self, steps: &[Step]) {
        if let Some(life) = &self.0 {
            life.write(steps);
        }
    }

    /// Ends the trace; whoever reads it learns that steps from `at_ns` on are missing.
    pub fn cut(&self, at_ns: u64, why: &str) {
        if let Some(life) = &self.0 {
            life.cut(at_ns, why);
        }
    }
}

impl TraceFile {
    fn begin(target: &TraceTarget) -> io::Result<Self> {
        std::fs::create_dir_all(&target.folder)?;
        let used = bytes_in(&target.folder)?;
        // Pids come again.
        let pid = std::process::id();
        let name = format!("{pid}-{}.{EXTENSION}", monotonic_ns());
        let path = target.folder.join(name);
        let mut file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)?;
        file.write_all(&header(pid))?;
        Ok(Self {
            file,
            header: OpenOptions::new().write(true).open(&path)?,
            max_bytes: target.max_bytes,
            used_bytes: AtomicU64::new(used + STEP_BYTES as u64),
            cut: AtomicBool::new(false),
        })
    }

    fn goes_on(&self) -> bool {
        !self.cut.load(Ordering::Relaxed)
    }

    fn write(&self, steps: &[Step]) {
        let Some(first) = steps.first().filter(|_| self.goes_on()) else {
            return;
        };
        let bytes = (steps.len() * STEP_BYTES) as u64;
        let used = self.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        if used + bytes > self.max_bytes {
            self.cut(first.at_ns, "it has reached its bound");
            return;
        }
        let written = match steps {
            [step] => self.append(&step.encode()),
            _ => self.append(&steps.iter().flat_map(Step::encode).collect::<Vec<u8>>()),
        };
        if let Err(error) = written {
            self.cut(first.at_ns, &error.to_string());
        }
    }

    /// Writes the bytes with one system call, so that no other thread's steps come in between.
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        loop {
            return match (&self.file).write(bytes) {
                Ok(length) if length == bytes.len() => Ok(()),
                Ok(_) => Err(io::ErrorKind::StorageFull.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    fn cut(&self, at_ns: u64, why: &str) {
        if self.cut.swap(true, Ordering::Relaxed) {
            return;
        }
        tracing::warn!("the trace ends here, the work goes on: {why}");
        // In place: it takes no room, so a full disk takes it.
        let marked = self
            .header
            .write_all_at(&at_ns.to_le_bytes(), CUT_AT as u64);
        if let Err(error) = marked {
            tracing::warn!("nor can the trace say so: {error}");
        }
    }
}

/// What earlier lives have used of the bound.
fn bytes_in(folder: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_a_file_that_takes_no_more_when_written_then_the_trace_ends_and_says_from_when() {
        // given a disk that is full, but for what is written in place
        let path = std::env::temp_dir().join(format!("trace-{}", Uuid::new_v4().simple()));
        std::fs::write(&path, header(7)).unwrap();
        let trace = Trace(Some(Arc::new(TraceFile {
            file: OpenOptions::new().write(true).open("/dev/full").unwrap(),
            header: OpenOptions::new().write(true).open(&path).unwrap(),
            max_bytes: 1 << 20,
            used_bytes: AtomicU64::new(0),
            cut: AtomicBool::new(false),
        })));
        assert!(trace.is_on());

        // when a step is written
        let before = monotonic_ns();
        trace.step(Uuid::nil(), 1, Stage::Received, 0);

        // then the trace is over, and its header tells when
        assert!(!trace.is_on());
        let life = super::super::read(&path, |_, _| {}).unwrap();
        assert!(life.cut_ns.unwrap() >= before);
        std::fs::remove_file(&path).unwrap();
    }
}
