//! Starts what is dead again until it works, as an operator's service manager does: what it needs may be
//! away just then.

use std::time::{Duration, Instant};

/// A start that failed and the next one are this far apart: what ends at once must not take a processor.
pub const PAUSE: Duration = Duration::from_millis(500);
/// What nothing hinders any more works again within this, or is given up.
pub const WITHIN: Duration = Duration::from_secs(30);

/// What became of something that was started again.
#[derive(Debug, PartialEq, Eq)]
pub enum Comeback<E> {
    /// A start of it succeeded.
    Works,
    /// It had its time, and its last start failed too.
    GivenUp(E),
    /// Nobody waits for it any longer.
    Unwanted,
}

/// How long starts may go on failing.
#[derive(Debug)]
pub struct Allowance {
    within: Duration,
    since: Option<Instant>,
}

impl Allowance {
    /// Allows starts to fail for so long, counted from when nothing hinders them any more.
    pub fn of(within: Duration) -> Self {
        Self {
            within,
            since: None,
        }
    }

    /// Whether a start that failed now is followed by another one. What is hindered is not to blame: its
    /// time begins afterwards.
    pub fn lasts(&mut self, now: Instant, hindered: bool) -> bool {
        if hindered {
            self.since = None;
            return true;
        }
        let since = *self.since.get_or_insert(now);
        now.duration_since(since) < self.within
    }
}

/// Starts it until that works. After each start that failed, `goes_on` says whether there is another
/// one, and `rests` is waited for before it: false if nobody wants it any more.
pub async fn bring_back<S, R, E>(
    mut start: impl FnMut() -> S,
    mut goes_on: impl FnMut(&E) -> bool,
    mut rests: impl FnMut() -> R,
) -> Comeback<E>
where
    S: Future<Output = Result<(), E>>,
    R: Future<Output = bool>,
{
    loop {
        let Err(error) = start().await else {
            return Comeback::Works;
        };
        if !goes_on(&error) {
            return Comeback::GivenUp(error);
        }
        if !rests().await {
            return Comeback::Unwanted;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const SECOND: Duration = Duration::from_secs(1);

    /// The comeback of something whose starts have this outcome, one after the other; its clock moves by a
    /// second a rest, and so long something hinders it. With the number of its starts.
    async fn of(starts: &[bool], hindered: u32, rests: u32) -> (Comeback<usize>, usize) {
        let begin = Instant::now();
        let (started, rested) = (Cell::new(0), Cell::new(0));
        let mut allowance = Allowance::of(3 * SECOND);
        let came = bring_back(
            || {
                let number = started.get();
                started.set(number + 1);
                let works = starts.get(number).copied().unwrap_or(false);
                async move { if works { Ok(()) } else { Err(number) } }
            },
            |_| allowance.lasts(begin + SECOND * rested.get(), rested.get() < hindered),
            || {
                rested.set(rested.get() + 1);
                let wanted = rested.get() <= rests;
                async move { wanted }
            },
        )
        .await;
        (came, started.get())
    }

    #[tokio::test]
    async fn given_starts_that_fail_when_a_later_one_works_then_it_is_back_and_not_started_again() {
        assert_eq!(of(&[true], 0, 99).await, (Comeback::Works, 1));
        let later = [false, false, true, false];
        assert_eq!(of(&later, 0, 99).await, (Comeback::Works, 3));
    }

    #[tokio::test]
    async fn given_starts_that_never_work_when_its_time_is_over_then_it_is_given_up_with_the_last_reason()
     {
        // Starts at 0, 1 and 2 s are followed by another one, that at 3 s is not
        assert_eq!(of(&[], 0, 99).await, (Comeback::GivenUp(3), 4));
    }

    #[tokio::test]
    async fn given_something_that_hinders_it_then_its_time_begins_when_that_is_over() {
        assert_eq!(of(&[], 10, 99).await, (Comeback::GivenUp(13), 14));
        let at_last: Vec<bool> = (0..13).map(|n| n == 12).collect();
        assert_eq!(of(&at_last, 10, 99).await, (Comeback::Works, 13));
    }

    #[tokio::test]
    async fn given_nobody_who_wants_it_any_more_then_it_is_left_as_it_is() {
        assert_eq!(of(&[], 99, 2).await, (Comeback::Unwanted, 3));
    }

    #[test]
    fn given_a_hindrance_that_comes_back_then_its_time_begins_anew() {
        let begin = Instant::now();
        let mut allowance = Allowance::of(3 * SECOND);
        for (second, hindered, lasts) in [
            (0, false, true),
            (2, false, true),
            (3, true, true),
            (9, false, true),
            (11, false, true),
            (12, false, false),
        ] {
            let now = begin + SECOND * second;
            assert_eq!(allowance.lasts(now, hindered), lasts, "at {second} s");
        }
    }
}
