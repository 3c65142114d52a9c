//! One line of explanation for everything a scenario can name: for `outbox-harness list`.

use super::{COUNTS, Metric, strategies, trigger::TRIGGERS as ALL_TRIGGERS};

/// Kinds of strategies.
pub const STRATEGIES: [(&str, &str); strategies::KINDS.len()] = {
    let mut rows = [("", ""); strategies::KINDS.len()];
    let mut n = 0;
    while n < rows.len() {
        rows[n] = (strategies::KINDS[n].name, strategies::KINDS[n].what);
        n += 1;
    }
    rows
};

/// What a fault can hit.
pub const TARGETS: [(&str, &str); 10] = [
    ("kafka", "every link to Kafka"),
    ("postgres", "every link to PostgreSQL"),
    (
        "orders->postgres",
        "the order service's connections to PostgreSQL",
    ),
    (
        "orders->kafka",
        "the order service's connections to Kafka (dual write only)",
    ),
    ("relay->postgres", "the relay's connections to PostgreSQL"),
    ("relay->kafka", "the relay's connections to Kafka"),
    ("order-service", "the order service's process (kill, pause)"),
    ("relay", "the relay's process (kill, pause)"),
    (
        "postgres-server",
        "PostgreSQL with all its backends (kill, pause)",
    ),
    ("kafka-server", "the Kafka broker (kill, pause)"),
];

/// Kinds of faults.
pub const FAULTS: [(&str, &str); 10] = [
    ("down", "connections are cut and new ones refused"),
    (
        "latency",
        "data arrives `latency` later, plus or minus `jitter`",
    ),
    ("bandwidth", "at most `rate` KB/s a connection"),
    ("slow_close", "a close arrives `delay` later"),
    (
        "timeout",
        "data vanishes; after `timeout` (0: never) the connection is closed",
    ),
    ("reset_peer", "connections are reset, after `timeout`"),
    (
        "slicer",
        "data arrives in pieces of `average_size`, plus or minus `size_variation`, `delay` apart",
    ),
    ("limit_data", "a connection ends after `bytes`"),
    ("kill", "SIGKILL; the process is started again after `for`"),
    ("pause", "SIGSTOP; the process goes on after `for`"),
];

/// What a fault can wait for instead of a time.
pub const TRIGGERS: [(&str, &str); ALL_TRIGGERS.len()] = {
    let mut rows = [("", ""); ALL_TRIGGERS.len()];
    let mut n = 0;
    while n < rows.len() {
        rows[n] = (ALL_TRIGGERS[n].example, ALL_TRIGGERS[n].what);
        n += 1;
    }
    rows
};

/// Times that can be expected of, the latencies with all their percentiles in one line.
const TIMES: [(&str, &str); 3] = [
    ("drain", "time from the end of the load to the last event"),
    (
        "recovery",
        "time from the last heal until everything committed before it has been seen, under whatever load goes on",
    ),
    (
        "{order,propagation,end_to_end}_{p50,p90,p99,p999,max}",
        "latency: intended start to answer; answer to first sight; intended start to first sight",
    ),
];

/// Counts, then times, that can be expected of.
pub fn invariants() -> Vec<(&'static str, &'static str)> {
    let counts = COUNTS.iter().map(|row| (row.name, row.what));
    counts.chain(TIMES).collect()
}

/// Whether every relay strategy is held to 0 of the invariant of this name.
pub fn is_implicit(name: &str) -> bool {
    Metric::parse(name).is_some_and(|m| super::implicit().contains(&m))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{faults, metric::Unit};

    #[test]
    fn everything_a_file_can_name_is_explained_in_the_same_order() {
        let names = |table: &[(&'static str, &str)]| -> Vec<&'static str> {
            table.iter().map(|(n, _)| *n).collect()
        };
        assert_eq!(names(&FAULTS), faults::KINDS.map(|k| k.name));
        assert_eq!(names(&TARGETS), faults::TARGETS.map(|(n, _)| n));
        let metrics: Vec<String> = Metric::all()
            .into_iter()
            .filter(|m| m.unit() != Unit::Milliseconds)
            .map(Metric::name)
            .collect();
        assert_eq!(names(&invariants())[..metrics.len()], metrics[..]);
    }
}
