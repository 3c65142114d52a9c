//! Arguments of `compare`.

use super::bench::BenchShared;
use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;

pub(super) const COMPARE_EXAMPLES: &str = "\
Examples:
  outbox-harness compare runs/base runs/new
  outbox-harness compare runs/base runs/new --max-regression 10% --markdown compare.md
  outbox-harness compare base new --max-regression 10% --confirm base2 new2
  outbox-harness compare --scenario scenarios/steady.toml --strategies cdc,polling
  outbox-harness compare --scenario scenarios/broker-outage.toml --strategies polling,cdc --runs 12 --metrics recovery,end_to_end_p50

How to read it, and what an alarm and a pass are worth: docs/comparing.md.

Exit code: 0 compared, and nothing got worse that must not; 1 something did: a figure by more than --max-regression, and
a second set of pairs shows it by itself, or NEW lost, duplicated or reordered what it must not; 2 usage, or runs
that are not alike; 3 nothing can be told, or an alarm is not confirmed; 4 the stack failed.";

/// `compare`.
#[derive(Debug, Args)]
#[command(after_help = COMPARE_EXAMPLES)]
pub struct CompareArgs {
    /// Runs to compare with
    #[arg(
        value_name = "BASE",
        required_unless_present = "scenario",
        requires = "new"
    )]
    pub base: Option<PathBuf>,
    /// Runs that may have become better or worse
    #[arg(value_name = "NEW")]
    pub new: Option<PathBuf>,
    /// A second set of both, which an alarm of the first one has to be in as well
    #[arg(long, num_args = 2, value_names = ["BASE", "NEW"], conflicts_with = "scenario")]
    pub confirm: Vec<PathBuf>,
    /// Run the strategies of this scenario file in rounds, and compare them
    #[arg(long, value_name = "FILE", conflicts_with = "base")]
    pub scenario: Option<PathBuf>,
    /// Rounds; after an alarm as many again
    #[arg(long, value_name = "N", conflicts_with = "base", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub runs: u32,
    /// Its strategies, separated by commas; each is compared with the first [default: all, in the file's order]
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        conflicts_with = "base"
    )]
    pub strategies: Vec<String>,
    /// Run the first strategy twice a round, to see how much equal runs differ
    #[arg(long, value_name = "BOOL", conflicts_with = "base", default_value_t = true, num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub noise_floor: bool,
    /// Exit code 1 if a figure is worse by more than this, such as 10%, and a second set of pairs shows it too
    #[arg(long, value_name = "SHARE")]
    pub max_regression: Option<Regression>,
    /// Only these figures, separated by commas: fewer need fewer rounds
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub metrics: Vec<String>,
    /// Compare runs of unlike scenarios, stacks or machines, and say so on top
    #[arg(long, conflicts_with = "scenario")]
    pub allow_unlike: bool,
    /// Also write the comparison as Markdown to this file
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Also write it as a page to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Then show the page in a browser, as for `run`: that of --html, of the rounds, or of --history
    #[arg(long)]
    pub open: bool,
    /// Also keep it in this folder, whose index.html shows all comparisons kept there over time
    #[arg(long, value_name = "DIR")]
    pub history: Option<PathBuf>,
    /// What all benchmarks take
    #[command(flatten)]
    pub shared: BenchShared,
}

/// By how much a figure may be worse, as a share.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regression(pub f64);

impl FromStr for Regression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let percent = text
            .strip_suffix('%')
            .and_then(|percent| percent.parse::<f64>().ok());
        match percent {
            Some(percent) if percent > 0.0 && percent < 100.0 => Ok(Self(percent / 100.0)),
            _ => Err(format!(
                "`{text}` is no share: write for example 10%, above 0% and below 100%"
            )),
        }
    }
}
