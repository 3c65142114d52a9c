//! `run`: every file checked first, then one scenario after the other.

use super::args::{RunArgs, StackName};
use super::exit::Outcome;
use super::session::Session;
use super::{browser, github, memory, places, results, selection, tally, terminal, watch};
use crate::process::environment;
use crate::process::reaper::Reaper;
use crate::run::{
    Finished, Options, Reporter, RunError, StackChoice, run as run_scenario, server_settings, unrun,
};
use crate::scenario::{LoadedScenario, Scenario, Target, Victim, load};
use crate::stack::{docker_can_be, docker_is_usable, local_is_installed};
use crate::workload::read_connections;
use reports::record::{Record, Verdict};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch::Receiver;

const NO_SESSION: &str = "outbox-harness could not begin (see its messages)";
const UNTIL_FAIL: &str = "not run: a scenario before it was not a pass (--until-fail)";
const FAIL_FAST: &str = "not run: a scenario before it was not a pass (--fail-fast)";
const GIVEN_UP: &str = "interrupted twice: what was under way was given up (see the run's folder)";

/// What came of the runs so far.
struct Came {
    worst: Outcome,
    /// Of the first runs, in their order.
    outcomes: Vec<Outcome>,
    /// Records of the same, where somebody wants them: a thousand rounds have many.
    records: Option<Vec<Record>>,
    /// Who is shown each of them.
    step: Option<github::Step>,
    /// The folder of the first that was no pass, or else of the last, and what came of it.
    telling: Option<(Outcome, PathBuf)>,
}

impl Came {
    fn nothing(args: &RunArgs) -> Self {
        let is_asked_for = args.json.is_some() || args.junit.is_some();
        Self {
            worst: Outcome::Met,
            outcomes: Vec::new(),
            records: is_asked_for.then(Vec::new),
            step: github::Step::here(),
            telling: None,
        }
    }

    /// Notes where a run's reports are.
    fn has_folder(&mut self, outcome: Outcome, folder: PathBuf) {
        let is_told = matches!(&self.telling, Some((outcome, _)) if *outcome != Outcome::Met);
        if !is_told {
            self.telling = Some((outcome, folder));
        }
    }

    fn add(&mut self, loaded: &LoadedScenario, outcome: Outcome, record: Record) {
        if let Some(step) = &self.step {
            step.show(loaded, &record);
        }
        self.worst = self.worst.max(outcome);
        self.outcomes.push(outcome);
        if let Some(records) = &mut self.records {
            records.push(record);
        }
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
    if args.list {
        terminal::results(&tally::planned(&loaded, args));
        return Outcome::Met;
    }
    for file in args.json.iter().chain(&args.junit) {
        results::clear(file);
    }
    let is_watched = args.watch && watch::is_possible();
    // All of them once, and then again: what fails now and then is not always the last one.
    let rounds = args.rounds() as usize;
    let runs: Vec<&LoadedScenario> = (0..rounds).flat_map(|_| &loaded).collect();
    let options = match options(args) {
        Ok(options) => options,
        Err(message) => {
            terminal::message(&message);
            return the_rest_was_not_run(
                args,
                &runs,
                Came::nothing(args),
                0,
                &message,
                Outcome::Failed,
            );
        }
    };
    let session = match Session::start() {
        Ok(session) => session,
        // It has said why.
        Err(outcome) => {
            let came = Came::nothing(args);
            return the_rest_was_not_run(args, &runs, came, 0, NO_SESSION, outcome);
        }
    };
    let asked = Asked {
        args,
        options: &options,
        is_watched,
    };
    let (outcome, folder) = in_session(asked, &runs, &session);
    // What is started from here on is not ended by it.
    drop(session);
    if let Some(folder) = folder.filter(|_| args.open) {
        browser::open_report_of(&folder);
    }
    outcome
}

/// What was asked for, checked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    args: &'a RunArgs,
    options: &'a Options,
    /// Each run is shown as it goes on.
    is_watched: bool,
}

fn in_session(
    asked: Asked<'_>,
    runs: &[&LoadedScenario],
    session: &Session,
) -> (Outcome, Option<PathBuf>) {
    let args = asked.args;
    // Outside the work, which is dropped on a second Ctrl-C: what has been judged stays.
    let came = Mutex::new(Came::nothing(args));
    let ran = session.run(async |reaper, reporter, interrupted| {
        run_all(asked, runs, reaper, reporter, interrupted, &came).await;
    });
    let mut came = came.into_inner().unwrap_or_else(PoisonError::into_inner);
    let folder = came.telling.take().map(|(_, folder)| folder);
    if args.rounds() > 1 {
        let round = runs.len() / args.rounds() as usize;
        terminal::results(&tally::of_rounds(&runs[..round], &came.outcomes));
    }
    let outcome = match ran {
        Ok(()) => {
            let why = if args.fail_fast {
                FAIL_FAST
            } else {
                UNTIL_FAIL
            };
            let (worst, begun) = (came.worst, came.outcomes.len());
            the_rest_was_not_run(args, runs, came, begun, why, worst)
        }
        Err(outcome) => {
            let given_up = outcome == Outcome::Unknown;
            let why = if given_up { GIVEN_UP } else { NO_SESSION };
            // That one had begun, and nothing came of it.
            let begun = came.outcomes.len() + 1;
            the_rest_was_not_run(args, runs, came, begun, why, outcome)
        }
    };
    (outcome, folder)
}

/// Leaves behind what was not run, so that whoever reads only files sees it: of many rounds, the rest of the round of the
/// last of so many runs that had `begun`.
fn the_rest_was_not_run(
    args: &RunArgs,
    runs: &[&LoadedScenario],
    mut came: Came,
    begun: usize,
    why: &str,
    outcome: Outcome,
) -> Outcome {
    let round = runs.len() / args.rounds() as usize;
    let until = begun.max(1).next_multiple_of(round.max(1)).min(runs.len());
    for one in runs.get(came.outcomes.len()..until).unwrap_or_default() {
        let record = unrun(&one.scenario, args.strategy.as_deref(), why);
        came.add(one, outcome, record);
    }
    let worst = came.worst.max(outcome);
    write_results(
        args,
        runs.len(),
        came.records.as_deref().unwrap_or_default(),
        worst,
    )
}

/// Writes the files that were asked for; `runs` is how many there were to be.
fn write_results(args: &RunArgs, runs: usize, records: &[Record], mut outcome: Outcome) -> Outcome {
    let files = [
        (&args.json, results::json as fn(&[Record], bool) -> _),
        (&args.junit, |records, _| results::junit(records)),
    ];
    for (file, render) in files {
        let Some(file) = file else { continue };
        if let Err(message) = results::write(file, render(records, runs > 1)) {
            terminal::message(&message);
            outcome = outcome.max(Outcome::Failed);
        }
    }
    outcome
}

/// Everything that can be wrong before anything starts, all of it at once.
pub(super) fn prepare(args: &RunArgs) -> Result<Vec<LoadedScenario>, Vec<String>> {
    let mut wrong = Vec::new();
    let mut loaded = Vec::new();
    let files = selection::files(&args.scenarios).unwrap_or_else(|messages| {
        wrong.extend(messages);
        Vec::new()
    });
    for file in &files {
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
    let too_large = |l: &LoadedScenario| memory::too_large(&l.path, &l.scenario);
    wrong.extend(loaded.iter().filter_map(too_large));
    wrong.extend(loaded.iter().filter_map(too_few_files));
    wrong.extend(places::unusable("--out", &args.out));
    if let Some(others) = Others::of(args.stack) {
        wrong.extend(loaded.iter().filter_map(|l| server_fault(l, others)));
        wrong.extend(loaded.iter().filter_map(|l| server_setting(l, others)));
    }
    if args.stack == StackName::Docker {
        wrong.extend(loaded.iter().filter_map(containers_lack));
    }
    if args.stack == StackName::External && !args.external.is_file() {
        wrong.push(no_such_stack(&args.external));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    if let Some(name) = &args.strategy {
        loaded = with_strategy(loaded, name).map_err(|message| vec![message])?;
    }
    if args.keep_stack && args.strategy.is_none() {
        let twice: Vec<String> = loaded.iter().filter_map(kept_twice).collect();
        if !twice.is_empty() {
            return Err(twice);
        }
    }
    if let Some(shard) = args.shard {
        loaded = selection::shard(loaded, shard, args.strategy.as_deref())
            .map_err(|message| vec![message])?;
    }
    Ok(loaded)
}

/// The scenarios of which a strategy finds what another one left in a topic of both, since it was to be kept.
fn kept_twice(loaded: &LoadedScenario) -> Option<String> {
    let mut of: BTreeMap<String, &str> = BTreeMap::new();
    for strategy in &loaded.scenario.strategies {
        // Names that have the run's own in them are different ones.
        let own = format!("oh..{}", strategy.name);
        for topic in strategy.kind.topics(&own) {
            if let Some(before) = of.insert(topic.clone(), &strategy.name) {
                return Some(format!(
                    "{}: {before} and {} publish to the same topic, {topic}, and --keep-stack keeps the first one's \
                     events there: run one of them (--strategy {before}), or leave --keep-stack out",
                    loaded.path.display(),
                    strategy.name
                ));
            }
        }
    }
    None
}

/// The scenarios whose connections need more files than a process may have open here.
fn too_few_files(loaded: &LoadedScenario) -> Option<String> {
    let workload = &loaded.scenario.workload;
    let connections = (workload.connections + read_connections(workload)) as u64;
    let problem = environment::too_few_files(connections)?;
    Some(format!("{}: {problem}", loaded.path.display()))
}

/// The scenarios that have this strategy; those that do not are named and left out.
fn with_strategy(loaded: Vec<LoadedScenario>, name: &str) -> Result<Vec<LoadedScenario>, String> {
    let mut known: Vec<String> = loaded
        .iter()
        .flat_map(|l| l.scenario.strategies.iter().map(|s| s.name.clone()))
        .collect();
    known.sort();
    known.dedup();
    let (with, without): (Vec<LoadedScenario>, Vec<LoadedScenario>) = loaded
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

/// Servers that a run finds are not its processes, whosever they are.
#[derive(Clone, Copy)]
struct Others {
    /// The option that has them used.
    option: &'static str,
    /// Why they are not killed, nor paused.
    whose: &'static str,
    /// Why no commit of theirs is to wait for a process of a run.
    of_commits: &'static str,
    /// What else can be done about that.
    standby: &'static str,
}

impl Others {
    /// Those of such a stack; `None` where the run starts its own.
    fn of(stack: StackName) -> Option<Self> {
        match stack {
            StackName::Local | StackName::Docker | StackName::Auto => None,
            StackName::External => Some(Self {
                option: "--stack external",
                whose: "the server is not a process of this program",
                of_commits: "every commit of somebody's server would wait for a process of this program, and for ever once that is gone",
                standby: ", or give your server a standby yourself and take the key out",
            }),
            StackName::Kept => Some(Self {
                option: "--stack kept",
                whose: "a kept stack is used, whose servers stay for the next run",
                of_commits: "every commit on a kept stack would wait for a process of this run, and for ever once that is gone",
                standby: "",
            }),
        }
    }
}

/// They are neither killed nor paused.
fn server_fault(loaded: &LoadedScenario, others: Others) -> Option<String> {
    let is_server = |victim: &Victim| matches!(victim, Victim::Server(_));
    let on_server = |target: Target| target.processes().iter().any(is_server);
    let (index, fault) = loaded
        .scenario
        .faults
        .iter()
        .enumerate()
        .find(|(_, fault)| on_server(fault.target))?;
    let error = loaded.fault_error(
        index,
        format!(
            "{} on {} is impossible with {}: {}",
            fault.kind.name(),
            fault.target.name(),
            others.option,
            others.whose
        ),
        "run this scenario with --stack local, or take a fault on a link (kind = \"down\" cuts it)"
            .to_owned(),
    );
    Some(error.to_string())
}

/// Nor are they set up anew.
fn server_setting(loaded: &LoadedScenario, others: Others) -> Option<String> {
    let key = loaded.scenario.stack.own_server_key()?;
    let (why, else_do) = match key {
        "synchronous_standby" | "hot_standby" => (others.of_commits, others.standby),
        "kafka" => (
            "its Kafka is there already, of as many brokers as it is",
            "",
        ),
        _ => (
            "the limit would be that of every other slot of the server as well",
            "",
        ),
    };
    let error = loaded.stack_error(
        format!("`{key}` is impossible with {}: {why}", others.option),
        format!("run this scenario with --stack local{else_do}"),
    );
    Some(error.to_string())
}

/// The scenarios that need what the containers are not.
fn containers_lack(loaded: &LoadedScenario) -> Option<String> {
    let lacking = docker_can_be(&server_settings(&loaded.scenario)).err()?;
    let file = loaded.path.display();
    Some(format!("{file}: impossible with --stack docker: {lacking}"))
}

pub(super) fn options(args: &RunArgs) -> Result<Options, String> {
    Ok(Options {
        strategy: args.strategy.clone(),
        out: args.out.clone(),
        stack: stack_choice(NamedStack {
            name: args.stack,
            external: &args.external,
            kept: args.kept.as_deref(),
            programs: args.programs.as_deref(),
        })?,
        keep_stack: args.keep_stack,
        trace: !args.no_trace,
    })
}

/// Whether the stack that was named can be used at all.
pub(super) fn stack_is_named(stack: StackName, external: &Path) -> Result<(), (Outcome, String)> {
    match stack {
        StackName::External if !external.is_file() => {
            Err((Outcome::Usage, no_such_stack(external)))
        }
        _ => Ok(()),
    }
}

fn no_such_stack(external: &Path) -> String {
    format!(
        "--external {}: there is no such file; it describes the running stack (see docker-compose.yml and docs/servers.md)",
        external.display()
    )
}

/// A stack as the arguments of a command name it.
#[derive(Clone, Copy)]
pub(super) struct NamedStack<'a> {
    pub name: StackName,
    pub external: &'a Path,
    pub kept: Option<&'a Path>,
    pub programs: Option<&'a Path>,
}

/// Returns the stack, with the folder of its programs; an Err says why it cannot be had, with the remedy.
pub(super) fn stack_choice(named: NamedStack<'_>) -> Result<StackChoice, String> {
    let programs = named.programs.map(Path::to_owned);
    match named.name {
        StackName::Docker => docker_is_usable().map(|()| StackChoice::Docker {
            programs: programs.or_else(|| places::find_here(".stack").ok()),
        }),
        StackName::Auto => {
            let local = places::programs(named.programs).and_then(|programs| {
                local_is_installed(&programs)?;
                Ok(StackChoice::Local { programs })
            });
            local.or_else(|lacking| match docker_is_usable() {
                Ok(()) => Ok(StackChoice::Docker { programs }),
                Err(neither) => Err(format!(
                    "--stack auto: neither can be had.\nlocal: {lacking}\ndocker: {neither}"
                )),
            })
        }
        StackName::External => Ok(StackChoice::External {
            file: named.external.to_owned(),
            programs: programs.or_else(|| places::find_here(".stack").ok()),
        }),
        StackName::Local => Ok(StackChoice::Local {
            programs: places::programs(named.programs)?,
        }),
        StackName::Kept => {
            let folder = places::kept(named.kept, named.programs)?;
            folder.up().map_err(|e| e.to_string())?;
            Ok(StackChoice::Kept { folder })
        }
    }
}

/// Runs all of them, unless interrupted, or told not to go on after one that is not a pass.
async fn run_all(
    Asked {
        args,
        options,
        is_watched,
    }: Asked<'_>,
    runs: &[&LoadedScenario],
    reaper: &Arc<Reaper>,
    reporter: &Reporter,
    interrupted: Receiver<bool>,
    came: &Mutex<Came>,
) {
    let add = |loaded, outcome, record| {
        let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
        came.add(loaded, outcome, record);
    };
    let (rounds, each) = (args.rounds(), runs.len() / args.rounds() as usize);
    for (n, one) in runs.iter().enumerate() {
        if *interrupted.borrow() {
            // What was not run proves nothing; of rounds that nobody waits for, one is enough to say so.
            let round = runs[n..].iter().take(each - n % each);
            for one in round {
                let why = "interrupted before it began";
                let record = unrun(&one.scenario, options.strategy.as_deref(), why);
                add(one, Outcome::Unknown, record);
            }
            return;
        }
        if rounds > 1 && n % each == 0 {
            terminal::message(&format!("round {} of {rounds}", n / each + 1));
        }
        let (scenario, interrupted) = (&one.scenario, interrupted.clone());
        let result = if is_watched {
            let place = (n + 1, runs.len());
            watch::run(scenario, options, reaper, reporter, interrupted, place).await
        } else {
            run_scenario(scenario, options, reaper, reporter, interrupted).await
        };
        terminal::hide_bar();
        let folder = result.as_ref().ok().map(|finished| finished.folder.clone());
        let (outcome, record) = finish(one, options, result);
        add(one, outcome, record);
        if let Some(folder) = folder {
            let mut came = came.lock().unwrap_or_else(PoisonError::into_inner);
            came.has_folder(outcome, folder);
        }
        if outcome != Outcome::Met && (args.fail_fast || args.until_fail) {
            return;
        }
    }
}

/// Shows what there is to show.
fn finish(
    loaded: &LoadedScenario,
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
    let outcome = outcome(&loaded.scenario, record.verdict, failure.as_ref());
    (outcome, record)
}

/// Returns what a run came to; what ended it, if anything did, is said.
pub(super) fn outcome(
    scenario: &Scenario,
    verdict: Verdict,
    failure: Option<&RunError>,
) -> Outcome {
    let Some(error) = failure else {
        return Outcome::from(verdict);
    };
    terminal::message(&format!("{}: {error}", scenario.name));
    // An interruption does not take back what had been missed by then.
    Outcome::from(error).max(Outcome::from(verdict))
}
