//! A case: one broken (or odd) system, the load it gets, and what the referee must say. Its test and
//! its row in the docs come from the same value.

use super::all;
use super::bench::{OF_TIME, Ran};
use super::busy;
use super::not_done::not_done;
use super::stacks;
use super::turn::{self, Turn};
use relays::config::{BrokerKind, DatabaseKind};
use reports::record::Verdict;

/// See the module.
pub struct Case {
    /// Its number in the table; a dash for what is odd and correct.
    pub number: &'static str,
    /// The name by which the zoo's binary knows it.
    pub defect: &'static str,
    /// In words: what it does.
    pub what: &'static str,
    /// The defect of which it is a second example, if it is one: then `make test-all` alone runs it.
    pub second_of: Option<&'static str>,
    /// Keys of `[workload]`.
    pub load: &'static str,
    /// Keys of `[strategy.zoo]`.
    pub strategy: &'static str,
    /// The rest of the scenario: faults, bounds of the drain, `[expect.zoo]`.
    pub more: &'static str,
    /// Whether another run beside it could change what comes of it.
    pub alone: bool,
    /// Where its events go: where that is not installed it is not done, and says so.
    pub broker: BrokerKind,
    /// Where its orders are: the same holds for that.
    pub database: DatabaseKind,
    /// Whether it needs a Redis: where there is none it is not done, and says so.
    pub needs_cache: bool,
    /// Runs it.
    pub run: fn(&Case, &Turn) -> Ran,
    /// The verdict.
    pub verdict: Verdict,
    /// Every anomaly of which there is any.
    pub finds: &'static [Find],
    /// Words of each reason that the referee must give for not knowing something.
    pub inconclusive: &'static [&'static str],
    /// Metrics that it leaves open because of them, where the verdict is not.
    pub open: &'static [&'static str],
    /// Whether each fault of the scenario bites; else none does.
    pub bites: bool,
    /// What else must be true.
    pub also: fn(&Ran),
}

/// An anomaly, and how often it must be found.
pub struct Find {
    /// Its name in the record's counts.
    pub anomaly: &'static str,
    /// How often, by construction or by what the broken part admits: never by what the referee says.
    pub count: fn(&Ran) -> u64,
    /// Fewer of them would prove nothing.
    pub least: u64,
    /// The same in words.
    pub words: &'static str,
}

/// What most cases have.
pub const USUAL: Case = Case {
    number: "-",
    defect: "",
    what: "",
    second_of: None,
    load: "rate = 300\nduration = \"2s\"",
    strategy: "kind = \"polling\"",
    more: "[drain]\nwithin = \"2s\"",
    alone: false,
    broker: BrokerKind::Kafka,
    database: DatabaseKind::Postgres,
    needs_cache: false,
    run: |case, turn| match stacks::has(case.broker, case.database) {
        true => turn.run(case.defect, &case.scenario()),
        false => turn.run_on_its_own(case.defect, &case.scenario()),
    },
    verdict: Verdict::Fail,
    finds: &[],
    inconclusive: &[],
    open: &[],
    bites: true,
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
        // Not every kind of strategy has a choice.
        let broker = match self.broker {
            BrokerKind::Kafka => String::new(),
            other => format!("broker = \"{}\"\n", other.name()),
        };
        let database = match self.database {
            DatabaseKind::Postgres => String::new(),
            other => format!("database = \"{}\"\n", other.name()),
        };
        format!(
            "name = \"zoo\"\ndescription = \"A system of the zoo.\"\nseed = 42\n\n[workload]\n{}\n\n\
             [strategy.zoo]\n{}\n{broker}{database}\n{}\n",
            self.load, self.strategy, more
        )
    }

    /// Runs it whole, and compares.
    #[track_caller]
    pub fn holds(&self) {
        if self.second_of.is_some() && !all::is_asked_for() {
            return;
        }
        if self.needs_cache && !stacks::has_cache() {
            not_done("there is no Redis: stack/install.sh redis");
            return;
        }
        if let Some(server) = stacks::lacks(self.broker, self.database) {
            let (title, name) = (server.title(), server.name());
            not_done(&format!("there is no {title}: stack/install.sh {name}"));
            return;
        }
        let ran = telling(
            self.alone,
            |ran| self.told(ran),
            |turn| {
                let ran = (self.run)(self, turn);
                self.counts(&ran);
                ran
            },
        );
        let expected = self.expected(&ran);
        ran.found(&expected);
        ran.judged(self.verdict, &expected, self.open);
        ran.bit(self.bites);
        for (find, (_, count)) in self.finds.iter().zip(&expected) {
            let (anomaly, least) = (find.anomaly, find.least);
            assert!(*count >= least, "only {count} {anomaly} of {least}");
        }
        let reasons = &ran.strategy().reasons;
        for cause in self.inconclusive {
            let given = reasons.iter().any(|reason| reason.contains(cause));
            assert!(given, "{cause}: {reasons:?}");
        }
        assert!(self.told(&ran), "{}", ran.context());
        (self.also)(&ran);
    }

    /// Whether there was enough of what it is about, and nothing that only a busy machine does.
    fn told(&self, ran: &Ran) -> bool {
        let expected = self.expected(ran);
        let mut finds = self.finds.iter().zip(&expected);
        finds.all(|(find, (_, count))| *count >= find.least)
            && ran.in_time(&expected)
            // What it waits for may be just that the referee cannot tell.
            && (self.verdict == Verdict::Unknown || ran.tells(self.open, self.inconclusive.len()))
    }

    /// What must be found.
    fn expected(&self, ran: &Ran) -> Vec<(&'static str, u64)> {
        let finds = self.finds.iter();
        finds
            .map(|find| (find.anomaly, (find.count)(ran)))
            .collect()
    }

    /// Wrong counts are wrong on the busiest machine, but for those that are of time.
    #[track_caller]
    fn counts(&self, ran: &Ran) {
        let timeless = |(anomaly, count): &(&str, u64)| *count > 0 && !OF_TIME.contains(anomaly);
        let found = ran.anomalies().into_iter().filter(timeless);
        let expected = self.expected(ran).into_iter().filter(timeless);
        let mut expected: Vec<_> = expected.collect();
        expected.sort_unstable();
        let found: Vec<_> = found.collect();
        // In these words `.ci/again` knows what it must not make again.
        assert_eq!(found, expected, "wrong counts: {}", ran.context());
    }
}

/// A run that tells. One in which the machine was too busy, for the system to do what it is about or
/// for the referee to tell, is made again, with the machine to itself.
pub fn telling(alone: bool, tells: impl Fn(&Ran) -> bool, run: impl Fn(&Turn) -> Ran) -> Ran {
    let first = if alone {
        turn::alone()
    } else {
        turn::beside_another()
    };
    let mut ran = run(&first);
    drop(first);
    for _ in 1..busy::TRIES {
        if tells(&ran) {
            break;
        }
        println!("it does not tell: {:?}", ran.strategy().reasons);
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
