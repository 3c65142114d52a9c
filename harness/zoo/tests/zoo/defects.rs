//! The zoo itself: a name that its program does not know must not pass for a system without a defect;
//! wrong counts must not be tried again until they are right, and what a busy machine does must be.

use super::bench::ZOO;
use super::case::{Case, Find, USUAL};
use reports::record::Verdict;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn given_a_defect_that_is_none_when_anything_is_run_then_it_is_an_error_that_names_it() {
    for command in ["run", "relay", "order-service", "list"] {
        let output = Command::new(ZOO)
            .arg(command)
            .env(zoo::DEFECT, "skips-every-101st")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{command}: {said}");
        assert!(said.contains("`skips-every-101st`"), "{command}: {said}");
    }
    let honest = Command::new(ZOO)
        .arg("list")
        .env(zoo::DEFECT, zoo::HONEST)
        .output()
        .unwrap();
    assert!(honest.status.success());
}

/// A fault that waits for more events than a load with rejected changes has: it proves nothing.
const NEVER_INJECTED: &str = r#"
[[fault]]
target = "relay->kafka"
kind = "down"
when = { events = 600 }
for = "100ms"
"#;

#[test]
fn given_a_try_that_does_not_tell_when_its_counts_are_wrong_then_it_is_not_made_again() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    // Given a case that expects nothing, whose first try loses events and cannot tell for another reason
    const CASE: Case = Case {
        verdict: Verdict::Pass,
        run: |case, turn| match TRIES.fetch_add(1, Ordering::Relaxed) {
            0 => turn.run("skips-every-100th", &(case.scenario() + NEVER_INJECTED)),
            _ => turn.run(zoo::HONEST, &case.scenario()),
        },
        ..USUAL
    };

    let held = std::panic::catch_unwind(|| CASE.holds());

    let said = held.expect_err("the wrong counts were thrown away");
    let said = said.downcast_ref::<String>().unwrap();
    assert!(said.contains(r#"[("lost", 5)]"#), "{said}");
    assert_eq!(TRIES.load(Ordering::Relaxed), 1);
}

#[test]
fn given_a_try_that_was_only_slow_when_judged_then_it_is_made_again() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    // Given a case that expects nothing, in whose first try nearly everything is late
    const CASE: Case = Case {
        verdict: Verdict::Pass,
        run: |case, turn| {
            let (scenario, slow) = (case.scenario(), "[drain]\nlate_after = \"1ms\"\n");
            match TRIES.fetch_add(1, Ordering::Relaxed) {
                0 => turn.run(zoo::HONEST, &scenario.replace("[drain]\n", slow)),
                _ => turn.run(zoo::HONEST, &scenario),
            }
        },
        ..USUAL
    };

    CASE.holds();

    assert_eq!(TRIES.load(Ordering::Relaxed), 2);
}

#[test]
fn given_a_try_with_too_few_misdeeds_when_judged_then_it_is_made_again() {
    static TRIES: AtomicUsize = AtomicUsize::new(0);
    // Given a relay that comes to skip nothing in the first try
    const CASE: Case = Case {
        finds: &[Find {
            anomaly: "lost",
            count: |ran| ran.admitted("skipped"),
            least: 4,
            words: "",
        }],
        run: |case, turn| match TRIES.fetch_add(1, Ordering::Relaxed) {
            0 => turn.run(zoo::HONEST, &case.scenario()),
            _ => turn.run("skips-every-100th", &case.scenario()),
        },
        ..USUAL
    };

    CASE.holds();

    assert_eq!(TRIES.load(Ordering::Relaxed), 2);
}
