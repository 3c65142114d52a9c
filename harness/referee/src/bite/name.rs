//! Observations of a fault, by name. `place` is the link or the process; counters count from the moment the
//! fault came into force (before that: from the first look). `in` and `out` are the two sides of
//! the proxy in the direction the toxic works on: what went in, and what came out.
//!
//! | name | value | taken for |
//! |---|---|---|
//! | `injecting` | 1, at the moment the injection began | all |
//! | `healing` | 1, at the moment the healing began | all |
//! | `sockets` | the system's established connections to the proxy | all on links |
//! | `near_bytes` | bytes the system sent and received on the link | all on links |
//! | `client_failures` | failures the system itself reported (database lost, deliveries failed) | all on links |
//! | `probe_refused` | 1: a connection was refused; 0: it was made | `down` |
//! | `crossing_ms` | one small exchange through the proxy, milliseconds | `latency` |
//! | `probe_reset` | 1: an exchange on a new connection ended in a reset; 0: it did not | `reset_peer` |
//! | `in_bytes`, `out_bytes` | bytes on both sides of the proxy | `bandwidth`, `timeout`, `slicer`, `limit_data` |
//! | `in_segments`, `out_segments` | segments with data on both sides | `slicer` |
//! | `most_out_bytes` | the most that came out on any one connection | `bandwidth`, `limit_data` |
//! | `queued_bytes` | bytes waiting in the kernel in the toxic's direction | `bandwidth` |
//! | `silent` | connections on which the system sent and received nothing since | `timeout` |
//! | `opened`, `ended` | the system's connections opened and ended | `limit_data`, `reset_peer` |
//! | `far_sockets` | the proxy's connections to the server | `slow_close` |
//! | `threads`, `threads_stopped`, `cpu_ticks` | of the whole process tree | `pause` |
//! | `sent_bytes` | of one of several relays: bytes sent to anywhere but the database | `kill`, `restart`, `pause` |
//! | `timeline_followed` | the timeline of the standby before it was promoted | `failover` |
//! | `timeline_taken_up` | the timeline of who is at the server's address since | `failover` |
//! | `hit` | it is one of those processes that the fault hit | all whose target is some of several |
//! | `trigger_fired` | how far its trigger had come when it fired | all with a trigger |
//! | `trigger_missed` | how far it came at most, where it never fired; -1 where it could not even begin | all with a trigger |
//!
//! How far a trigger came is a count, or nanoseconds since the injection of the fault that it names.
//!
//! `in_bytes` of a `timeout` counts what the proxy already held when the fault came into force:
//! clients that wait for an answer send once, perhaps before the injection began.
//!
//! Figures of the far side are missing where the proxy runs on another host (or in a container),
//! or where two links share a server and only one of them is under the fault.

#![expect(missing_docs, reason = "the table says what each is")]

pub const INJECTING: &str = "injecting";
pub const HEALING: &str = "healing";
pub const TIMELINE_FOLLOWED: &str = "timeline_followed";
pub const TIMELINE_TAKEN_UP: &str = "timeline_taken_up";
pub const HIT: &str = "hit";
pub const TRIGGER_FIRED: &str = "trigger_fired";
pub const TRIGGER_MISSED: &str = "trigger_missed";
pub const SOCKETS: &str = "sockets";
pub const NEAR_BYTES: &str = "near_bytes";
pub const CLIENT_FAILURES: &str = "client_failures";
pub const PROBE_REFUSED: &str = "probe_refused";
pub const CROSSING_MS: &str = "crossing_ms";
pub const PROBE_RESET: &str = "probe_reset";
pub const IN_BYTES: &str = "in_bytes";
pub const OUT_BYTES: &str = "out_bytes";
pub const IN_SEGMENTS: &str = "in_segments";
pub const OUT_SEGMENTS: &str = "out_segments";
pub const MOST_OUT_BYTES: &str = "most_out_bytes";
pub const QUEUED_BYTES: &str = "queued_bytes";
pub const SILENT: &str = "silent";
pub const OPENED: &str = "opened";
pub const ENDED: &str = "ended";
pub const FAR_SOCKETS: &str = "far_sockets";
pub const THREADS: &str = "threads";
pub const THREADS_STOPPED: &str = "threads_stopped";
pub const CPU_TICKS: &str = "cpu_ticks";
pub const SENT_BYTES: &str = "sent_bytes";
