//! The rows of a comparison: each figure asked whether it differs, all of them together.

use super::arms::{Pair, PairedArms};
use super::metrics::CompareMetric;
use super::{ALPHA, FEWEST_PAIRS, LEAST_TOLD, Terms};
use crate::statistics::{HolmAnswer, SignedRank, holm, median};
use reports::compare::{ArmFigures, CompareRow, Finding, Subject};
use reports::record::Strategy;

/// One figure of one subject, before it is known what all the others say.
pub struct AskedRow {
    metric: &'static CompareMetric,
    base: ArmFigures,
    new: ArmFigures,
    pairs: usize,
    /// This is the test of the pairs' differences; `None` with fewer than [`FEWEST_PAIRS`].
    asked: Option<SignedRank>,
    /// This is the centre of the differences, in logarithms, of any number of pairs; `None` without any.
    centre: Option<f64>,
    /// This is how much equal runs differ, in logarithms; `None` where no equal runs have the figure.
    floor: Option<f64>,
}

/// Returns the rows of each subject, in its order.
pub fn of(
    paired: &[PairedArms<'_>],
    terms: &Terms,
    remarks: &mut Vec<String>,
) -> Vec<Vec<CompareRow>> {
    let asked: Vec<Vec<AskedRow>> = paired
        .iter()
        .map(|arms| {
            terms
                .metrics
                .iter()
                .map(|metric| ask(arms, metric))
                .collect()
        })
        .collect();
    let flat: Vec<&AskedRow> = asked.iter().flatten().collect();
    let told = together(&flat, |metric| metric.limit(LEAST_TOLD));
    let limited = terms
        .max_regression
        .map(|limit| together(&flat, |metric| metric.limit(limit.max(LEAST_TOLD))));
    let number = flat.iter().filter(|row| row.asked.is_some()).count();
    remark(&flat, number, remarks);
    let mut answers = (0..flat.len()).map(|at| {
        // What is shown is what is judged by: of two families of questions the stricter answer, for both.
        let limited = limited.as_ref().map(|limited| limited[at].alpha);
        let alpha = told[at].alpha.min(limited.unwrap_or(ALPHA));
        row(flat[at], alpha, terms)
    });
    paired
        .iter()
        .map(|_| answers.by_ref().take(terms.metrics.len()).collect())
        .collect()
}

/// Adds to the remarks what so many questions at once cost, and whether figures have no equal runs beside them.
fn remark(rows: &[&AskedRow], number: usize, remarks: &mut Vec<String>) {
    let most = rows.iter().map(|row| row.pairs).max().unwrap_or(0);
    let fewest = SignedRank::fewest(ALPHA / number.max(1) as f64);
    if let Some(fewest) = fewest.filter(|fewest| number > 0 && most < *fewest) {
        remarks.push(format!(
            "{number} figures asked together need {fewest} pairs at least, and there are {most}: none of them can show \
             anything. Run more rounds, or ask for fewer figures (--metrics)."
        ));
    }
    if rows.iter().any(|row| row.pairs > 0 && row.floor.is_none()) {
        remarks.push(
            "Some figures have no equal runs beside them: by how much equal runs differ is not known of them."
                .to_owned(),
        );
    }
}

/// Judges all questions with an answer together: whether each lies beyond its limit and beyond what equal runs differ
/// by. What has too few pairs is not found, and costs the others nothing.
fn together(rows: &[&AskedRow], limit: impl Fn(&CompareMetric) -> f64) -> Vec<HolmAnswer> {
    let p: Vec<Option<f64>> = rows
        .iter()
        .map(|row| Some(row.asked.as_ref()?.p_beyond(row.beyond(limit(row.metric)))))
        .collect();
    let known: Vec<f64> = p.iter().flatten().copied().collect();
    let mut answers = holm(&known, ALPHA).into_iter();
    let none = HolmAnswer {
        alpha: ALPHA,
        found: false,
    };
    p.iter()
        .map(|p| p.and_then(|_| answers.next()).unwrap_or(none))
        .collect()
}

/// How much worse a figure's pairs are, in logarithms; those alone that have it.
pub fn differences(pairs: &[Pair<'_>], metric: &CompareMetric) -> Vec<f64> {
    let on_schedule = |(a, b): &&Pair<'_>| a.generator.kept_schedule && b.generator.kept_schedule;
    let pairs = pairs.iter().filter(on_schedule);
    pairs.filter_map(|(a, b)| metric.worse_by(a, b)).collect()
}

/// How much equal runs differ, in logarithms: the far end of the interval of their ratios, or the largest of them where
/// there are too few for one.
pub fn floor(equal: &[Pair<'_>], metric: &CompareMetric) -> Option<f64> {
    let differences = differences(equal, metric);
    let interval = SignedRank::new(&differences)?.interval(ALPHA);
    let widest = |values: &[f64]| values.iter().fold(0.0, |most: f64, d| most.max(d.abs()));
    Some(match interval {
        Some((from, to)) => widest(&[from, to]),
        None => widest(&differences),
    })
}

fn ask(arms: &PairedArms<'_>, metric: &'static CompareMetric) -> AskedRow {
    let differences = differences(&arms.pairs, metric);
    let any = SignedRank::new(&differences);
    let (base, new): (Vec<&Strategy>, Vec<&Strategy>) = arms.pairs.iter().copied().unzip();
    AskedRow {
        metric,
        base: figures(&base, metric),
        new: figures(&new, metric),
        pairs: differences.len(),
        centre: any.as_ref().map(SignedRank::centre),
        asked: any.filter(|asked| asked.pairs() >= FEWEST_PAIRS),
        floor: floor(&arms.equal, metric),
    }
}

fn figures(runs: &[&Strategy], metric: &CompareMetric) -> ArmFigures {
    side(runs, |s| (metric.of)(s))
}

/// Returns one figure of each run; percentiles of several runs are never thrown together. A run behind its schedule
/// has none.
pub fn side<'a>(runs: &[&'a Strategy], of: impl Fn(&'a Strategy) -> Option<f64>) -> ArmFigures {
    let values: Vec<Option<f64>> = runs
        .iter()
        .map(|s| Some(*s).filter(|s| s.generator.kept_schedule).and_then(&of))
        .collect();
    let mut known: Vec<f64> = values.iter().flatten().copied().collect();
    known.sort_by(f64::total_cmp);
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let middle = (!known.is_empty()).then(|| median(&known));
    ArmFigures {
        median: finite(middle),
        min: finite(known.first().copied()),
        max: finite(known.last().copied()),
        runs: values.into_iter().map(finite).collect(),
        never: known.iter().filter(|value| value.is_infinite()).count() as u32,
    }
}

impl AskedRow {
    /// What a difference has to lie beyond.
    fn beyond(&self, limit: f64) -> f64 {
        self.floor.unwrap_or(0.0).max(limit)
    }

    /// Whether its differences lie beyond, of which the interval at this level says the same.
    fn shows(&self, alpha: f64, limit: f64) -> bool {
        let asked = self.asked.as_ref();
        asked.is_some_and(|asked| asked.p_beyond(self.beyond(limit)) <= alpha)
    }
}

fn row(of: &AskedRow, alpha: f64, terms: &Terms) -> CompareRow {
    let metric = of.metric;
    let interval = of.asked.as_ref().and_then(|asked| asked.interval(alpha));
    let limit = terms
        .max_regression
        .map(|limit| metric.limit(limit.max(LEAST_TOLD)));
    let told = of.shows(alpha, metric.limit(LEAST_TOLD));
    let worse = of.centre.is_some_and(|centre| centre > 0.0);
    let finding = match (&of.asked, told) {
        (None, _) if of.base.only_never() && of.new.only_never() => Finding::NeverCame,
        (None, _) => Finding::TooFewPairs,
        (Some(_), false) => Finding::NotDistinguishable,
        (Some(_), true) if worse => Finding::Worse,
        (Some(_), true) => Finding::Better,
    };
    // What would have to be added to these very differences until their interval lies beyond.
    let it_takes = |limit: f64| {
        let ((from, _), centre) = interval.zip(of.centre)?;
        Some(metric.change(of.beyond(limit) + (centre - from)).abs())
    };
    CompareRow {
        metric: metric.id.to_owned(),
        name: metric.name.to_owned(),
        unit: metric.unit.to_owned(),
        better: metric.better,
        base: of.base.clone(),
        new: of.new.clone(),
        pairs: of.pairs as u32,
        change: of.centre.map(|centre| metric.change(centre)),
        interval: interval.map(|(from, to)| {
            let ends = [metric.change(from), metric.change(to)];
            (ends[0].min(ends[1]), ends[0].max(ends[1]))
        }),
        interval_confidence: 1.0 - alpha,
        noise_floor: of.floor.map(|floor| metric.change(floor).abs()),
        smallest: it_takes(metric.limit(LEAST_TOLD)),
        alarm_from: limit.and_then(it_takes),
        finding,
        beyond_limit: limit.map(|limit| worse && of.shows(alpha, limit)),
        confirmed: None,
    }
}

/// What was not done right has no speed: of a side that did harm nothing is better, nor of runs that failed or proved
/// nothing.
pub fn withhold(subject: &mut Subject, runs_were_at_work: bool) {
    if runs_were_at_work && subject.safety.iter().all(|row| !row.harm) {
        return;
    }
    for row in &mut subject.rows {
        if row.finding == Finding::Better {
            row.finding = Finding::Withheld;
        }
    }
}
