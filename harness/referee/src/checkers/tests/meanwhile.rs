//! What an offence is said to have been at the same time as.

use crate::checkers::Context;
use crate::checkers::fixture::*;
use crate::history::{History, Life};
use crate::scenario::{FaultKind, StrategyKind, Target};
use crate::view::Span;

fn from_to(from_ns: i64, until_ns: i64) -> Span {
    Span {
        from_ns: FROM + from_ns,
        until_ns: FROM + until_ns,
    }
}

fn told(history: &History, span: Span) -> String {
    Context::new(history).meanwhile(span)
}

fn with_end(life: Life, exit: i32) -> History {
    let mut history = clean(2, StrategyKind::Cdc {});
    process(&mut history, "relay", FROM + 500 * MS, life, exit);
    history
}

#[test]
fn a_death_is_named_if_it_was_seen_meanwhile_or_within_a_tenth_of_a_second() {
    let history = with_end(Life::Exited, 9);
    let killed = "; relay was killed at 0.500 s";
    assert_eq!(told(&history, from_to(0, 500 * MS)), killed);
    assert_eq!(told(&history, from_to(500 * MS, S)), killed);
    assert_eq!(told(&history, from_to(0, 400 * MS)), killed);
    assert_eq!(told(&history, from_to(0, 400 * MS - 1)), "");
    assert_eq!(told(&history, from_to(500 * MS + 1, S)), "");
}

#[test]
fn a_death_is_an_exit_by_a_signal_and_no_other_end() {
    let told = |life, exit| told(&with_end(life, exit), from_to(0, S));
    assert_eq!(
        told(Life::Exited, 15),
        "; relay was ended by signal 15 at 0.500 s"
    );
    assert_eq!(
        told(Life::Exited, 1),
        "; relay was ended by signal 1 at 0.500 s"
    );
    assert_eq!(told(Life::Exited, 0), "");
    assert_eq!(told(Life::Exited, -4), "");
    assert_eq!(told(Life::Terminating, 9), "");
}

#[test]
fn a_fault_is_named_with_its_times_if_no_death_is() {
    let mut history = clean(2, StrategyKind::Cdc {});
    let (kafka, postgres) = (Target::KAFKA, Target::POSTGRES);
    add_fault(&mut history, kafka, FaultKind::Down, 100 * MS, 200 * MS);
    add_fault(&mut history, postgres, FaultKind::Down, 400 * MS, 500 * MS);
    assert_eq!(
        told(&history, from_to(150 * MS, 160 * MS)),
        "; down kafka was in force from 0.100 s to 0.200 s"
    );
    assert_eq!(told(&history, from_to(250 * MS, 260 * MS)), "");
    history.faults[1].healed_ns = None;
    assert_eq!(
        told(&history, from_to(700 * MS, 800 * MS)),
        "; down postgres was in force from 0.400 s on"
    );
    process(&mut history, "relay", FROM + 750 * MS, Life::Exited, 9);
    assert_eq!(
        told(&history, from_to(700 * MS, 800 * MS)),
        "; relay was killed at 0.750 s"
    );
}
