//! Arguments of `claims`.

use clap::Args;
use std::path::PathBuf;

pub(super) const CLAIMS_EXAMPLES: &str = "\
Examples:
  outbox-harness claims
  outbox-harness run $(outbox-harness claims) --repeat 3 --json records.json
  outbox-harness claims records.json --page docs/claims.md

Exit code: 0 every claim holds in each of its runs; 1 one is broken in a run; 2 usage; 3 of one nothing can be said.";

/// `claims`.
#[derive(Debug, Args)]
#[command(after_help = CLAIMS_EXAMPLES)]
pub struct ClaimsArgs {
    /// What `run --json` wrote of the runs
    #[arg(value_name = "RECORDS")]
    pub records: Option<PathBuf>,
    /// File of the claims
    #[arg(long, value_name = "FILE", default_value = "docs/claims.toml")]
    pub claims: PathBuf,
    /// Folder of the scenarios
    #[arg(long, value_name = "DIR", default_value = "scenarios")]
    pub scenarios: PathBuf,
    /// Write the page into this file instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub page: Option<PathBuf>,
    /// The way from the page to the folder of the scenarios, for its links
    #[arg(long, value_name = "PATH", default_value = "../scenarios")]
    pub link: String,
}
