//! From a history to what is left of it: its judgement, as the record has it, and its files. All of
//! them share one join, and one explainer where there is anything to explain; nothing of the history
//! outlives them.

use super::deployment::failed;
use super::{RunError, folder};
use crate::bite::bites;
use crate::checkers::context::Context;
use crate::checkers::judge_joined;
use crate::explain::Explainer;
use crate::history::History;
use crate::record::{self, Judged};
use std::path::Path;

/// Judges a history. `altered` names its files that were changed after the run; `run_folder` is where
/// its latencies and offences are written, if they are.
pub fn judge(
    history: History,
    altered: &[String],
    run_folder: Option<&Path>,
) -> Result<Judged, RunError> {
    let bites = bites(&history);
    let context = Context::new(&history);
    let judgement = judge_joined(&context, altered, bites);
    let explainer = judgement
        .has_offences()
        .then(|| Explainer::new(&context).map_err(|e| failed("reading the run's key", &e)))
        .transpose()?;
    if let Some(run_folder) = run_folder {
        folder::write_hgrm(run_folder, &context.view.join, judgement.arrivals_known)?;
        folder::write_offences(run_folder, &history.meta.strategy, explainer.as_ref())?;
    }
    let strategy = record::strategy(&context, &judgement, explainer.as_ref())
        .map_err(|e| failed("building the record", &e))?;
    drop(explainer);
    drop(context);
    Ok(Judged {
        meta: history.meta,
        verdict: judgement.verdict,
        strategy,
    })
}
