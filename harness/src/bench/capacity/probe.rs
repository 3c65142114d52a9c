//! Whether a run sustained its rate, from its record; and if not, what gave way.

use crate::bench::latency;
use crate::bench::pace::{Behind, Pace};
use reports::record::{Generator, Strategy};

/// A process that used this much of one core had no more to give, if it works on one core.
const BUSY: f64 = 0.8;

/// What one probe says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Probe {
    /// Why the rate was not sustained; nothing if it was.
    pub saturated: Option<String>,
    /// Work that was not done right.
    pub wrong: Vec<String>,
    /// The run's verdict was unknown for these reasons: it proved nothing about the work.
    pub inconclusive: Vec<String>,
}

impl Probe {
    /// Returns the probe of a run without a record of its strategy.
    pub fn nothing() -> Self {
        Self {
            saturated: Some("nothing was recorded".to_owned()),
            ..Self::default()
        }
    }
}

/// Judges a run whose load lasted `seconds`, with the pace that its history shows.
pub(super) fn judge(strategy: &Strategy, pace: Option<Pace>, seconds: u32) -> Probe {
    let problems = latency::problems(strategy);
    Probe {
        saturated: saturated(&strategy.generator, pace, |process| {
            cores(strategy, process, seconds)
        }),
        wrong: problems.wrong,
        inconclusive: problems.inconclusive,
    }
}

fn saturated(
    generator: &Generator,
    pace: Option<Pace>,
    cores: impl Fn(&str) -> Option<f64>,
) -> Option<String> {
    let Some(pace) = pace else {
        return Some("the load was too short to tell".to_owned());
    };
    match pace.behind() {
        Some(behind @ Behind::OrderPath) => {
            let service = service_said(cores("order-service"));
            return Some(format!("{}; {service}", pace.said(behind)));
        }
        Some(behind @ Behind::Relay) => {
            let relay = relay_said(cores("relay"));
            return Some(format!("{}; {relay}", pace.said(behind)));
        }
        None => {}
    }
    (!generator.kept_schedule || generator.unoffered > 0).then(|| {
        format!(
            "the generator was behind: lag p99 {} ms, {} changes not offered",
            generator
                .lag_p99_ms
                .map_or_else(|| "unknown".to_owned(), |ms| format!("{ms:.1}")),
            generator.unoffered
        )
    })
}

fn service_said(cores: Option<f64>) -> String {
    match cores {
        Some(cores) => format!("the order service used {cores:.2} cores"),
        None => "its CPU time is not known".to_owned(),
    }
}

fn relay_said(cores: Option<f64>) -> String {
    match cores {
        Some(cores) if cores >= BUSY => {
            format!("its CPU is what it lacks, it used {cores:.2} cores")
        }
        Some(cores) => {
            format!("it waited for the database or the broker, it used {cores:.2} cores")
        }
        None => "its CPU time is not known".to_owned(),
    }
}

/// Returns about how many cores a process used over the load: its time before and after the load is in it. `None`
/// says that the process's CPU time is not known.
fn cores(strategy: &Strategy, process: &str, seconds: u32) -> Option<f64> {
    let used = strategy.costs.get(&format!("{process} cpu, s"))?.as_ref()?;
    Some(used / f64::from(seconds.max(1)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const STEADY: Pace = Pace {
        due_per_s: 1_000.0,
        unanswered_growth_per_s: 0.0,
        backlog_growth_per_s: 0.0,
        order_p99_ms: 5.0,
    };

    fn judged(generator: Generator, pace: Option<Pace>) -> Option<String> {
        saturated(&generator, pace, |process| {
            (process == "relay").then_some(0.95)
        })
    }

    fn on_schedule() -> Generator {
        Generator {
            lag_p99_ms: Some(0.5),
            kept_schedule: true,
            ..Generator::default()
        }
    }

    #[test]
    fn given_a_pace_that_is_kept_on_schedule_when_judged_then_the_rate_is_sustained() {
        assert_eq!(judged(on_schedule(), Some(STEADY)), None);
    }

    #[test]
    fn given_92_percent_of_the_rate_when_judged_then_it_is_not_sustained() {
        let behind = Pace {
            unanswered_growth_per_s: 80.0,
            ..STEADY
        };
        let said = judged(on_schedule(), Some(behind)).unwrap();
        assert!(
            said.starts_with("the order path fell behind: 920 of 1000"),
            "{said}"
        );
        let behind = Pace {
            backlog_growth_per_s: 80.0,
            ..STEADY
        };
        let said = judged(on_schedule(), Some(behind)).unwrap();
        assert!(
            said.starts_with("the relay fell behind") && said.contains("0.95 cores"),
            "{said}"
        );
    }

    #[test]
    fn given_a_load_that_was_not_offered_when_judged_then_its_rate_is_not_sustained() {
        let late = Generator {
            kept_schedule: false,
            ..on_schedule()
        };
        let left_out = Generator {
            unoffered: 1,
            ..on_schedule()
        };
        for generator in [late, left_out] {
            let said = judged(generator, Some(STEADY)).unwrap();
            assert!(said.starts_with("the generator was behind"), "{said}");
        }
        assert!(judged(on_schedule(), None).is_some());
    }
}
