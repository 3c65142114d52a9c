//! What is sampled as an age: for how long something has lasted by now, and 0 where there is nothing. Between two looks
//! it may have gone on, and before the first one it had begun.

/// Returns how long, in ms, the longest one may have been whose ages are these, each with the time at which it was asked
/// for; an answer came before the next question. Nothing began before `from_ns`, nor counts after `until_ns`. `None` where
/// nobody looked.
///
/// One that was last seen at a look had begun after the look before the first that saw it, and had ended by the answer to
/// the next one: each answer lies anywhere up to the next question, so that both sides have room of two.
pub fn longest_at_most_ms(
    mut ages: Vec<(i64, f64)>,
    (from_ns, until_ns): (i64, i64),
) -> Option<f64> {
    ages.sort_by_key(|(at_ns, _)| *at_ns);
    let time = |at: usize| ages.get(at).map_or(until_ns, |(at_ns, _)| *at_ns);
    let lasts_ns = ages.iter().enumerate().map(|(at, (at_ns, age_ms))| {
        let began_ns = *at_ns as f64 - age_ms.max(0.0) * 1e6;
        let first = ages.partition_point(|(at_ns, _)| (*at_ns as f64) < began_ns);
        let before_ns = match first.checked_sub(2) {
            Some(before) => time(before),
            None => from_ns,
        };
        let began_ns = began_ns.min(before_ns as f64);
        time(at + 2) as f64 - began_ns
    });
    lasts_ns.reduce(f64::max).map(|ns| ns / 1e6)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: i64 = 1_000_000;

    #[test]
    fn given_looks_at_a_steady_pace_then_it_may_have_been_longer_by_two_looks_on_either_side() {
        let ages = [0.0, 0.0, 0.0, 0.0, 100.0, 200.0, 0.0, 0.0, 0.0];
        let ages = ages.iter().enumerate();
        let ages = ages.map(|(at, age)| (at as i64 * 100 * MS, *age)).collect();
        // Found at 300, and still there at 500: since 100 at the earliest, until 700 at the latest
        assert_eq!(longest_at_most_ms(ages, (0, 800 * MS)), Some(600.0));
        assert_eq!(longest_at_most_ms(Vec::new(), (0, 800 * MS)), None);
    }

    #[test]
    fn given_a_time_without_an_answer_then_all_of_it_may_have_been_one() {
        let ages = vec![(0, 0.0), (100 * MS, 0.0), (4_100 * MS, 0.0)];
        let longest_ms = longest_at_most_ms(ages, (0, 4_200 * MS)).unwrap();
        assert!(longest_ms >= 4_000.0, "{longest_ms}");
    }

    proptest! {
        #[test]
        fn given_any_looks_at_any_that_stood_then_none_was_longer_than_it_says(
            looks in prop::collection::vec((0_i64..30, 0_i64..30, 0.0_f64..1.0), 1..30),
            stands in prop::collection::vec(prop::collection::vec((1_i64..80, 1_i64..80), 0..8), 1..3),
        ) {
            // Given places where something lasts by turns, (from, until), ms
            let places: Vec<Vec<(i64, i64)>> = stands.iter().map(|turns| {
                let mut now = 0;
                turns.iter().map(|(pause, lasts)| {
                    now += pause + lasts;
                    (now - lasts, now)
                }).collect()
            }).collect();
            // And looks: asked, answered, and true at some moment between
            let mut now = 0;
            let looks: Vec<(i64, i64, i64)> = looks.iter().map(|(pause, takes, part)| {
                let asked = now + pause;
                now = asked + takes;
                (asked, now, asked + (*takes as f64 * part) as i64)
            }).collect();
            let until = now;
            for begin_is_told in [true, false] {
                // When each look says for how long the oldest is known to have been: since it began, where that is told,
                // or since it was first found
                let ages = looks.iter().map(|(asked, _, at)| {
                    let known = places.iter().flatten().filter(|(from, until)| from <= at && at < until);
                    let ages = known.map(|(from, _)| match begin_is_told {
                        true => at - from,
                        false => {
                            let found = looks.iter().find(|(_, _, at)| from <= at);
                            (asked - found.unwrap().1).max(0)
                        }
                    });
                    (asked * MS, ages.max().unwrap_or(0) as f64)
                });
                let most_ms = longest_at_most_ms(ages.collect(), (0, until * MS)).unwrap();
                // Then none was longer, as far as there were looks
                let lasted = places.iter().flatten().map(|(from, end)| (*end).min(until) - from);
                let longest = lasted.max().unwrap_or(0) as f64;
                prop_assert!(most_ms >= longest, "{most_ms} of {longest}");
            }
        }
    }
}
