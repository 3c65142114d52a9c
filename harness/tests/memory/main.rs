//! What a history and its checkers take, an event. Memory is the same on every machine, whatever
//! else it does.

#[path = "../../benches/common/mod.rs"]
mod common;

use common::clean::clean;
use common::counting::{Counting, counted};
use harness::checkers::{Verdict, judge};
use harness::history::{load, save};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const EVENTS: u32 = 200_000;

fn an_event(bytes: usize) -> f64 {
    bytes as f64 / f64::from(EVENTS)
}

/// One test: what another one allocates meanwhile would count as well.
#[test]
fn given_a_large_history_when_loaded_and_judged_then_each_event_takes_few_bytes() {
    // given
    let folder = tempfile::tempdir().expect("a folder can be made");
    save(&clean(EVENTS), folder.path()).expect("it can be saved");

    // when
    let (loaded, held, loading) = counted(|| load(folder.path()).expect("it can be loaded"));
    let (judgement, _, judging) = counted(|| judge(&loaded.history, &loaded.altered));

    // then
    assert_eq!(judgement.verdict, Verdict::Pass, "{:?}", judgement.reasons);
    let (held, loading, judging) = (an_event(held), an_event(loading), an_event(judging));
    eprintln!("{held:.1} bytes an event held, {loading:.1} while loading, {judging:.1} to judge");
    assert!(
        judging <= 32.0,
        "the checkers take {judging:.1} bytes an event"
    );
    assert!(held <= 32.0, "a history takes {held:.1} bytes an event");
}
