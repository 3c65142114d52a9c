//! A local stack between runs: a keeper that has its servers, and what is asked of it from outside. A run on it is
//! a run like any other.

mod asked;
pub mod down;
pub mod keeping;
pub mod status;
pub mod up;
