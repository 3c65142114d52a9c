//! Child processes: started, watched, killed with everything below them, never left behind.

pub mod reaper;
pub mod supervised;
pub mod tree;

pub use supervised::{Child, ChildSpec, Ready};
