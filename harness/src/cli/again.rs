//! `check` and `report`: a finished run again, offline.

use super::args::Folder;
use super::exit::Outcome;
use super::{results, terminal};
use crate::run;
use std::fmt::Write as _;
use std::path::Path;

/// `check`: the verdict again, from the saved history alone.
pub fn check(args: &Folder) -> Outcome {
    if let Err(outcome) = is_folder(&args.folder) {
        return outcome;
    }
    terminal::log();
    match run::check(&args.folder) {
        Ok(record) => {
            results::show(&record, &args.folder);
            Outcome::from(record.verdict)
        }
        Err(e) => failed(&e.to_string()),
    }
}

/// `report`: the reports again, from the record alone; their names on standard output.
pub fn report(args: &Folder) -> Outcome {
    if let Err(outcome) = is_folder(&args.folder) {
        return outcome;
    }
    terminal::log();
    match run::report(&args.folder) {
        Ok(files) => {
            let mut out = String::new();
            for file in files {
                let _ = writeln!(out, "{}", file.display());
            }
            terminal::results(&out);
            Outcome::Met
        }
        Err(e) => failed(&e.to_string()),
    }
}

/// Says what is wrong with what is no folder.
pub fn is_folder(folder: &Path) -> Result<(), Outcome> {
    if folder.is_dir() {
        return Ok(());
    }
    terminal::message(&format!(
        "{}: there is no such folder; name the folder of one run, such as runs/steady-...",
        folder.display()
    ));
    Err(Outcome::Usage)
}

fn failed(message: &str) -> Outcome {
    terminal::message(message);
    Outcome::Failed
}
