//! Several questions at once: with twenty rows one of them looks like a finding by chance, unless each is asked more
//! strictly (Holm 1979, which holds however the rows depend on each other).

/// This is the answer to one of several questions that are judged together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HolmAnswer {
    /// How small its p had to be: an interval that matches it has a confidence of one less this.
    pub alpha: f64,
    /// This is true if the question's p was at most `alpha`, that is, if there is a finding.
    pub found: bool,
}

/// Judges all questions together, so that with a chance of `alpha` at most any of them is answered with a finding
/// where there is none. In their order.
pub fn holm(p: &[f64], alpha: f64) -> Vec<HolmAnswer> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut judged = vec![
        HolmAnswer {
            alpha,
            found: false,
        };
        p.len()
    ];
    let mut going = true;
    let mut left = p.len();
    for at in order {
        let strict = alpha / left as f64;
        going = going && p[at] <= strict;
        judged[at] = HolmAnswer {
            alpha: strict,
            found: going,
        };
        // What was not found is asked no less strictly than the first that was not.
        if going {
            left -= 1;
        }
    }
    judged
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn given_the_textbooks_four_questions_then_two_are_found() {
        let judged = holm(&[0.01, 0.04, 0.03, 0.005], 0.05);
        let found: Vec<bool> = judged.iter().map(|j| j.found).collect();
        assert_eq!(found, [true, false, false, true]);
        let alphas: Vec<f64> = judged.iter().map(|j| j.alpha).collect();
        assert_eq!(alphas, [0.05 / 3.0, 0.025, 0.025, 0.0125]);
        assert_eq!(holm(&[], 0.05), []);
    }

    proptest! {
        #[test]
        fn it_finds_what_bonferroni_finds_and_nothing_that_a_single_test_would_not(
            p in prop::collection::vec(0.0f64..1.0, 1..30),
        ) {
            let each = 0.05 / p.len() as f64;
            for (p, judged) in p.iter().zip(holm(&p, 0.05)) {
                prop_assert!(*p > each || judged.found);
                prop_assert!(*p <= 0.05 || !judged.found);
                // What is shown beside it says the same
                prop_assert_eq!(judged.found, *p <= judged.alpha);
            }
        }
    }
}
