//! The last resort: a process of its own group, blocked on a pipe whose only writer is the harness.
//! At end of file it stops the tree of every process the harness spawned, top down until nothing
//! new appears, and kills it. See docs/architecture.md for why neither process groups nor
//! PR_SET_PDEATHSIG are enough.

/// Process group into which every child is spawned; the reaper leads it.
#[derive(Debug)]
pub struct Reaper {}

impl Reaper {
    /// Starts the reaper (this binary's hidden subcommand `reaper`).
    pub fn start() -> std::io::Result<Self> {
        unimplemented!("H1")
    }

    /// The group children are spawned into.
    pub fn process_group(&self) -> i32 {
        unimplemented!("H1")
    }

    /// Tells the reaper what to drop from an external stack if the harness dies: one JSON line,
    /// written before the thing is created.
    pub fn note_external(&self, note: &crate::stack::external::Leftover) -> std::io::Result<()> {
        let _ = note;
        unimplemented!("H1")
    }
}

/// Body of the hidden subcommand.
pub fn main() -> std::process::ExitCode {
    unimplemented!("H1")
}
