//! Child processes: started, watched, killed with everything below them, never left behind.

pub mod environment;
mod life;
pub mod log;
mod output;
pub mod reaper;
mod spawn;
mod stat;
pub(crate) mod stillness;
pub mod supervised;
pub mod tree;

pub use life::OwnEnd;
pub use supervised::{Child, ChildError, ChildSpec, Ready};
