//! The percentile format of the HdrHistogram tools, so that their plotters read our files.

use super::latency::whole;
use super::recorder::Recorder;
use crate::view::Join;
use std::fmt::Write;

/// Each halving of the distance to 100% has this many reporting points.
const TICKS: u32 = 5;

/// Returns the name (`order`, `propagation`, `end_to_end`) and the text of each latency, in milliseconds; only the
/// first where it is not known when the events came.
pub fn hgrm(join: &Join<'_>, arrivals_known: bool) -> Vec<(&'static str, String)> {
    let whole = whole(join);
    let mut files = vec![("order", text(&whole.order))];
    if arrivals_known {
        files.push(("propagation", text(&whole.propagation)));
        files.push(("end_to_end", text(&whole.end_to_end)));
    }
    files
}

/// Writes one distribution, in milliseconds. What never ended counts for the percentiles and has no line of its own,
/// so such a file does not reach 100%; a last comment says how many there were.
pub(super) fn text(recorder: &Recorder) -> String {
    let finite = recorder.finite();
    let total = recorder.count();
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let share = if total == 0 {
        1.0
    } else {
        finite.len() as f64 / total as f64
    };
    if !finite.is_empty() {
        let mut reached = 0;
        for step in finite.iter_quantiles(TICKS) {
            reached += step.count_since_last_iteration();
            let value_ns = finite.highest_equivalent(step.value_iterated_to());
            let value_ms = value_ns.min(finite.max()) as f64 / 1e6;
            let quantile = (step.quantile_iterated_to() * share).min(1.0);
            let _ = write!(out, "{value_ms:12.3} {quantile:14.12} {reached:10}");
            if quantile < 1.0 {
                let _ = write!(out, " {:14.2}", 1.0 / (1.0 - quantile));
            }
            out.push('\n');
        }
    }
    let _ = writeln!(
        out,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]",
        finite.mean() / 1e6,
        finite.stdev() / 1e6
    );
    let _ = writeln!(
        out,
        "#[Max     = {:12.3}, Total count    = {:12}]",
        finite.max() as f64 / 1e6,
        total
    );
    let _ = writeln!(
        out,
        "#[Buckets = {:12}, SubBuckets     = {:12}]",
        finite.buckets(),
        2048
    );
    if recorder.infinite() > 0 {
        let _ = writeln!(out, "# never ended: {}", recorder.infinite());
    }
    out
}
