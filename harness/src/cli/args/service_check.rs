//! Arguments of `service-check`.

use clap::Args;

pub(super) const SERVICE_CHECK_EXAMPLES: &str = "\
Examples:
  outbox-harness service-check http://127.0.0.1:8080
  outbox-harness service-check http://127.0.0.1:8080 --json

Exit code: 0 every rule is kept; 1 one is broken; 2 the URL is wrong; 3 none is broken, and one could not
be tried; 4 the service cannot be reached.";

/// `service-check`.
#[derive(Debug, Args)]
#[command(after_help = SERVICE_CHECK_EXAMPLES)]
pub struct ServiceCheckArgs {
    /// Where it listens, such as http://127.0.0.1:8080
    #[arg(value_name = "URL")]
    pub url: String,
    /// Print the findings as JSON, once all of them are there
    #[arg(long)]
    pub json: bool,
}
