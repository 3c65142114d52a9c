//! Histories written, read, damaged and altered.
#![allow(clippy::unwrap_used)]

mod damage;
mod docs;
mod edits;
mod foreign_tools;
mod round_trip;
mod rows;
mod tampering;
