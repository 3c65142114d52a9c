//! `slicer`: data arrives in small pieces.

use super::{FaultInfo, Own, Toxic, delay};
use crate::scenario::keys::{KeyInfo, Shape};
use crate::scenario::limits;
use crate::scenario::section::Section;
use std::time::Duration;

const fn size(least: u64) -> Shape {
    Shape::Size {
        least,
        most: limits::TOXIC_AMOUNT,
    }
}

pub(super) const INFO: FaultInfo = FaultInfo {
    name: "slicer",
    what: "data arrives in pieces of `average_size`, plus or minus `size_variation`, `delay` apart",
    example: "kind = \"slicer\", average_size = 64, size_variation = 32, delay = \"1ms\"",
    own: Own::Toxic {
        keys: &[
            KeyInfo::required("average_size", size(1), "bytes of a piece, in the mean"),
            KeyInfo::usually(
                "size_variation",
                size(0),
                "0",
                "plus or minus so many, below `average_size`",
            ),
            KeyInfo::usually(
                "delay",
                delay(Duration::ZERO),
                "\"0s\"",
                "so long between two pieces",
            ),
        ],
        read,
    },
};

fn read(s: &mut Section<'_>) -> Option<Toxic> {
    let average_entry = s.required("average_size", "average_size = 64");
    // With an average of 0 Toxiproxy 2.12 itself dies.
    let average = average_entry.and_then(|e| s.size(e, 1..=limits::TOXIC_AMOUNT));
    let variation_entry = s.get("size_variation");
    let variation = variation_entry.map_or(Some(0), |e| s.size(e, 0..=limits::TOXIC_AMOUNT));
    if let (Some(average), Some(variation), Some(entry)) = (average, variation, variation_entry)
        && variation >= average
    {
        s.problem(
            entry.span(),
            format!("`size_variation` ({variation}) is not below `average_size` ({average})"),
            "pieces are average_size plus or minus size_variation bytes, at least one: make it smaller",
        );
    }
    let delay = s.get("delay").map_or(Some(Duration::ZERO), |e| {
        s.duration(e, Duration::ZERO..=limits::TOXIC_DELAY)
    });
    Some(Toxic::Slicer {
        average_size: average?,
        size_variation: variation?,
        delay: delay?.as_micros() as u64,
    })
}
