//! A case: one broken (or odd) system, the load it gets, and what the referee must say. Its test and
//! its row in the docs come from the same value.

use super::bench::Ran;
use super::turn::{self, Turn};
use reports::record::Verdict;

/// See the module.
pub struct Case {
    /// Its number in the table; a dash for what is odd and correct.
    pub number: &'static str,
    /// The name by which the zoo's binary knows it.
    pub defect: &'static str,
    /// In words: what it does.
    pub what: &'static str,
    /// Keys of `[workload]`.
    pub load: &'static str,
    /// Keys of `[strategy.zoo]`.
    pub strategy: &'static str,
    /// The rest of the scenario: faults, bounds of the drain, `[expect.zoo]`.
    pub more: &'static str,
    /// Whether another run beside it could change what comes of it.
    pub alone: bool,
    /// Runs it.
    pub run: fn(&Case, &Turn) -> Ran,
    /// The verdict.
    pub verdict: Verdict,
    /// Every anomaly of which there is any.
    pub finds: &'static [Find],
    /// Words of each reason that the referee must give for not knowing.
    pub doubts: &'static [&'static str],
    /// What else must be true.
    pub also: fn(&Ran),
}

/// Runs that one case may take.
const TRIES: usize = 3;

/// An anomaly, and how often it must be found.
pub struct Find {
    /// Its name in the record's counts.
    pub anomaly: &'static str,
    /// How often, from what the run itself shows: never 0.
    pub count: fn(&Ran) -> u64,
    /// The same in words.
    pub words: &'static str,
}

/// What most cases have.
pub const USUAL: Case = Case {
    number: "-",
    defect: "",
    what: "",
    load: "rate = 300\nduration = \"2s\"",
    strategy: "kind = \"polling\"",
    more: "[drain]\nwithin = \"2s\"",
    alone: false,
    run: |case, turn| turn.run(case.defect, &case.scenario()),
    verdict: Verdict::Fail,
    finds: &[],
    doubts: &[],
    also: |_| {},
};

impl Case {
    /// The scenario file.
    pub fn scenario(&self) -> String {
        // The relays of most cases are done with all of their misdeeds by then.
        let more = if self.more.contains("settle") {
            self.more.to_owned()
        } else {
            self.more
                .replace("[drain]\n", "[drain]\nsettle = \"200ms\"\n")
        };
        format!(
            "name = \"zoo\"\ndescription = \"A system of the zoo.\"\nseed = 42\n\n[workload]\n{}\n\n\
             [strategy.zoo]\n{}\n\n{}\n",
            self.load, self.strategy, more
        )
    }

    /// Runs it whole, and compares.
    #[track_caller]
    pub fn holds(&self) {
        let ran = match self.verdict {
            // What it waits for may be just that.
            Verdict::Unknown => (self.run)(self, &turn::beside_another()),
            _ => telling(self.alone, |turn| (self.run)(self, turn)),
        };
        let expected: Vec<(&str, u64)> = self
            .finds
            .iter()
            .map(|find| (find.anomaly, (find.count)(&ran)))
            .collect();
        ran.found(self.verdict, &expected);
        let reasons = &ran.strategy().reasons;
        for doubt in self.doubts {
            let given = reasons.iter().any(|reason| reason.contains(doubt));
            assert!(given, "{doubt}: {reasons:?}");
        }
        (self.also)(&ran);
    }
}

/// A run that tells: one in which the machine was too busy for the referee itself says so, and is
/// made again, with the machine to itself.
pub fn telling(alone: bool, run: impl Fn(&Turn) -> Ran) -> Ran {
    let first = if alone {
        turn::alone()
    } else {
        turn::beside_another()
    };
    let mut ran = run(&first);
    drop(first);
    for _ in 1..TRIES {
        if !ran.machine_was_too_slow() {
            break;
        }
        println!("the machine was too slow: {:?}", ran.strategy().reasons);
        ran = run(&turn::alone());
    }
    ran
}

/// Cases with a test each, and the list of them for the docs.
macro_rules! cases {
    ($($test:ident: $case:expr;)*) => {
        /// For the docs.
        pub const CASES: &[$crate::case::Case] = &[$($case),*];

        mod tests {
            #[allow(unused_imports)]
            use super::*;
            $(
                #[test]
                fn $test() {
                    const CASE: $crate::case::Case = $case;
                    CASE.holds();
                }
            )*
        }
    };
}
pub(crate) use cases;
