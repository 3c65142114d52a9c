//! `list`: everything that can be named, each with a line of explanation.

use super::args::ListArgs;
use super::exit::Outcome;
use super::{places, terminal};
use crate::scenario::units::show_duration;
use crate::scenario::{Scenario, explain, load};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Prints it; a scenario file that is wrong is shown on standard error and makes it exit 2.
pub fn list(args: &ListArgs) -> Outcome {
    let folder = match &args.scenarios {
        Some(folder) => Ok(folder.clone()),
        None => places::find_here("scenarios"),
    };
    let mut out = String::new();
    let mut outcome = Outcome::Met;
    match folder {
        Ok(folder) => match scenarios(&folder, &mut out) {
            Ok(true) => {}
            Ok(false) => outcome = Outcome::Usage,
            Err(reason) => {
                terminal::message(&format!(
                    "{}: {reason}; name the folder with --scenarios DIR",
                    folder.display()
                ));
                return Outcome::Usage;
            }
        },
        Err(tried) => terminal::message(&format!(
            "no folder with scenarios ({}); name one with --scenarios DIR",
            places::show(&tried)
        )),
    }
    table(&mut out, "Strategies (kind)", &explain::STRATEGIES, |_| "");
    table(&mut out, "Targets of faults", &explain::TARGETS, |_| "");
    table(&mut out, "Faults (kind)", &explain::FAULTS, |_| "");
    table(
        &mut out,
        "Triggers of faults (instead of at)",
        &explain::TRIGGERS,
        |_| "",
    );
    table(
        &mut out,
        "Invariants and metrics",
        &explain::invariants(),
        |name| {
            if explain::is_implicit(name) {
                " [0 expected of every relay]"
            } else {
                ""
            }
        },
    );
    terminal::results(&out);
    outcome
}

/// Whether all files were good.
fn scenarios(folder: &Path, out: &mut String) -> Result<bool, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| e.to_string())?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|x| x == "toml"))
        .collect();
    files.sort();
    let _ = writeln!(out, "Scenarios ({})", folder.display());
    if files.is_empty() {
        let _ = writeln!(out, "  none");
    }
    let mut good = true;
    for file in files {
        match load(&file) {
            Ok(loaded) => describe(&loaded.scenario, out),
            Err(error) => {
                good = false;
                terminal::message(&error.to_string());
            }
        }
    }
    out.push('\n');
    Ok(good)
}

fn describe(scenario: &Scenario, out: &mut String) {
    let strategies: Vec<String> = scenario
        .strategies
        .iter()
        .map(|s| match s.kind.name() {
            kind if kind == s.name => kind.to_owned(),
            kind => format!("{} ({kind})", s.name),
        })
        .collect();
    let faults: Vec<String> = scenario.faults.iter().map(|f| f.describe()).collect();
    let _ = writeln!(out, "  {:<16}{}", scenario.name, scenario.description);
    let _ = writeln!(
        out,
        "  {:<16}{} at {}/s through {}; {}",
        "",
        show_duration(scenario.workload.duration),
        scenario.workload.rate,
        strategies.join(", "),
        if faults.is_empty() {
            "no fault".to_owned()
        } else {
            faults.join(", ")
        }
    );
}

fn table(
    out: &mut String,
    title: &str,
    rows: &[(&str, &str)],
    note: impl Fn(&str) -> &'static str,
) {
    let _ = writeln!(out, "{title}");
    for (name, what) in rows {
        let note = note(name);
        if name.len() < 18 {
            let _ = writeln!(out, "  {name:<18}{what}{note}");
        } else {
            let _ = writeln!(out, "  {name}\n  {:<18}{what}{note}", "");
        }
    }
    out.push('\n');
}
