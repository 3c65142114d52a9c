//! `latency`: data arrives later.

use super::{FaultInfo, MS, Own, Toxic, delay, millis};
use crate::scenario::keys::KeyInfo;
use crate::scenario::section::Section;
use std::time::Duration;

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "latency",
    what: "data arrives `latency` later, plus or minus `jitter`",
    example: "kind = \"latency\", latency = \"200ms\", jitter = \"50ms\"",
    own: Own::Toxic {
        keys: &[
            KeyInfo::required("latency", delay(MS), "so much later data arrives"),
            KeyInfo::usually(
                "jitter",
                delay(Duration::ZERO),
                "\"0s\"",
                "plus or minus so much, at most `latency`",
            ),
        ],
        read,
    },
};

fn read(s: &mut Section<'_>) -> Option<Toxic> {
    let latency = millis(s, "latency", Some("latency = \"200ms\""), 1);
    let jitter = millis(s, "jitter", None, 0);
    let (latency, jitter) = latency.zip(jitter)?;
    if let Some(entry) = s.get("jitter")
        && jitter > latency
    {
        s.problem(
            entry.span(),
            format!("`jitter` ({jitter}ms) is more than `latency` ({latency}ms)"),
            "the delay is latency plus or minus jitter: make `jitter` at most `latency`",
        );
    }
    Some(Toxic::Latency { latency, jitter })
}
