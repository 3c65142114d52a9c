//! `demo`: a dual write loses events beside two outboxes that keep them, in under a minute.

mod cast;
mod hands;
pub mod occasion;
pub mod programme;
mod script;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod staged;
mod web;

use super::args::{DemoArgs, DemoStack, StackName};
use super::exit::Outcome;
use super::live::ending::Ending;
use super::live::lines::{EVERY_S, Lines};
use super::live::screen::{Performance, Screen};
use super::live::shown::Shown;
use super::live::story::Paper;
use super::run::NamedStack;
use super::session::Session;
use super::{browser, places, run, signals, terminal};
use crate::process::reaper::Reaper;
use crate::run::keyboard::Keyboard;
use crate::run::stage::Stage;
use crate::run::{Finished, Options, Reporter, RunError, Sink, run_on_stage};
use cast::Recording;
use hands::Hands;
use programme::Programme;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use web::Page;

/// So often what is shown is brought up to date.
const EVERY: Duration = Duration::from_millis(100);

/// What a demo is made of.
struct Demo<'a> {
    programme: &'a Programme,
    options: &'a Options,
    hands: Hands,
    /// Somebody sits at a terminal and presses keys.
    by_hand: bool,
    /// It is a page too.
    web: bool,
    /// A file in which it is recorded.
    record: Option<&'a Path>,
}

/// Tells a page, where there is one, what changes.
async fn feed(page: Option<&Page>) -> Infallible {
    match page {
        Some(page) => page.feed().await,
        None => std::future::pending().await,
    }
}

/// Shows it; says on standard error what is wrong.
pub fn demo(args: &DemoArgs) -> Outcome {
    if let Some(message) = places::unusable("--out", &args.out) {
        terminal::message(&message);
        return Outcome::Usage;
    }
    let by_hand = !args.script && terminal::is_a_screen();
    let programme = match by_hand {
        true => Programme::by_hand(),
        false => Programme::scripted(),
    };
    let programme = match programme {
        Ok(programme) => programme,
        Err(message) => {
            terminal::message(&message);
            return Outcome::Failed;
        }
    };
    let stack = run::stack_choice(NamedStack {
        name: match args.stack {
            DemoStack::Local => StackName::Local,
            DemoStack::Kept => StackName::Kept,
        },
        external: Path::new(""),
        kept: args.kept.as_deref(),
        programs: args.programs.as_deref(),
    });
    let options = match stack {
        Ok(stack) => Options {
            strategy: None,
            out: args.out.clone(),
            stack,
            keep_stack: false,
            trace: true,
        },
        Err(message) => {
            terminal::message(&message);
            return Outcome::Failed;
        }
    };
    let session = match Session::start() {
        Ok(session) => session,
        // It has said why.
        Err(outcome) => return outcome,
    };
    let demo = Demo {
        programme: &programme,
        options: &options,
        hands: Hands {
            board: Arc::new(programme.board()),
            keyboard: Arc::new(Keyboard::of(&programme.scenario)),
        },
        by_hand,
        web: args.web,
        record: args.record.as_deref(),
    };
    terminal::results(programme::INTRODUCTION);
    let ran = session.run(async |reaper, _, interrupted| demo.play(reaper, interrupted).await);
    // What is started from here on is not ended by it.
    drop(session);
    let (outcome, folder) = ran.unwrap_or_else(|outcome| (outcome, None));
    if let Some(folder) = folder.filter(|_| args.open) {
        browser::open_report_of(&folder);
    }
    outcome
}

impl Demo<'_> {
    /// Plays the whole of it, for whoever watches; a page is there for longer than the run.
    async fn play(
        &self,
        reaper: &Arc<Reaper>,
        interrupted: watch::Receiver<bool>,
    ) -> (Outcome, Option<PathBuf>) {
        let mut recording = match self.record.map(Recording::create).transpose() {
            Ok(recording) => recording,
            Err(message) => {
                terminal::message(&message);
                return (Outcome::Usage, None);
            }
        };
        let page = match self.page().await {
            Ok(page) => page,
            Err(message) => {
                terminal::message(&message);
                return (Outcome::Failed, None);
            }
        };
        let finished = tokio::select! {
            finished = self.run(reaper, interrupted.clone()) => finished,
            never = feed(page.as_ref()) => match never {},
            never = self.record(recording.as_mut()) => match never {},
        };
        let folder = finished
            .as_ref()
            .ok()
            .map(|finished| finished.folder.clone());
        let (ending, outcome) = self.told(finished);
        if let Some(Err(message)) = recording.map(|r| r.end(&self.shown(), &ending)) {
            terminal::message(&message);
        }
        self.hands.board.ended(ending);
        if let Some(page) = page {
            self.stays(page, interrupted).await;
        }
        (outcome, folder)
    }

    /// The page, where one is asked for; its address is told.
    async fn page(&self) -> Result<Option<Page>, String> {
        if !self.web {
            return Ok(None);
        }
        let page = Page::open(self.hands.clone()).await;
        let page = page.map_err(|error| {
            format!("--web: nothing can be served on a port of 127.0.0.1: {error}")
        })?;
        let url = page.url();
        terminal::results(&format!("\nthe same in a browser: {url}\n\n"));
        self.hands.board.has_page(url.to_owned());
        Ok(Some(page))
    }

    async fn stays(&self, page: Page, interrupted: watch::Receiver<bool>) {
        if !*interrupted.borrow() {
            let hours = web::STAYS.as_secs() / 3600;
            terminal::results(&format!(
                "\nthe page stays until Ctrl-C here or q there, for {hours} h at most: {}\n",
                page.url()
            ));
        }
        signals::nothing_runs();
        page.stay(interrupted).await;
    }

    async fn record(&self, recording: Option<&mut Recording>) -> Infallible {
        match recording {
            Some(recording) => recording.take(|| self.shown()).await,
            None => std::future::pending().await,
        }
    }

    fn shown(&self) -> Shown {
        self.hands.shown()
    }

    /// The run, with whoever plays and shows it for as long as it goes on.
    async fn run(
        &self,
        reaper: &Arc<Reaper>,
        interrupted: watch::Receiver<bool>,
    ) -> Result<Finished, RunError> {
        let stage = Stage {
            keyboard: Arc::clone(&self.hands.keyboard),
        };
        let reporter = Reporter::to([self.hands.board.clone() as Arc<dyn Sink>]);
        let scenario = &self.programme.scenario;
        let told = (&reporter, &stage);
        if self.by_hand {
            match Screen::open(Arc::new(self.hands.clone()), terminal::results_in_colour()) {
                // It is closed before anything else is written.
                Ok(_screen) => {
                    return run_on_stage(scenario, self.options, reaper, told, interrupted).await;
                }
                Err(error) => terminal::message(&format!(
                    "the terminal cannot be taken, so it plays by itself, in lines: {error}"
                )),
            }
        }
        let mut lines = Lines::every(EVERY_S);
        let finished = tokio::select! {
            finished = run_on_stage(scenario, self.options, reaper, told, interrupted) => finished,
            never = self.show(&mut lines) => match never {},
            never = script::play(&self.hands) => match never {},
        };
        // What happened since the last look.
        terminal::results(&lines.of(&self.hands.board.now()));
        finished
    }

    async fn show(&self, lines: &mut Lines) -> Infallible {
        loop {
            let text = lines.of(&self.hands.board.now());
            if !text.is_empty() {
                terminal::results(&text);
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Tells what came of it.
    fn told(&self, finished: Result<Finished, RunError>) -> (Ending, Outcome) {
        let scenario = &self.programme.scenario;
        let Finished {
            record,
            folder,
            failure,
        } = match finished {
            Ok(finished) => finished,
            Err(error) => {
                let why = format!("{}: {error}", scenario.name);
                terminal::message(&why);
                return (Ending::failed(why), Outcome::from(&error));
            }
        };
        let ending = Ending::of(&record, scenario, &folder, &occasion::occasion());
        terminal::results(&Paper::of_results().tell(&ending));
        let outcome = run::outcome(scenario, record.verdict, failure.as_ref());
        (ending, outcome)
    }
}
