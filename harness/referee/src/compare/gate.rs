//! What a comparison comes to, for whoever goes by its exit code.

use super::arms::{Pair, PairedArms};
use super::conduct::Conduct;
use super::metrics::CompareMetric;
use super::rows::{differences, floor};
use super::{ALPHA, FEWEST_PAIRS, Terms};
use crate::statistics::{SignedRank, holm};
use reports::compare::{CompareRow, Finding, Subject};
use reports::record::Verdict;

/// Asks a second set of pairs about each figure that raised an alarm: the one that is given, which is asked about these
/// figures alone; or else the halves of the first one, if they are large enough and were run in turns, each by itself.
/// A look that does not show an alarm takes it for chance only where it rules it out.
pub fn confirm(
    figures: &mut [Vec<CompareRow>],
    paired: &[PairedArms<'_>],
    confirming: Option<&[PairedArms<'_>]>,
    in_turns: bool,
    limit: f64,
    terms: &Terms,
) {
    let alarms: Vec<(usize, usize)> = figures
        .iter()
        .enumerate()
        .flat_map(|(subject, rows)| {
            rows.iter()
                .enumerate()
                .map(move |(row, of)| (subject, row, of))
        })
        .filter(|(_, _, row)| row.beyond_limit == Some(true))
        .map(|(subject, row, _)| (subject, row))
        .collect();
    let answers: Vec<Option<bool>> = match confirming {
        Some(second) => by_second_set(&alarms, paired, second, limit, terms),
        None => alarms
            .iter()
            .map(|(subject, row)| {
                let arms = &paired[*subject];
                in_turns
                    .then(|| by_halves(arms, terms.metrics[*row], limit))
                    .flatten()
            })
            .collect(),
    };
    for ((subject, row), answer) in alarms.into_iter().zip(answers) {
        figures[subject][row].confirmed = answer;
    }
}

/// A second look at one figure.
struct SecondLook {
    asked: SignedRank,
    /// This is how surprising these pairs were if the figure was worse by the limit at most.
    p: f64,
    /// In logarithms.
    limit: f64,
}

impl SecondLook {
    /// Asks these pairs; `None` with too few of them.
    fn at(
        pairs: &[Pair<'_>],
        equal: &[Pair<'_>],
        metric: &CompareMetric,
        limit: f64,
    ) -> Option<Self> {
        let differences = differences(pairs, metric);
        let asked = SignedRank::new(&differences).filter(|asked| asked.pairs() >= FEWEST_PAIRS)?;
        let limit = metric.limit(limit);
        let beyond = floor(equal, metric)?.max(limit);
        // An improvement confirms no alarm.
        let p = if asked.centre() > 0.0 {
            asked.p_beyond(beyond)
        } else {
            1.0
        };
        Some(Self { asked, p, limit })
    }

    /// Whether it rules out that the figure is worse by more than the limit: its own interval does not reach there.
    fn rules_out(&self, alpha: f64) -> bool {
        let interval = self.asked.interval(alpha);
        interval.is_some_and(|(_, most)| most <= self.limit)
    }
}

fn by_second_set(
    alarms: &[(usize, usize)],
    paired: &[PairedArms<'_>],
    second: &[PairedArms<'_>],
    limit: f64,
    terms: &Terms,
) -> Vec<Option<bool>> {
    let looks: Vec<Option<SecondLook>> = alarms
        .iter()
        .map(|(subject, row)| {
            let arms = second
                .iter()
                .find(|arms| arms.title == paired[*subject].title)?;
            SecondLook::at(&arms.pairs, &arms.equal, terms.metrics[*row], limit)
        })
        .collect();
    let known: Vec<f64> = looks.iter().flatten().map(|look| look.p).collect();
    let mut answers = holm(&known, ALPHA).into_iter();
    looks
        .iter()
        .map(|look| {
            let look = look.as_ref()?;
            let answer = answers.next()?;
            (answer.found || look.rules_out(answer.alpha)).then_some(answer.found)
        })
        .collect()
}

/// Both halves by themselves, with the whole set's equal runs. Halves confirm and never refute: what all pairs show is
/// not chance because half of them are too few to show it.
fn by_halves(arms: &PairedArms<'_>, metric: &CompareMetric, limit: f64) -> Option<bool> {
    let (first, second) = arms.pairs.split_at(arms.pairs.len() / 2);
    let shows = |half| SecondLook::at(half, &arms.equal, metric, limit).map(|look| look.p <= ALPHA);
    (shows(first)? && shows(second)?).then_some(true)
}

/// The verdict, and whole sentences that say why, or what a pass is worth.
pub fn verdict(
    subjects: &[Subject],
    conduct: Conduct,
    pairs: usize,
    in_turns: bool,
    second_set: bool,
    terms: &Terms,
) -> (Verdict, Vec<String>) {
    let mut bad = [harms(subjects), conduct.bad].concat();
    let mut open = [unread(subjects), conduct.open].concat();
    let mut good = Vec::new();
    if pairs < FEWEST_PAIRS {
        open.push(format!(
            "{}: with fewer than {FEWEST_PAIRS} nothing can be told of any figure.",
            if pairs == 1 {
                "1 pair".to_owned()
            } else {
                format!("{pairs} pairs")
            }
        ));
    } else if rows(subjects).all(|(_, row)| row.smallest.is_none()) {
        open.push("No figure could have shown any difference.".to_owned());
    } else if let Some(limit) = terms.max_regression {
        for (subject, row) in rows(subjects).filter(|(_, row)| row.beyond_limit == Some(true)) {
            let (list, said) = alarm(subject, row, in_turns, second_set, limit);
            match list {
                Verdict::Fail => bad.push(said),
                Verdict::Unknown => open.push(said),
                Verdict::Pass => good.push(said),
            }
        }
        let asked = rows(subjects)
            .filter(|(_, row)| !matches!(row.finding, Finding::TooFewPairs | Finding::NeverCame))
            .count();
        let able = rows(subjects)
            .filter(|(_, row)| row.smallest.is_some_and(|s| s <= limit))
            .count();
        let limit = percent(limit);
        if able == 0 {
            open.push(format!(
                "No figure could have told a change of {limit} from none: these pairs scatter too much, or are too few."
            ));
        } else {
            good.push(format!(
                "{able} of {asked} figures could have told a change of {limit} from none; the others only a larger one."
            ));
            good.extend(alarms_take(subjects, &limit));
        }
        let told_nothing = |subject: &&Subject| {
            !subject.rows.is_empty() && subject.rows.iter().all(|row| row.smallest.is_none())
        };
        open.extend(subjects.iter().filter(told_nothing).map(|subject| {
            format!(
                "{}: no figure could have shown any difference.",
                subject.title
            )
        }));
        if !in_turns {
            good.push("The two sides were not run in turns: what the machine did meanwhile may hide a difference, or look like one.".to_owned());
        }
    }
    let verdict = match (bad.is_empty(), open.is_empty()) {
        (false, _) => Verdict::Fail,
        (true, false) => Verdict::Unknown,
        (true, true) => Verdict::Pass,
    };
    (verdict, [bad, open, good].concat())
}

fn rows(subjects: &[Subject]) -> impl Iterator<Item = (&Subject, &CompareRow)> {
    subjects
        .iter()
        .flat_map(|subject| subject.rows.iter().map(move |row| (subject, row)))
}

/// Says how much worse a figure had to be for an alarm, which is more than the limit; `None` where no alarm could be raised.
fn alarms_take(subjects: &[Subject], limit: &str) -> Option<String> {
    let mut all: Vec<(f64, String)> = rows(subjects)
        .filter_map(|(subject, row)| {
            let takes = row.alarm_from.filter(|takes| *takes < ENDLESS_ALARM)?;
            Some((takes, format!("{}: {}", subject.title, row.name)))
        })
        .collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let said = |(takes, name): &(f64, String)| format!("{} ({name})", percent(*takes));
    let (least, most) = (all.first()?, all.last()?);
    let rest = match all.len() {
        1 => String::new(),
        _ => format!(" at least, {} at most", said(most)),
    };
    Some(format!(
        "An alarm takes a whole interval beyond {limit}; by these pairs that is a figure worse by {}{rest}.",
        said(least)
    ))
}

/// What would have to be worse by so much, as a share, raises no alarm that anybody needs.
const ENDLESS_ALARM: f64 = 100.0;

/// What an alarm is worth, and its sentence.
fn alarm(
    subject: &Subject,
    row: &CompareRow,
    in_turns: bool,
    second_set: bool,
    limit: f64,
) -> (Verdict, String) {
    let what = format!(
        "{}: {} is worse by more than {}",
        subject.title,
        row.name,
        percent(limit)
    );
    if row.noise_floor.is_none() {
        let said = format!(
            "{what}, but no equal runs were compared, so nobody knows whether they differ as much: leave --noise-floor on."
        );
        return (Verdict::Unknown, said);
    }
    match (row.confirmed, in_turns) {
        (Some(true), true) => (
            Verdict::Fail,
            format!(
                "{what}, and {} by itself.",
                if second_set {
                    "a second set of pairs shows it"
                } else {
                    "each half of the pairs shows it"
                }
            ),
        ),
        (Some(false), true) => (
            Verdict::Pass,
            format!(
                "{what}, but a second set of pairs rules out that it is more: taken for chance."
            ),
        ),
        (_, false) => (
            Verdict::Unknown,
            format!(
                "{what}, but the two sides were not run in turns: the machine may have been slower for one of them. \
                 Run them in turns."
            ),
        ),
        (None, true) if second_set => (
            Verdict::Unknown,
            format!(
                "{what}, and the second set of pairs neither shows it nor rules it out: run a larger one."
            ),
        ),
        (None, true) if row.pairs as usize >= 2 * FEWEST_PAIRS => (
            Verdict::Unknown,
            format!(
                "{what}, but not each half of its {} pairs shows it by itself, and so few cannot rule it out either. \
                 A second set (--confirm) decides it.",
                row.pairs
            ),
        ),
        (None, true) => (
            Verdict::Unknown,
            format!(
                "{what}, in one set of {} pairs alone. Of twenty such sets of equal runs one at most would show anything \
                 by chance; nobody should be stopped by that. A second set (--confirm), or twelve pairs in turns, \
                 whose halves are then asked each by itself, decides it.",
                row.pairs
            ),
        ),
    }
}

fn harms(subjects: &[Subject]) -> Vec<String> {
    let said = subjects.iter().flat_map(|subject| {
        let harms = subject.safety.iter().filter(|row| row.harm);
        harms.map(move |row| {
            let count = |runs: &[Option<u64>]| {
                let sum = runs.iter().flatten().sum::<u64>();
                match runs.iter().filter(|run| run.is_none()).count() {
                    0 => sum.to_string(),
                    unread if unread == runs.len() => "an unknown number".to_owned(),
                    _ => format!("at least {sum}"),
                }
            };
            format!(
                "{}: {} {} in {}, {} in {}: one is enough, and needs no statistics.",
                subject.title,
                row.metric.replace('_', " "),
                count(&row.new),
                subject.new,
                count(&row.base),
                subject.base
            )
        })
    });
    said.collect()
}

fn unread(subjects: &[Subject]) -> Vec<String> {
    let said = subjects.iter().flat_map(|subject| {
        let unread = subject.safety.iter().filter(|row| row.unread);
        unread.map(move |row| {
            format!(
                "{}: some run of {} did not read what is {}.",
                subject.title,
                subject.new,
                row.metric.replace('_', " ")
            )
        })
    });
    said.collect()
}

/// `10%`, as the command line takes it.
fn percent(share: f64) -> String {
    let text = format!("{:.1}", share * 100.0);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}
