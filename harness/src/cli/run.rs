//! `run`: every file checked first, then one scenario after the other.

use super::args::{RunArgs, StackName};
use super::exit::Outcome;
use super::session::Session;
use super::{memory, places, results, terminal};
use crate::process::environment;
use crate::process::reaper::Reaper;
use crate::run::{Finished, Options, Reporter, RunError, StackChoice, run as run_scenario, unrun};
use crate::scenario::{Loaded, Target, Victim, load};
use reports::record::Record;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

const DOCKER: &str = "\
outbox-harness does not start containers itself. Start the stack of docker-compose.yml and use it:
  docker compose up -d --wait
  outbox-harness run --stack external --external external.toml SCENARIO...";

const NO_SESSION: &str = "outbox-harness could not begin (see its messages)";
const GIVEN_UP: &str = "interrupted twice: what was under way was given up (see the run's folder)";

/// What came of the scenarios so far.
struct Came {
    worst: Outcome,
    /// Of the first scenarios, in their order.
    records: Vec<Record>,
}

impl Came {
    fn nothing() -> Self {
        Self {
            worst: Outcome::Met,
            records: Vec::new(),
        }
    }

    fn add(&mut self, outcome: Outcome, record: Record) {
        self.worst = self.worst.max(outcome);
        self.records.push(record);
    }
}

/// Runs; says on standard error what is wrong.
pub fn run(args: &RunArgs) -> Outcome {
    let loaded = match prepare(args) {
        Ok(loaded) => loaded,
        Err(messages) => {
            for message in messages {
                terminal::message(&message);
            }
            return Outcome::Usage;
        }
    };
    for file in args.json.iter().chain(&args.junit) {
        results::clear(file);
    }
    let options = match options(args) {
        Ok(options) => options,
        Err(message) => {
            terminal::message(&message);
            return the_rest_was_not_run(args, &loaded, Came::nothing(), &message, Outcome::Failed);
        }
    };
    match Session::start() {
        Ok(session) => in_session(args, &loaded, &options, &session),
        // It has said why.
        Err(outcome) => the_rest_was_not_run(args, &loaded, Came::nothing(), NO_SESSION, outcome),
    }
}

fn in_session(args: &RunArgs, loaded: &[Loaded], options: &Options, session: &Session) -> Outcome {
    // Outside the work, which is dropped on a second Ctrl-C: what has been judged stays.
    let came = Mutex::new(Came::nothing());
    let ran = session.run(async |reaper, reporter, interrupted| {
        run_all(loaded, options, reaper, reporter, interrupted, &came).await;
    });
    let came = came.into_inner().unwrap_or_else(PoisonError::into_inner);
    match ran {
        Ok(()) => write_results(args, &came.records, came.worst),
        Err(outcome) => {
            let given_up = outcome == Outcome::Unknown;
            let why = if given_up { GIVEN_UP } else { NO_SESSION };
            the_rest_was_not_run(args, loaded, came, why, outcome)
        }
    }
}

/// Leaves behind what was not run, so that whoever reads only files sees it.
fn the_rest_was_not_run(
    args: &RunArgs,
    loaded: &[Loaded],
    mut came: Came,
    why: &str,
    outcome: Outcome,
) -> Outcome {
    for one in &loaded[came.records.len().min(loaded.len())..] {
        came.add(outcome, unrun(&one.scenario, args.strategy.as_deref(), why));
    }
    write_results(args, &came.records, came.worst.max(outcome))
}

/// Writes the files that were asked for.
fn write_results(args: &RunArgs, records: &[Record], mut outcome: Outcome) -> Outcome {
    let several = args.scenarios.len() > 1;
    let files = [
        (&args.json, results::json as fn(&[Record], bool) -> _),
        (&args.junit, |records, _| results::junit(records)),
    ];
    for (file, render) in files {
        let Some(file) = file else { continue };
        if let Err(message) = results::write(file, render(records, several)) {
            terminal::message(&message);
            outcome = outcome.max(Outcome::Failed);
        }
    }
    outcome
}

/// Everything that can be wrong before anything starts, all of it at once.
fn prepare(args: &RunArgs) -> Result<Vec<Loaded>, Vec<String>> {
    let mut wrong = Vec::new();
    let mut loaded = Vec::new();
    for file in &args.scenarios {
        match load(file) {
            Ok(scenario) => loaded.push(scenario),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    for (option, file) in [("--json", &args.json), ("--junit", &args.junit)] {
        if let Some(file) = file
            && let Err(message) = results::writable(option, file)
        {
            wrong.push(message);
        }
    }
    let too_large = |l: &Loaded| memory::too_large(&l.path, &l.scenario);
    wrong.extend(loaded.iter().filter_map(too_large));
    wrong.extend(loaded.iter().filter_map(too_few_files));
    wrong.extend(places::unusable("--out", &args.out));
    if args.stack == StackName::External {
        wrong.extend(loaded.iter().filter_map(server_fault));
        if !args.external.is_file() {
            wrong.push(no_such_stack(&args.external));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if let Some(name) = &args.strategy {
        loaded = with_strategy(loaded, name).map_err(|message| vec![message])?;
    }
    Ok(loaded)
}

/// The scenarios whose connections need more files than a process may have open here.
fn too_few_files(loaded: &Loaded) -> Option<String> {
    let connections = loaded.scenario.workload.connections as u64;
    let problem = environment::too_few_files(connections)?;
    Some(format!("{}: {problem}", loaded.path.display()))
}

/// The scenarios that have this strategy; those that do not are named and left out.
fn with_strategy(loaded: Vec<Loaded>, name: &str) -> Result<Vec<Loaded>, String> {
    let mut known: Vec<String> = loaded
        .iter()
        .flat_map(|l| l.scenario.strategies.iter().map(|s| s.name.clone()))
        .collect();
    known.sort();
    known.dedup();
    let (with, without): (Vec<Loaded>, Vec<Loaded>) = loaded
        .into_iter()
        .partition(|l| l.scenario.strategies.iter().any(|s| s.name == name));
    if with.is_empty() {
        return Err(format!(
            "--strategy {name}: no scenario file has a strategy of this name; they have {}",
            known.join(", ")
        ));
    }
    for left_out in without {
        terminal::message(&format!(
            "{} has no strategy {name}: left out",
            left_out.path.display()
        ));
    }
    Ok(with)
}

/// Somebody else's servers are neither killed nor paused.
fn server_fault(loaded: &Loaded) -> Option<String> {
    let on_server = |target| {
        matches!(
            target,
            Target::Process(Victim::PostgresServer | Victim::KafkaServer)
        )
    };
    let (index, fault) = loaded
        .scenario
        .faults
        .iter()
        .enumerate()
        .find(|(_, fault)| on_server(fault.target))?;
    let error = loaded.fault_error(
        index,
        format!(
            "{} on {} is impossible with --stack external: the server is not a process of this program",
            fault.kind.name(),
            fault.target.name()
        ),
        "run this scenario with --stack local, or take a fault on a link (kind = \"down\" cuts it)"
            .to_owned(),
    );
    Some(error.to_string())
}

fn options(args: &RunArgs) -> Result<Options, String> {
    Ok(Options {
        strategy: args.strategy.clone(),
        out: args.out.clone(),
        stack: stack_choice(args.stack, &args.external, args.programs.as_ref())?,
        keep_stack: args.keep_stack,
        trace: !args.no_trace,
    })
}

/// Whether the stack that was named can be used at all.
pub(super) fn stack_is_named(stack: StackName, external: &Path) -> Result<(), (Outcome, String)> {
    match stack {
        StackName::Docker => Err((Outcome::Failed, DOCKER.to_owned())),
        StackName::External if !external.is_file() => {
            Err((Outcome::Usage, no_such_stack(external)))
        }
        StackName::External | StackName::Local => Ok(()),
    }
}

fn no_such_stack(external: &Path) -> String {
    format!(
        "--external {}: there is no such file; it describes the running stack (see docker-compose.yml and the README)",
        external.display()
    )
}

/// The stack, with the folder of its programs.
pub(super) fn stack_choice(
    stack: StackName,
    external: &Path,
    programs: Option<&PathBuf>,
) -> Result<StackChoice, String> {
    match (stack, programs) {
        (StackName::Docker, _) => Err(DOCKER.to_owned()),
        (StackName::External, _) => Ok(StackChoice::External {
            file: external.to_owned(),
            programs: programs.cloned().or_else(|| places::find_here(".stack").ok()),
        }),
        (StackName::Local, Some(programs)) => Ok(StackChoice::Local {
            programs: programs.clone(),
        }),
        (StackName::Local, None) => Ok(StackChoice::Local {
            programs: places::find_here(".stack").map_err(|tried| {
                format!(
                    "the stack failed: Kafka's jars and Toxiproxy are not installed ({}); run stack/install.sh in the checkout (`make run` does), name their folder with --programs DIR, or use --stack external",
                    places::show(&tried)
                )
            })?,
        }),
    }
}

/// Runs all of them, unless interrupted: the worst outcome, and a record of each.
async fn run_all(
    loaded: &[Loaded],
    options: &Options,
    reaper: &Arc<Reaper>,
    reporter: &Arc<dyn Reporter>,
    interrupted: watch::Receiver<bool>,
    came: &Mutex<Came>,
) {
    let add = |outcome, record| {
        let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
        came.add(outcome, record);
    };
    for one in loaded {
        if *interrupted.borrow() {
            // What was not run proves nothing.
            let why = "interrupted before it began";
            let record = unrun(&one.scenario, options.strategy.as_deref(), why);
            add(Outcome::Unknown, record);
            continue;
        }
        let result = run_scenario(
            &one.scenario,
            options,
            reaper,
            reporter,
            interrupted.clone(),
        )
        .await;
        terminal::hide_bar();
        let (outcome, record) = finish(one, options, result);
        add(outcome, record);
    }
}

/// Shows what there is to show.
fn finish(
    loaded: &Loaded,
    options: &Options,
    result: Result<Finished, RunError>,
) -> (Outcome, Record) {
    let (record, failure) = match result {
        Ok(Finished {
            record,
            folder,
            failure,
        }) => {
            if !record.strategies.is_empty() {
                results::show(&record, &folder);
            }
            terminal::message(&format!("everything about this run: {}", folder.display()));
            (record, failure)
        }
        Err(error) => {
            let why = error.to_string();
            let record = unrun(&loaded.scenario, options.strategy.as_deref(), &why);
            (record, Some(error))
        }
    };
    match failure {
        None => (Outcome::from(record.verdict), record),
        Some(error) => {
            terminal::message(&format!("{}: {error}", loaded.scenario.name));
            // An interruption does not take back what had been missed by then.
            let outcome = Outcome::from(&error).max(Outcome::from(record.verdict));
            (outcome, record)
        }
    }
}
