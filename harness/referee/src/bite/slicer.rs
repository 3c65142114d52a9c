//! `slicer`: what came out, by segment, is at or under average + variation, and less than what went in.

use super::PlaceEvidence;
use super::case::{Case, Place};
use super::lack::{FITTING, LOAD, LOCAL, Lack, STRONGER, lack};
use super::needs::{LinkNeeds, LinkReading};
use super::unmet::unmet;
use crate::bite::name;
use crate::scenario::{FaultKind, Toxic};

/// Where some connections are left alone, segments must still be this much smaller.
const CLEARLY_SMALLER: f64 = 0.9;

pub(super) const NEEDS: LinkNeeds = LinkNeeds::read(&[
    LinkReading::InBytes,
    LinkReading::OutBytes,
    LinkReading::InSegments,
    LinkReading::OutSegments,
]);

pub(super) fn judge(case: &Case<'_>, place: Place) -> PlaceEvidence {
    let FaultKind::Toxic {
        toxic:
            Toxic::Slicer {
                average_size,
                size_variation,
                ..
            },
        toxicity,
        ..
    } = case.fault.kind
    else {
        return Err(lack("it is no slicer", FITTING));
    };
    // `None`: nothing crossed.
    let a_segment = |bytes: &str, segments: &str| -> Result<Option<f64>, Lack> {
        let bytes = case.last(place, bytes);
        let segments = case.last(place, segments);
        match (bytes, segments) {
            (Some(bytes), Some(segments)) if segments > 0.0 => Ok(Some(bytes / segments)),
            (Some(_), Some(_)) => Ok(None),
            _ => {
                let what = "what crossed the proxy was not measured on both sides";
                Err(lack(what, LOCAL))
            }
        }
    };
    let into = a_segment(name::IN_BYTES, name::IN_SEGMENTS)?;
    let out = a_segment(name::OUT_BYTES, name::OUT_SEGMENTS)?;
    let (Some(into), Some(out)) = (into, out) else {
        let nothing = "nothing crossed it while it was in force";
        return match unmet(case, place) {
            Some(unmet) => Ok(format!("{nothing}, and {unmet}")),
            None => Err(lack(nothing, LOAD)),
        };
    };
    let limit = average_size.saturating_add(size_variation) as f64;
    let found =
        format!("{into:.0} bytes a segment went in, {out:.0} came out (at most {limit} wanted)");
    let sliced = if toxicity < 1.0 {
        out < into * CLEARLY_SMALLER
    } else {
        out <= limit && out < into
    };
    if sliced {
        Ok(found)
    } else {
        Err(lack(found, STRONGER))
    }
}

#[cfg(test)]
mod tests {
    use crate::bite::name;
    use crate::bite::staged::*;
    use crate::scenario::{FaultKind, Stream, Target, Toxic};

    const LINK: &str = "relay->kafka";

    fn crossed(toxicity: f32, into: (f64, f64), out: (f64, f64)) -> Staged {
        let kind = FaultKind::Toxic {
            toxic: Toxic::Slicer {
                average_size: 100,
                size_variation: 20,
                delay: 0,
            },
            stream: Stream::Upstream,
            toxicity,
        };
        Staged::new(Target::KAFKA, kind, polling())
            .at(7.9, LINK, name::IN_BYTES, into.0)
            .at(7.9, LINK, name::IN_SEGMENTS, into.1)
            .at(7.9, LINK, name::OUT_BYTES, out.0)
            .at(7.9, LINK, name::OUT_SEGMENTS, out.1)
    }

    #[test]
    fn segments_are_small_and_were_larger() {
        crossed(1.0, (9e4, 100.0), (9e4, 1000.0)).bit("900 bytes a segment went in, 90 came out");
        crossed(1.0, (9e4, 100.0), (9e4, 100.0)).did_not_bite("900 came out");
        crossed(1.0, (5e3, 100.0), (5e3, 100.0)).did_not_bite("50 bytes a segment went in");
        crossed(0.5, (9e4, 100.0), (9e4, 200.0)).bit("450 came out");
        crossed(0.0, (9e4, 100.0), (9e4, 200.0)).did_not_bite("toxicity 0");
    }

    #[test]
    fn small_segments_must_be_as_small_as_asked_for_and_smaller_than_before() {
        // At most 120 bytes are wanted
        crossed(1.0, (9e4, 100.0), (120.0, 1.0)).bit("120 came out");
        crossed(1.0, (9e4, 100.0), (121.0, 1.0)).did_not_bite("121 came out");
        // Where some connections are left alone, clearly smaller will do, and no less
        crossed(0.5, (1e3, 1.0), (899.0, 1.0)).bit("899 came out");
        crossed(0.5, (1e3, 1.0), (901.0, 1.0)).did_not_bite("901 came out");
        crossed(0.5, (100.0, 1.0), (100.0, 1.0)).did_not_bite("100 came out");
    }

    #[test]
    fn what_did_not_cross_or_was_not_measured_did_not_bite() {
        crossed(1.0, (9e4, 100.0), (0.0, 0.0)).did_not_bite("nothing crossed");
        crossed(1.0, (9e4, 100.0), (9e4, 1000.0))
            .without(name::OUT_BYTES)
            .did_not_bite("not measured");
    }
}
