//! The histories of a run folder, explained. One is in memory at a time.

use super::again::place;
use super::deployment::failed;
use super::{RunError, folder, whole};
use crate::bite::bites;
use crate::checkers::context::Context;
use crate::checkers::judge_joined;
use crate::explain::Explainer;
use crate::history::{self, History, RunMeta};
use crate::scenario::Metric;
use reports::explanation::{Offences, Order};
use std::path::{Path, PathBuf};
use thiserror::Error;
use uuid::Uuid;

/// Offending events of each kind that are explained.
const FIRST: u64 = 5;

/// Why there is no explanation.
#[derive(Debug, Error)]
pub enum ExplainError {
    /// What was asked for is not there; what to do about it.
    #[error("{0}")]
    Usage(String),
    /// A history cannot be read.
    #[error(transparent)]
    Run(#[from] RunError),
}

impl ExplainError {
    /// Whether the question was wrong, not the history.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_))
    }
}

/// What was explained, and what the reader should know of the histories themselves.
#[derive(Debug)]
pub struct Explained<T> {
    /// There is one explanation a strategy, in the scenario's order.
    pub what: Vec<T>,
    /// These say what the reader should know of the histories, one sentence each.
    pub notes: Vec<String>,
}

/// The verdict, why it is no pass, and the first offending events of each kind, of all strategies or of
/// one.
pub fn first(folder: &Path, strategy: Option<&str>) -> Result<Explained<Offences>, ExplainError> {
    each(folder, strategy, |explainable| {
        let mut offences = Vec::new();
        let counts = explainable
            .explainer
            .each(FIRST, &mut |offence| offences.push(offence));
        let judgement = judge_joined(
            explainable.context,
            explainable.altered,
            bites(explainable.context.history()),
        );
        Some(Offences {
            strategy: explainable.context.history().meta.strategy.clone(),
            verdict: crate::record::verdict(judgement.verdict),
            reasons: judgement.reasons,
            counts: counts.into_iter().filter(|(_, count)| *count > 0).collect(),
            offences,
        })
    })
}

/// The first change of a strategy that was lost, explained, with the number of its order; none where none was.
pub fn one_lost(
    folder: &Path,
    strategy: &str,
) -> Result<Option<(u32, reports::record::Offence)>, ExplainError> {
    let explained = each(folder, Some(strategy), |explainable| {
        let mut found = None;
        explainable.explainer.each(1, &mut |offence| {
            let order = offence
                .order_id
                .as_deref()
                .and_then(|id| Uuid::try_parse(id).ok());
            let number = order.and_then(|id| explainable.explainer.order_number(id));
            if offence.metric == Metric::Lost.name() {
                found = number.map(|number| (number, offence));
            }
        });
        found
    })?;
    Ok(explained.what.into_iter().next())
}

/// One order by its id, or by its number in whichever strategy has one of that number.
pub fn of_order(
    folder: &Path,
    order: &str,
    strategy: Option<&str>,
) -> Result<Explained<Order>, ExplainError> {
    let number: Option<u32> = order.parse().ok();
    let id = Uuid::try_parse(order).ok();
    if number.is_none() && id.is_none() {
        return Err(ExplainError::Usage(format!(
            "--order {order}: this is neither an order's id (as record.json and offences.jsonl have \
             it) nor its number (as the tables of the history have it)"
        )));
    }
    let explained = each(folder, strategy, |explainable| {
        let explainer = explainable.explainer;
        let number = match id {
            Some(id) => explainer.order_number(id),
            None => number.filter(|number| explainer.knows(*number)),
        };
        number.map(|number| explainer.order(number))
    })?;
    if explained.what.is_empty() {
        let of = strategy.map_or_else(
            || "no strategy of this run knows it".to_owned(),
            |name| format!("strategy {name} does not know it"),
        );
        return Err(ExplainError::Usage(format!(
            "--order {order}: {of}; ids of orders are in record.json and offences.jsonl, and each \
             run and strategy has its own"
        )));
    }
    Ok(explained)
}

/// This is a history together with who explains it.
struct Explainable<'a, 'b> {
    context: &'b Context<'a>,
    explainer: &'b Explainer<'b>,
    /// Its files that were changed after the run.
    altered: &'b [String],
}

/// Loads one history after the other and keeps what `explain` gives for it.
fn each<T>(
    folder: &Path,
    strategy: Option<&str>,
    mut explain: impl FnMut(&Explainable<'_, '_>) -> Option<T>,
) -> Result<Explained<T>, ExplainError> {
    let mut placed: Vec<(Option<usize>, T)> = Vec::new();
    let mut notes = Vec::new();
    let mut metas = Vec::new();
    for path in histories(folder, strategy)? {
        let loaded = history::load(&path).map_err(|e| failed("loading the history", &e))?;
        let history = &loaded.history;
        if !loaded.altered.is_empty() {
            notes.push(format!(
                "the history of {} was changed after the run: {}",
                history.meta.strategy,
                loaded.altered.join(", ")
            ));
        }
        notes.extend(of_trace(history));
        let context = Context::new(history);
        let explainer =
            Explainer::new(&context).map_err(|e| failed("reading the run's key", &e))?;
        let explainable = Explainable {
            context: &context,
            explainer: &explainer,
            altered: &loaded.altered,
        };
        if let Some(explained) = explain(&explainable) {
            placed.push((place(&history.meta), explained));
        }
        metas.push(loaded.history.meta);
    }
    if strategy.is_none() {
        let metas: Vec<&RunMeta> = metas.iter().collect();
        notes.extend(whole::check(&metas).err());
    }
    placed.sort_by_key(|(place, _)| *place);
    Ok(Explained {
        what: placed.into_iter().map(|(_, explained)| explained).collect(),
        notes,
    })
}

/// Why less is known than could be.
fn of_trace(history: &History) -> Option<String> {
    let strategy = &history.meta.strategy;
    if history.trace.is_empty() {
        return Some(format!(
            "{strategy}: order service and relay left no trace, so less is known of what they did"
        ));
    }
    let cut_ns = history.meta.trace_cut_ns?;
    let cut_s = cut_ns.saturating_sub(history.meta.load_from_ns) as f64 / 1e9;
    Some(format!(
        "{strategy}: the trace was cut at {cut_s:.3} s (it was full, or could not be written); from \
         then on less is known of what order service and relay did"
    ))
}

/// Returns the folders of all histories of a run folder, or of the one of a strategy.
fn histories(folder: &Path, strategy: Option<&str>) -> Result<Vec<PathBuf>, ExplainError> {
    if let Some(message) = folder::lacks_history(folder) {
        return Err(ExplainError::Usage(message));
    }
    let all = folder::histories(folder)?;
    let Some(name) = strategy else {
        return Ok(all);
    };
    let names: Vec<&str> = all
        .iter()
        .filter_map(|path| path.file_name()?.to_str())
        .collect();
    if !names.contains(&name) {
        return Err(ExplainError::Usage(format!(
            "--strategy {name}: this run has no history of it; it has {}",
            names.join(", ")
        )));
    }
    Ok(vec![folder::history(folder, name)])
}
