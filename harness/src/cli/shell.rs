//! `completions` and `man`: what shells and `man` know of this program, from its own arguments.

use super::args::{Cli, CompletionsArgs};
use super::exit::Outcome;
use super::terminal;
use clap::CommandFactory;

/// Writes a shell's completions to standard output.
pub fn completions(args: &CompletionsArgs) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "outbox-harness",
        &mut script,
    );
    terminal::results(&String::from_utf8_lossy(&script));
    Outcome::Met
}

/// Writes the manual's page to standard output: the program, then each of its commands.
pub fn man() -> Outcome {
    let mut page = Vec::new();
    let command = Cli::command();
    let all = std::iter::once(command.clone()).chain(command.get_subcommands().cloned());
    for command in all.filter(|command| !command.is_hide_set()) {
        if let Err(why) = clap_mangen::Man::new(command).render(&mut page) {
            terminal::message(&format!("the manual's page cannot be made: {why}"));
            return Outcome::Failed;
        }
    }
    terminal::results(&String::from_utf8_lossy(&page));
    Outcome::Met
}
