//! After the run, outside of all that is timed and sampled: where events are the truth, a projection is rebuilt
//! from them.

use super::deployment::Deployment;
use super::fencing::Read;
use crate::clock::RunClock;
use crate::fence::patience::Patience;
use crate::fence::projection::{Projection, difference, rebuild};
use crate::fence::{Fence, database};
use crate::history::{FenceStep, Sample};
use crate::measure::REBUILD_MS;
use std::time::{Duration, Instant};

/// A server that is just recovering gets so long.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// Building and reading the projection is bounded by this, and by some more for each event.
const WORK_WITHIN: Duration = Duration::from_secs(30);
const WORK_PER_EVENT: Duration = Duration::from_micros(200);

/// Rebuilds the projection, and gives how long that took. That it cannot be rebuilt is a remark, since nothing is judged
/// by it. Where it is not what the events say, nobody knows what is true, so reading the truth has failed.
pub(super) async fn project(
    deployment: &Deployment<'_>,
    patience: &Patience,
    clock: RunClock,
    read: &mut Read,
) -> Option<Sample> {
    let truth = read.truth.as_ref()?;
    if !deployment.layout.outbox.has_events() {
        return None;
    }
    let within = WORK_WITHIN + WORK_PER_EVENT * truth.rows.len() as u32;
    let rebuilt = patience.give(within, rebuilt(deployment)).await;
    match rebuilt.unwrap_or_else(|cut| Err(cut.to_string())) {
        Ok(projection) => {
            let took_ms = projection.took.as_secs_f64() * 1e3;
            if let Some(difference) = difference(&truth.rows, projection.rows) {
                let mut fence = Fence::new(clock, patience);
                let reason = format!(
                    "the projection that was rebuilt is not what the events say: {difference}"
                );
                fence.fail(FenceStep::ReadTruth, reason);
                read.steps.extend(fence.into_steps());
                return None;
            }
            Some(Sample {
                series: REBUILD_MS.to_owned(),
                at_ns: clock.now_ns(),
                value: took_ms,
            })
        }
        Err(reason) => {
            let remark = format!("the projection was not rebuilt: {reason}");
            read.remarks.push(remark);
            None
        }
    }
}

async fn rebuilt(deployment: &Deployment<'_>) -> Result<Projection, String> {
    let soon = Instant::now() + CONNECT_WITHIN;
    let mut connection = database::connect(deployment.admin(), soon).await?;
    let rebuilt = rebuild(&mut connection, &deployment.layout, &deployment.identity).await;
    rebuilt.map_err(|e| e.to_string())
}
