//! `[workload]` and `[drain]`: the load, and how long the rest may take.

use super::keys::{KeyInfo, Shape};
use super::section::Section;
use super::units::show_duration;
use super::{Drain, Workload};
use super::{cache, limits};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// How changes are offered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Closed,
}

/// What a loop can be.
const MODES: [(&str, Mode); 2] = [("open", Mode::Open), ("closed", Mode::Closed)];

fn mode_words() -> Vec<&'static str> {
    MODES.map(|(word, _)| word).to_vec()
}

/// Keys that a closed loop has no use for.
pub(super) const OF_AN_OPEN_LOOP: [&str; 4] = ["rate", "ramp", "connections", "read_share"];

const fn count(least: u32, most: u32) -> Shape {
    Shape::Integer {
        least: least as i64,
        most: most as i64,
    }
}

const SHARE: Shape = Shape::Number {
    least: 0.0,
    most: 1.0,
};

const fn up_to(most: Duration) -> Shape {
    Shape::Duration { least: MS, most }
}

const fn from_zero(most: Duration) -> Shape {
    Shape::Duration {
        least: Duration::ZERO,
        most,
    }
}

/// These are the keys that `[workload]` can have.
pub(super) const KEYS: [KeyInfo; 18] = [
    KeyInfo::usually(
        "load",
        Shape::Word(mode_words),
        "\"open\"",
        "`open`: each change is sent when it is due; `closed`: each of `clients` waits for its answer before it goes on",
    ),
    KeyInfo::usually(
        "rate",
        Shape::Number {
            least: limits::RATE.0,
            most: limits::RATE.1,
        },
        "500",
        "order changes a second (open loop)",
    ),
    KeyInfo::required(
        "duration",
        up_to(limits::DURATION),
        "how long changes are offered",
    ),
    KeyInfo::optional(
        "clients",
        count(1, limits::CONNECTIONS),
        "needed by a closed loop, refused by an open one",
        "how many clients a closed loop has",
    ),
    KeyInfo::optional(
        "connections",
        count(1, limits::CONNECTIONS),
        "`rate` x `request_timeout`, and 64 to spare",
        "changes that are outstanding at a time, at most (open loop); what is due beyond that is held back",
    ),
    KeyInfo::usually(
        "ramp",
        from_zero(limits::DURATION),
        "\"0s\"",
        "so long the rate grows, from 0 on (open loop)",
    ),
    KeyInfo::usually(
        "changes_per_order",
        count(1, limits::CHANGES_PER_ORDER),
        "3",
        "changes that an order goes through, in the mean",
    ),
    KeyInfo::usually(
        "skew",
        Shape::Number {
            least: 0.0,
            most: limits::SKEW,
        },
        "0",
        "0: every order gets as many changes; above: the Zipf exponent of that number",
    ),
    KeyInfo::usually(
        "payload_bytes",
        count(1, limits::PAYLOAD_BYTES),
        "256",
        "length of an event's content, bytes",
    ),
    KeyInfo::usually(
        "request_timeout",
        up_to(limits::REQUEST),
        "\"2s\"",
        "after that a request's outcome is unknown",
    ),
    KeyInfo::usually(
        "retries",
        count(0, limits::RETRIES),
        "0",
        "times that the client repeats a change whose outcome was unknown",
    ),
    KeyInfo::usually(
        "rollback_ratio",
        SHARE,
        "0.02",
        "share of changes, below 1, that a business rule rolls back after the write",
    ),
    KeyInfo::usually(
        "hold_ratio",
        SHARE,
        "0.01",
        "share of changes whose transaction is held open for `hold`",
    ),
    KeyInfo::usually(
        "hold",
        up_to(limits::HOLD),
        "\"20ms\"",
        "how long those are held",
    ),
    KeyInfo::usually(
        "partitions",
        Shape::Integer {
            least: 1,
            most: limits::PARTITIONS as i64,
        },
        "3",
        "partitions of the topic",
    ),
    KeyInfo::usually(
        "postgres_connections",
        count(1, limits::DATABASE_CONNECTIONS),
        "16",
        "connections of the order service to PostgreSQL",
    ),
    KeyInfo::usually(
        "min_committed_per_phase",
        Shape::Integer {
            least: 0,
            most: limits::CHANGES as i64,
        },
        "100",
        "fewer committed changes than this in a phase prove nothing",
    ),
    KeyInfo::usually(
        "read_share",
        Shape::Number {
            least: 0.0,
            most: limits::READ_SHARE,
        },
        "0",
        "so many of all requests, changes and reads, are reads (open loop): they are beside the changes, whose `rate` stays what it is, and each is of an order that changed lately",
    ),
];

/// These are the keys that `[drain]` can have.
pub(super) const KEYS_OF_DRAIN: [KeyInfo; 3] = [
    KeyInfo::usually(
        "within",
        up_to(limits::DRAIN),
        "\"30s\"",
        "so long after the last heal, what is still on its way may take to arrive; what the outbox holds then is undrained",
    ),
    KeyInfo::usually(
        "late_after",
        up_to(limits::DRAIN),
        "\"15s\"",
        "an event first seen later than this after its answer is late",
    ),
    KeyInfo::usually(
        "settle",
        from_zero(limits::SETTLE),
        "\"2s\"",
        "so long the relay goes on after the last event was seen: what it repeats then counts",
    ),
];

impl Workload {
    /// How many changes are intended in the first `until` of the load, by rate and ramp; in a closed
    /// loop, how many there may be at most as far as a machine of today goes.
    pub fn planned_until(&self, until: Duration) -> f64 {
        let t = until.min(self.duration).as_secs_f64();
        if let Some(clients) = self.clients {
            let (client, all) = limits::CLOSED_RATE;
            return (clients as f64 * client).min(all) * t;
        }
        let ramp = self.ramp.as_secs_f64();
        if t < ramp {
            self.rate * t * t / (2.0 * ramp)
        } else {
            self.rate * (t - ramp / 2.0)
        }
    }

    /// How many reads are due a second, beside the changes; 0 where nobody reads.
    pub fn reads_a_second(&self) -> f64 {
        self.rate * self.reads_a_change()
    }

    /// How many reads there are for each change.
    fn reads_a_change(&self) -> f64 {
        self.read_share / (1.0 - self.read_share)
    }

    /// How many reads are intended in all.
    pub fn planned_reads(&self) -> f64 {
        self.planned() * self.reads_a_change()
    }

    /// How many changes are intended in all.
    pub fn planned(&self) -> f64 {
        self.planned_until(self.duration)
    }
}

/// As many connections as can be busy if no request is answered before its timeout, and some to
/// spare: then nothing is held back. Bounded, so that neither descriptors nor memory run out.
fn enough_connections(rate: f64, request_timeout: Duration, payload_bytes: usize) -> usize {
    let outstanding = (rate * request_timeout.as_secs_f64()).ceil();
    let by_memory = limits::OUTSTANDING_BYTES / payload_bytes.max(1);
    // A number that is too large for its type becomes the largest of it.
    (outstanding as usize)
        .saturating_add(limits::CONNECTIONS_SPARE)
        .min(by_memory)
        .clamp(1, limits::CONNECTIONS as usize)
}

/// What a loop of this kind has no use for.
fn read_mode(s: &mut Section<'_>) -> (Mode, Option<usize>) {
    let load = s.get("load");
    let mode = load.and_then(|e| s.word(e, &MODES)).unwrap_or(Mode::Open);
    let clients = s.get("clients");
    match (mode, clients) {
        (Mode::Open, None) => (mode, None),
        (Mode::Open, Some(entry)) => {
            s.problem(
                entry.key_span(),
                "`clients` is the number of clients of a closed loop, and this load is open",
                "add `load = \"closed\"`, or leave `clients` out",
            );
            (mode, None)
        }
        (Mode::Closed, clients) => {
            for key in OF_AN_OPEN_LOOP {
                if let Some(entry) = s.get(key) {
                    if key == "read_share" {
                        cache::reads_of_a_closed_loop(s, entry);
                        continue;
                    }
                    s.problem(
                        entry.key_span(),
                        format!("`{key}` is of an open loop, and this load is closed"),
                        "leave it out: each of the `clients` sends its next change when the one \
                         before is answered, so that the rate follows from the answers",
                    );
                }
            }
            if clients.is_none()
                && let Some(entry) = load
            {
                s.problem(
                    entry.span(),
                    "a closed loop needs to know how many clients there are",
                    "add a line such as `clients = 8` to [workload]",
                );
            }
            let most = limits::CONNECTIONS;
            let count = clients.and_then(|e| s.integer(e, 1..=most));
            (mode, Some(count.unwrap_or(1) as usize))
        }
    }
}

/// Reads `[workload]`. Where a value is wrong, a default stands in, so that the rest is read too;
/// `None` only without a duration, since nothing that is about time can be checked then.
pub(super) fn read(mut s: Section<'_>) -> Option<Workload> {
    let (mode, clients) = read_mode(&mut s);
    let rate_entry = s.get("rate");
    let rate = rate_entry.and_then(|e| s.number(e, limits::RATE.0..=limits::RATE.1));
    let rate_is_known = rate.is_some() || rate_entry.is_none();
    let duration_entry = s.required("duration", "duration = \"12s\"");
    let duration = duration_entry.and_then(|e| s.duration(e, MS..=limits::DURATION));

    let mut number = |key, default: u32, least: u32, most: u32| {
        s.get(key)
            .and_then(|e| s.integer(e, least..=most))
            .unwrap_or(default)
    };
    let changes_per_order_asked = number("changes_per_order", 3, 1, u32::MAX);
    let changes_per_order = changes_per_order_asked.min(limits::CHANGES_PER_ORDER);
    let payload_bytes = number("payload_bytes", 256, 1, limits::PAYLOAD_BYTES) as usize;
    let retries = number("retries", 0, 0, limits::RETRIES);
    let database_connections =
        number("postgres_connections", 16, 1, limits::DATABASE_CONNECTIONS) as usize;

    let partitions = s
        .get("partitions")
        .and_then(|e| s.integer(e, 1..=limits::PARTITIONS))
        .unwrap_or(3);
    let min_committed_entry = s.get("min_committed_per_phase");
    let min_committed_per_phase = min_committed_entry
        .and_then(|e| s.integer(e, 0..=limits::CHANGES as u64))
        .unwrap_or(100);

    let request_timeout_entry = s.get("request_timeout");
    let request_timeout = request_timeout_entry
        .and_then(|e| s.duration(e, MS..=limits::REQUEST))
        .unwrap_or(Duration::from_secs(2));
    let rate = match mode {
        Mode::Open => rate.unwrap_or(500.0),
        Mode::Closed => 0.0,
    };
    let connections = clients.unwrap_or_else(|| {
        s.get("connections")
            .and_then(|e| s.integer(e, 1..=limits::CONNECTIONS))
            .map_or_else(
                || enough_connections(rate, request_timeout, payload_bytes),
                |n| n as usize,
            )
    });
    let rollback_entry = s.get("rollback_ratio");
    let rollback_ratio = rollback_entry
        .and_then(|e| s.number(e, 0.0..=1.0))
        .unwrap_or(0.02);
    let hold_ratio = s
        .get("hold_ratio")
        .and_then(|e| s.number(e, 0.0..=1.0))
        .unwrap_or(0.01);
    let hold_entry = s.get("hold");
    let hold = hold_entry
        .and_then(|e| s.duration(e, MS..=limits::HOLD))
        .unwrap_or(Duration::from_millis(20));
    let skew = s
        .get("skew")
        .and_then(|e| s.number(e, 0.0..=limits::SKEW))
        .unwrap_or(0.0);
    let share_entry = s.get("read_share");
    let read_share = share_entry
        .filter(|_| mode == Mode::Open)
        .and_then(|e| s.number(e, 0.0..=limits::READ_SHARE))
        .unwrap_or(0.0);
    let ramp_entry = s.get("ramp");
    let ramp = ramp_entry
        .and_then(|e| s.duration(e, Duration::ZERO..=limits::DURATION))
        .unwrap_or_default();

    if changes_per_order_asked > changes_per_order
        && let Some(entry) = s.get("changes_per_order")
    {
        s.problem(
            entry.span(),
            format!(
                "`changes_per_order` is {changes_per_order_asked}, more than an order can take"
            ),
            format!(
                "write {} or less: an order's attempts are an array in its row, which each change \
                 writes anew, so that the work grows with the square of their number; for more \
                 changes, take more orders",
                limits::CHANGES_PER_ORDER
            ),
        );
    }
    if let Some(entry) = rollback_entry
        && rollback_ratio == 1.0
    {
        s.problem(
            entry.span(),
            "`rollback_ratio` is 1: every change is rolled back, and none is left to look for",
            "write a share below 1, such as 0.02",
        );
    }
    if let Some(entry) = hold_entry.or(request_timeout_entry)
        && hold_ratio > 0.0
        && hold >= request_timeout
    {
        s.problem(
            entry.span(),
            format!(
                "`hold` ({}) is not shorter than `request_timeout`: no held change would be answered",
                show_duration(hold)
            ),
            "make `hold` shorter, or `request_timeout` longer, or set `hold_ratio` to 0",
        );
    }

    let duration = match duration {
        Some(duration) => duration,
        None => {
            s.finish();
            return None;
        }
    };
    if let Some(entry) = ramp_entry
        && ramp > duration
    {
        s.problem(
            entry.span(),
            "`ramp` is longer than `duration`: the load would never reach its rate",
            "make `ramp` at most as long as `duration`",
        );
    }
    let workload = Workload {
        rate,
        duration,
        changes_per_order,
        payload_bytes,
        connections,
        clients,
        request_timeout,
        rollback_ratio,
        hold_ratio,
        hold,
        retries,
        skew,
        ramp: ramp.min(duration),
        partitions,
        database_connections,
        min_committed_per_phase,
        read_share,
    };
    let planned = workload.planned();
    let about = rate_entry.or(duration_entry);
    if let Some(entry) = about.filter(|_| rate_is_known && mode == Mode::Open) {
        if planned > limits::CHANGES {
            s.problem(
                entry.span(),
                format!("rate and duration make {planned:.0} changes"),
                format!(
                    "lower `rate` or `duration`: a run offers at most {:.0} changes",
                    limits::CHANGES
                ),
            );
        } else if planned < 1.0 {
            s.problem(
                entry.span(),
                "rate and duration make less than one change",
                "raise `rate` or `duration`",
            );
        } else if let Some(entry) =
            share_entry.filter(|_| workload.planned_reads() > limits::CHANGES)
        {
            s.problem(
                entry.span(),
                format!(
                    "rate, duration and share make {:.0} reads",
                    workload.planned_reads()
                ),
                format!(
                    "lower `read_share`, `rate` or `duration`: a run sends at most {:.0} reads",
                    limits::CHANGES
                ),
            );
        }
    }
    s.finish();
    Some(workload)
}

/// Reads `[drain]`, or gives its defaults.
pub(super) fn read_drain(section: Option<Section<'_>>) -> Drain {
    let mut drain = Drain {
        within: Duration::from_secs(30),
        late_after: Duration::from_secs(15),
        settle: Duration::from_secs(2),
    };
    if let Some(mut s) = section {
        if let Some(within) = s
            .get("within")
            .and_then(|e| s.duration(e, MS..=limits::DRAIN))
        {
            drain.within = within;
        }
        if let Some(late) = s
            .get("late_after")
            .and_then(|e| s.duration(e, MS..=limits::DRAIN))
        {
            drain.late_after = late;
        }
        if let Some(settle) = s
            .get("settle")
            .and_then(|e| s.duration(e, Duration::ZERO..=limits::SETTLE))
        {
            drain.settle = settle;
        }
        s.finish();
    }
    drain
}
