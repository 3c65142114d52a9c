//! `check` and `report`: a finished run again, offline.

use super::args::{Folder, ReportArgs};
use super::exit::Outcome;
use super::{browser, results, terminal};
use crate::run;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Runs `check`: it gives the verdict again, from the saved history alone.
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

/// Runs `report`: it makes the reports of a run again, from its record alone, or the index of a folder with runs.
/// Their names go to standard output.
pub fn report(args: &ReportArgs) -> Outcome {
    let folder = &args.of.folder;
    if let Err(outcome) = is_folder(folder) {
        return outcome;
    }
    terminal::log();
    let made = match &args.charts {
        Some(charts) => run::charts(folder, charts),
        None if run::is_run(folder) => run::report(folder),
        None => run::index(folder).map(|page| vec![page]),
    };
    match made {
        Ok(files) if files.is_empty() => failed(
            "there is nothing to draw: no strategy of this run was measured (its report says why), and no chart was written",
        ),
        Ok(files) => {
            let mut out = String::new();
            for file in &files {
                let _ = writeln!(out, "{}", file.display());
            }
            terminal::results(&out);
            let is_page = |file: &&PathBuf| file.extension().is_some_and(|e| e == "html");
            if let Some(page) = files.iter().find(is_page).filter(|_| args.open) {
                browser::open(page);
            }
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
