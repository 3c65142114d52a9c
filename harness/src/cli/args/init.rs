//! Arguments of `init`.

use crate::scenario::explain;
use clap::Args;
use std::path::PathBuf;

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The scenario file to write
    #[arg(value_name = "FILE", default_value = "first.toml")]
    pub file: PathBuf,
    /// Its strategies, separated by commas
    #[arg(long, value_name = "KIND", value_delimiter = ',', default_values = ["dual-write", "polling", "cdc"], value_parser = explain::STRATEGIES.map(|(kind, _)| kind))]
    pub strategy: Vec<String>,
}
