//! A scenario file run whole, as its users run it.

use reports::record::Record;
use std::path::Path;
use std::process::Command;

/// What came of it.
pub struct Whole {
    /// Its record.
    pub record: Record,
    /// Standard error.
    pub said: String,
    /// Exit code.
    pub code: Option<i32>,
    _home: tempfile::TempDir,
}

/// Runs a file.
pub fn run(scenario: &Path) -> Whole {
    let home = tempfile::tempdir().unwrap();
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.stack");
    let programs = programs
        .canonicalize()
        .expect("`make test` installs .stack");
    let output = Command::new(env!("CARGO_BIN_EXE_outbox-harness"))
        .arg("run")
        .arg(scenario)
        .arg("--out")
        .arg(home.path().join("runs"))
        .env("OUTBOX_HARNESS_PROGRAMS", programs)
        // The test may be a step of a job itself, whose annotations these are not.
        .env_remove("GITHUB_ACTIONS")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let mut runs = std::fs::read_dir(home.path().join("runs")).expect(&said);
    let folder = runs.next().expect(&said).unwrap().path();
    let record = std::fs::read(folder.join("record.json")).expect(&said);
    Whole {
        record: reports::json::parse(&record).unwrap(),
        said,
        code: output.status.code(),
        _home: home,
    }
}
