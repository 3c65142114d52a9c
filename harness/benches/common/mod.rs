//! What benchmarks, the maker of large run folders and the test of the memory have in common.

pub mod clean;
pub mod counting;
