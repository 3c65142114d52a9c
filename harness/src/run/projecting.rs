//! After the run, outside of all that is timed and sampled: where events are the truth, a projection is rebuilt
//! from them.

use super::deployment::Deployment;
use crate::clock::RunClock;
use crate::database::{Projection, Truth, difference};
use crate::fence::patience::Patience;
use crate::history::{Rows, Sample, TruthRow};
use crate::measure::REBUILD_MS;
use std::time::{Duration, Instant};

/// A server that is just recovering gets so long.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Building and reading the projection is bounded by this, and by some more for each event.
const WORK_WITHIN: Duration = Duration::from_secs(30);
const WORK_PER_EVENT: Duration = Duration::from_micros(200);

/// Rebuilds the projection, and gives how long that took; or a remark, that it could not be rebuilt or is not what the
/// events say. Nothing is judged by it: what is true was read from the events themselves, and stays so.
pub(super) async fn project(
    deployment: &Deployment<'_>,
    patience: &Patience,
    clock: RunClock,
    truth: Option<&Truth>,
) -> Result<Option<Sample>, String> {
    let Some(truth) = truth.filter(|_| deployment.layout.outbox.has_events()) else {
        return Ok(None);
    };
    let within = WORK_WITHIN + WORK_PER_EVENT * truth.rows.len() as u32;
    let rebuilt = patience.give(within, rebuilt(deployment)).await;
    let took_ms = timed(
        &truth.rows,
        rebuilt.unwrap_or_else(|cut| Err(cut.to_string())),
    )?;
    Ok(Some(Sample {
        series: REBUILD_MS.to_owned(),
        at_ns: clock.now_ns(),
        value: took_ms,
    }))
}

/// How long a projection took, milliseconds, if it is what the events say.
fn timed(truth: &Rows<TruthRow>, rebuilt: Result<Projection, String>) -> Result<f64, String> {
    let projection =
        rebuilt.map_err(|reason| format!("the projection was not rebuilt: {reason}"))?;
    match difference(truth, projection.rows) {
        None => Ok(projection.took.as_secs_f64() * 1e3),
        Some(difference) => Err(format!(
            "the projection that was rebuilt is not what the events say: {difference}"
        )),
    }
}

async fn rebuilt(deployment: &Deployment<'_>) -> Result<Projection, String> {
    let soon = Instant::now() + CONNECT_WITHIN;
    (deployment.own_schema)
        .rebuild(&deployment.identity, soon)
        .await
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn given_a_projection_that_is_wrong_or_missing_then_there_is_no_time_of_it_and_a_remark_says_why()
     {
        let row = |attempt| TruthRow {
            order: 4,
            version: 1,
            attempt,
            change: attempt,
        };
        let truth: Rows<TruthRow> = [row(0)].into_iter().collect();
        let built = |attempt| {
            let rows = vec![row(attempt)];
            let took = Duration::from_millis(7);
            timed(&truth, Ok(Projection { took, rows }))
        };
        assert_eq!(built(0), Ok(7.0));
        let wrong = built(1).unwrap_err();
        assert!(
            wrong.contains("is not what the events say: it has order 4"),
            "{wrong}"
        );
        let missing = timed(&truth, Err("no room".to_owned())).unwrap_err();
        assert_eq!(missing, "the projection was not rebuilt: no room");
    }
}
