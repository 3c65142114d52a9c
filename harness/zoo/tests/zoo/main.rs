//! Every kind of broken system is caught, with the right name and the exact count; no odd but
//! correct one is blamed. Whole runs on real stacks, which are started once.

// A failed expectation of a test is a panic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../../../tests/shared/all.rs"]
mod all;
mod bench;
mod brokers;
#[path = "../../../tests/shared/busy.rs"]
mod busy;
mod caches;
mod case;
mod clean;
mod clocks;
mod consumers;
mod content;
mod databases;
mod defects;
mod disk;
mod docs;
mod ends;
mod hostile;
mod lost;
mod messages;
#[path = "../../../tests/shared/not_done.rs"]
mod not_done;
mod odd;
mod order;
mod overtaking;
mod referee;
mod restart;
mod services;
mod settle;
mod stacks;
#[path = "../../../tests/shared/turn.rs"]
mod turn;
mod two_phase;
mod undrained;

/// Runs at the same time, where the test program has as many threads. No more of them: what is counted to the last
/// event must not be what a busy machine made of it.
const LANES: usize = 2;
