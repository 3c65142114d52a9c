//! `compare`: saved runs, or rounds that are run for it.

use super::args::{CompareArgs, RunArgs};
use super::exit::Outcome;
use super::session::Session;
use super::{browser, results, run as run_command, terminal};
use crate::bench::compare::{CompareOptions, FinishedCompare, page_in, run};
use crate::compare::{RunSet, Terms, chosen, compare_sets};
use crate::run::{saved, trend};
use reports::ExportError;
use reports::compare::terminal::CompareText;
use reports::compare::{Compare, html, json, markdown};
use std::path::{Path, PathBuf};

/// Compares; says on standard error what is wrong.
pub fn compare(args: &CompareArgs) -> Outcome {
    let compared = terms(args).and_then(|terms| match (&args.scenario, &args.base, &args.new) {
        (Some(file), _, _) => rounds(args, file, terms),
        (None, Some(base), Some(new)) => of_saved(args, base, new, &terms),
        // The arguments want one of them.
        (None, _, _) => Err((
            Outcome::Usage,
            "name BASE and NEW, or --scenario FILE".to_owned(),
        )),
    });
    match compared {
        Ok((outcome, page)) => {
            if let Some(page) = page.filter(|_| args.open) {
                browser::open(&page);
            }
            outcome
        }
        Err((outcome, message)) => {
            terminal::message(&message);
            outcome
        }
    }
}

type Wrong = (Outcome, String);

/// What a comparison came to, and the page that shows it, where there is one.
type Compared = (Outcome, Option<PathBuf>);

/// What is asked, and whether it can be answered where it is wanted.
fn terms(args: &CompareArgs) -> Result<Terms, Wrong> {
    let usage = |message| (Outcome::Usage, message);
    for (option, file, _) in files(args) {
        results::writable(option, file).map_err(usage)?;
    }
    if args.open && page_of(args).is_none() && args.scenario.is_none() {
        return Err(usage(NO_PAGE.to_owned()));
    }
    if let Some(kept_in) = &args.history {
        trend::prepare(kept_in).map_err(usage)?;
    }
    let metrics = chosen(&args.metrics);
    Ok(Terms {
        max_regression: args.max_regression.map(|limit| limit.0),
        metrics: metrics.map_err(|message| usage(format!("--metrics: {message}")))?,
        allow_unlike: args.allow_unlike,
    })
}

/// The page that was asked for: the one of this comparison, or that of all that are kept.
fn page_of(args: &CompareArgs) -> Option<PathBuf> {
    let kept = args.history.as_deref().map(trend::page_in);
    args.html.clone().or(kept)
}

type Format = fn(&Compare) -> Result<Vec<u8>, ExportError>;

/// The files that were asked for, each with its option and its format.
fn files(args: &CompareArgs) -> impl Iterator<Item = (&'static str, &PathBuf, Format)> {
    let all: [(_, _, Format); 3] = [
        ("--json", &args.shared.json, json),
        ("--markdown", &args.markdown, |of| {
            Ok(markdown::render(of).into_bytes())
        }),
        ("--html", &args.html, |of| Ok(html::render(of).into_bytes())),
    ];
    all.into_iter()
        .filter_map(|(option, file, format)| Some((option, file.as_ref()?, format)))
}

fn of_saved(args: &CompareArgs, base: &Path, new: &Path, terms: &Terms) -> Result<Compared, Wrong> {
    let usage = |message| (Outcome::Usage, message);
    clear_earlier(args, [base, new].into_iter().map(Path::new)).map_err(usage)?;
    let set = |name: &str, place: &Path| {
        let records = saved(place).map_err(usage)?;
        Ok::<RunSet, Wrong>(RunSet {
            name: name.to_owned(),
            from: place.display().to_string(),
            records,
        })
    };
    let sets = [set("base", base)?, set("new", new)?];
    let confirming = match &args.confirm[..] {
        [base, new] => Some([set("base", base)?, set("new", new)?]),
        _ => None,
    };
    let confirming = confirming.as_ref().map(|[base, new]| [base, new]);
    let [base, new] = &sets;
    let compare = compare_sets([base, new], confirming, terms).map_err(|e| usage(e.to_string()))?;
    Ok((shown(args, &compare), page_of(args)))
}

/// Takes away what an earlier comparison wrote, which must not pass for this one's; but nothing of what is compared.
fn clear_earlier<'a>(
    args: &'a CompareArgs,
    compared: impl Iterator<Item = &'a Path>,
) -> Result<(), String> {
    let whole = |path: &Path| std::fs::canonicalize(path).ok();
    let compared = compared.chain(args.confirm.iter().map(PathBuf::as_path));
    let compared: Vec<PathBuf> = compared.filter_map(whole).collect();
    for (option, file, _) in files(args) {
        let is_compared = |file: PathBuf| {
            let is_record = file.file_name().is_some_and(|name| name == "record.json");
            compared
                .iter()
                .any(|place| file == *place || (is_record && file.starts_with(place)))
        };
        if whole(file).is_some_and(is_compared) {
            let shown = file.display();
            return Err(format!(
                "{option} {shown}: this is a record that is compared; name another file"
            ));
        }
        results::clear(file);
    }
    Ok(())
}

/// Everything that can be wrong with the scenario and the stack is found as `run` finds it.
fn rounds(args: &CompareArgs, file: &Path, terms: Terms) -> Result<Compared, Wrong> {
    let shared = &args.shared;
    let of_run = RunArgs {
        scenarios: vec![file.to_owned()],
        strategy: None,
        list: false,
        shard: None,
        repeat: None,
        until_fail: false,
        fail_fast: false,
        out: shared.out.clone(),
        junit: None,
        json: None,
        stack: shared.stack,
        external: shared.external.clone(),
        open: false,
        watch: false,
        kept: shared.kept.clone(),
        keep_stack: false,
        no_trace: false,
        programs: shared.programs.clone(),
    };
    let loaded = run_command::prepare(&of_run).map_err(|all| (Outcome::Usage, all.join("\n")))?;
    let [one] = &loaded[..] else {
        let message = format!("{}: --scenario takes one scenario file", file.display());
        return Err((Outcome::Usage, message));
    };
    let options = CompareOptions {
        of_run: run_command::options(&of_run).map_err(|message| (Outcome::Failed, message))?,
        rounds: args.runs,
        strategies: args.strategies.clone(),
        noise_floor: args.noise_floor,
        terms,
    };
    options
        .check(&one.scenario)
        .map_err(|message| (Outcome::Usage, format!("{}: {message}", file.display())))?;
    for (_, file, _) in files(args) {
        results::clear(file);
    }
    // It has said why.
    let session = match Session::start() {
        Ok(session) => session,
        Err(outcome) => return Ok((outcome, None)),
    };
    let ran = session.run(async |reaper, reporter, interrupted| {
        run(&one.scenario, &options, reaper, reporter, interrupted).await
    });
    match ran {
        Ok(Ok(FinishedCompare {
            compare,
            folder,
            failure,
        })) => {
            let mut outcome = shown(args, &compare);
            if let Some(error) = failure {
                terminal::message(&format!("compare: {error}"));
                outcome = outcome.max(Outcome::from(&error));
            }
            let shown_at = folder.display();
            terminal::message(&format!("everything about this comparison: {shown_at}"));
            let page = args.html.clone().unwrap_or_else(|| page_in(&folder));
            Ok((outcome, Some(page)))
        }
        Ok(Err(error)) => Err((Outcome::from(&error), format!("compare: {error}"))),
        Err(outcome) => Ok((outcome, None)),
    }
}

/// Shows a comparison, and writes the files that were asked for.
fn shown(args: &CompareArgs, compare: &Compare) -> Outcome {
    let text = CompareText {
        colour: terminal::results_in_colour(),
        width: terminal::results_width().min(MOST_COLUMNS),
    };
    terminal::results(&text.render(compare));
    let mut outcome = Outcome::from(compare.verdict);
    for (_, file, format) in files(args) {
        if let Err(message) = results::write(file, format(compare)) {
            terminal::message(&message);
            outcome = outcome.max(Outcome::Failed);
        }
    }
    if let Some(kept_in) = &args.history {
        outcome = outcome.max(keep(kept_in, compare));
    }
    outcome
}

/// Keeps a comparison beside those of before; says what could not be read of them.
fn keep(kept_in: &Path, compare: &Compare) -> Outcome {
    match trend::keep(kept_in, compare) {
        Ok(kept) => {
            for (file, why) in &kept.unread {
                let kept_in = kept_in.display();
                terminal::message(&format!("{kept_in}: {file} is not shown: {why}"));
            }
            let page = kept.page.display();
            terminal::message(&format!("comparisons over time: {page}"));
            Outcome::Met
        }
        Err(error) => {
            terminal::message(&format!("--history: {error}"));
            Outcome::Failed
        }
    }
}

const NO_PAGE: &str = "--open: no page of this comparison is written; name one with --html FILE";

/// Lines of text are read no better where they are longer.
const MOST_COLUMNS: usize = 80;
