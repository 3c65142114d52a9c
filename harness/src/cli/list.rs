//! `list`: everything that can be named, each with a line of explanation and an example.

use super::args::ListArgs;
use super::exit::Outcome;
use super::{places, terminal};
use crate::scenario::explain::{self, Named};
use crate::scenario::units::show_duration;
use crate::scenario::{LoadedScenario, Scenario, load};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Prints it; a scenario file that is wrong is shown on standard error and makes it exit 2.
pub fn list(args: &ListArgs) -> Outcome {
    let folder = match &args.scenarios {
        Some(folder) => Ok(folder.clone()),
        None => places::find_here("scenarios"),
    };
    let mut found = FoundScenarios::default();
    match &folder {
        Ok(folder) => match scenarios(folder) {
            Ok(scenarios) => found = scenarios,
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
            places::show(tried)
        )),
    }
    if args.json {
        terminal::results(&format!("{:#}\n", as_json(&found.good)));
    } else {
        terminal::results(&as_text(folder.ok().as_deref(), &found.good));
    }
    match found.all_good {
        true => Outcome::Met,
        false => Outcome::Usage,
    }
}

/// These scenarios were found in a folder.
struct FoundScenarios {
    good: Vec<LoadedScenario>,
    all_good: bool,
}

impl Default for FoundScenarios {
    fn default() -> Self {
        Self {
            good: Vec::new(),
            all_good: true,
        }
    }
}

/// Reads all of them; those that are wrong are shown on standard error.
fn scenarios(folder: &Path) -> Result<FoundScenarios, String> {
    let entries = std::fs::read_dir(folder).map_err(|e| e.to_string())?;
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|x| x == "toml"))
        .collect();
    files.sort();
    let mut found = FoundScenarios::default();
    for file in files {
        match load(&file) {
            Ok(loaded) => found.good.push(loaded),
            Err(error) => {
                found.all_good = false;
                terminal::message(&error.to_string());
            }
        }
    }
    Ok(found)
}

fn as_text(folder: Option<&Path>, scenarios: &[LoadedScenario]) -> String {
    let mut out = String::new();
    if let Some(folder) = folder {
        let _ = writeln!(out, "Scenarios ({})", folder.display());
        if scenarios.is_empty() {
            let _ = writeln!(out, "  none");
        }
        for loaded in scenarios {
            describe(&loaded.scenario, &mut out);
        }
        out.push('\n');
    }
    table(&mut out, "Strategies (kind)", &explain::strategies());
    table(&mut out, "Brokers (broker)", &explain::brokers());
    table(&mut out, "Databases (database)", &explain::databases());
    table(&mut out, "Targets of faults", &explain::targets());
    table(&mut out, "Faults (kind)", &explain::faults());
    table(
        &mut out,
        "Triggers of faults (instead of at)",
        &explain::triggers(),
    );
    table(&mut out, "Invariants and metrics", &explain::invariants());
    table(
        &mut out,
        "Invariants of consumers",
        &explain::of_consumers(),
    );
    out
}

/// Lists all of it for editors and scripts: names are those of files, durations have their unit in the name.
fn as_json(scenarios: &[LoadedScenario]) -> Value {
    let scenarios: Vec<Value> = scenarios
        .iter()
        .map(|loaded| {
            let scenario = &loaded.scenario;
            let strategies = scenario.strategies.iter();
            let strategies: Vec<Value> = strategies
                .map(|s| json!({ "name": s.name, "kind": s.kind.name() }))
                .collect();
            let faults: Vec<String> = scenario.faults.iter().map(|f| f.describe()).collect();
            let load = &scenario.workload;
            json!({
                "file": loaded.path.display().to_string(),
                "name": scenario.name,
                "description": scenario.description,
                "duration_s": load.duration.as_secs_f64(),
                "rate_per_s": load.clients.is_none().then_some(load.rate),
                "clients": load.clients,
                "strategies": strategies,
                "faults": faults,
            })
        })
        .collect();
    let metrics: Vec<Value> = explain::metrics()
        .iter()
        .map(|named| {
            let mut row = row(named);
            row["zero_expected_of_every_relay"] = explain::is_implicit(&named.name).into();
            row
        })
        .collect();
    let rows = |rows: Vec<Named>| rows.iter().map(row).collect::<Vec<Value>>();
    json!({
        "scenarios": scenarios,
        "strategies": rows(explain::strategies()),
        "brokers": rows(explain::brokers()),
        "databases": rows(explain::databases()),
        "targets": rows(explain::targets()),
        "faults": rows(explain::faults()),
        "triggers": rows(explain::triggers()),
        "metrics": metrics,
        "metrics_of_consumers": rows(explain::of_consumers()),
    })
}

fn row(named: &Named) -> Value {
    json!({ "name": named.name, "what": named.what, "example": named.example })
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

fn table(out: &mut String, title: &str, rows: &[Named]) {
    let _ = writeln!(out, "{title}");
    for Named {
        name,
        what,
        example,
    } in rows
    {
        let note = match explain::is_implicit(name) {
            true => " [0 expected of every relay]",
            false => "",
        };
        if name.len() < 18 {
            let _ = writeln!(out, "  {name:<18}{what}{note}");
        } else {
            let _ = writeln!(out, "  {name}\n  {:<18}{what}{note}", "");
        }
        let _ = writeln!(out, "  {:<18}{example}", "");
    }
    out.push('\n');
}
