//! What the program says of itself: `list`, `schema`, `completions`.

use clap::{Args, ValueEnum};
use std::path::PathBuf;

/// `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Folder with scenario files [default: `scenarios` in this folder or one above it, else in the
    /// checkout that this program was built from]
    #[arg(long, value_name = "DIR")]
    pub scenarios: Option<PathBuf>,
    /// Print it as JSON
    #[arg(long)]
    pub json: bool,
}

/// `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// The file that programs and people agree on
    #[arg(value_enum, value_name = "CONTRACT")]
    pub of: SchemaOf,
}

/// A file that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// A scenario (scenarios/*.toml)
    Scenario,
    /// A relay of yours, or an order service (relay.toml, service.toml)
    Relay,
    /// What a run leaves (record.json)
    Record,
}

/// `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Whose
    pub shell: clap_complete::Shell,
}
