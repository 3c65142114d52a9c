//! Tests that could not be done here, or were not asked for: named, never passed over in silence.

use std::io::Write;

/// A file in which `.ci/run` collects them.
const NOT_DONE: &str = "OUTBOX_HARNESS_TESTS_NOT_DONE";

/// Says past the test program's capture that a test, which will pass, did nothing.
pub fn not_done(why: &str) {
    let thread = std::thread::current();
    let line = format!("NOT DONE: {}: {why}\n", thread.name().unwrap_or("a test"));
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    if let Some(list) = std::env::var_os(NOT_DONE) {
        let mut list = std::fs::File::options()
            .append(true)
            .create(true)
            .open(list)
            .unwrap();
        list.write_all(line.as_bytes()).unwrap();
    }
}
