//! `fault` and `after`: another fault is in force, and has been for so long.

use super::{Trigger, TriggerInfo};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::limits;
use crate::scenario::section::Section;
use std::time::Duration;

pub(super) const INFO: TriggerInfo = TriggerInfo {
    example: "when = { fault = \"cut\", after = \"500ms\" }",
    what: "the fault of that `id` was injected so long ago",
    keys: &[
        KeyInfo::required("fault", Shape::Text, "the `id` of another fault"),
        KeyInfo::required(
            "after",
            Shape::Duration {
                least: Duration::ZERO,
                most: limits::DURATION,
            },
            "so long ago that one was injected",
        ),
    ],
    read,
};

fn read(s: &mut Section<'_>, _: Option<f64>) -> Option<Trigger> {
    let fault = s
        .required("fault", "fault = \"cut\"")
        .and_then(|e| s.text(e));
    let after = s
        .required("after", "after = \"500ms\"")
        .and_then(|e| s.duration(e, Duration::ZERO..=limits::DURATION));
    Some(Trigger::After {
        fault: fault?.to_owned(),
        after: after?,
    })
}
